"""The project's own promises: one environment, sources without outputs, nothing that should not be named."""

import ast
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import gazebook
from gazebook import notebooks
from gazebook.ledger import SUFFIX, Ledger
from gazebook.papers import PAPERS, grid, scribe
from gazebook.runs import PROFILES

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))


def locked() -> dict[str, set[Version]]:
    pins: dict[str, set[Version]] = {}
    for line in re.findall(r"^[\w.-]+==.*?(?= \\$)", (ROOT / "requirements.lock").read_text(), re.M):
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        assert pin.operator == "==", line
        pins.setdefault(canonicalize_name(requirement.name), set()).add(Version(pin.version))
    return pins


def test_the_lock_pins_every_requirement_within_its_bounds():
    pins = locked()
    extras = [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
    for text in PROJECT["dependencies"] + extras:
        requirement = Requirement(text)
        versions = pins[canonicalize_name(requirement.name)]
        assert all(requirement.specifier.contains(v, prereleases=True) for v in versions), text


def test_the_lock_has_hashes_and_names_no_host():
    lock = (ROOT / "requirements.lock").read_text()
    assert lock.count("--hash=sha256:") > len(locked()) > 200
    assert "--require-hashes" in (ROOT / "Makefile").read_text()
    assert "://" not in (ROOT / "requirements.lock").read_text()
    assert "uv.lock" in (ROOT / ".gitignore").read_text().split()


def test_conda_users_get_the_same_environment():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python = next(d for d in environment["dependencies"] if isinstance(d, str) and d.startswith("python="))
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(python.split("=")[1] + ".0")
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert pip == ["-r requirements.lock"] and "pip" in environment["dependencies"]


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert gazebook.__version__ == PROJECT["version"] == citation["version"]
    assert citation["license"] == PROJECT["license"] == "BSD-3-Clause"


def test_required_packages_are_required():
    names = {canonicalize_name(Requirement(d).name) for d in PROJECT["dependencies"]}
    wanted = {"torch", "torchvision", "jupyter", "papermill", "jupyter-book", "seaborn", "pandas", "imagecorruptions-imaug"}
    assert wanted <= names
    import imagecorruptions

    assert callable(imagecorruptions.corrupt)


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda f: f.stem)
def test_notebook_sources_are_clean(file):
    cells = json.loads(file.read_text())["cells"]
    code = [c for c in cells if c["cell_type"] == "code"]
    assert not any(c["outputs"] or c["execution_count"] for c in code), "commit sources without outputs (pre-commit does it)"
    assert sum("parameters" in c["metadata"].get("tags", []) for c in code) == 1
    for name, parameter in notebooks.parameters(file).items():
        assert parameter["help"], f"{name} of {file.name} has no comment"
        assert parameter["type"] not in ("None", ""), f"{name} of {file.name} has no type hint"


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda f: f.stem)
def test_every_figure_has_alt_text(file):
    text = "\n".join("".join(c["source"]) for c in json.loads(file.read_text())["cells"] if c["cell_type"] == "markdown")
    figures = re.findall(r"```\{glue:figure\} (\w+)\n((?::.*\n)*)", text)
    assert figures and all(re.search(r":alt: .{20,}", options) for _, options in figures)


def test_every_notebook_is_a_chapter_and_every_chapter_a_notebook():
    assert sorted(notebooks.chapters(ROOT)) == NOTEBOOKS


HIDDEN = {"hide-input", "hide-cell", "remove-cell", "remove-input", "parameters"}
# what makes the four papers' methods: each must stand as code on some page
METHODS = {
    "lse_pool", "implicit_background", "attention_map", "sparsity", "expected_calibration_error", "attention_mse", "crop",
    "corrupt", "compose", "tiled", "partners", "variants", "search", "rendered", "background_categories",
    "add", "relative_foreground_sensitivity", "noisy", "saliency_alignment", "attributes", "units", "conflict", "cue",
    "class_weighted_maps", "hidden", "erased", "containment", "regions_per_image", "classification_report",
}  # fmt: skip


