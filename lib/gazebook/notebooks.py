"""The notebooks: which the book has, their parameters, and the values that are given to them."""

import ast
import io
import json
import re
import tokenize
from pathlib import Path
from typing import Any

import nbformat
import yaml

from gazebook.errors import GazebookError, first_line
from gazebook.files import printable
from gazebook.ledger import project_folder

LARGEST_VALUE = 10**6  # bytes of a parameter
LARGEST_INTEGER = 10**300


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


def with_values(source: str, values: dict[str, Any]) -> tuple[str, set[str]]:
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
