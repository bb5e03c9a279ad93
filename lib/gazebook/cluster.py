"""Dask's side of the engine: a cluster of this machine's own cores, and clients of one that runs."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress

from gazebook.errors import GazebookError

SETTINGS = {
    "logging": {"distributed": "critical"},  # what a user must know is told here
    # a machine that slept for five minutes would otherwise drop its workers, and wait for others for ever
    "distributed.scheduler.worker-ttl": None,
    # workers are forked from one process that has imported the library, which takes seconds
    "distributed.worker.multiprocessing-method": "forkserver",
    "distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"},
}
PRELOADED = ["distributed", "gazebook.engine"]


@contextmanager
def local(count: int) -> Iterator:
    """A Dask cluster of so many single-threaded processes of this machine, which end with it at once."""
    import dask

    dask.config.set(SETTINGS)
    from distributed import LocalCluster  # reads its settings when it is imported
    from distributed.utils import get_mp_context

    get_mp_context().set_forkserver_preload(PRELOADED)
    before = dict(os.environ)  # a nanny sets what its worker shall have in the caller's own environment
    made = LocalCluster(
        n_workers=count, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0, host="127.0.0.1",
        silence_logs=logging.CRITICAL,
    )  # fmt: skip
    try:
        yield made
    finally:
        for nanny in made.workers.values():  # what they still compute is not waited for
            nanny.auto_restart = False
            with suppress(ProcessLookupError, TypeError):
                os.kill(nanny.pid, signal.SIGKILL)
        made.close(timeout=5)
        for name in (*SETTINGS["distributed.nanny.pre-spawn-environ"], "PYTHONHASHSEED", "__DASK_PARENT_PID"):
            os.environ.pop(name, None)
            os.environ |= {name: before[name]} if name in before else {}


@contextmanager
def connected(scheduler: str | None, count: int) -> Iterator:
    """A client of a running cluster, or of one of this machine's own. Raises GazebookError where no scheduler answers."""
    with nullcontext(scheduler) if scheduler else local(count) as place:
        from distributed import Client

        try:
            client = Client(place, timeout=10)
        except (OSError, TimeoutError, ValueError, TypeError) as error:
            raise GazebookError(f"no Dask scheduler answers at {scheduler} ({error}); start one: dask scheduler") from error
        try:
            yield client
        finally:
            client.close(timeout=1)
