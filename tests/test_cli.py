"""The command line: one line and exit code 2 for what a user can mend; help with examples."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from gazebook import cli, data
from gazebook.errors import GazebookError
from gazebook.ledger import Ledger, Record
from gazebook.papers import PAPERS, grid, scribe

ROOT = Path(__file__).parent.parent


def call(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command in this process."""
    monkeypatch.setattr(sys, "argv", ["gazebook", *arguments])
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as end:
        cli.main()
    out, err = capsys.readouterr()
    return end.value.code or 0, out, err


@pytest.fixture(autouse=True)
def empty_ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("GAZEBOOK_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("command", ["book", "run", "grid", "status", "data", "claims", "audit", "publish"])
def test_help_shows_an_example(monkeypatch, capsys, command):
    code, out, _ = call(monkeypatch, capsys, command, "--help")
    assert code == 0 and "Example" in out and f"gazebook {command}" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["grid", "dreams"], "unknown paper 'dreams'; choose from scribe"),
        (["grid", "scribe", "--profile", "huge"], "unknown profile 'huge'; choose from demo, cpu, paper"),
        (["grid", "scribe", "--budget", "soon"], "cannot read the time 'soon'"),
        (["grid", "scribe", "--device", "tpu"], "torch has no device 'tpu' here"),
        (["grid", "scribe", "--device", "cuda"], "torch has no device 'cuda' here"),
        (["status", "--profile", "huge"], "unknown profile"),
        (["data", "cifar100"], "unknown data set 'cifar100'"),
        (["data", "cifar10", "--root", "/no/such/folder"], "does not exist"),
        (["run", "nowhere.ipynb"], "is not a notebook; choose from notebooks/scribe"),
        (["run", "notebooks/scribe/implicit-background.ipynb", "-p", "colour", "red"], "has no parameter 'colour'"),
        (["run", "notebooks/scribe/implicit-background.ipynb", "-p", "seed", "first"], "give an int such as 0"),
        (["run", "notebooks/scribe/implicit-background.ipynb", "-p", "seed"], "-p needs a NAME and a VALUE"),
        (["run", "notebooks/scribe/implicit-background.ipynb", "--output", "page.html"], "ends in .ipynb"),
    ],
)
def test_bad_input_is_one_line_with_the_remedy(monkeypatch, capsys, arguments, message):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    code, _, err = call(monkeypatch, capsys, *arguments)
    assert code == 2 and message in err
    assert len(err.strip().splitlines()) == 1 and err.startswith("gazebook: ")


def test_an_unknown_option_is_refused(monkeypatch, capsys):
    code, _, err = call(monkeypatch, capsys, "grid", "scribe", "--fast")
    assert code == 2 and "--fast" in err


def fake_record(run) -> Record:
    rows = [{"condition": "clean", "split": s, "accuracy": 0.5, "sparsity": 0.4} for s in ("test", "train")]
    return Record(run, rows, {}, [], {"seconds": 2.0})


def test_status_counts_done_and_missing_and_foretells_the_time(monkeypatch, capsys):
    runs = grid("scribe", "demo")
    code, out, _ = call(monkeypatch, capsys, "status")
    assert code == 0 and f"0 of {len(runs)} runs done" in out
    Ledger.default().write(fake_record(runs[0]))
    code, out, _ = call(monkeypatch, capsys, "status")
    assert f"1 of {len(runs)} runs done; {len(runs) - 1} missing, about" in out and "missing " in out


def test_data_says_what_there_is(monkeypatch, capsys):
    code, out, _ = call(monkeypatch, capsys, "data", "scenes")
    assert code == 0 and "scenes train: 5000 images of 32x32 px, 10 classes, from procedural scenes" in out


def test_data_of_which_one_split_is_there_says_so(monkeypatch, capsys):
    scenes = data.SOURCES["scenes"].load

    def load(split, **options):
        if split == "train":
            raise GazebookError("there is no training split; ask for test")
        return scenes(split, **options)

    monkeypatch.setattr(data.SOURCES["scenes"], "load", load)
    code, out, _ = call(monkeypatch, capsys, "data", "scenes")
    assert code == 0 and "scenes test: " in out and out.endswith("there is no training split; ask for test\n")


def test_claims_of_an_empty_ledger_are_inconclusive(monkeypatch, capsys):
    code, out, _ = call(monkeypatch, capsys, "claims")
    assert code == 0 and out.count("inconclusive") >= 100


def test_claims_are_written_as_a_table(monkeypatch, capsys, tmp_path):
    code, out, _ = call(monkeypatch, capsys, "claims", "--csv", str(tmp_path / "claims.csv"))
    table = pd.read_csv(tmp_path / "claims.csv")
    assert code == 0 and out.strip().endswith("claims.csv") and set(table["part"]) == set(PAPERS)
    assert {"no.", "claim", "paper", "ours", "verdict", "holm", "scale"} <= set(table) and len(table) > 150


def test_publish_copies_the_records_of_a_profile(monkeypatch, capsys, tmp_path):
    project = tmp_path / "project"
    (project / "notebooks").mkdir(parents=True)
    shutil.copy(ROOT / "_config.yml", project)
    monkeypatch.setattr("gazebook.notebooks.project_folder", lambda: project)
    runs = grid("scribe", "demo")
    for run in (*runs[:2], grid("scribe", "cpu")[0]):
        Ledger.default().write(fake_record(run))
    weights = Ledger.default().weights_file(scribe.checkpoints(scribe.AXES["demo"])[0])
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    code, out, _ = call(monkeypatch, capsys, "publish", "--profile", "demo")
    total = sum(len(grid(name, "demo")) for name in PAPERS)
    assert code == 0 and f"2 records copied to {project}/book/results, {total - 2} of {total} are missing there" in out
    assert "weights of 1 models copied" in out
    assert [f.name for f in (project / "book" / "results" / "weights").iterdir()] == [weights.name]
    assert Ledger(project / "book" / "results").keys() == sorted(r.key for r in runs[:2])


@pytest.mark.slow
def test_a_stop_by_the_keyboard_is_one_line(tmp_path):
    call = subprocess.Popen(
        [sys.executable, "-m", "gazebook.cli", "grid", "distraction", "--workers", "1"],
        stderr=subprocess.PIPE, text=True, cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs of a shell ignore it
    )  # fmt: skip
    work = tmp_path / "results" / ".work"
    end = time.monotonic() + 120
    while not list(work.glob("*.lock")) and time.monotonic() < end:
        time.sleep(0.1)
    call.send_signal(signal.SIGINT)
    err = call.communicate(timeout=60)[1]
    assert call.returncode == 130 and "the same call goes on from here" in err and "Traceback" not in err


def test_errors_that_are_ours_to_mend_are_not_hidden(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gazebook", "status"])
    monkeypatch.setattr("gazebook.cli.Ledger.default", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main()
    assert issubclass(GazebookError, Exception)
