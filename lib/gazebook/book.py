"""The book: execute the notebooks with papermill, render them with Jupyter Book."""

import ast
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import files
from pathlib import Path
from typing import Any
from uuid import uuid4

import nbformat
import papermill
import yaml
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
from gazebook.ledger import Ledger, project_folder
from gazebook.papers import PAPERS, complete, grid

PUBLISHED = "published"  # stands for the best profile that has published results
LARGEST_VALUE = 10**6  # bytes of a parameter
LARGEST_INTEGER = 10**300
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
    toc = yaml.safe_load((folder / "book" / "_toc.yml").read_text(encoding="utf-8"))
    names = [c["file"] for part in toc["parts"] for c in part["chapters"] if c["file"].startswith("chapters/")]
    return [folder / "notebooks" / f"{name.removeprefix('chapters/')}.ipynb" for name in names]


def parameters(notebook: Path) -> dict[str, dict]:
    """The parameters of a notebook: name -> default, type, help. Raises GazebookError when it is no notebook that can be run.

    A default that is an expression (`list(range(3))`) stays as it is written; its type is None: any plain value fits.
    """
    source = next((c.source for c in _read(notebook).cells if "parameters" in c.metadata.get("tags", ())), None)
    if source is None:
        raise GazebookError(f"{printable(notebook)} has no cell tagged `parameters`; tag the one that sets its defaults")
    try:
        assigned = [n for n in ast.parse(source).body if isinstance(n, ast.Assign | ast.AnnAssign) and n.value]
        comments = {
            t.start[0]: t.string for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.COMMENT
        }
    except (SyntaxError, tokenize.TokenError) as error:
        raise GazebookError(f"the parameters of {printable(notebook)} are not Python ({error}); correct that cell") from error
    found = {}
    for node in assigned:
        try:
            default = ast.literal_eval(node.value)
            kind = "list" if isinstance(default, tuple) else type(default).__name__
        except (ValueError, TypeError, MemoryError, RecursionError):
            default, kind = ast.get_source_segment(source, node.value), None
        about = {"default": default, "type": kind, "help": comments.get(node.end_lineno, "").lstrip("# ")}
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        found |= {target.id: about for target in targets if isinstance(target, ast.Name)}
    return found


def _read(notebook: Path) -> nbformat.NotebookNode:
    """A notebook that can be executed. Raises GazebookError that says what is missing."""
    if not notebook.is_file() or notebook.suffix != ".ipynb":
        known = ", ".join(str(c.relative_to(project())) for c in chapters(project()))
        raise GazebookError(f"{printable(notebook)} is not a notebook; choose from {known}")
    try:
        found = nbformat.reads(notebook.read_text(encoding="utf-8"), as_version=4)
        nbformat.validate(found)
        kernel = found.metadata.get("kernelspec", {}).get("name")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, nbformat.ValidationError) as error:
        reason = first_line(error)[:200]
        raise GazebookError(f"{printable(notebook)} is not a notebook of format 4 ({reason}); save it again") from error
    if not isinstance(kernel, str) or not kernel:
        raise GazebookError(f"{printable(notebook)} names no kernel (metadata.kernelspec.name); open it, choose one, and save")
    return found


def checked(notebook: Path, given: dict[str, Any]) -> dict[str, Any]:
    """`given` when every name is a parameter of the notebook and every value has its type; text is read as
    YAML. Raises GazebookError.
    """
    known = parameters(notebook)
    values = {}
    for name, value in given.items():
        if name not in known:
            listed = ", ".join(f"{n} ({p['type'] or 'any value'})" for n, p in known.items())
            raise GazebookError(f"{notebook.name} has no parameter {printable(name)!r}; it has {listed}")
        kind = known[name]["type"]
        if isinstance(value, str) and kind != "str":
            value = _value(value)
        if kind == "float" and type(value) is int and abs(value) < LARGEST_INTEGER:
            value = float(value)
        fits = kind in (None, "NoneType", type(value).__name__)
        if not fits or value is _NO_VALUE or not _is_plain(value):
            alone = ", of text and finite numbers" if kind in ("list", "dict") else ""
            raise GazebookError(
                f"parameter {name} of {notebook.name} is {printable(given[name])[:80]!r}; "
                f"give {_article(kind or 'value')} such as {known[name]['default']!r}{alone}"
            )
        values[name] = value
    return values


_NO_VALUE = object()  # what text stands for that is no value


class _Yaml(yaml.SafeLoader):
    """YAML 1.2's numbers and flags, and Python's names of them. PyYAML's own are 1.1's: 010 is 8 and 1e-3 a text there."""

    yaml_implicit_resolvers = {}

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("references are not taken: a short text could stand for a huge value")
        return super().compose_node(parent, index)


def _float(_, node: yaml.Node) -> float:
    return float(re.sub(r"\.(?=[a-zA-Z])", "", node.value))  # .inf and .nan, which are refused later


for _tag, _pattern, _first, _construct in (
    ("bool", r"(true|false|True|False)$", "tTfF", lambda _, node: node.value.lower() == "true"),
    ("null", r"(~|null|Null|NULL|None|)$", ["~", "n", "N", ""], lambda _, node: None),
    ("int", r"[-+]?[0-9]+$", "-+0123456789", lambda _, node: int(node.value)),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$", "-+0123456789.", _float),
    ("float", r"([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$", "-+.", _float),
):
    _Yaml.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))
    _Yaml.add_constructor(f"tag:yaml.org,2002:{_tag}", _construct)


def _value(text: str) -> Any:
    """What a text says as YAML 1.2, of which JSON is a part."""
    try:
        return yaml.load(text, _Yaml)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return _NO_VALUE


def _is_plain(value: Any) -> bool:
    """Whether a value is of JSON's types at every depth: papermill writes others into the notebook as code, unescaped."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        return len(text.encode("utf-8")) < LARGEST_VALUE and json.loads(text) == value and "\\u0000" not in text
    except (TypeError, ValueError, RecursionError):
        return False


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
        tagged["parameters"].source, set_there = _with_values(tagged["parameters"].source, values)
        if set_there == set(values):
            content.cells.remove(tagged["injected-parameters"])
    nbformat.write(content, notebook)


def _with_values(source: str, values: dict[str, Any]) -> tuple[str, set[str]]:
    """A cell of parameters with these values as defaults, and the names of those that it sets one by one."""
    lines = source.encode("utf-8").splitlines(keepends=True)  # ast counts bytes
    starts = [sum(map(len, lines[:i])) for i in range(len(lines))]
    whole, found = b"".join(lines), set()
    for node in reversed(ast.parse(source).body):  # from the end: what stands before stays in its place
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        name, value = getattr(targets[0], "id", None), getattr(node, "value", None)
        if name in values and len(targets) == 1 and value is not None:
            first, last = starts[value.lineno - 1] + value.col_offset, starts[value.end_lineno - 1] + value.end_col_offset
            whole = whole[:first] + repr(values[name]).encode("utf-8") + whole[last:]
            found.add(name)
    return whole.decode("utf-8"), found


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
