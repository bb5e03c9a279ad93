"""The twelve corruptions of paper 1 (section 3.5; Hendrycks & Dietterich 2019), and a cache of corrupted test sets.

The corruptions themselves are those of the package `imagecorruptions`. Its constants are made for photographs of 224
pixels, so it matters how an image of 32 pixels gets there: see PROTOCOLS.
"""

import hashlib
import time
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from gazebook.data.image_set import ImageSet
from gazebook.data.sources import cache_folder
from gazebook.errors import BudgetSpentError, GazebookError, check_known
from gazebook.machine import spread, usable_cores
from gazebook.tensors import DAMAGED, read_tensors, write_tensors

# in the order of the paper's figure 3
CORRUPTIONS = (
    "brightness", "contrast", "saturate", "defocus_blur", "motion_blur", "zoom_blur",
    "gaussian_noise", "impulse_noise", "spatter", "snow", "fog", "jpeg_compression",
)  # fmt: skip
SEVERITIES = (1, 2, 3, 4, 5)
# upsampled: enlarged bicubically to 224 px, corrupted, shrunk bicubically without antialiasing (the study's released
# notebooks); upsampled_area: shrunk by averaging areas, which averages pixel noise away; direct: corrupted as it is
PROTOCOLS = ("upsampled", "upsampled_area", "direct")
LARGE = 224
SMALLEST = 32  # the package refuses smaller images
MADE = 3  # raise it with every change of what is made here
CHUNK = 50  # images a task: the slowest corruption takes about 0.1 s an image
FEW = 500  # corrupted images for which another process is not worth its start


def corrupt(images: np.ndarray, name: str, severity: int, *, protocol: str = "direct", seed: int = 0) -> np.ndarray:
    """Corrupt uint8 [N, H, W, 3] at a severity of 1 to 5 -> uint8 of the same shape.

    Each image has its own random stream, from the seed, the corruption, the severity and its place in `images`; numpy's
    global generator is left as it was. Raises GazebookError for a name, severity, protocol or shape that does not exist.
    """
    images = np.asarray(images)
    _check(name, severity, protocol)
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8 or min(images.shape[1:3]) < SMALLEST:
        raise GazebookError(
            f"images are {images.dtype} {images.shape}; corruptions need uint8 [N, H, W, 3] of at least {SMALLEST} px"
        )
    return _corrupt(images, name, severity, protocol, seed, first=0)


def corrupted(images: ImageSet, name: str, severity: int, *, protocol: str = "upsampled", seed: int = 0) -> torch.Tensor:
    """The images of a set, corrupted: uint8 [N, 3, H, W], from the cache; a missing or damaged file is made anew."""
    file = cache_file(images, name, severity, protocol, seed)
    if (stored := _read(file, tuple(images.images.shape))) is not None:
        return stored
    prepare(images, protocol, [(name, severity)], seed=seed, processes=1)
    return _read(file, tuple(images.images.shape))


