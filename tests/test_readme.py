"""The examples of the README, the how-to page and the commands' own help are run, each, as a user would type it."""

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from gazebook import book, cli, data, notebooks
from gazebook.models import pretrained
from gazebook.papers import PAPERS
from tests.test_audit import FOREIGN

ROOT = Path(__file__).parent.parent


def commands() -> list[str]:
    """Every call of gazebook in a shell block of the pages, and after `Examples:` in the commands' help."""
    found = []
    for page in (ROOT / "README.md", ROOT / "book" / "how-to-reproduce.md"):
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            lines = block.replace("\\\n", " ").splitlines()
            found += [re.sub(r"^\.venv/bin/", "", line).partition(" #")[0].strip() for line in lines]
    for command in cli.app.registered_commands:
        found += [example.strip() for example in command.epilog.partition(":")[2].split("·")]
    return sorted({line for line in found if line.startswith("gazebook ")})


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with what the examples name: images, a package with a net, trained weights."""
    (tmp_path / "photos").mkdir()
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i}.jpg")
    (tmp_path / "mypackage").mkdir()
    (tmp_path / "mypackage" / "nets.py").write_text(
        f"{FOREIGN.replace('(3, 4,', '(3, 10,')}\nmake_net = make", encoding="utf-8"
    )
    net = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    torch.onnx.export(net.eval(), (torch.zeros(1, 3, 32, 32),), tmp_path / "mynet.onnx", verbose=False)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "weights").symlink_to(ROOT / "book" / "results" / "weights")
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    monkeypatch.setenv("GAZEBOOK_RESULTS", str(tmp_path / "results"))
    monkeypatch.delenv("GAZEBOOK_SCHEDULER", raising=False)
    monkeypatch.setattr("gazebook.ledger.project_folder", lambda: ROOT)
    monkeypatch.setattr("gazebook.notebooks.project_folder", lambda: ROOT)
    monkeypatch.setattr("gazebook.cli.project_folder", lambda: ROOT)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("mypackage", None), sys.modules.pop("mypackage.nets", None)


def test_there_are_examples_of_every_command():
    names = {command.callback.__name__ for command in cli.app.registered_commands}
    assert {line.split()[1] for line in commands()} >= names


@pytest.mark.parametrize("line", commands())
def test_an_example_does_what_it_says(monkeypatch, capsys, place, line):
    done = []

    def complete(runs, ledger, **options):  # training itself has tests of its own
        done.append(len(list(runs)))
        return type("Outcome", (), {"done": 0, "missing": done[-1], "budget_spent": False})

    monkeypatch.setattr("gazebook.papers.complete", complete)
    monkeypatch.setattr(
        book, "execute", lambda notebook, output, given, **_: done.append(notebooks.checked(notebook, given)) or output
    )
    monkeypatch.setattr(book, "make", lambda *a, **k: done.append("pages"))
    monkeypatch.setattr(book, "render", lambda folder: folder / "index.html")
    small = pretrained.Pretrained(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 1000)), (32, 32), (0.5,) * 3, (0.2,) * 3)
    monkeypatch.setattr("gazebook.models.pretrained._timm", lambda name: small)  # whose weights would be downloaded
    monkeypatch.setattr("gazebook.data.cifar10.load", lambda split, root=None: data.load("scenes", split))
    monkeypatch.setattr("gazebook.ledger.Ledger.write", lambda *_: pytest.fail("an example writes into the published ledger"))
    line = line.replace("/path/to/folder", str(place)).replace("/path/to/data", str(place))
    words = shlex.split(line)
    if words[1] == "publish":
        monkeypatch.setattr(notebooks, "project", lambda: place)
        monkeypatch.setattr("gazebook.ledger.Ledger.merge", lambda *_: 0)
        monkeypatch.setattr("gazebook.ledger.Ledger.merge_weights", lambda *_: 0)
    words = [w for word in words for w in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as end:
        cli.main()
    out, err = capsys.readouterr()
    assert not end.value.code, err
    assert out.strip()
    if words[1] in ("grid", "run", "book"):
        assert done and PAPERS


def test_the_python_examples_of_the_readme_are_python():
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL):
        compile(block, "README.md", "exec")
