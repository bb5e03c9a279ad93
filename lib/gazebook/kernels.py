"""Kernels that are forked from one process that has imported the library already: a chapter's imports cost it nothing."""

import gc
import os
import signal
import sys
from contextlib import suppress
from functools import cache
from multiprocessing import forkserver, get_context
from multiprocessing.process import BaseProcess
from threading import Lock
from uuid import uuid4

from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

from gazebook import cluster
from gazebook.machine import end_with_parent, keep_memory

# a fork imports the caller, too; workers are forked from the same process. The last two are imported when they are used, by
# nearly every chapter.
PRELOADED = [
    "ipykernel.kernelapp", "gazebook.cli", "gazebook.pages", "gazebook.plots", *cluster.PRELOADED,
    "scipy.stats", "scipy.ndimage",
]  # fmt: skip
INLINE = "module://matplotlib_inline.backend_inline"  # matplotlib reads it when it is imported
_starting = Lock()  # chapters start in threads
_alive: set[BaseProcess] = set()


class ForkingManager(AsyncKernelManager):
    """A manager, for papermill, whose Python kernels are forked."""

    async def _async_pre_start_kernel(self, **options):
        self.kernel_id = self.kernel_id or str(uuid4())
        if self.provisioner is None:
            self.provisioner = _Forked(kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self)
        return await super()._async_pre_start_kernel(**options)


class _Forked(LocalProvisioner):
    async def launch_kernel(self, cmd: list[str], **options) -> dict:
        if cmd[0] != sys.executable or "ipykernel_launcher" not in cmd:  # another language's
            return await super().launch_kernel(cmd, **options)
        arguments = cmd[cmd.index("ipykernel_launcher") + 1 :]
        self.process = _Process(arguments, options.get("env") or dict(os.environ), options.get("cwd") or os.getcwd())  # noqa: PTH109
        self.pid = self.process.pid
        return self.connection_info


class _Process:
    """What Jupyter asks of a Popen, of a forked process."""

    stdout = stderr = stdin = None

    def __init__(self, arguments: list[str], environment: dict[str, str], folder: str):
        with _starting:
            context = preloaded()
        self._process = context.Process(target=_kernel, args=(arguments, environment, folder))
        self._process.start()
        _alive.add(self._process)

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int | None:
        self._process.join()
        _alive.discard(self._process)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self._process.is_alive():
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def kill_all() -> None:
    """End the kernels that still run, for a caller that stops."""
    for process in list(_alive):
        with suppress(ProcessLookupError, ValueError):
            process.kill()


@cache
def preloaded():
    """The multiprocessing context whose processes are forked from one with all that chapters and workers import; starts it."""
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    before = os.environ.get("MPLBACKEND")
    os.environ["MPLBACKEND"] = INLINE
    try:
        forkserver.ensure_running()  # it ends with this process
    finally:
        os.environ.pop("MPLBACKEND") if before is None else os.environ.update(MPLBACKEND=before)
    return context


def _kernel(arguments: list[str], environment: dict[str, str], folder: str) -> None:
    """In the forked process: a kernel as `python -m ipykernel_launcher` starts it."""
    end_with_parent()
    keep_memory()
    gc.freeze()  # or a first collection would copy all that is shared with the process forked from
    os.setsid()  # Ctrl-C at the caller's terminal is the caller's
    os.environ.clear()
    os.environ.update(environment | {"JPY_PARENT_PID": str(os.getppid()), "MPLBACKEND": environment.get("MPLBACKEND", INLINE)})
    os.chdir(folder)
    sys.path.append("")  # modules beside it, which IPython leaves out where the process forked from had PYTHONSAFEPATH
    sys.argv = ["ipykernel_launcher", *arguments]
    import torch
    from ipykernel.kernelapp import IPKernelApp

    torch.set_num_threads(1)  # chapters are executed side by side: threads of several would wait for one another
    IPKernelApp.launch_instance(argv=arguments)
