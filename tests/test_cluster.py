"""A real scheduler and real workers, as processes on loopback: whatever dies, what is recorded stays, and one line says why."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gazebook import papers
from gazebook.errors import GazebookError
from gazebook.ledger import Ledger
from tests import execute
from tests.test_engine import CALL, checkpoints, long, records, same_result, wait_for

pytestmark = pytest.mark.slow


def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """`dask scheduler` and `dask worker`s, each with a folder and an environment of its own."""

    def __init__(self, folder: Path):
        self.folder, self.processes, number = folder, [], port()
        self.address = f"tcp://127.0.0.1:{number}"
        place = ("--host", "127.0.0.1", "--port", str(number), "--dashboard-address", "127.0.0.1:0")
        self.scheduler = self.start("scheduler", *place)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen:
        own = self.folder / f"process{len(self.processes)}"
        own.mkdir()
        process = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]],
            cwd=own, env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def worker(self, *more: str, **environment: str) -> subprocess.Popen:
        place = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(self.folder))
        return self.start("worker", self.address, *place, *more, **environment)

    def complete(self, folder: Path, runs: list, **options):
        return papers.complete(runs, Ledger(folder), scheduler=self.address, progress=False, **options)

    def call(self, folder: Path, runs: list) -> subprocess.Popen:
        code = CALL.replace('workers=int(sys.argv[3]), device="cpu"', "scheduler=sys.argv[3]")
        order = json.dumps([run.to_dict() for run in runs])
        return subprocess.Popen(
            [sys.executable, "-c", code, str(folder), order, self.address], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def crew(tmp_path_factory):
    """A cluster of two workers that nobody harms."""
    made = Cluster(tmp_path_factory.mktemp("crew"))
    for _ in range(2):
        made.worker()
    yield made
    made.end()


def test_two_workers_give_the_records_that_this_process_gives(crew, tmp_path, tiny):
    runs = [tiny, tiny.replace(seed=1), tiny.replace(test_images=40)]
    outcome = crew.complete(tmp_path / "ledger", runs)
    assert (outcome.done, outcome.missing) == (3, 0)
    ledger = Ledger(tmp_path / "ledger")
    assert all(same_result(ledger.read(run), execute(run)) for run in runs) and ledger.weights_file(tiny).exists()


def test_a_lost_worker_s_run_goes_on_in_one_that_comes_late(cluster, tmp_path, tiny):
    runs = [long(tiny, 0)]
    first = cluster.worker()
    caller = cluster.call(tmp_path / "ledger", runs)
    wait_for(lambda: checkpoints(tmp_path / "ledger"), "a first checkpoint")
    os.kill(first.pid, signal.SIGKILL)
    cluster.worker()
    out, _ = caller.communicate(timeout=240)
    assert json.loads(out) == [1, 0] and len(Ledger(tmp_path / "ledger").read(runs[0]).history) == 30


def test_without_a_common_disk_records_and_weights_come_back(cluster, tmp_path, tiny):
    apart = write(tmp_path / "apart.py", "import gazebook.engine as e; e._is_locked = lambda f: False")  # as on another disk
    cluster.worker("--preload", str(apart))
    runs = [tiny, tiny.replace(test_images=40)]
    assert cluster.complete(tmp_path / "ledger", runs).done == 2
    ledger = Ledger(tmp_path / "ledger")
    assert ledger.weights_file(tiny).exists() and same_result(ledger.read(runs[1]), execute(runs[1]))
    assert ledger.read(runs[0]).provenance["date"] <= ledger.read(runs[1]).provenance["date"]


def write(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file


def test_when_the_scheduler_is_killed_the_caller_says_so(cluster, tmp_path, tiny):
    cluster.worker()
    caller = cluster.call(tmp_path / "ledger", [tiny, long(tiny, 0)])
    wait_for(lambda: records(tmp_path / "ledger"), "a first record")
    cluster.scheduler.kill()
    _, err = caller.communicate(timeout=120)
    assert caller.returncode and "the Dask scheduler is gone; what is recorded stays" in err.splitlines()[-1]
    assert len(records(tmp_path / "ledger")) == 1


def test_a_worker_with_another_version_gets_no_runs(cluster, tmp_path, tiny, capsys):
    other = write(tmp_path / "other.py", "import gazebook; gazebook.__version__ = '0.0'")
    cluster.worker("--preload", str(other), "--name", "old")
    caller = cluster.call(tmp_path / "ledger", [tiny])
    time.sleep(5)
    assert not records(tmp_path / "ledger")
    cluster.worker()
    out, _ = caller.communicate(timeout=120)
    assert "has 0.0, not" in out and json.loads(out.splitlines()[-1]) == [1, 0]


def test_a_worker_without_the_data_is_named(cluster, tmp_path, tiny):
    cluster.worker(GAZEBOOK_DATA="", XDG_CACHE_HOME=str(tmp_path / "nothing"))
    run = tiny.replace(data="cifar10", data_options={})
    with pytest.raises(GazebookError, match=r"worker tcp://127.0.0.1:\d+: cifar10 is not in \$GAZEBOOK_DATA of this machine"):
        cluster.complete(tmp_path / "ledger", [run])


def test_three_callers_share_a_cluster_and_compute_nothing_twice(crew, tmp_path, tiny):
    runs = [tiny.replace(seed=seed, epochs=2) for seed in range(5)]
    callers = [crew.call(tmp_path / "ledger", runs) for _ in range(3)]
    done = [json.loads(caller.communicate(timeout=240)[0]) for caller in callers]
    assert sum(recorded for recorded, _ in done) == 5 and all(missing == 0 for _, missing in done)


def test_no_scheduler_is_one_line(tmp_path, tiny):
    with pytest.raises(GazebookError, match=r"no Dask scheduler answers at tcp://127.0.0.1:1 .*start one: dask scheduler"):
        papers.complete([tiny], Ledger(tmp_path), scheduler="tcp://127.0.0.1:1", progress=False)
