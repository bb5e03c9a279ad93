"""The library's layout: what may import what, and nothing in a paper that one page alone uses."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARY = ROOT / "lib" / "gazebook"
LAYERS = (
    {"errors", "files", "machine", "tensors"},
    {"metrics", "runs", "data", "images"},
    {"models"},
    {"explain"},
    {"train"},
    {"measure"},
    {"execute", "ledger", "provenance", "evidence"},
    {"cluster"},
    {"engine"},
    {"papers"},
    {"pages", "plots", "kernels", "notebooks", "book", "rendering", "survey_report"},
    {"cli"},
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def layer(module: str) -> str:
    return module.split(".")[1]


def imports(file: Path) -> set[str]:
    """Modules of the library that a file imports, those inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "gazebook":
            found |= {f"gazebook.{name.name}" for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return {module for module in found if module.startswith("gazebook.") and layer(module) in LEVEL}


@pytest.mark.parametrize("name", sorted(LEVEL))
def test_nothing_imports_what_is_above_it(name):
    place = LIBRARY / name
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    for file in files:
        above = {module for module in imports(file) if LEVEL[layer(module)] > LEVEL[name]}
        assert not above, f"{file.relative_to(LIBRARY)} imports {', '.join(sorted(above))}"


def test_every_module_has_its_place():
    there = {p.stem for p in LIBRARY.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert there - {"__init__"} == set(LEVEL)


def test_no_paper_imports_another():
    for paper in (LIBRARY / "papers").iterdir():
        for file in paper.rglob("*.py"):
            others = {m for m in imports(file) if m.startswith("gazebook.papers.") and m.split(".")[2] != paper.name}
            assert not others, f"{file.relative_to(LIBRARY)} imports {', '.join(sorted(others))}"


def test_what_one_page_alone_uses_is_a_cell_of_that_page():
    library = {f: f.read_text() for f in LIBRARY.rglob("*.py") if f.name != "__init__.py"}
    for file in [LIBRARY / "plots.py", *(LIBRARY / "papers").rglob("results.py")]:
        for node in ast.parse(library[file]).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                word = re.compile(rf"\b{node.name}\b")
                used = sum(len(word.findall(text)) for text in library.values()) - 1
                pages = sum(bool(word.search(f.read_text())) for f in (ROOT / "notebooks").rglob("*.ipynb"))
                assert used or pages > 1, f"{file.relative_to(LIBRARY)}: {node.name} has one page; make it a cell there"
