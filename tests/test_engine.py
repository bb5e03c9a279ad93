"""The engine: nothing lost but the epoch in flight, nothing computed twice, whatever is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from gazebook import cli, cluster, engine, papers
from gazebook.errors import DiskFullError, GazebookError
from gazebook.ledger import Ledger
from gazebook.runs import Run
from gazebook.tensors import read_metadata
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
    return tiny.replace(epochs=30, seed=seed)


def wait_for(condition, what: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """The workers of a call: forked from the one of its processes that has the library in memory."""
    return [p.pid for child in psutil.Process(pid).children() for p in child.children()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[2] != "Z"
    except FileNotFoundError:
        return False


def checkpoints(folder: Path) -> list[Path]:
    return list(folder.glob(".work/*.checkpoint.safetensors"))


def epochs_of(checkpoint: Path) -> int:
    return len(json.loads(read_metadata(checkpoint)["history"]))


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
def test_kill_9_of_a_worker_costs_the_epoch_in_flight(tmp_path, tiny):
    runs = [long(tiny, seed) for seed in range(2)]
    parent = call(tmp_path, runs, 1)
    wait_for(lambda: checkpoints(tmp_path), "a first checkpoint")
    (worker,) = children(parent.pid)
    os.kill(worker, signal.SIGKILL)
    assert json.loads(parent.communicate(timeout=240)[0]) == [2, 0], "the run goes on in another worker"
    assert all(same_result(Ledger(tmp_path).read(run), execute(run)) for run in runs)
    left = [f.name for f in (tmp_path / ".work").iterdir() if not f.name.startswith(".")]  # what was cut goes when it is old
    assert not left, "no lock, no checkpoint stays"


def test_a_damaged_record_is_named_and_made_again(tmp_path, tiny, capsys):
    ledger = Ledger(tmp_path)
    papers.complete([tiny], ledger, workers=1, device="cpu", progress=False)
    file = ledger.file(tiny)
    whole = ledger.read(tiny)
    file.write_bytes(file.read_bytes()[:-100])
    outcome = papers.complete([tiny], Ledger(tmp_path), workers=1, device="cpu", progress=False)
    assert (outcome.done, outcome.missing) == (1, 0) and "is damaged" in capsys.readouterr().err
    assert same_result(Ledger(tmp_path).read(tiny), whole)


def test_damaged_kept_weights_are_trained_again(tmp_path, tiny):
    ledger = Ledger(tmp_path)
    other = tiny.replace(test_images=40)
    papers.complete([tiny], ledger, workers=1, device="cpu", progress=False)
    weights = ledger.weights_file(tiny)
    content = bytearray(weights.read_bytes())
    content[-50] ^= 1
    weights.write_bytes(content)
    papers.complete([other], ledger, workers=1, device="cpu", progress=False)
    assert ledger.read(other).history[0]["loss"] == ledger.read(tiny).history[0]["loss"]


def test_a_full_disk_ends_the_call_with_one_line(tmp_path, tiny, monkeypatch):
    def full(self, record):
        raise DiskFullError("cannot write (No space left on device); free some disk space")

    monkeypatch.setattr(Ledger, "write", full)
    runs = [tiny.replace(seed=seed) for seed in range(20)]
    with pytest.raises(DiskFullError, match="No space left"):
        papers.complete(runs, Ledger(tmp_path), workers=1, device="cpu", progress=False)


def test_jobs_wait_for_their_runs_and_share_the_cores(tmp_path, tiny):
    ledger, seen = Ledger(tmp_path), []
    runs = [tiny, tiny.replace(seed=1)]
    jobs = [engine.Job(lambda: seen.append(len(records(tmp_path))), frozenset(runs)), engine.Job(lambda: seen.append("free"))]
    papers.complete(runs, ledger, workers=1, device="cpu", progress=False, jobs=jobs)
    assert sorted(map(str, seen)) == ["2", "free"]
    papers.complete(runs, ledger, workers=1, device="cpu", progress=False, jobs=jobs[:1])
    assert seen[-1] == 2


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
        assert len(Ledger(tmp_path).read(run).history) == 30


def test_three_calls_on_one_ledger_compute_nothing_twice(tmp_path, tiny):
    runs = [tiny.replace(seed=seed, epochs=3) for seed in range(6)]
    crew = [call(tmp_path, runs, 1) for _ in range(3)]
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


def test_no_budget_is_spent_before_anything_is_loaded(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr("gazebook.data.load", lambda *a, **k: pytest.fail("loaded"))
    outcome = papers.complete([tiny], Ledger(tmp_path), workers=1, device="cpu", budget=0, progress=False)
    assert (outcome.done, outcome.missing, outcome.budget_spent) == (0, 1, True)


def test_a_budget_stops_in_time_and_the_next_call_goes_on(tmp_path, tiny):
    runs = [tiny.replace(epochs=100_000)]
    budget = 3
    while not checkpoints(tmp_path):  # a busy machine may need longer to start a worker
        budget *= 2
        outcome = papers.complete(runs, Ledger(tmp_path), workers=1, device="cpu", budget=budget, progress=False)
        assert (outcome.done, outcome.missing, outcome.budget_spent) == (0, 1, True)
    epochs = epochs_of(checkpoints(tmp_path)[0])
    papers.complete(runs, Ledger(tmp_path), workers=1, device="cpu", budget=2 * budget, progress=False)
    assert epochs_of(checkpoints(tmp_path)[0]) > epochs


def test_budgets_are_read_as_people_write_them():
    assert [cli.parse_budget(t) for t in ("9m", "2h", "90s", "1h30m", "45")] == [540, 7200, 90, 5400, 45]
    for wrong in ("", "soon", "9 m 3", "-3m", "9" * 60):
        with pytest.raises(GazebookError, match="write it like"):
            cli.parse_budget(wrong)


def test_cost_counts_images_shown():
    assert engine.cost(Run(study="s", train_images=1000, fraction=0.5, epochs=3)) == 1500
    assert engine.cost(Run(study="s", epochs=None, updates=7, batch_size=10)) == 70


def test_a_machine_that_slept_keeps_its_workers():
    with cluster.local(1) as made:
        made.wait_for_workers(1)
        state = made.scheduler.workers[next(iter(made.scheduler.workers))]
        state.last_seen -= 3600  # as after an hour without heartbeats

        async def look() -> None:  # as it would on its own, minutes later
            if "worker-ttl" in made.scheduler.periodic_callbacks:
                await made.scheduler.check_worker_ttl()

        made.sync(look)
        assert len(made.scheduler.workers) == 1


@pytest.mark.slow
def test_a_cluster_leaves_its_callers_environment_as_it_was(monkeypatch):
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    before = dict(os.environ)
    with cluster.local(1):
        pass
    assert dict(os.environ) == before
