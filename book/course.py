"""Builds what a teacher hands out, and the book on paper, from the rendered book. Called by `make teach`, `labs` and `pdf`."""

import ast
import base64
import html
import inspect
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from importlib import import_module
from importlib.metadata import files
from io import BytesIO
from pathlib import Path
from textwrap import dedent

import nbformat
import typer
import yaml
from front_page import ROOT, answer, glued
from nbclient import NotebookClient
from nbconvert import SlidesExporter
from nbformat.v4 import new_markdown_cell, new_notebook
from playwright.sync_api import Browser, sync_playwright
from pypdf import PdfWriter
from tqdm import tqdm

from gazebook.book import copy_mathjax
from gazebook.kernels import ForkingManager

HERE = ROOT / "book" / "teaching"
COURSE = ROOT / "book" / "_build" / "course"
HTML = ROOT / "book" / "_build" / "html"
SITE = "https://gazebook.github.io/gazebook/"
LABS = sorted((HERE / "labs").glob("*.ipynb"))
EMBED = re.compile(r"!\[(?P<alt>[^\]]*)\]\((?P<kind>figure|table|text|code):(?P<what>[^)]+)\)")


def embedded(match: re.Match) -> str:
    """What stands for `![alt](KIND:CHAPTER#NAME)`: a figure, a table or a text that a chapter glued; or a function's code."""
    kind, what = match["kind"], match["what"]
    if kind == "code":
        module, _, name = what.rpartition(".")
        return f"```python\n{code(getattr(import_module(module), name))}\n```"
    if kind == "text":
        return answer(*what.split("#"))
    found = glued(*what.split("#"))
    if kind == "figure":
        form = next(form for form in ("image/svg+xml", "image/png") if form in found)
        data = found[form] if form == "image/png" else base64.b64encode(found[form].encode()).decode()
        alt = html.escape(match["alt"] or described(*what.split("#")))
        return f'<p class="figure"><img alt="{alt}" src="data:{form};base64,{data}"></p>'
    return found["text/markdown"]


def described(chapter: str, name: str) -> str:
    """The alternative text that a chapter gives to a figure."""
    page = (ROOT / "notebooks" / f"{chapter}.ipynb").read_text(encoding="utf-8")
    cells = ["".join(cell["source"]) for cell in json.loads(page)["cells"]]
    found = re.search(rf"```{{glue:figure}} {name}\n(?:.*\n)*?:alt: (.*)", "\n".join(cells))
    return found[1]


def code(function: Callable) -> str:
    """A function's code without its docstring: slides are small."""
    lines = dedent(inspect.getsource(function)).rstrip().splitlines()
    about = ast.parse("\n".join(lines)).body[0].body[0]
    return "\n".join(lines[: about.lineno - 1] + lines[about.end_lineno :])


def deck(file: Path) -> nbformat.NotebookNode:
    """The slides of a Markdown file as a notebook: rules part them, what follows a line `Notes:` is for the speaker."""
    cells = []
    for slide in file.read_text(encoding="utf-8").split("\n---\n"):
        shown, _, notes = slide.partition("\nNotes:\n")
        for kind, text in (("slide", shown), ("notes", notes)):
            if text.strip():
                source = EMBED.sub(embedded, text.strip())
                cells.append(new_markdown_cell(source, metadata={"slideshow": {"slide_type": kind}}))
    return new_notebook(cells=cells, metadata={"title": cells[0].source.splitlines()[0].lstrip("# ")})


def slides() -> list[Path]:
    """Renders the decks with reveal.js and MathJax from their installed packages, so that no network is needed."""
    target = COURSE / "slides"
    target.mkdir(parents=True, exist_ok=True)
    copy_reveal(target / "reveal")
    copy_mathjax(target / "mathjax")
    template = str(HERE / "slides" / "deck.html.j2")
    exporter = SlidesExporter(template_file=template, reveal_url_prefix="reveal", reveal_theme="white")
    css = (HERE / "slides" / "deck.css").read_text(encoding="utf-8")
    decks = sorted((HERE / "slides").glob("*.md"))
    for file in decks:
        page, _ = exporter.from_notebook_node(deck(file), resources={"deck_css": css})
        (target / f"{file.stem}.html").write_text(page, encoding="utf-8")
    return [target / f"{file.stem}.html" for file in decks]


def copy_reveal(target: Path) -> None:
    """What slides need of reveal.js, from the package that brings it."""
    found = {
        f: re.search(r"_static/revealjs/((?:dist|plugin/notes)/.+)$", f.as_posix()) for f in files("sphinx-revealjs") or ()
    }
    for file, match in found.items():
        if match:
            (target / match[1]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), target / match[1])


WHOLE_WIDTH = ".bd-main .bd-content .bd-article-container, .bd-page-width { max-width: none !important; }"
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?### END SOLUTION", re.DOTALL | re.MULTILINE)  # nbgrader's marks
HIDDEN = re.compile(r"^ *### BEGIN HIDDEN TESTS\n.*?### END HIDDEN TESTS\n?", re.DOTALL | re.MULTILINE)


