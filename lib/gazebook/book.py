"""The book: execute the notebooks with papermill, render them with Jupyter Book."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import files
from pathlib import Path
from typing import Any
from uuid import uuid4

import nbformat
import papermill
from filelock import FileLock, Timeout
from jupyter_client.kernelspec import NoSuchKernel
from nbclient.exceptions import CellTimeoutError
from papermill.exceptions import PapermillExecutionError
from tqdm import tqdm

import gazebook
from gazebook import kernels
from gazebook.engine import Job
from gazebook.errors import GazebookError, first_line
from gazebook.files import atomic_write, check_output, printable
from gazebook.ledger import Ledger
from gazebook.notebooks import chapters, checked, parameters, with_values
from gazebook.papers import PAPERS, complete, grid

PUBLISHED = "published"  # stands for the best profile that has published results
COARSE = 14  # runs of a grid that make a first complete table
START_TIMEOUT = 180  # seconds until a kernel must answer; a busy machine needs more than the default 60


def execute(notebook: Path, output: Path, given: dict[str, Any], progress: bool = True, timeout: float | None = None) -> Path:
    """Execute a notebook with parameters; `output` appears only when it ran to its end.

    `timeout` in seconds ends a cell that runs for longer. A failed run is kept beside it as NAME.failed.ipynb. Raises
    GazebookError that names the notebook and the error.
    """
    values = checked(notebook, given)
    if output.exists() and output.samefile(notebook):
        raise GazebookError(f"the output {printable(output)} is the notebook itself; give another --output")
    partial = output.with_name(f".{uuid4().hex}.partial.ipynb")  # another call may execute the same notebook
    failed = output.with_name(f"{output.stem}.failed.ipynb")
    try:
        check_output(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        failed.unlink(missing_ok=True)
        papermill.execute_notebook(
            _as_given(notebook),
            _as_given(partial),
            values,
            progress_bar={"desc": notebook.stem, "leave": False} if progress else False,
            start_timeout=START_TIMEOUT,
            execution_timeout=timeout,
            kernel_manager_class=kernels.ForkingManager,
            extra_arguments=["--IPKernelApp.log_level=50"],  # no notice about TCP at each start, no traceback at its end
        )
        _stamp(partial, values, fingerprint(notebook, values))
        os.replace(partial, os.path.realpath(output))
    except PapermillExecutionError as error:
        os.replace(partial, failed)
        reason = str(error.evalue).strip().splitlines() or [""]
        raise GazebookError(f"{notebook.name} failed: {error.ename}: {reason[0]} (read it in {failed})") from error
    except (RuntimeError, OSError, NoSuchKernel, CellTimeoutError) as error:  # no kernel, one that died, a full disk
        if partial.exists():
            os.replace(partial, failed)
        raise GazebookError(f"{notebook.name} could not be executed: {first_line(error)}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return output


def _as_given(file: Path) -> str:
    """A path as papermill records it, no machine's folders in what is published; braces would be taken for parameters."""
    return os.path.relpath(file).replace("{", "{{").replace("}", "}}")


def fingerprint(notebook: Path, values: dict[str, Any]) -> str:
    """A hash of all that a page depends on: the notebook, its parameters, the package, its paper's records in its profile."""
    digest = hashlib.sha256(notebook.read_bytes())
    digest.update(json.dumps(values, sort_keys=True).encode())
    package = Path(gazebook.__file__).parent
    for file in sorted([*package.rglob("*.py"), *package.rglob("*.csv")]):
        digest.update(file.read_bytes())
    ledger = Ledger.default()
    runs = [run for name in papers_of(notebook) for run in grid(name, values.get("profile", "demo"))]
    for record in filter(None, map(ledger.file, runs)):
        digest.update(f"{record.name} {record.stat().st_size} ".encode())
    return digest.hexdigest()


def papers_of(notebook: Path) -> list[str]:
    """The paper that a chapter is about, by its folder; all of them for the synthesis, and where that is none's."""
    own = notebook.parent.name
    return [own] if own in PAPERS and own != "synthesis" else list(PAPERS)


def is_current(notebook: Path, output: Path, values: dict[str, Any]) -> bool:
    """Whether `output` shows just what executing the notebook now would show."""
    try:
        stored = json.loads(output.read_text(encoding="utf-8")).get("metadata", {}).get("gazebook", {})
    except (OSError, json.JSONDecodeError):
        return False
    return stored.get("fingerprint") == fingerprint(notebook, values)


