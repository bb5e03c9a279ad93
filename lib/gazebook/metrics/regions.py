"""The regions that a heat map marks: how spread they are, and what they cover. Maps a: float [N, H, W] in [0, 1]."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gazebook.metrics.checks import flags, magnitudes


def map_entropy(a: ArrayLike) -> np.ndarray:
    """Entropy of each map taken as a distribution over its pixels, over its largest value log(H W): float [N] in [0, 1].

    1 for a map that is the same everywhere, 0 for a single pixel; NaN for a map of zeros.
    """
    a = magnitudes(a, "a heat map").reshape(len(a), -1)
    total = a.sum(axis=1, keepdims=True)
    share = np.divide(a, total, out=np.full_like(a, np.nan), where=total > 0)
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    return -(share * logs).sum(axis=1) / np.log(a.shape[1])


def containment(inner: ArrayLike, outer: ArrayLike) -> np.ndarray:
    """Share of each region `inner`, bool [N, H, W], that lies in `outer`: float [N]; NaN where inner is empty."""
    inner, outer = (flags(r, "a region").reshape(len(r), -1) for r in (inner, outer))
    size = inner.sum(axis=1)
    return np.divide((inner & outer).sum(axis=1), size, out=np.full(len(size), np.nan), where=size > 0)
