"""Cores, devices and memory of this machine."""

import ctypes
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from itertools import starmap
from multiprocessing import get_context, parent_process

from gazebook.errors import GazebookError

CUDA_WORKERS = 2  # processes share a GPU's time; the second hides the first one's launches (more: README)


def keep_memory() -> None:
    """Let glibc keep what this process frees: else it gives large tensors back at every step, and the kernel clears their pages
    when they are asked for again, which costs small networks on images of 224 pixels half of their time. Elsewhere: nothing.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
        libc.mallopt(-3, 2**25)  # M_MMAP_THRESHOLD, of which this is the largest


def usable_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_with_parent() -> None:
    """In a process that multiprocessing started: end as soon as the one that started it is gone, even if it was killed."""
    threading.Thread(target=lambda: (parent_process().join(), os._exit(1)), daemon=True).start()


def spread(work: Callable, tasks: Sequence[tuple], processes: int) -> Iterator:
    """`work(*task)` of each task, in their order, by so many processes that use OpenCV; 1: by this one."""
    if processes == 1:
        yield from starmap(work, tasks)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin) as pool:
        yield from pool.map(work, *zip(*tasks, strict=True))  # closing it cancels what has not begun


def _begin() -> None:
    import cv2

    end_with_parent()
    cv2.setNumThreads(1)


def default_workers(device: str) -> int:
    """One process a usable core on a CPU; CUDA_WORKERS on each GPU that is meant."""
    import torch  # takes seconds, and few who import this module need it

    if device == "cpu":
        return usable_cores()
    return CUDA_WORKERS * (torch.cuda.device_count() if device == "cuda" else 1)


def choose_device(name: str) -> str:
    """`auto` becomes cuda where there is one. Raises GazebookError for a device that is not there."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=torch.device(name)).add_(1).cpu()  # meta and its like hold no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise GazebookError(f"torch has no device {name!r} here; leave --device out, or give cpu, cuda or cuda:1") from error
    return name
