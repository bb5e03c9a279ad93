"""Accuracy, confidence and calibration of predicted probabilities p: float [N, C] in [0, 1]; labels y: int [N] below C.

All raise ValueError for what is none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gazebook.metrics.checks import predictions


def accuracy(p: ArrayLike, y: ArrayLike) -> float:
    """Share of images whose most probable class is the label, in [0, 1]."""
    p, y = predictions(p, y)
    return float(np.mean(p.argmax(axis=1) == y))


def reliability_bins(p: ArrayLike, y: ArrayLike, bins: int = 15) -> np.ndarray:
    """Reliability diagram: float [bins, 3] of count, sum of confidence, number correct, for bins (0, 1/B], (1/B, 2/B], ..."""
    p, y = predictions(p, y)
    top = p.max(axis=1)
    place = np.clip(np.ceil(top * bins).astype(int) - 1, 0, bins - 1)
    sums = (np.bincount(place, w, bins) for w in (np.ones_like(top), top, p.argmax(axis=1) == y))
    return np.stack(list(sums), axis=1)


def expected_calibration_error(p: ArrayLike, y: ArrayLike, bins: int = 15) -> float:
    """ECE (Guo et al. 2017) in [0, 1]: mean over images of abs(accuracy - confidence) of the equal-width bin they fall in."""
    table = reliability_bins(p, y, bins)
    return float(np.abs(table[:, 2] - table[:, 1]).sum() / table[:, 0].sum())
