"""Outputs go where a user says, whole or not at all; places are found as people write them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest
import torch

from gazebook import cli, data
from gazebook.data import sources
from gazebook.errors import DiskFullError, GazebookError
from gazebook.files import atomic_write, printable
from gazebook.ledger import Ledger
from gazebook.tensors import read_tensors, write_tensors


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "real").mkdir()
    link, target = tmp_path / "link.csv", tmp_path / "real" / "file.csv"
    link.symlink_to(target)
    for text in ("first", "second"):
        with atomic_write(link) as partial:
            partial.write_text(text, encoding="utf-8")
        assert link.is_symlink() and target.read_text(encoding="utf-8") == text
    assert [f.name for f in (tmp_path / "real").iterdir()] == ["file.csv"]


@pytest.mark.parametrize("place", ["/dev/null", "/dev/full", ".", ""])
def test_what_is_no_file_is_never_replaced(place):
    with pytest.raises(GazebookError, match="it is no file; give another"), atomic_write(Path(place), "give another --csv"):
        pytest.fail("there is nothing to write to")
    assert not place.startswith("/dev") or Path(place).is_char_device()


def test_a_full_disk_leaves_nothing(tmp_path):
    with pytest.raises(DiskFullError, match="free some"), atomic_write(tmp_path / "a.csv") as partial:
        partial.write_text("half", encoding="utf-8")
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_name_as_long_as_the_file_system_allows_can_be_written(tmp_path):
    with atomic_write(tmp_path / ("a" * 251 + ".csv")) as partial:
        partial.write_text("x", encoding="utf-8")
    with pytest.raises(GazebookError, match="cannot write"), atomic_write(tmp_path / ("a" * 300)):
        pytest.fail("too long")


def test_tensors_whose_bytes_changed_are_not_read(tmp_path):
    file = tmp_path / "a.safetensors"
    write_tensors(file, {"x": torch.arange(100.0), "y": torch.ones(3, dtype=torch.bool)}, {"about": "1"})
    assert torch.equal(read_tensors(file)[0]["x"], torch.arange(100.0))
    content = bytearray(file.read_bytes())
    content[-20] ^= 4
    file.write_bytes(content)
    with pytest.raises(ValueError, match="checksum"):
        read_tensors(file)


def test_what_is_made_once_is_made_again_when_its_bytes_changed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []

    def build():
        made.append(1)
        return {"x": torch.arange(50)}, {"n": 50}

    for expected in (1, 1, 2):
        if expected == 2:
            (file,) = tmp_path.rglob("key.safetensors")
            content = bytearray(file.read_bytes())
            content[-8] ^= 1
            file.write_bytes(content)
        tensors, about = sources.cached_tensors("set", "key", build)
        assert len(made) == expected and about == {"n": 50} and torch.equal(tensors["x"], torch.arange(50))


def test_home_is_expanded_and_missing_folders_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GAZEBOOK_RESULTS", "~/results")
    monkeypatch.setenv("GAZEBOOK_DATA", "~/data")
    assert Ledger.default().folder == tmp_path / "results"
    assert sources.search_folders("cifar10")[0] == tmp_path / "data" / "cifar10"
    with pytest.raises(GazebookError, match="does not exist"):
        data.load("scenes", "test", root="/no/such/folder")


def test_a_user_without_a_home_is_told(monkeypatch):
    def homeless(*_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("platformdirs.user_cache_dir", homeless)
    monkeypatch.delenv("GAZEBOOK_DATA", raising=False)
    with pytest.raises(GazebookError, match="has no home folder; set HOME"):
        sources.search_folders("cifar10")
    monkeypatch.setenv("GAZEBOOK_DATA", "/data")
    assert sources.search_folders("cifar10") == [Path("/data/cifar10")]


def test_text_is_shown_on_one_line():
    assert printable("a\nnote: b\x1b[2Jc") == "a\\nnote: b\\x1b[2Jc"
    assert printable(b"caf\xe9".decode("utf-8", "surrogateescape")) == "caf\\udce9"
    assert printable("é≈") == "é≈"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "gazebook.cli", *arguments], env=os.environ | environment, capture_output=True, check=False
    )


@pytest.mark.parametrize("command", ["data", "audit"])
def test_a_name_that_is_too_long_for_a_path_is_one_line(monkeypatch, capsys, command):
    monkeypatch.setattr(sys, "argv", ["gazebook", command, "a" * 300])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2 and capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_a_console_without_the_sign(tmp_path):
    shown = run("claims", "--csv", str(tmp_path / "c.csv"), PYTHONIOENCODING="ascii", GAZEBOOK_RESULTS=str(tmp_path))
    assert shown.returncode == 0 and (tmp_path / "c.csv").exists()


def long_run(folder: Path) -> tuple[subprocess.Popen, psutil.Process]:
    """`gazebook run` in the middle of a cell that sleeps, and the process of its kernel.

    -P is what a process inherits that is forked while a cluster is there: a kernel finds the modules beside it all the same.
    """
    (folder / "beside.py").touch()
    lines = (
        "n = 1",
        "import beside, os, time\nopen('pid', 'w').write(str(os.getpid()))\nos.rename('pid', 'here')\ntime.sleep(600)",
    )
    cells = [nbformat.v4.new_code_cell(source) for source in lines]
    cells[0].metadata["tags"] = ["parameters"]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), folder / "long{.ipynb")
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "gazebook.cli", "run", "long{.ipynb", "--output", "out.ipynb"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not (folder / "here").exists():
        assert process.poll() is None, process.stderr.read()
    return process, psutil.Process(int((folder / "here").read_text(encoding="utf-8")))


@pytest.mark.slow
def test_a_signal_ends_a_run_with_one_line(tmp_path):
    process, kernel = long_run(tmp_path)
    process.terminate()
    _, err = process.communicate(timeout=120)
    said = [line.strip() for line in re.split(r"[\r\n]+", err) if line.strip() and "cell" not in line]
    assert process.returncode == 143 and said == ["gazebook: stopped; the same call goes on from here"]
    assert {f.name for f in tmp_path.iterdir()} - {"__pycache__"} == {"beside.py", "here", "long{.ipynb"}
    kernel.wait(60)  # raises where it lives on


@pytest.mark.slow
def test_a_kernel_ends_with_a_caller_that_is_killed(tmp_path):
    process, kernel = long_run(tmp_path)
    process.kill()
    process.communicate(timeout=60)
    kernel.wait(60)
