"""What a teacher hands out: slides that name what is there, labs that answer in words, an exercise list without gaps."""

import json
import re
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

ROOT = Path(__file__).parent.parent
TEACHING = ROOT / "book" / "teaching"
DECKS = sorted((TEACHING / "slides").glob("*.md"))
LABS = sorted((TEACHING / "labs").glob("*.ipynb"))


@pytest.fixture
def course(monkeypatch):
    """The script that builds it all."""
    pytest.importorskip("playwright", reason="the development extra is not installed")
    monkeypatch.syspath_prepend(ROOT / "book")
    import course

    yield course
    sys.modules.pop("course"), sys.modules.pop("front_page")


@pytest.fixture
def lab(monkeypatch):
    """The labs' checks."""
    monkeypatch.syspath_prepend(TEACHING / "labs")
    import lab

    yield lab
    sys.modules.pop("lab")


@pytest.mark.parametrize("deck", DECKS, ids=lambda d: d.stem)
def test_a_deck_has_enough_slides_and_says_something_to_the_speaker_on_each(deck):
    slides = deck.read_text(encoding="utf-8").split("\n---\n")
    assert 12 <= len(slides) <= 18
    assert all(re.search(r"\nNotes:\n\w", slide) for slide in slides)


@pytest.mark.parametrize("deck", DECKS, ids=lambda d: d.stem)
def test_what_a_deck_shows_is_in_the_book(deck, course):
    for kind, what in re.findall(r"\]\((figure|table|text|code):([^)]+)\)", deck.read_text(encoding="utf-8")):
        if kind == "code":
            module, _, name = what.rpartition(".")
            assert course.code(getattr(course.import_module(module), name)).startswith("def ")
            continue
        chapter, name = what.split("#")
        cells = json.loads((ROOT / "notebooks" / f"{chapter}.ipynb").read_text(encoding="utf-8"))["cells"]
        assert any(f'"{name}"' in "".join(c["source"]) for c in cells if c["cell_type"] == "code"), what
        if kind == "figure":
            assert len(course.described(chapter, name)) > 20, what


def test_a_deck_becomes_slides_and_notes_with_what_the_chapters_glued(course, monkeypatch, tmp_path):
    glued = {"f": {"image/svg+xml": "<svg/>", "text/plain": ""}, "t": {"text/markdown": "|a|"}, "s": {"text/plain": "'Yes.'"}}
    for module in ("course", "front_page"):
        monkeypatch.setattr(sys.modules[module], "glued", lambda chapter, name: glued[name])
    file = tmp_path / "deck.md"
    slides = ["# One\n\nNotes:\nSay so.", "## Two\n\n![A <map>](figure:p/c#f)\n\n![](table:p/c#t) ![](text:p/c#s)\n\nNotes:\nX"]
    file.write_text("\n\n---\n\n".join(slides), encoding="utf-8")
    found = course.deck(file)
    assert [c.metadata.slideshow.slide_type for c in found.cells] == ["slide", "notes"] * 2
    assert found.metadata.title == "One"
    assert '<img alt="A &lt;map&gt;" src="data:image/svg+xml;base64,PHN2Zy8+">' in found.cells[2].source
    assert "|a| Yes." in found.cells[2].source


def test_students_get_gaps_and_no_hidden_tests(course):
    for file in LABS:
        solved = nbformat.read(file, as_version=4)
        source = "\n".join(cell.source for cell in course.for_students(solved).cells)
        assert "SOLUTION" not in source
        assert "HIDDEN" not in source
        gaps = [cell for cell in solved.cells if "gap" in cell.metadata.get("tags", ())]
        assert source.count("...  # your code") >= len(gaps) >= 5
        assert all("BEGIN SOLUTION" in cell.source for cell in gaps)


@pytest.mark.slow
@pytest.mark.parametrize("file", LABS, ids=lambda f: f.stem)
def test_a_solved_lab_passes_its_hidden_tests(file, course):
    assert course.graded(file) == (5, 5)


@pytest.mark.slow
def test_an_answer_that_breaks_the_checks_is_graded_all_the_same(course, tmp_path):
    solved = nbformat.read(LABS[2], as_version=4)
    next(cell for cell in solved.cells if "gap" in cell.metadata.get("tags", ())).source = "lab = None"
    nbformat.write(solved, tmp_path / LABS[2].name)
    assert course.graded(tmp_path / LABS[2].name) == (0, 5)


@pytest.mark.slow
@pytest.mark.parametrize("file", LABS[::2], ids=lambda f: f.stem)
def test_a_student_who_runs_an_empty_lab_is_told_what_is_missing(file, course):
    empty = course.run(course.for_students(nbformat.read(file, as_version=4)))
    outputs = [output for cell in empty.cells for output in cell.get("outputs", ())]
    assert not [o.evalue for o in outputs if o.output_type == "error"]
    said = "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout")
    assert said.count("not yet: ") == 5
    assert said.endswith("0 of 5 tasks done\n")


def test_a_check_says_what_is_wrong_and_raises_nothing(lab, capsys):
    with lab.task("missing"):
        lab.equal(None, 1.0, "the answer")
    with lab.task("wrong"):
        lab.equal(0.5, 0.25, "the answer")
    with lab.task("shape"):
        lab.equal(torch.zeros(2), np.zeros((1, 2)), "the answer")
    with lab.task("nan"):
        lab.equal(float("nan"), 1.0, "the answer")
    with lab.task("broken"):
        raise KeyError("x")
    with lab.task("right"):
        lab.equal(torch.tensor([1.0, 2.0]), [1, 2], "the answer")
        lab.expect(condition=True, hint="")
    lab.score()
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "✗ missing: not yet: the answer is still missing: fill in the gap.",
        "✗ wrong: not yet: the answer is 0.5; look at the formula again.",
        "✗ shape: not yet: the answer has the shape (2,), not (1, 2).",
        "✗ nan: not yet: the answer has values that are not finite.",
        "✗ broken: not yet: your code stops with KeyError: 'x'",
        "✓ right: done.",
        "1 of 6 tasks done",
    ]


def test_a_check_does_not_swallow_an_interrupt(lab):
    with pytest.raises(KeyboardInterrupt), lab.task("stopped"):
        raise KeyboardInterrupt


@pytest.mark.parametrize("file", sorted((ROOT / "notebooks").glob("*/*.ipynb")), ids=lambda f: f"{f.parent.name}-{f.stem}")
def test_every_chapter_has_exercises_of_several_levels_each_with_its_answer(file):
    """One at least is open, and its answer says what a good one contains."""
    text = "\n".join(cell.source for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "markdown")
    asked = re.findall(r"\{exercise\} (.+)\n:label: (\S+)\n\n(★+) \d+ minutes(, open)?\. ", text)
    assert len(asked) == text.count("{exercise}") >= 3
    answers = dict(re.findall(r"\{solution\} (\S+)\n:class: dropdown\n\n(.+)", text))
    assert {label for _, label, _, _ in asked} == set(answers)
    assert any(is_open and re.search("Rubric|good answer|Good answers", answers[label]) for _, label, _, is_open in asked)
