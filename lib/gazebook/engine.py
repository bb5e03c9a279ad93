"""The engine trains the runs that a ledger lacks, on Dask: on the cores of this machine, or on a running cluster.

A caller hands out runs in their order, one to a free thread of a worker, and writes what comes back, so workers need no disk
in common with it. A lock for each run in flight, which ends with its caller, keeps callers that share a ledger from computing
anything twice. Where workers reach the ledger's folder, checkpoints make a lost worker cost the epoch in flight instead of
the run. On a CPU one single-threaded process a core is fastest.
"""

import os
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from uuid import uuid4

import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

import gazebook
from gazebook.cluster import connected
from gazebook.data import sources, training_size
from gazebook.errors import BudgetSpentError, DiskFullError, GazebookError
from gazebook.execute import execute, prepare
from gazebook.files import atomic_write
from gazebook.ledger import SUFFIX, Ledger, describe
from gazebook.machine import choose_device, default_workers, keep_memory
from gazebook.measure import Ruler
from gazebook.runs import Run

POLL_SECONDS = 0.05
MEET_SECONDS = 2  # between looks for new workers
GONE = "the Dask scheduler is gone; what is recorded stays: run again to go on"
STALE_SECONDS = 3600  # a partial file this old belongs to a process that was killed
Rulers = Callable[[Run], Sequence[Ruler]]


@dataclass(frozen=True)
class Outcome:
    """What a call of `complete` did: runs that it recorded, runs still missing, and whether the budget ended it."""

    done: int
    missing: int
    budget_spent: bool


@dataclass(frozen=True)
class Job:
    """Work of the caller's own that waits for runs and takes a worker's place: such as a page of the book."""

    work: Callable[[], object]
    needs: frozenset[Run] = frozenset()


def complete(
    runs: Iterable[Run],
    ledger: Ledger,
    rulers: Rulers,
    *,
    workers: int | None = None,
    device: str = "auto",
    budget: float | None = None,
    progress: bool = True,
    scheduler: str | None = None,
    jobs: Sequence[Job] = (),
) -> Outcome:
    """Train and record the runs that `ledger` lacks. `budget` in seconds stops before that time has passed.

    `rulers`, a function of a module, gives those that a run is measured with. `scheduler` is the address of a running Dask
    cluster ($GAZEBOOK_SCHEDULER, if that is set), whose workers must have the data. `jobs` are done beside, each when its
    runs are there. Raises GazebookError when runs failed; what was recorded stays recorded.
    """
    started = time.monotonic()  # one clock for all processes of a machine, that nobody sets
    scheduler = scheduler or os.environ.get("GAZEBOOK_SCHEDULER")
    device = device if scheduler else choose_device(device)
    missing = ledger.missing(dict.fromkeys(runs), verify=True)
    if not missing and not jobs:
        return Outcome(0, 0, False)
    deadline = None if budget is None else started + budget - min(60, budget / 5)  # leaves time to evaluate
    try:
        ledger.work.mkdir(parents=True, exist_ok=True)
        if not scheduler:
            prepare(missing, rulers, deadline=deadline)
    except BudgetSpentError:
        return Outcome(0, len(missing), True)
    except OSError as error:
        raise GazebookError(f"cannot write to {ledger.folder} ({error.strerror}); set GAZEBOOK_RESULTS to another") from error
    count = min(workers or default_workers(device), len(missing) + len(jobs))
    if not missing:
        with ThreadPoolExecutor(count) as pool:
            for done in as_completed([pool.submit(job.work) for job in jobs]):
                done.result()
        return Outcome(0, 0, False)
    with connected(scheduler, count) as client:
        crew = _Crew(client, ledger, rulers, device, deadline, None if scheduler else count)
        try:
            crew.run(missing, list(jobs), progress)
        finally:
            crew.close()
            _tidy(ledger)
    return Outcome(crew.done, len(ledger.missing(missing)), crew.spent)


def cost(run: Run) -> float:
    """Training images shown in all, about."""
    if run.updates is not None:
        return run.updates * run.batch_size
    return run.epochs * run.fraction * (run.train_images or training_size(run.data, run.data_options))


