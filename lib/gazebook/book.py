"""The book: execute the notebooks with papermill, render them with Jupyter Book."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import files
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import uuid4

import nbformat
import papermill
import yaml
from jupyter_client.kernelspec import NoSuchKernel
from papermill.exceptions import PapermillExecutionError
from tqdm import tqdm

import gazebook
from gazebook.errors import GazebookError
from gazebook.ledger import Ledger, project_folder
from gazebook.machine import end_with_parent, usable_cores
from gazebook.papers import PAPERS, grid

PUBLISHED = "published"  # stands for the best profile that has published results
COARSE = 14  # runs of a grid that make a first complete table
START_TIMEOUT = 180  # seconds until a kernel must answer; a busy machine needs more than the default 60


def project() -> Path:
    """The checkout's folder. Raises GazebookError when there is none."""
    folder = project_folder()
    if folder is None:
        raise GazebookError("no gazebook checkout here; run this inside a clone of the repository")
    return folder


def chapters(folder: Path) -> list[Path]:
    """The notebooks of the book, in the order of its table of contents."""
    toc = yaml.safe_load((folder / "book" / "_toc.yml").read_text())
    names = [c["file"] for part in toc["parts"] for c in part["chapters"] if c["file"].startswith("chapters/")]
    return [folder / "notebooks" / f"{name.removeprefix('chapters/')}.ipynb" for name in names]


def parameters(notebook: Path) -> dict[str, dict]:
    """The parameters of a notebook: name -> default, type, help. Raises GazebookError when it is not a notebook."""
    if not notebook.is_file() or notebook.suffix != ".ipynb":
        known = ", ".join(str(c.relative_to(project())) for c in chapters(project()))
        raise GazebookError(f"{notebook} is not a notebook; choose from {known}")
    try:
        found = papermill.inspect_notebook(str(notebook))
    except (ValueError, nbformat.reader.NotJSONError) as error:
        raise GazebookError(f"{notebook} is not a readable notebook; restore it with: git checkout {notebook}") from error
    return {
        name: {"default": ast.literal_eval(p["default"]), "type": p["inferred_type_name"], "help": p["help"]}
        for name, p in found.items()
    }


def checked(notebook: Path, given: dict[str, Any]) -> dict[str, Any]:
    """`given` when every name is a parameter of the notebook and every value has its type; text is read as YAML."""
    known = parameters(notebook)
    values = {}
    for name, value in given.items():
        if name not in known:
            listed = ", ".join(f"{n} ({p['type']})" for n, p in known.items())
            raise GazebookError(f"{notebook.name} has no parameter {name!r}; it has {listed}")
        kind = type(known[name]["default"])
        if isinstance(value, str) and kind is not str:
            try:
                value = yaml.safe_load(value)
            except yaml.YAMLError:
                value = None
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind or not _is_plain(value):
            alone = ", of text and finite numbers" if kind in (list, dict) else ""
            raise GazebookError(
                f"parameter {name} of {notebook.name} is {given[name]!r}; "
                f"give {_article(kind)} such as {known[name]['default']!r}{alone}"
            )
        values[name] = value
    return values


def _is_plain(value: Any) -> bool:
    """Whether a value is of JSON's types at every depth: papermill writes others into the notebook as code, unescaped."""
    try:
        return json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError, RecursionError):
        return False


def execute(notebook: Path, output: Path, given: dict[str, Any], progress: bool = True) -> Path:
    """Execute a notebook with parameters; `output` appears only when it ran to its end.

    A failed run is kept beside it as NAME.failed.ipynb. Raises GazebookError that names the notebook and the error.
    """
    values = checked(notebook, given)
    partial = output.with_name(f"{output.stem}.{uuid4().hex}.partial.ipynb")  # another call may execute the same notebook
    failed = output.with_name(f"{output.stem}.failed.ipynb")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        failed.unlink(missing_ok=True)
        papermill.execute_notebook(
            os.path.relpath(notebook),  # recorded as given: no machine's paths in what is published
            os.path.relpath(partial),
            values,
            progress_bar={"desc": notebook.stem, "leave": False} if progress else False,
            start_timeout=START_TIMEOUT,
            extra_arguments=["--IPKernelApp.log_level=40"],  # no notice about TCP at each start
        )
        _stamp(partial, fingerprint(notebook, values))
        os.replace(partial, output)
    except PapermillExecutionError as error:
        os.replace(partial, failed)
        reason = str(error.evalue).strip().splitlines() or [""]
        raise GazebookError(f"{notebook.name} failed: {error.ename}: {reason[0]} (read it in {failed})") from error
    except (RuntimeError, OSError, NoSuchKernel) as error:  # a kernel that died or does not exist, a full disk
        if partial.exists():
            os.replace(partial, failed)
        raise GazebookError(f"{notebook.name} could not be executed: {str(error).strip() or type(error).__name__}") from error
    finally:
        if output.parent.is_dir():
            partial.unlink(missing_ok=True)
    return output


