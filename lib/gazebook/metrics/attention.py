"""What an attention map says: sparsity, agreement, regions. Maps a: float [N, H, W] in [0, 1]."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

SOFT = (0.1, 0.9)


def sparsity(a: ArrayLike) -> float:
    """Share of pixels with round(a) == 0, that is a <= 0.5 (paper 1, section 2.2); in [0, 1]."""
    return float(np.mean(sparsity_per_image(a)))


def sparsity_per_image(a: ArrayLike, threshold: float = 0.5) -> np.ndarray:
    """Share of pixels with a <= threshold, float [N]."""
    return (_maps(a) <= threshold).mean(axis=(1, 2))


def attention_mse(a: ArrayLike, reference: ArrayLike) -> float:
    """Mean over images of the mean squared difference (paper 1, section 3.3); both [N, H, W]."""
    a, reference = _maps(a), _maps(reference)
    if a.shape != reference.shape:
        raise ValueError(f"maps have shapes {a.shape} and {reference.shape}; they must be of the same images and size")
    return float(np.mean((a.astype(np.float64) - reference) ** 2))


def soft_share(a: ArrayLike) -> np.ndarray:
    """Share of pixels with .1 < a < .9, where the map has not decided; float [N]."""
    a = _maps(a)
    return ((a > SOFT[0]) & (a < SOFT[1])).mean(axis=(1, 2))


def regions_per_image(a: ArrayLike) -> np.ndarray:
    """Number of 4-connected regions with a > 0.5, int [N]."""
    region = _maps(a) > 0.5
    within_an_image = np.zeros((3, 3, 3), bool)
    within_an_image[1] = ndimage.generate_binary_structure(2, 1)
    labels, count = ndimage.label(region, within_an_image)
    image_of = np.zeros(count + 1, int)
    image_of[labels.ravel()] = np.repeat(np.arange(len(region)), region[0].size)
    return np.bincount(image_of[1:], minlength=len(region))


def classes_per_image(a: ArrayLike, winners: ArrayLike, num_classes: int) -> np.ndarray:
    """Number of different winning classes where a > 0.5: int [N]; winners int [N, H, W]."""
    region, winners = _maps(a) > 0.5, np.asarray(winners)
    return sum((region & (winners == c)).any(axis=(1, 2)).astype(int) for c in range(num_classes))


def _maps(a: ArrayLike) -> np.ndarray:
    a = np.asarray(a)
    if a.ndim != 3 or a.size == 0:
        raise ValueError(f"attention maps have shape {a.shape}; expected [N, H, W] with N > 0")
    return a
