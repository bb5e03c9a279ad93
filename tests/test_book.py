"""papermill's side: parameters are checked, pages appear whole, failures are kept and named."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from hypothesis import given as given_by
from hypothesis import settings
from hypothesis import strategies as st

from gazebook import book, notebooks
from gazebook.errors import GazebookError

ROOT = Path(__file__).parent.parent
CHAPTER = ROOT / "notebooks" / "scribe" / "overfitting-without-labels.ipynb"


AUTOMODULE = "```{eval-rst}\n.. automodule:: gazebook.metrics.attention\n   :members:\n```"


def write_notebook(file: Path, *cells: str) -> Path:
    notebook = nbformat.v4.new_notebook()
    parameters = nbformat.v4.new_code_cell(
        "count: int = 2  # how often\nscale: float = 1.5  # how large\nname: str = 'a'  # who"
    )
    parameters.metadata["tags"] = ["parameters"]
    notebook.cells = [parameters, *map(nbformat.v4.new_code_cell, cells)]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, file)
    return file


def test_parameters_are_listed_with_type_default_and_help():
    found = notebooks.parameters(CHAPTER)
    assert found["profile"] == {"default": "demo", "type": "str", "help": "demo, cpu or paper: which runs the page shows"}
    assert found["fractions"]["default"] == [] and found["train"]["default"] is True


def test_values_are_read_as_yaml_and_checked_by_type():
    given = {"fractions": "[0.1, 1.0]", "overrides": "{epochs: 2}", "train": "false", "example": "3", "profile": "cpu"}
    assert notebooks.checked(CHAPTER, given) == {
        "fractions": [0.1, 1.0], "overrides": {"epochs": 2}, "train": False, "example": 3, "profile": "cpu",
    }  # fmt: skip
    odd = notebooks.checked(CHAPTER, {"fractions": "[1e-3, 010, 12:30:45, 2020-01-01, yes, None, True]"})
    assert odd["fractions"] == [0.001, 10, "12:30:45", "2020-01-01", "yes", None, True], "YAML 1.2, not 1.1"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fraction": "0.1"}, r"no parameter 'fraction'; it has profile \(str\), augmentations \(list\)"),
        ({"example": "two"}, r"example .* is 'two'; give an int such as 0"),
        ({"train": "3"}, "give a bool such as True"),
        ({"fractions": "0.1"}, r"give a list such as \[\]"),
        ({"overrides": "{a: ["}, r"give a dict such as \{\}"),
        ({"fractions": "[!!binary aW1wb3J0]"}, "of text and finite numbers"),
        ({"fractions": "[.nan]"}, "of text and finite numbers"),
        ({"fractions": "&a [*a]"}, "of text and finite numbers"),
        ({"overrides": "{a: {b: [!!set {c}]}}"}, "of text and finite numbers"),
        ({"overrides": "{a: {1: b}}"}, "of text and finite numbers"),
        ({"example": "12:30:45"}, "give an int such as 0"),
        ({"example": "1e-3"}, "give an int such as 0"),
        ({"example": "9" * 5000}, "give an int such as 0"),
        ({"fractions": "[" * 1000 + "]" * 1000}, "of text and finite numbers"),
        ({"fractions": "[1e999]"}, "of text and finite numbers"),
        ({"overrides": "{a: &x [1], b: *x}"}, "of text and finite numbers"),
        ({"profile": "caf\udce9"}, r"give a str such as 'demo'"),
    ],
)
def test_unknown_parameters_and_wrong_types_are_refused(given, message):
    with pytest.raises(GazebookError, match=message):
        notebooks.checked(CHAPTER, given)


def test_whole_numbers_pass_for_floats_and_flags_do_not_pass_for_numbers(tmp_path):
    notebook = write_notebook(tmp_path / "a.ipynb")
    assert notebooks.checked(notebook, {"scale": "3"}) == {"scale": 3.0}
    with pytest.raises(GazebookError, match="give an int"):
        notebooks.checked(notebook, {"count": True})


def test_what_is_not_a_notebook_is_answered_with_what_is(tmp_path):
    for wrong in (tmp_path / "none.ipynb", ROOT / "README.md"):
        with pytest.raises(GazebookError, match=r"is not a notebook; choose from notebooks/scribe"):
            notebooks.parameters(wrong)


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"cells": 3}', '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "\udcff"]
)
def test_a_file_that_is_no_notebook_is_one_line(tmp_path, content):
    (tmp_path / "broken.ipynb").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(GazebookError, match="is not a notebook of format 4"):
        notebooks.parameters(tmp_path / "broken.ipynb")


def test_a_notebook_without_a_kernel_or_a_parameters_cell_says_what_is_missing(tmp_path):
    for missing in ("kernelspec", "parameters"):
        file = write_notebook(tmp_path / "a.ipynb")
        content = json.loads(file.read_text(encoding="utf-8"))
        content["metadata" if missing == "kernelspec" else "cells"] = {} if missing == "kernelspec" else content["cells"][1:]
        file.write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(
            GazebookError, match="names no kernel" if missing == "kernelspec" else "no cell tagged `parameters`"
        ):
            notebooks.parameters(file)


def test_defaults_are_taken_as_they_are(tmp_path):
    notebook = write_notebook(tmp_path / "a.ipynb")
    content = nbformat.read(notebook, 4)
    lines = ("numbers = list(range(3))  # which", "product = 2 * 3", "colour = '#ff0000'  # of a line", "rule: str = 'a=b'")
    content.cells[0].source = "\n".join((*lines, "many = (1, 2)", "none = None"))
    nbformat.write(content, notebook)
    found = notebooks.parameters(notebook)
    assert found["numbers"] == {"default": "list(range(3))", "type": None, "help": "which"}
    assert found["colour"] == {"default": "#ff0000", "type": "str", "help": "of a line"} and found["rule"]["default"] == "a=b"
    given = {"numbers": "[4, 5]", "product": "7", "colour": "#00ff00", "rule": "c=d", "many": "[3]", "none": "x"}
    assert notebooks.checked(notebook, given) == {
        "numbers": [4, 5], "product": 7, "colour": "#00ff00", "rule": "c=d", "many": [3], "none": "x",
    }  # fmt: skip
    assert notebooks.checked(notebook, {}) == {}


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("abc xyz_=#:,[]{}'\"0123456789-", max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc_", min_size=1, max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given_by(st.dictionaries(st.text("abc_", min_size=1, max_size=5), PLAIN, max_size=4))
def test_a_value_written_as_text_is_read_as_that_value(value):
    assert notebooks.checked(CHAPTER, {"overrides": json.dumps(value)}) == {"overrides": value}


@settings(max_examples=150, deadline=None)
@given_by(st.text(max_size=40))
def test_any_text_becomes_a_plain_value_or_one_line(text):
    try:
        (value,) = notebooks.checked(CHAPTER, {"overrides": text}).values()
    except GazebookError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(value, dict) and json.loads(json.dumps(value)) == value


def test_the_source_is_never_the_output(tmp_path):
    notebook = write_notebook(tmp_path / "a.ipynb")
    (tmp_path / "link.ipynb").symlink_to(notebook)
    before = notebook.read_bytes()
    for output in (notebook, tmp_path / "link.ipynb"):
        with pytest.raises(GazebookError, match="is the notebook itself"):
            book.execute(notebook, output, {}, progress=False)
    assert notebook.read_bytes() == before


@pytest.mark.slow
def test_every_notebook_executes_and_the_book_renders_without_a_warning(site):
    folder = site.parents[2]
    made = {f.relative_to(folder / "book" / "chapters") for f in (folder / "book" / "chapters").rglob("*.ipynb")}
    assert made == {c.relative_to(ROOT / "notebooks") for c in notebooks.chapters(ROOT)}, "nothing partial, nothing failed"
    assert len(list((folder / "results").glob("*.run.zip"))) > 20
    assert (site / "chapters" / "scribe" / "implicit-background.html").exists()


def test_one_call_makes_the_book_at_a_time(tmp_path):
    with book.alone(tmp_path), pytest.raises(GazebookError, match="another call is making the book"), book.alone(tmp_path):
        pytest.fail("two at once")
    with book.alone(tmp_path):
        pass


@pytest.mark.slow
def test_no_image_is_described_by_its_file(site):
    pages = [page for page in site.rglob("*.html") if "_modules" not in page.parts]
    assert len(pages) > 50
    assert not [page.name for page in pages if 'alt="_images' in page.read_text(encoding="utf-8")]


@pytest.mark.slow
def test_a_page_that_was_cut_is_rendered_again(tmp_path):
    shutil.copytree(ROOT / "book" / "_static", tmp_path / "book" / "_static")
    for file in ("_config.yml", "book/references.bib"):
        shutil.copy(ROOT / file, tmp_path / file)
    (tmp_path / "book" / "_toc.yml").write_text("format: jb-book\nroot: intro\n", encoding="utf-8")
    code = "from gazebook import metrics\n\nmetrics.sparsity([[[1.0]]])"
    (tmp_path / "book" / "intro.md").write_text(f"# A page\n\n```python\n{code}\n```\n\n{AUTOMODULE}\n", encoding="utf-8")
    page = book.render(tmp_path).with_name("intro.html")
    whole = page.read_bytes()
    page.write_bytes(whole[: len(whole) // 2])
    book.render(tmp_path)
    again = page.read_bytes()
    assert again.endswith(whole[-100:]) and b"THEBE_JS_URL" not in again and abs(len(again) - len(whole)) < 1000
    assert again.count(b"sphinx-codeautolink-a") == whole.count(b"sphinx-codeautolink-a") > 0


@pytest.mark.slow
def test_a_page_appears_when_its_notebook_ran_to_the_end(tmp_path, monkeypatch):
    monkeypatch.setenv("GAZEBOOK_RESULTS", str(tmp_path / "results"))
    notebook = write_notebook(tmp_path / "a.ipynb", "print(count * scale, name)")
    output = tmp_path / "out" / "a.ipynb"
    book.execute(notebook, output, {"count": "4"}, progress=False)
    stored = json.loads(output.read_text())
    assert stored["cells"][-1]["outputs"][0]["text"] == ["6.0 a\n"]
    assert [p.name for p in output.parent.iterdir()] == ["a.ipynb"]
    assert book.is_current(notebook, output, {"count": 4})
    assert not book.is_current(notebook, output, {"count": 5})
    write_notebook(notebook, "print(count)")
    assert not book.is_current(notebook, output, {"count": 4})
    output.write_text("{")
    assert not book.is_current(notebook, output, {"count": 4})


@pytest.mark.slow
def test_two_calls_on_one_notebook_show_each_its_own_page(tmp_path):
    notebook = write_notebook(tmp_path / "a.ipynb", "import time; time.sleep(1)", "print(count)")
    output = tmp_path / "out" / "a.ipynb"
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(book.execute, notebook, output, {"count": n}, progress=False) for n in (4, 5)]
    assert [call.result() for call in calls] == [output, output]
    stored = json.loads(output.read_text())
    (shown,) = (n for n in (4, 5) if stored["cells"][-1]["outputs"][0]["text"] == [f"{n}\n"])
    assert book.is_current(notebook, output, {"count": shown}), "a page has the stamp of its own parameters"
    assert [p.name for p in output.parent.iterdir()] == ["a.ipynb"]


@pytest.mark.slow
def test_a_failing_notebook_is_kept_and_named_and_the_old_page_stays(tmp_path):
    notebook = write_notebook(tmp_path / "a.ipynb", "1 / 0", "print('never')")
    output = tmp_path / "out" / "a.ipynb"
    output.parent.mkdir()
    output.write_text("the old page")
    with pytest.raises(
        GazebookError, match=r"a.ipynb failed: ZeroDivisionError: division by zero \(read it in .*a.failed.ipynb\)"
    ):
        book.execute(notebook, output, {}, progress=False)
    assert output.read_text() == "the old page"
    assert sorted(p.name for p in output.parent.iterdir()) == ["a.failed.ipynb", "a.ipynb"]
    assert "ZeroDivisionError" in (output.parent / "a.failed.ipynb").read_text()


def test_parameters_stand_once_with_the_values_in_force(tmp_path):
    source = 'a: int = 1  # wie viele Bäume\nb: list = [\n    1,\n]  # more\nc = d = 2\ne: str = "ä"; f = None\n'
    values = {"a": 20, "b": ["x", 3], "c": 5, "e": 'say "hi"', "f": 1.5}
    assert notebooks.with_values(source, values) == (
        "a: int = 20  # wie viele Bäume\nb: list = ['x', 3]  # more\nc = d = 2\ne: str = 'say \"hi\"'; f = 1.5\n",
        {"a", "b", "e", "f"},
    )
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}})
    notebook.cells = [nbformat.v4.new_code_cell("n: int = 1  # how many", metadata={"tags": ["parameters"]}),
                      nbformat.v4.new_code_cell("print(n)")]  # fmt: skip
    nbformat.write(notebook, tmp_path / "in.ipynb")
    done = nbformat.read(book.execute(tmp_path / "in.ipynb", tmp_path / "out.ipynb", {"n": "7"}, progress=False), 4)
    assert [cell.source for cell in done.cells] == ["n: int = 7  # how many", "print(n)"]
    assert done.cells[1].outputs[0].text == "7\n"