def visible_code(file: Path) -> str:
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    return "\n".join(
        "".join(c["source"]) for c in cells if c["cell_type"] == "code" and not HIDDEN & set(c["metadata"].get("tags", []))
    )


def test_chapters_show_their_methods_as_code():
    code = {file: visible_code(file) for file in NOTEBOOKS}
    lines = {file: sum(bool(line.strip()) for line in text.splitlines()) for file, text in code.items()}
    assert min(lines.values()) > 0 and sum(lines.values()) / len(lines) >= 8
    shown = {name.rpartition(".")[2] for text in code.values() for name in re.findall(r"pages\.source\(([\w.]+)\)", text)}
    shown |= set(re.findall(r"getsource\([\w.]*?(\w+)\)", "".join(code.values())))
    assert not METHODS - shown


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda f: f.stem)
def test_every_chapter_ends_with_its_answer_in_one_sentence(file):
    text = ["".join(c["source"]) for c in json.loads(file.read_text())["cells"] if c["cell_type"] == "markdown"]
    assert sum(t.startswith("**In one sentence.**") for t in text) == 1


def test_no_two_notebooks_define_the_same_function():
    """What two pages share is in the library."""
    found: dict[str, set[Path]] = {}
    for file in NOTEBOOKS:
        for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] != "code" or "get_ipython" in source:
                continue
            for node in ast.parse(source).body:
                if isinstance(node, ast.FunctionDef) and len(node.body) > 2:  # a docstring and more than a line
                    found.setdefault("\n".join(map(ast.unparse, node.body[1:])), set()).add(file)
    assert not [files for files in found.values() if len(files) > 1]


def test_every_module_is_in_the_reference():
    library = ROOT / "lib" / "gazebook"
    modules = {".".join(f.relative_to(library.parent).with_suffix("").parts) for f in library.rglob("*.py")}
    modules = {name.removesuffix(".__init__") for name in modules} - {"gazebook", "gazebook.cli", "gazebook.rendering"}
    pages = "".join(f.read_text() for f in (ROOT / "book" / "reference").glob("*.md"))
    assert set(re.findall(r"automodule:: (\S+)", pages)) == modules
    for page in (ROOT / "book" / "reference").glob("*.md"):
        assert f"reference/{page.stem}" in (ROOT / "book" / "_toc.yml").read_text()


@pytest.mark.parametrize("name", PAPERS)
def test_every_run_of_a_grid_has_a_training_of_its_own_kind(name):
    for profile in PROFILES:
        for run in grid(name, profile):
            assert run.training.training == run.training and run.training.updates == run.updates, run


def test_published_results_are_tracked_and_whole():
    """What `make published` shows must be in the repository, and readable by this version."""
    published = Ledger(ROOT / "book" / "results")
    runs = [run for name in PAPERS for profile in ("cpu", "paper") for run in grid(name, profile)]
    found = list(published.records(runs))
    assert len(found) == len(published.keys()) > 0
    assert all(record.rows and record.provenance["commit"] for record in found)
    listed = subprocess.run(["git", "ls-files", "book/results"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        kept = [run for s in PAPERS.values() for p in ("cpu", "paper") for run in s.checkpoints(s.AXES[p])]
        kept += [run for axes in scribe.scales(scribe.AXES["cpu"]).values() for run in scribe.checkpoints(axes)]
        weights = {f"{run.training.key}.safetensors" for run in kept}
        names = {Path(name).name for name in listed.stdout.split()}
        records = {name for name in names if name.endswith(SUFFIX)}
        assert len(records) == len(found) and names - records <= weights


def test_no_large_or_generated_file_is_tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        file = ROOT / name
        if file.exists():
            assert file.stat().st_size < 2_000_000, name
            assert not name.startswith(("book/_build", "book/chapters", "results/", "book/_static/mathjax")), name
