"""Foreground masks from bounding boxes by GrabCut (Rother et al. 2004): as paper 2's generator makes them, and a way that
works at 64 pixels.

GrabCut's smoothness term is not scaled with resolution: around few pixels a cut is too expensive, and the paper's procedure
(the box as a rectangle) gives an empty mask for many images of 64 pixels. A sure-foreground ellipse in the middle of
the box prevents that.
"""

import cv2
import numpy as np
import torch
from tqdm import tqdm

from gazebook.errors import check_known
from gazebook.machine import spread, usable_cores

# ellipse: GrabCut with a sure-foreground ellipse; rectangle: the paper's, from the box alone; rectangle4: the same on the
# image enlarged four times, about the resolution of the paper
PROCEDURES = ("ellipse", "rectangle", "rectangle4")
ITERATIONS = 5  # the authors' generator
ELLIPSE = 0.4  # the ellipse's axes, as a share of the box's sides
ENLARGED = 4
CHUNK = 64  # images a task
FEW = 200  # images for which another process is not worth its start


def grabcut(image: np.ndarray, box: tuple[int, int, int, int], procedure: str = "ellipse", seed: int = 0) -> np.ndarray:
    """The foreground of uint8 [H, W, 3] inside a box (x0, y0, x1, y1, end exclusive): bool [H, W].

    OpenCV's Gaussian mixtures start from a random clustering; `seed` fixes it. A box outside the image, or that covers it,
    gives no background to learn from: the mask is then empty.
    """
    check_known("mask procedure", procedure, PROCEDURES)
    height, width = image.shape[:2]
    x0, y0, x1, y1 = (int(np.clip(v, 0, limit)) for v, limit in zip(box, (width, height) * 2, strict=True))
    if x0 >= x1 or y0 >= y1 or (x1 - x0) * (y1 - y0) == width * height:
        return np.zeros((height, width), bool)
    if procedure == "rectangle4":
        large = cv2.resize(image, (ENLARGED * width, ENLARGED * height), interpolation=cv2.INTER_CUBIC)
        found = grabcut(large, tuple(ENLARGED * v for v in (x0, y0, x1, y1)), "rectangle", seed)
        return cv2.resize(found.astype(np.uint8), (width, height), interpolation=cv2.INTER_AREA) > 0
    labels = np.full((height, width), cv2.GC_BGD, np.uint8)
    labels[y0:y1, x0:x1] = cv2.GC_PR_FGD
    if procedure == "ellipse":
        axes = tuple(max(1, round(ELLIPSE * side / 2)) for side in (x1 - x0, y1 - y0))
        cv2.ellipse(labels, ((x0 + x1) // 2, (y0 + y1) // 2), axes, 0, 0, 360, cv2.GC_FGD, -1)
    cv2.setRNGSeed(seed)
    try:
        cv2.grabCut(
            np.ascontiguousarray(image[..., ::-1]),
            labels,
            None,
            np.zeros((1, 65)),
            np.zeros((1, 65)),
            ITERATIONS,
            cv2.GC_INIT_WITH_MASK,
        )
    except cv2.error:  # too few pixels of one kind for its mixtures
        return np.zeros((height, width), bool)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def masks(
    images: np.ndarray, boxes: np.ndarray, procedure: str = "ellipse", *, seed: int = 0, processes: int | None = None
) -> np.ndarray:
    """Masks of many images, uint8 [N, H, W, 3] and int [N, 4] -> bool [N, H, W]; parallel over the cores, with progress.

    Each picture's seed is `seed` plus its place, so the result does not depend on the number of processes.
    """
    check_known("mask procedure", procedure, PROCEDURES)
    starts = range(0, len(images), CHUNK)
    tasks = [(images[s : s + CHUNK], boxes[s : s + CHUNK], procedure, seed + s) for s in starts]
    out = np.empty(images.shape[:3], bool)
    processes = 1 if len(images) < FEW else processes or usable_cores()
    with tqdm(total=len(images), desc=f"GrabCut ({procedure})", unit=" images", delay=2, leave=False) as bar:
        for start, found in zip(starts, spread(_chunk, tasks, processes), strict=True):
            out[start : start + len(found)] = found
            bar.update(len(found))
    return out


def boxes_as_masks(boxes: torch.Tensor, size: int) -> torch.Tensor:
    """Boxes int64 [N, 4] (x0, y0, x1, y1, end exclusive) as masks bool [N, size, size]."""
    place = torch.arange(size)
    x0, y0, x1, y1 = (boxes[:, i, None] for i in range(4))
    columns, rows = (place >= x0) & (place < x1), (place >= y0) & (place < y1)
    return rows[:, :, None] & columns[:, None, :]


def _chunk(images: np.ndarray, boxes: np.ndarray, procedure: str, seed: int) -> np.ndarray:
    return np.stack(
        [grabcut(image, box, procedure, seed + i) for i, (image, box) in enumerate(zip(images, boxes, strict=True))]
    )
