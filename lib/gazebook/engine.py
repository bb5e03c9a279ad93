"""The engine trains the runs that a ledger lacks, in parallel processes that survive being killed.

Each worker walks the same ordered list and takes the first run that has no record and whose lock is free; a lock
ends with its process. So workers of any number of calls share one ledger, nothing is computed twice, and a killed
worker loses the epoch in flight. On a CPU one single-threaded process per core is fastest.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from gazebook.data import training_size
from gazebook.errors import BudgetSpentError, GazebookError
from gazebook.execute import execute, prepare
from gazebook.ledger import SUFFIX, Ledger, describe
from gazebook.machine import usable_cores
from gazebook.measure import Ruler
from gazebook.runs import Run

POLL_SECONDS = 0.5
STALE_SECONDS = 3600  # a partial file this old belongs to a process that was killed
CUDA_WORKERS = 2  # processes share the GPU's time; the second hides the first one's launch time. Not yet measured.


@dataclass(frozen=True)
class Outcome:
    """What a call of `complete` did: runs recorded now, runs still missing, and whether the budget ended it."""

    done: int
    missing: int
    budget_spent: bool


def complete(
    runs: Iterable[Run],
    ledger: Ledger,
    rulers: Callable[[Run], Sequence[Ruler]],
    *,
    workers: int | None = None,
    device: str = "auto",
    budget: float | None = None,
    progress: bool = True,
) -> Outcome:
    """Train and record the runs that `ledger` lacks. `budget` in seconds stops before that time has passed.

    `rulers`, a function of a module, gives those that a run is measured with. Raises GazebookError when runs
    failed or all workers died; what was recorded stays recorded.
    """
    started = time.monotonic()  # one clock for all processes of a machine, that nobody sets
    device = choose_device(device)
    missing = ledger.missing(dict.fromkeys(runs))
    if not missing:
        return Outcome(0, 0, False)
    count = min(workers or default_workers(device), len(missing))
    deadline = None if budget is None else started + budget - min(60, budget / 5)  # leaves time to evaluate
    try:
        _prepare(ledger, missing, rulers, deadline)
    except BudgetSpentError:
        return Outcome(0, len(missing), True)
    order = {
        "runs": [run.to_dict() for run in missing],
        "rulers": [rulers.__module__, rulers.__qualname__],
        "folder": str(ledger.folder),
        "device": device,
        "deadline": deadline,
    }
    crew: list[subprocess.Popen] = []
    try:
        for number in range(count):
            crew.append(_start(ledger, order, number))
        spent, died, failed = _watch(crew, missing, progress)
    finally:
        for process in crew:
            process.kill()
            process.wait()
        _tidy(ledger, missing)
    _raise_failures(ledger, missing, died, failed)
    left = ledger.missing(missing)
    return Outcome(len(missing) - len(left), len(left), spent)


def parse_budget(text: str) -> float:
    """'9m', '2h', '90s', '1h30m' or plain seconds -> seconds. Raises GazebookError."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text.strip())
    if not text.strip() or not match or len(text) > 12:
        raise GazebookError(f"cannot read the time {text[:40]!r}; write it like 9m, 2h or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


def cost(run: Run) -> float:
    """Training images shown in all, about."""
    if run.updates is not None:
        return run.updates * run.batch_size
    return run.epochs * run.fraction * (run.train_images or training_size(run.data, run.data_options))


def default_workers(device: str) -> int:
    """One process per usable core on a CPU; CUDA_WORKERS on a GPU."""
    if device != "cpu":
        return CUDA_WORKERS
    return usable_cores()


def choose_device(name: str) -> str:
    """`auto` becomes cuda where there is one. Raises GazebookError for a device that is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=torch.device(name)).add_(1).cpu()  # meta and its like hold no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise GazebookError(f"torch has no device {name!r} here; leave --device out, or give cpu, cuda or cuda:1") from error
    return name


def _prepare(ledger: Ledger, runs: list[Run], rulers: Callable, deadline: float | None) -> None:
    try:
        ledger.work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GazebookError(
            f"cannot write to {ledger.folder} ({error.strerror}); set GAZEBOOK_RESULTS to another folder"
        ) from error
    for run in runs:
        _failure_file(ledger, run).unlink(missing_ok=True)
    prepare(runs, rulers, deadline=deadline)


def _start(ledger: Ledger, order: dict, number: int) -> subprocess.Popen:
    """Start a worker and hand it its order. Its standard input stays open: when it closes, the worker ends."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} if order["device"] == "cpu" else os.environ
    with (ledger.work / f"worker-{os.getpid()}-{number}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "gazebook.engine"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        )
    with suppress(BrokenPipeError):  # it died at once: its exit code will be seen
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
    return process


def _tidy(ledger: Ledger, runs: list[Run]) -> None:
    """Remove what finished runs, and processes that were killed long ago, have left behind."""
    open_locks = {_lock_file(ledger, run) for run in ledger.missing(runs)}
    for lock in {_lock_file(ledger, run) for run in runs} - open_locks:
        lock.unlink(missing_ok=True)
    for run in ledger.folder.glob(f"*{SUFFIX}"):
        for file in ledger.work.glob(f"{run.name.removesuffix(SUFFIX)}.*"):
            file.unlink(missing_ok=True)
    for log in ledger.work.glob(f"worker-{os.getpid()}-*.log"):
        if not log.stat().st_size:
            log.unlink()
    folders = (ledger.work, ledger.folder, ledger.folder / "weights")
    for partial in (file for folder in folders for file in folder.glob(".*.partial*")):
        if time.time() - partial.stat().st_mtime > STALE_SECONDS:
            partial.unlink(missing_ok=True)


def _watch(crew: list[subprocess.Popen], runs: list[Run], progress: bool) -> tuple[bool, list[int], dict[str, str]]:
    """Show progress until all workers have ended: (budget spent, exit codes of workers that died, errors by run key)."""
    events: queue.Queue = queue.Queue()
    for process in crew:
        threading.Thread(target=_listen, args=(process, events), daemon=True).start()
    total = sum(cost(run) for run in runs)
    bar = tqdm(total=total, unit=" images", unit_scale=True, disable=not progress, desc=f"0/{len(runs)} runs", mininterval=1)
    spent, died, failed, finished, open_ends = False, [], {}, 0, len(crew)
    with bar:
        while open_ends:
            event = events.get()
            if event["event"] == "end":
                open_ends -= 1
                died += [event["code"]] if event["code"] else []
            elif event["event"] == "epoch":
                bar.update(min(event["images"], bar.total - bar.n))  # lengths are estimated where data is not loaded
                bar.set_postfix_str("{run}: epoch {epoch}/{epochs}, loss {loss:.3f}, accuracy {accuracy:.1%}".format(**event))
            elif event["event"] == "done":
                finished += 1
                bar.set_description(f"{finished}/{len(runs)} runs")
            elif event["event"] == "budget":
                spent = True
            elif event["event"] == "failed":
                failed[event["key"]] = event["error"]
    return spent, died, failed


def _listen(process: subprocess.Popen, events: queue.Queue) -> None:
    for line in process.stdout:
        with suppress(json.JSONDecodeError):  # a worker killed in mid-line
            events.put(json.loads(line))
    events.put({"event": "end", "code": process.wait()})


def _raise_failures(ledger: Ledger, runs: list[Run], died: list[int], failed: dict[str, str]) -> None:
    if failed:
        run = next(run for run in runs if run.key in failed)
        reason = (failed[run.key].strip().splitlines() or ["no reason given"])[-1]
        raise GazebookError(
            f"{len(failed)} of {len(runs)} runs failed, first {run.key} ({describe(run)}): {reason} "
            f"(all of it in {_failure_file(ledger, run)})"
        )
    if died and ledger.missing(runs):
        raise GazebookError(
            f"{len(died)} worker{'s' * (len(died) > 1)} died (exit {died[0]}; -9 is often too little memory); what is recorded "
            f"stays: run again to go on, with fewer workers if it repeats; logs are in {ledger.work}"
        )


def _lock_file(ledger: Ledger, run: Run) -> Path:
    """Runs that differ in their evaluation share their training, so they share a lock."""
    return ledger.work / f"{run.training.key}.lock"


def _failure_file(ledger: Ledger, run: Run) -> Path:
    return ledger.work / f"{run.key}.failed"


def _tell(**event) -> None:
    print(json.dumps(event), flush=True)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def work(order: dict) -> None:
    """Take runs until none is left, or until the budget ends."""
    ledger = Ledger(order["folder"])
    module, name = order["rulers"]
    rulers = getattr(importlib.import_module(module), name)
    runs = [Run.from_dict(values) for values in order["runs"]]
    failed: set[Run] = set()
    while open_runs := [r for r in runs if r not in ledger and r not in failed and not _failure_file(ledger, r).exists()]:
        for run in open_runs:
            with suppress(Timeout), FileLock(_lock_file(ledger, run), timeout=0):
                if run not in ledger:  # another worker may have finished it since
                    try:
                        _train(run, ledger, rulers(run), order["device"], order["deadline"])
                    except BudgetSpentError:
                        _tell(event="budget")
                        return
                    except Exception as error:  # noqa: BLE001 (told to the parent; other runs go on)
                        failed.add(run)
                        _fail(ledger, run, error)
                    break
        else:
            time.sleep(POLL_SECONDS)  # all that is left is locked by other workers; take over if they die


def _fail(ledger: Ledger, run: Run, error: Exception) -> None:
    """Tell the parent, and leave a note that keeps other workers from trying the same."""
    text = str(error) if isinstance(error, GazebookError) else "".join(traceback.format_exception(error))
    _tell(event="failed", key=run.key, error=text)
    with suppress(OSError):  # the disk may be full
        _failure_file(ledger, run).write_text(text)


def _train(run: Run, ledger: Ledger, rulers: Sequence[Ruler], device: str, deadline: float | None) -> None:
    """Train and record one run."""

    def report(epoch: dict) -> None:
        images = cost(run) / epoch["epochs"]
        _tell(event="epoch", run=describe(run), images=images, **{k: epoch[k] for k in ("epoch", "epochs", "loss", "accuracy")})

    checkpoint_file = ledger.work / f"{run.key}.checkpoint.safetensors"
    weights_file = ledger.weights_file(run)
    record = execute(
        run, rulers, device=device, checkpoint_file=checkpoint_file, weights_file=weights_file, deadline=deadline, report=report
    )
    ledger.write(record)
    checkpoint_file.unlink(missing_ok=True)
    _tell(event="done", run=describe(run))


if __name__ == "__main__":
    order_line = sys.stdin.readline()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work(json.loads(order_line))
