"""The engine: nothing lost but the epoch in flight, nothing computed twice, whatever is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gazebook import engine, papers
from gazebook.errors import GazebookError
from gazebook.ledger import Ledger
from gazebook.runs import Run
from gazebook.train import checkpoint
from tests import execute

pytestmark = pytest.mark.slow

CALL = """
import json, sys
from gazebook import papers
from gazebook.ledger import Ledger
from gazebook.runs import Run
runs = [Run.from_dict(r) for r in json.loads(sys.argv[2])]
outcome = papers.complete(runs, Ledger(sys.argv[1]), workers=int(sys.argv[3]), device="cpu", progress=False)
print(json.dumps([outcome.done, outcome.missing]))
"""


def call(folder: Path, runs: list[Run], crew: int) -> subprocess.Popen:
    """`complete` in a process of its own."""
    order = json.dumps([run.to_dict() for run in runs])
    return subprocess.Popen([sys.executable, "-c", CALL, str(folder), order, str(crew)], stdout=subprocess.PIPE, text=True)


def long(tiny: Run, seed: int) -> Run:
    """A run of many short epochs, so that it can be hit in the middle."""
    return tiny.replace(epochs=60, seed=seed)


def wait_for(condition, what: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """Processes whose parent is `pid`."""
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[2] != "Z"
    except FileNotFoundError:
        return False


def checkpoints(folder: Path) -> list[Path]:
    return list(folder.glob(".work/*.checkpoint.safetensors"))


def records(folder: Path) -> dict[str, float]:
    return {p.name: p.stat().st_mtime_ns for p in folder.glob("*.run.zip")}


def same_result(a, b) -> bool:
    return a.rows == b.rows and [e["loss"] for e in a.history] == [e["loss"] for e in b.history]


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to find processes")


def test_missing_runs_are_recorded_once_and_equal_a_run_in_this_process(tmp_path, tiny):
    runs = [tiny, tiny.replace(head="softmax"), tiny.replace(seed=1), tiny]
    ledger = Ledger(tmp_path)
    outcome = papers.complete(runs, ledger, workers=2, device="cpu", progress=False)
    assert (outcome.done, outcome.missing) == (3, 0)
    before = records(tmp_path)
    assert papers.complete(runs, ledger, device="cpu").done == 0 and records(tmp_path) == before
    mine = execute(tiny)
    assert same_result(ledger.read(tiny), mine)
    assert ledger.read(tiny).provenance["data"]["test_sha256"] == mine.provenance["data"]["test_sha256"]
    assert not checkpoints(tmp_path) and (tmp_path / "weights" / f"{tiny.training.key}.safetensors").exists()


@needs_proc
def test_kill_9_of_a_worker_and_a_second_call(tmp_path, tiny):
    runs = [long(tiny, seed) for seed in range(2)]
    parent = call(tmp_path, runs, 1)
    wait_for(lambda: checkpoints(tmp_path), "a first checkpoint")
    os.kill(children(parent.pid)[0], signal.SIGKILL)
    assert parent.wait(60) != 0
    done = records(tmp_path)
    assert len(checkpoints(tmp_path)) == 1, "the run in flight keeps its checkpoint"
    second = call(tmp_path, runs, 1)
    assert json.loads(second.communicate(timeout=240)[0]) == [2 - len(done), 0]
    assert {n: t for n, t in records(tmp_path).items() if n in done} == done
    unbroken = Ledger(tmp_path / "unbroken")
    papers.complete(runs, unbroken, workers=2, device="cpu", progress=False)
    for run in runs:
        assert same_result(Ledger(tmp_path).read(run), unbroken.read(run))


@needs_proc
def test_kill_9_of_the_parent_ends_its_workers_and_a_second_call_goes_on(tmp_path, tiny):
    runs = [long(tiny, seed) for seed in range(3)]
    parent = call(tmp_path, runs, 2)
    wait_for(lambda: len(checkpoints(tmp_path)) == 2 or records(tmp_path), "two runs in flight")
    crew = children(parent.pid)
    parent.kill()
    parent.wait()
    wait_for(lambda: not any(alive(pid) for pid in crew), "the workers to end")
    done = records(tmp_path)
    outcome = papers.complete(runs, Ledger(tmp_path), workers=2, device="cpu", progress=False)
    assert (outcome.done, outcome.missing) == (3 - len(done), 0)
    assert {n: t for n, t in records(tmp_path).items() if n in done} == done
    for run in runs:
        assert len(Ledger(tmp_path).read(run).history) == 60


def test_four_calls_on_one_ledger_compute_nothing_twice(tmp_path, tiny):
    runs = [tiny.replace(seed=seed, epochs=3) for seed in range(6)]
    crew = [call(tmp_path, runs, 1) for _ in range(4)]
    outcomes = [json.loads(p.communicate(timeout=300)[0]) for p in crew]
    assert all(missing == 0 for _, missing in outcomes)
    assert len(records(tmp_path)) == 6
    for run in runs:
        assert Ledger(tmp_path).read(run).run == run
    assert all(p.returncode == 0 for p in crew)


def test_a_failing_run_is_reported_and_the_others_are_done(tmp_path, tiny):
    bad = tiny.replace(lr=1e30, precision="fp32", epochs=3)
    unknown = tiny.replace(trunk="vgg")
    with pytest.raises(GazebookError, match=r"2 of 3 runs failed.*(the loss is|unknown trunk)"):
        papers.complete([bad, unknown, tiny], Ledger(tmp_path), workers=1, device="cpu", progress=False)
    assert tiny in Ledger(tmp_path) and bad not in Ledger(tmp_path)


def test_a_budget_stops_in_time_and_the_next_call_goes_on(tmp_path, tiny):
    runs = [tiny.replace(epochs=100_000)]
    budget = 6
    while not checkpoints(tmp_path):  # a busy machine may need longer to start a worker
        budget *= 2
        outcome = papers.complete(runs, Ledger(tmp_path), workers=1, device="cpu", budget=budget, progress=False)
        assert (outcome.done, outcome.missing, outcome.budget_spent) == (0, 1, True)
    epochs = len(checkpoint.read_history(checkpoints(tmp_path)[0]))
    papers.complete(runs, Ledger(tmp_path), workers=1, device="cpu", budget=2 * budget, progress=False)
    assert len(checkpoint.read_history(checkpoints(tmp_path)[0])) > epochs


def test_budgets_are_read_as_people_write_them():
    assert [engine.parse_budget(t) for t in ("9m", "2h", "90s", "1h30m", "45")] == [540, 7200, 90, 5400, 45]
    for wrong in ("", "soon", "9 m 3", "-3m"):
        with pytest.raises(GazebookError, match="write it like"):
            engine.parse_budget(wrong)


def test_cost_counts_images_shown():
    assert engine.cost(Run(study="s", train_images=1000, fraction=0.5, epochs=3)) == 1500
    assert engine.cost(Run(study="s", epochs=None, updates=7, batch_size=10)) == 70