class _Crew:
    """One call's side of the work: what is in flight, and what became of the rest."""

    def __init__(self, client, ledger: Ledger, rulers: Rulers, device: str, deadline: float | None, count: int | None):
        self.client, self.ledger, self.rulers, self.device, self.deadline = client, ledger, rulers, device, deadline
        self.count = count  # of threads; None: as many as the cluster has
        self.topic, self.pool = f"gazebook-{uuid4().hex}", ThreadPoolExecutor()
        self.flying: dict = {}  # future: (run, its lock); of a job (None, None)
        self.failed: dict[Run, str] = {}
        self.threads: dict[str, int] = {}  # of each worker; none of one that is refused
        self.done, self.spent, self.met = 0, False, 0.0

    def run(self, missing: list[Run], jobs: list[Job], progress: bool) -> None:
        """Until nothing is left, or the budget is spent."""
        waiting, total = list(missing), sum(cost(run) for run in missing)
        with tqdm(total=total, unit=" images", unit_scale=True, disable=not progress, mininterval=1) as bar:
            self.client.subscribe_topic(self.topic, lambda event: _show(bar, event[1]))
            while waiting or jobs or self.flying:
                bar.set_description(f"{self.done}/{len(missing)} runs", refresh=False)
                for run in waiting[:]:
                    if self._free() <= 0:
                        break
                    if run in self.ledger or self._try(run):
                        waiting.remove(run)
                ready = [job for job in jobs if job.needs.isdisjoint((*waiting, *self._in_flight()))]
                for job in ready[: max(self._free(), 0)]:
                    jobs.remove(job)
                    self.flying[self.pool.submit(job.work)] = (None, None)
                self._collect()
                if self.spent or (self.failed and jobs):  # a page whose runs failed cannot be made
                    waiting, jobs = [], []
        for run, reason in self.failed.items():
            raise GazebookError(
                f"{len(self.failed)} of {len(missing)} runs failed, first {run.key} ({describe(run)}): "
                f"{(reason.strip().splitlines() or ['no reason given'])[-1]} (all of it in {_failure_file(self.ledger, run)})"
            )

    def close(self) -> None:
        """Give back what is held; what is still computed for this call is dropped."""
        self.client.cancel([future for future, (run, _) in self.flying.items() if run], force=True)
        for _, lock in self.flying.values():
            if lock:
                lock.release()
        self.pool.shutdown(cancel_futures=True)

    def _in_flight(self) -> list[Run]:
        return [run for run, _ in self.flying.values() if run]

    def _free(self) -> int:
        """How many threads have no work."""
        if self.client.status != "running":
            raise GazebookError(GONE)
        if not self.threads or time.monotonic() >= self.met + MEET_SECONDS:
            self._meet()
        return (self.count or sum(self.threads.values())) - len(self.flying)

    def _meet(self) -> None:
        """See which workers there are. One with another version is refused: its records would not be this version's."""
        self.met = time.monotonic()
        there = self.client.scheduler_info(n_workers=-1)["workers"]
        self.threads = {address: n for address, n in self.threads.items() if address in there}
        for address in there.keys() - self.threads.keys():
            self.threads[address] = there[address]["nthreads"]
            if self.count is None:
                try:
                    version = self.client.run(_version, workers=[address])[address]
                except Exception as error:  # noqa: BLE001 (whatever its environment lacks)
                    version = f"no gazebook ({error})"
                if version != gazebook.__version__:
                    self.threads[address] = 0
                    tqdm.write(f"gazebook: worker {address} has {version}, not {gazebook.__version__}; it gets no runs")

    def _try(self, run: Run) -> bool:
        """Hand out a run, unless another caller holds it."""
        lock = FileLock(_lock_file(self.ledger, run))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        if run in self.ledger:  # another caller has finished it since
            lock.release()
            return True
        _failure_file(self.ledger, run).unlink(missing_ok=True)
        weights = self.ledger.weights_file(run)
        order = {
            "run": run.to_dict(), "rulers": self.rulers, "device": self.device, "topic": self.topic,
            "seconds": None if self.deadline is None else self.deadline - time.monotonic(),
            "folder": str(self.ledger.folder.resolve()), "local": self.count is not None,
            "weights": weights.read_bytes() if self.count is None and weights.exists() else None,
        }  # fmt: skip
        # only where one is refused: a run that is bound to a worker waits for ever when it is gone
        good = [address for address, n in self.threads.items() if n] if 0 in self.threads.values() else None
        future = self.client.submit(_train, order, key=f"{run.key}-{uuid4().hex}", pure=False, workers=good)
        self.flying[future] = (run, lock)
        return True

    def _collect(self) -> None:
        """Record what is finished; wait a moment where nothing is."""
        ended = [future for future in self.flying if future.done()]
        if not ended:
            time.sleep(POLL_SECONDS if self.flying else 10 * POLL_SECONDS)  # the rest is held by other callers
        for future in ended:
            run, lock = self.flying.pop(future)
            if run is None:
                future.result()
                continue
            try:
                self._take(run, self._result(future))
            finally:
                lock.release()

    def _result(self, future) -> dict:
        try:
            return future.result(timeout=60)
        except Exception as error:
            if future.status in ("lost", "cancelled"):
                raise GazebookError(GONE) from error
            died = type(error).__name__ == "KilledWorker"
            return {"failed": "its worker died again and again; often too little memory" if died else f"{error}"}
        finally:
            future.release()  # or Dask computes it again when the worker that holds it dies

    def _take(self, run: Run, result: dict) -> None:
        if "record" in result:
            if result["weights"] is not None:
                with atomic_write(self.ledger.weights_file(run)) as partial:
                    partial.write_bytes(result["weights"])
            self.ledger.write(result["record"])
            self.done += 1
            for file in self.ledger.work.glob(f"{run.key}.*"):
                file.unlink(missing_ok=True)
        elif "failed" in result:
            self.failed[run] = result["failed"]
            with suppress(OSError):  # the disk may be full
                _failure_file(self.ledger, run).write_text(result["failed"], encoding="utf-8")
            if result.get("full"):
                raise DiskFullError(result["failed"])
        else:
            self.spent = True