def fingerprint(notebook: Path, values: dict[str, Any]) -> str:
    """A hash of all that a page depends on: the notebook, its parameters, the package, the records of its profile."""
    digest = hashlib.sha256(notebook.read_bytes())
    digest.update(json.dumps(values, sort_keys=True).encode())
    package = Path(gazebook.__file__).parent
    for file in sorted([*package.rglob("*.py"), *package.rglob("*.csv")]):
        digest.update(file.read_bytes())
    ledger = Ledger.default()
    runs = [run for name in PAPERS for run in grid(name, values.get("profile", "demo"))]
    for record in filter(None, map(ledger.file, runs)):
        digest.update(f"{record.name} {record.stat().st_size} ".encode())
    return digest.hexdigest()


def is_current(notebook: Path, output: Path, values: dict[str, Any]) -> bool:
    """Whether `output` shows just what executing the notebook now would show."""
    try:
        stored = json.loads(output.read_text()).get("metadata", {}).get("gazebook", {})
    except (OSError, json.JSONDecodeError):
        return False
    return stored.get("fingerprint") == fingerprint(notebook, values)


def execute_chapters(folder: Path, given: dict[str, Any], force: bool = False) -> None:
    """Execute the chapters whose page is out of date, one a core; each takes those of `given` that it has as parameters.

    The profile "published" is the best one that each part has published results of.
    """
    todo = []
    for notebook in chapters(folder):
        output = folder / "book" / "chapters" / notebook.relative_to(folder / "notebooks")
        own = given | ({"profile": published_profile(notebook.parent.name)} if given.get("profile") == PUBLISHED else {})
        values = checked(notebook, {n: v for n, v in own.items() if n in parameters(notebook)})
        if force or not is_current(notebook, output, values):
            todo.append((notebook, output, values))
    if len(todo) < 2:
        for chapter in todo:
            execute(*chapter)
        return
    with ProcessPoolExecutor(min(usable_cores(), len(todo)), get_context("spawn"), end_with_parent) as pool:
        running = [pool.submit(execute, *chapter, progress=False) for chapter in todo]
        try:
            for done in tqdm(as_completed(running), "chapters", len(todo), unit=" chapter"):
                done.result()
        finally:
            pool.shutdown(cancel_futures=True)  # after an error: those that run end, the others do not begin


def published_profile(paper: str) -> str:
    """The profile that the published edition shows of a paper: paper, where the ends of its first axis are published."""
    ledger = Ledger.default()
    coarse = grid(paper, "paper")[:COARSE]
    return "cpu" if ledger.missing(coarse) else "paper"


def render(folder: Path) -> Path:
    """Render the book with Jupyter Book; a warning fails. Returns the path of index.html."""
    _copy_mathjax(folder / "book" / "_static" / "mathjax")
    html = folder / "book" / "_build" / "html"
    program = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]  # the same without PATH
    arguments = ["build", "book", "--config", "_config.yml", "--path-output", "book", "-n", "-W", "--keep-going"]
    done = subprocess.run([*program, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode or not (html / "index.html").exists():
        warnings = [line for line in (done.stdout + done.stderr).splitlines() if re.search(r"WARNING|ERROR|Error", line)]
        raise GazebookError(f"rendering failed with {len(warnings)} warnings: {' | '.join(warnings[:5]) or done.stderr[-500:]}")
    for page in html.rglob("*.html"):
        page.write_text(_mended(page.read_text(), is_chapter="chapters" in page.relative_to(html).parts))
    return html / "index.html"


def _mended(page: str, is_chapter: bool) -> str:
    """What Jupyter Book 1 gets wrong, put right in the page's HTML."""
    # thebe is not used, yet its settings are written twice (an error on each page) and name a foreign host
    page = re.sub(r"<script>const THEBE_JS_URL.*?</script>", "", page, flags=re.DOTALL)
    # MathJax is asked for twice on pages with outputs; the second load fails
    page = re.sub(r'<script src="[^"]*mathjax/tex-svg\.js[^"]*"></script>', "", page)
    # what scrolls must be reachable by keyboard; a list role needs list items
    page = page.replace(
        '<div class="pst-scrollable-table-container">', '<div class="pst-scrollable-table-container" tabindex="0">'
    )
    page = page.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
    if is_chapter:  # chapters are generated: edit, Colab and Binder lead to the notebooks that they are made from
        page = page.replace("book/chapters/", "notebooks/").replace("book%2Fchapters%2F", "notebooks%2F")
    return page


def _copy_mathjax(target: Path) -> None:
    """MathJax from its installed package, so that pages show formulas without a network."""
    for file in files("sphinx-mathjax-offline") or []:
        if file.name == "tex-svg.js":
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), target / file.name)
            return
    raise GazebookError("MathJax is not installed; run: make install")


def _stamp(notebook: Path, value: str) -> None:
    content = json.loads(notebook.read_text())
    content["metadata"]["gazebook"] = {"fingerprint": value}
    notebook.write_text(json.dumps(content, indent=1))


def _article(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'aeiou' else 'a'} {kind.__name__}"