def prepare(
    images: ImageSet,
    protocol: str,
    conditions: Iterable[tuple[str, int]],
    *,
    seed: int = 0,
    processes: int | None = None,
    progress: bool = True,
    deadline: float | None = None,
) -> int:
    """Make the cache files that are missing, in parallel over the cores; returns how many were made.

    `deadline` (time.monotonic) stops with BudgetSpentError; what is complete is kept. Raises GazebookError for images
    that are too small.
    """
    if min(images.images.shape[-2:]) < SMALLEST:
        raise GazebookError(f"pictures are {tuple(images.images.shape[-2:])}; corruptions need at least {SMALLEST} px")
    conditions = [c for c in conditions if _read(cache_file(images, *c, protocol, seed), tuple(images.images.shape)) is None]
    for condition in conditions:
        _check(*condition, protocol)
    if not conditions:
        return 0
    pictures = np.ascontiguousarray(images.images.permute(0, 2, 3, 1).numpy())
    processes = min(processes or usable_cores(), max(1, len(conditions) * len(images) // FEW))
    bar = tqdm(
        total=len(conditions) * len(images), desc=f"corrupting ({protocol})", unit=" images", disable=not progress, delay=2
    )
    slow_first = sorted(conditions, key=lambda c: c[0] != "zoom_blur")
    tasks = [(pictures[s : s + CHUNK], *c, protocol, seed, s) for c in slow_first for s in range(0, len(pictures), CHUNK)]
    parts: list[np.ndarray] = []
    with bar:
        for task, part in zip(tasks, spread(_corrupt, tasks, processes), strict=True):
            parts.append(part)
            bar.update(len(part))
            if deadline is not None and time.monotonic() > deadline:
                raise BudgetSpentError("the time budget ended while images were corrupted; the same call goes on from here")
            if sum(map(len, parts)) == len(pictures):
                made = {"images": torch.from_numpy(np.concatenate(parts).transpose(0, 3, 1, 2).copy())}
                write_tensors(cache_file(images, *task[1:3], protocol, seed), made, {})
                parts = []
    return len(conditions)


def cache_file(images: ImageSet, name: str, severity: int, protocol: str, seed: int) -> Path:
    """Where a corrupted set is kept: named by the pictures' hash, the condition, the seed and the package's version."""
    made_from = f"{MADE} {images.fingerprint} {seed} {version('imagecorruptions-imaug')} {cv2.__version__.split('.')[0]}"
    digest = hashlib.sha256(made_from.encode()).hexdigest()[:16]
    return cache_folder() / "corrupted" / f"{digest}-{protocol}-{name}-{severity}.safetensors"


def _check(name: str, severity: int, protocol: str) -> None:
    for kind, given, known in (
        ("corruption", name, CORRUPTIONS), ("severity", severity, SEVERITIES), ("protocol", protocol, PROTOCOLS),
    ):  # fmt: skip
        check_known(kind, given, known)


def _corrupt(images: np.ndarray, name: str, severity: int, protocol: str, seed: int, first: int) -> np.ndarray:
    out = np.empty_like(images)
    state = np.random.get_state()  # the package draws from numpy's global generator
    try:
        for i, image in enumerate(images):
            words = np.random.SeedSequence([seed, CORRUPTIONS.index(name), severity, first + i]).generate_state(4)
            np.random.seed(words)
            out[i] = _one(image, name, severity, protocol, int(words[0]))
    finally:
        np.random.set_state(state)
    return out


def _one(image: np.ndarray, name: str, severity: int, protocol: str, seed: int) -> np.ndarray:
    if protocol == "direct":
        return _by_library(image, name, severity, seed)
    large = cv2.resize(image, (LARGE, LARGE), interpolation=cv2.INTER_CUBIC)
    large = _by_library(large, name, severity, seed)
    shrink = cv2.INTER_AREA if protocol == "upsampled_area" else cv2.INTER_CUBIC
    return cv2.resize(large, image.shape[1::-1], interpolation=shrink)


def _by_library(image: np.ndarray, name: str, severity: int, seed: int) -> np.ndarray:
    from imagecorruptions import corrupt as library_corrupt  # takes seconds, and few who import this module need it

    own = {"seed": seed} if name == "impulse_noise" else {}  # the one that does not draw from the global generator
    try:
        with np.errstate(invalid="raise"):
            return library_corrupt(image, severity, name, **own)
    except FloatingPointError:
        if name != "spatter":
            raise
        return image  # on which no drop fell: the package divides the drops by their maximum, and would return black


@cache  # one model after another sees the same images
def _read_once(file: Path, changed: int) -> torch.Tensor:
    return read_tensors(file)[0]["images"]


def _read(file: Path, shape: tuple[int, ...]) -> torch.Tensor | None:
    """The images of a cache file; None when it is missing, damaged or of another shape."""
    try:
        images = _read_once(file, file.stat().st_mtime_ns)
    except DAMAGED:
        return None
    return images if tuple(images.shape) == shape else None