def _show(bar: tqdm, epoch: dict) -> None:
    with suppress(AttributeError, TypeError):  # the bar may be closed
        bar.update(min(epoch["images"], bar.total - bar.n))  # lengths are estimated where data is not loaded
        bar.set_postfix_str("{run}: epoch {epoch}/{epochs}, loss {loss:.3f}, accuracy {accuracy:.1%}".format(**epoch))


def _version() -> str:
    return gazebook.__version__


def _train(order: dict) -> dict:
    """On a worker: one run from nothing to its record. Errors are told, not raised: Dask would try them again."""
    from distributed import get_worker

    keep_memory()  # Dask's own settings give it back at every step, only to ask for it again: measured, a fifth of the time
    worker, run = get_worker(), Run.from_dict(order["run"])
    shared = _is_locked(_lock_file(Ledger(order["folder"]), run))  # by the caller: so its disk is this one
    ledger = Ledger(order["folder"] if shared else worker.local_directory)
    weights_file = ledger.weights_file(run)
    if not shared and order["weights"] is not None:
        weights_file.parent.mkdir(parents=True, exist_ok=True)
        weights_file.write_bytes(order["weights"])

    def report(epoch: dict) -> None:
        told = {name: epoch[name] for name in ("epoch", "epochs", "loss", "accuracy")}
        worker.log_event(order["topic"], {"run": describe(run), "images": cost(run) / epoch["epochs"], **told})

    tqdm.set_lock(RLock())  # its own is one between processes, which a worker that is killed would leave behind
    sources.downloads = order["local"]  # on a cluster each worker would load the same from elsewhere
    try:
        record = execute(
            run,
            order["rulers"](run),
            device=_own_device(order["device"], worker.name),
            checkpoint_file=ledger.work / f"{run.key}.checkpoint.safetensors",
            weights_file=weights_file,
            deadline=None if order["seconds"] is None else time.monotonic() + order["seconds"],
            report=report,
        )
    except BudgetSpentError:
        return {"spent": True}
    except GazebookError as error:
        where = "" if order["local"] else f"worker {worker.address}: "
        return {"failed": f"{where}{error}", "full": isinstance(error, DiskFullError)}
    except Exception:  # noqa: BLE001 (told to the caller; other runs go on)
        return {"failed": traceback.format_exc()}
    return {"record": record, "weights": None if shared or not weights_file.exists() else weights_file.read_bytes()}


def _is_locked(file: Path) -> bool:
    if file.exists():
        try:
            with FileLock(file, timeout=0):
                return False
        except Timeout:
            return True
    return False


def _own_device(device: str, worker: object) -> str:
    """GPUs are dealt to workers by their number."""
    device = choose_device(device)
    if device != "cuda" or not isinstance(worker, int):
        torch.set_num_threads(1)
        return device
    return f"cuda:{worker % torch.cuda.device_count()}"


def _tidy(ledger: Ledger) -> None:
    """Remove what finished runs, and callers that were killed, have left behind; never a lock that somebody holds."""
    done = {file.name.removesuffix(SUFFIX) for file in ledger.folder.glob(f"*{SUFFIX}")}
    for lock in ledger.work.glob("*.lock"):
        with suppress(Timeout, OSError), FileLock(lock, timeout=0):
            lock.unlink()
    for file in ledger.work.glob("*.*"):
        if file.suffix != ".lock" and file.name.partition(".")[0] in done:
            file.unlink(missing_ok=True)
    for folder in (ledger.work, ledger.folder, ledger.folder / "weights"):
        for partial in folder.glob(".*.partial*"):
            with suppress(OSError):
                if time.time() - partial.stat().st_mtime > STALE_SECONDS:
                    partial.unlink()


def _lock_file(ledger: Ledger, run: Run) -> Path:
    """Runs that differ in their evaluation share their training, so they share a lock."""
    return ledger.work / f"{run.training.key}.lock"


def _failure_file(ledger: Ledger, run: Run) -> Path:
    return ledger.work / f"{run.key}.failed"