def make(folder: Path, given: dict[str, Any], force: bool = False, **options) -> None:
    """Execute the chapters whose page is out of date, each when the runs of its paper are there, which are trained before
    where `given` has `train`; each takes those of `given` that it has as parameters. `options` are those of `engine.complete`.

    The profile "published" is the best one that each part has published results of.
    """
    runs = {name: grid(name, given.get("profile", "demo")) if given.get("train") else [] for name in PAPERS}
    jobs, ledger = [], Ledger.default()
    listed = chapters(folder)
    with tqdm(total=len(listed), desc="chapters", unit=" chapter", position=1) as bar:
        for notebook in listed:
            output = folder / "book" / "chapters" / notebook.relative_to(folder / "notebooks")
            about = papers_of(notebook)
            own = given | ({"profile": published_profile(about)} if given.get("profile") == PUBLISHED else {})
            values = checked(notebook, {n: v for n, v in own.items() if n in parameters(notebook)})
            needs = frozenset(ledger.missing([run for name in about for run in runs[name]]))
            if needs or force or not is_current(notebook, output, values):
                jobs.append(Job(partial(_execute_one, notebook, output, values, bar), needs))
            else:
                bar.update()
        try:
            kernels.preloaded()  # before the engine starts a process that has imported less
            complete([run for own in runs.values() for run in own], ledger, jobs=jobs, **options)
        except BaseException:
            kernels.kill_all()  # or their chapters would be waited for
            raise


def _execute_one(notebook: Path, output: Path, values: dict[str, Any], bar: tqdm) -> None:
    execute(notebook, output, values, progress=False)
    bar.update()


def published_profile(about: Iterable[str]) -> str:
    """The profile that the published edition shows of papers: paper, where the ends of their first axes are published."""
    coarse = [run for name in about for run in grid(name, "paper")[:COARSE]]
    return "cpu" if Ledger.default().missing(coarse) else "paper"


def render(folder: Path) -> Path:
    """Render the book with Jupyter Book; a warning fails. Returns the path of index.html.

    Pages that were changed since they were rendered are rendered again.
    """
    copy_mathjax(folder / "book" / "_static" / "mathjax")
    html = folder / "book" / "_build" / "html"
    known = html.parent / "pages.json"
    with suppress(OSError, ValueError):
        for name, digest in json.loads(known.read_text(encoding="utf-8")).items():
            if (html / name).is_file() and _digest(html / name) != digest:
                (html / name).unlink()
                (html.parent / ".doctrees" / name).with_suffix(".doctree").unlink(missing_ok=True)  # so that it is read again
    program = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]  # the same without PATH
    arguments = ["build", "book", "--config", "_config.yml", "--path-output", "book", "-n", "-W", "--keep-going"]
    done = subprocess.run([*program, *arguments], cwd=folder, capture_output=True, encoding="utf-8", check=False)
    if done.returncode or not (html / "index.html").exists():
        warnings = [line for line in (done.stdout + done.stderr).splitlines() if re.search(r"WARNING|ERROR|Error", line)]
        raise GazebookError(f"rendering failed with {len(warnings)} warnings: {' | '.join(warnings[:5]) or done.stderr[-500:]}")
    pages = {page.relative_to(html).as_posix(): _digest(page) for page in html.rglob("*.html")}
    with atomic_write(known) as partial:
        partial.write_text(json.dumps(pages), encoding="utf-8")
    return html / "index.html"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While this call makes the book no other does. Raises GazebookError when one is at work."""
    place = folder / "book" / "_build"
    place.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(place / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise GazebookError(f"another call is making the book in {folder}; wait until it has ended") from error


def copy_mathjax(target: Path) -> None:
    """MathJax from its installed package, so that pages show formulas without a network."""
    for file in files("sphinx-mathjax-offline") or []:
        if file.name == "tex-svg.js":
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), target / file.name)
            return
    raise GazebookError("MathJax is not installed; run: make install")


def _stamp(notebook: Path, values: dict[str, Any], digest: str) -> None:
    """Its fingerprint goes into an executed notebook, and its parameters' values into the cell that sets them: papermill's
    second cell, which contradicts the defaults above it, goes.
    """
    content = nbformat.read(notebook, as_version=4)
    content.metadata["gazebook"] = {"fingerprint": digest}
    tagged = {tag: cell for cell in content.cells for tag in cell.metadata.get("tags", ())}
    if "injected-parameters" in tagged:
        tagged["parameters"].source, set_there = with_values(tagged["parameters"].source, values)
        if set_there == set(values):
            content.cells.remove(tagged["injected-parameters"])
    nbformat.write(content, notebook)
