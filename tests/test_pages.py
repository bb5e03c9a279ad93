"""What chapters show: tables whose cells are numbers a reader can read or nothing, figures whose axes say what they are."""

import json
import re
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from gazebook import pages, plots

RAW = re.compile(r"(?<![\w.])-?\d*\.\d{5,}")  # more than four digits
NUMBER = re.compile(r"[-−+]?[\d.,]+%?|\$.*")  # a tick's label; a power of ten is a formula


@pytest.fixture
def glued(monkeypatch):
    """What is glued, by key."""
    found = {}
    monkeypatch.setattr(pages, "glue", lambda key, value, display: found.update({key: value.data}))
    return found


def cells(table: str) -> list[list[str]]:
    """The cells of a Markdown table, row by row."""
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()]


def test_missing_values_are_empty_cells(glued):
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": ["x|y", None], "c": [None, "12 ± 3"]}, index=["i", "j|k"])
    pages.table("t", frame, floatfmt=".2f")
    assert cells(glued["t"])[2:] == [["i", "1.00", r"x\|y", ""], [r"j\|k", "", "", "12 ± 3"]]


def test_an_empty_table_says_so(glued):
    pages.table("t", pd.DataFrame({"a": []}))
    assert "too few runs" in glued["t"]


def unlabelled(svg: str) -> set[str]:
    """The directions of a figure of Matplotlib whose ticks are numbers and whose axes have no title."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))  # texts stand in comments
    titled: dict[str, list[bool]] = {"x": [], "y": []}
    for group in ElementTree.fromstring(svg, parser).iter("{http://www.w3.org/2000/svg}g"):
        if axis := re.fullmatch(r"matplotlib\.axis_(\d+)", group.get("id", "")):
            ids = [(child.get("id") or "", child) for child in group]
            ticks = [child for name, child in ids if re.match("[xy]tick_", name)]
            texts = [c.text.strip() for tick in ticks for c in tick.iter() if c.tag is ElementTree.Comment]
            if any(NUMBER.fullmatch(text) for text in texts):
                titled["x" if int(axis[1]) % 2 else "y"].append(any(name.startswith("text_") for name, _ in ids))
    return {direction for direction, found in titled.items() if found and not any(found)}


def test_a_figure_without_titles_is_seen(glued):
    for key, title in (("with", "time (s)"), ("without", "")):
        figure, ax = plt.subplots()
        ax.plot([1, 2], [3, 5])
        ax.set(ylabel="height (m)", xlabel=title)
        pages.figure(key, figure)
    assert (unlabelled(glued["with"]), unlabelled(glued["without"])) == (set(), {"x"})


@pytest.mark.slow
def test_every_table_and_figure_of_the_book_can_be_read(site):
    tables = figures = 0
    for file in (site.parents[1] / "chapters").rglob("*.ipynb"):
        for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", ()):
                name = output.get("metadata", {}).get("scrapbook", {}).get("name")
                data = {kind.rpartition("record/")[2]: "".join(content) for kind, content in output.get("data", {}).items()}
                if not name and "text/html" not in data:
                    assert not RAW.search(data.get("text/plain", "") + "".join(output.get("text", ""))), (file.stem, cell["id"])
                if name and "text/markdown" in data:
                    tables += 1
                    rows = cells(data["text/markdown"])
                    assert len(rows) > 2, (file.stem, name)
                    assert not {"nan", "None", "NaT", "inf"} & {cell for row in rows for cell in row}, (file.stem, name)
                    assert not RAW.search(data["text/markdown"]), (file.stem, name)
                elif name and "image/svg+xml" in data:
                    figures += 1
                    assert not unlabelled(data["image/svg+xml"]), (file.stem, name)
    assert tables > 60 and figures > 40


def test_at_most_six_lines_are_coloured_and_the_rest_grey():
    colours = plots.palette([f"line {i}" for i in range(9)]).values()
    grey = [len(set(colour)) == 1 for colour in colours]
    assert grey == [False] * 6 + [True] * 3
    assert len(set(colours)) == 9
