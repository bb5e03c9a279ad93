"""Does saliency point at the object? Five scores of a saliency map against a mask (paper 3, its released code)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gazebook.metrics.checks import flags, magnitudes

SCORES = ("iou", "delta_density", "average_precision", "precision", "recall")
HALF = 0.5  # of the maximum: where a map is binarised for IoU
MASS = 0.25  # of the saliency lies below the threshold of recall (the authors plot this one of 25, 50 and 75%)


def saliency_alignment(s: ArrayLike, mask: ArrayLike) -> dict[str, np.ndarray]:
    """Five scores of each image, float [N]: saliency s float [N, H, W] >= 0, mask bool [N, H, W].

    iou: of the mask and where s is at least half of its maximum. delta_density: mean of s (min-max scaled) inside minus
    outside. average_precision: of s as a detector of the mask's pixels. precision: share of s inside. recall: share of the
    mask above the threshold below which a quarter of all saliency lies. The authors' tool scales all maps to [0, 1] first;
    here only delta density does, which makes a difference where a map is nowhere 0. NaN where the mask is empty or full;
    precision is NaN where s is 0 everywhere. Raises ValueError.
    """
    s, mask = magnitudes(s, "saliency"), flags(mask, "mask")
    if s.shape != mask.shape or s.ndim != 3:
        raise ValueError(f"saliency has shape {s.shape} and masks {mask.shape}; expected the same [N, H, W]")
    pixels = s.shape[1] * s.shape[2]
    s, mask = s.reshape(len(s), pixels), mask.reshape(len(s), pixels)
    found = {
        "iou": _iou(s, mask),
        "delta_density": _delta_density(s, mask),
        "average_precision": _average_precision(s, mask),
        "precision": _ratio((s * mask).sum(axis=1), s.sum(axis=1)),
        "recall": _recall(s, mask),
    }
    usable = mask.any(axis=1) & ~mask.all(axis=1)
    return {name: np.where(usable, values, np.nan) for name, values in found.items()}


def centred_gaussian(size: int, width: float = 0.25) -> np.ndarray:
    """A control that looks at no image: a Gaussian in the middle, float [size, size], of that share of the side."""
    place = (np.arange(size) + 0.5) / size - 0.5
    return np.exp(-(place[:, None] ** 2 + place[None, :] ** 2) / (2 * width**2))


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.full(len(a), np.nan), where=b > 0)


def _iou(s: np.ndarray, mask: np.ndarray) -> np.ndarray:
    top = s.max(axis=1, keepdims=True)
    region = (s >= HALF * top) & (top > 0)
    return _ratio((region & mask).sum(axis=1), (region | mask).sum(axis=1))


def _delta_density(s: np.ndarray, mask: np.ndarray) -> np.ndarray:
    low, high = s.min(axis=1, keepdims=True), s.max(axis=1, keepdims=True)
    density = np.divide(s - low, high - low, out=np.zeros_like(s), where=high > low)
    return _ratio((density * mask).sum(axis=1), mask.sum(axis=1)) - _ratio((density * ~mask).sum(axis=1), (~mask).sum(axis=1))


def _average_precision(s: np.ndarray, mask: np.ndarray) -> np.ndarray:
    from sklearn.metrics import average_precision_score  # takes seconds, and only evaluation needs it

    return np.array([average_precision_score(m, v) if m.any() else np.nan for m, v in zip(mask, s, strict=True)])


def _recall(s: np.ndarray, mask: np.ndarray) -> np.ndarray:
    ranked = np.sort(s, axis=1)
    mass = ranked.cumsum(axis=1)
    place = (mass < MASS * mass[:, -1:]).sum(axis=1).clip(max=s.shape[1] - 1)
    threshold = ranked[np.arange(len(s)), place][:, None]
    return _ratio(((s > threshold) & mask).sum(axis=1), mask.sum(axis=1))