def for_students(lab: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A solved lab with gaps in place of its solutions, and without the hidden tests."""
    lab = deepcopy(lab)
    for cell in lab.cells:
        cell.source = HIDDEN.sub("", SOLUTION.sub(r"\1...  # your code", cell.source)).rstrip()
    return lab


def labs() -> Path:
    """Writes the labs for students, and as they are for the teacher: with solutions and hidden tests."""
    for name, make in (("student", for_students), ("teacher", lambda lab: lab)):
        target = COURSE / "labs" / name
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HERE / "labs" / "lab.py", target / "lab.py")
        for file in LABS:
            nbformat.write(make(nbformat.read(file, as_version=4)), target / file.name)
    return COURSE / "labs"


def run(lab: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A lab after all its cells were run, whatever they raised."""
    place = {"metadata": {"path": HERE / "labs"}}
    return NotebookClient(lab, allow_errors=True, resources=place, kernel_manager_class=ForkingManager).execute()


def graded(file: Path) -> tuple[int, int]:
    """(tasks done, tasks) of a student's notebook: its gaps are put into the solved lab, which is run with the hidden tests."""
    lab = nbformat.read(next(f for f in LABS if file.name.startswith(f.name[0])), as_version=4)
    answers = {cell.id: cell.source for cell in nbformat.read(file, as_version=4).cells}
    for cell in lab.cells:
        if "gap" in cell.metadata.get("tags", ()):
            cell.source = answers.get(cell.id, "...")
    run(lab)
    said = "".join(output.get("text", "") for output in lab.cells[-1].outputs)
    done = re.search(r"(\d+) of \d+ tasks done", said)  # nothing is said where the answers broke the checks themselves
    return int(done[1]) if done else 0, sum(cell.source.count("lab.task(") for cell in lab.cells)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser to print with: the system's Chromium, else playwright's own."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def as_pdf(browser: Browser, page: Path, query: str = "", style: str = "/* none */", **options) -> bytes:
    """A page as a PDF; `style` is CSS for this once. Links to other pages of the book lead to its published site."""
    shown = browser.new_page()
    shown.goto(page.as_uri() + query, wait_until="networkidle")
    shown.add_style_tag(content=style)
    shown.wait_for_function("!window.MathJax || MathJax.startup.promise.then(() => true)")
    to_site = "([own, site]) => document.querySelectorAll('a[href]').forEach(a => { a.href = a.href.replace(own, site); })"
    shown.evaluate(to_site, [f"{HTML.as_uri()}/", SITE])
    content = shown.pdf(prefer_css_page_size=True, print_background=True, **options)
    shown.close()
    return content


def whole_book(browser: Browser) -> bytes:
    """All pages of the table of contents as one PDF with bookmarks."""
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    listed = [page for part in toc["parts"] for page in part["chapters"]]
    names = [toc["root"], *(name for page in listed for name in (page["file"], *(s["file"] for s in page.get("sections", ()))))]
    writer = PdfWriter()
    for name in tqdm(names, unit=" page"):
        page = HTML / f"{name}.html"
        title = re.search(r"<h1>(.*?)<a", page.read_text(encoding="utf-8"), re.DOTALL)[1]
        title = html.unescape(re.sub(r"<.*?>", "", title))
        writer.append(BytesIO(as_pdf(browser, page, scale=0.8)), outline_item=title)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def rendered() -> None:
    """Raises where the book was not rendered."""
    if not (HTML / "teaching" / "cheat-sheet.html").is_file():
        raise typer.BadParameter("the book has not been rendered; run: make published")


app = typer.Typer(help=__doc__, add_completion=False, no_args_is_help=True)


@app.command("labs")
def build_labs() -> None:
    """The labs, with gaps for students and solved for the teacher."""
    print(labs())


@app.command("all")
def build_all() -> None:
    """Slides (pages and PDFs with the speaker's notes), labs, and the cheat sheet."""
    rendered()
    labs()
    with chromium() as browser:
        for page in slides():
            page.with_suffix(".pdf").write_bytes(as_pdf(browser, page, "?print-pdf&showNotes=separate-page"))
        sheet = as_pdf(browser, HTML / "teaching" / "cheat-sheet.html", style=WHOLE_WIDTH, landscape=True, scale=0.8)
    (COURSE / "cheat-sheet.pdf").write_bytes(sheet)
    print(COURSE)


@app.command()
def pdf() -> None:
    """The whole book as one PDF."""
    rendered()
    target = HTML.parent / "gazebook.pdf"
    with chromium() as browser:
        target.write_bytes(whole_book(browser))
    print(target)


@app.command()
def grade(notebooks: list[Path]) -> None:
    """Run students' notebooks with the hidden tests: one line each, tasks done and tasks."""
    for file in notebooks:
        done, tasks = graded(file)
        print(f"{file}\t{done}\t{tasks}", flush=True)


if __name__ == "__main__":
    app()
