"""What data sets of images of any size share: they are read file by file, squeezed to a square, and held in memory."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from gazebook.data.sources import decode
from gazebook.errors import GazebookError

LARGEST = 16  # GB that the images of a split may take


def squares(files: Sequence[Path], size: int, name: str, remedy: str, banner: int = 0) -> torch.Tensor:
    """The images as uint8 [N, 3, size, size], resized bilinearly whatever their shape, as in paper 4 (section 4.2).

    `banner` rows at the bottom are cut off before. Raises GazebookError for a file that is missing or damaged, and where memory
    would not do.
    """
    check_side(size)
    if len(files) * 3 * size**2 > LARGEST * 2**30:
        raise GazebookError(
            f"{len(files)} images of {size} x {size} take more than {LARGEST} GB of memory; give a smaller size"
        )
    found = np.empty((len(files), 3, size, size), np.uint8)
    for i, file in enumerate(tqdm(files, f"reading {name}", unit=" pictures", delay=2, leave=False)):
        pixels = decode(file, str(file), remedy)
        found[i] = squeezed(pixels[: len(pixels) - banner], size).transpose(2, 0, 1)
    return torch.from_numpy(found)


def squeezed(pixels: np.ndarray, size: int) -> np.ndarray:
    """uint8 [H, W, 3] -> [size, size, 3], bilinear."""
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR))


def check_side(size: int) -> None:
    """Raises GazebookError for what is no side of images."""
    if type(size) is not int or size < 8:
        raise GazebookError(f"size is {size!r}; give the side of the images in pixels, at least 8")
