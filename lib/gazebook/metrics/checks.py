"""What the metrics refuse: a value outside its range, or one that is no number, never becomes a score."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def array(values: ArrayLike) -> np.ndarray:
    """Numbers or tensors, of any precision and on any device, as float64 or as integers."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.double() if values.is_floating_point() else values
    values = np.asarray(values)
    return values.astype(np.float64) if values.dtype.kind == "f" else values


def shares(values: ArrayLike, name: str) -> np.ndarray:
    """Values in [0, 1] as float64; raises ValueError for others, NaN among them."""
    values = array(values)
    if values.dtype.kind not in "fiub" or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"{name} must be finite numbers in [0, 1]; give shares or probabilities, not logits or percents")
    return values.astype(np.float64)


def magnitudes(values: ArrayLike, name: str) -> np.ndarray:
    """Finite values of at least 0 as float64; raises ValueError for others."""
    values = array(values)
    if values.dtype.kind not in "fiub" or not ((values >= 0) & (values < np.inf)).all():
        raise ValueError(f"{name} has values below 0 or that are no numbers; give finite magnitudes")
    return values.astype(np.float64)


def flags(values: ArrayLike, name: str) -> np.ndarray:
    """Truth values, or 0 and 1, as bool; raises ValueError for others."""
    values = array(values)
    if values.dtype.kind not in "fiub" or not ((values == 0) | (values == 1)).all():
        raise ValueError(f"{name} must be true or false, or 0 and 1")
    return values.astype(bool)


def predictions(p: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities float64 [N, C] and labels int64 [N]; raises ValueError for other shapes or values, or for N = 0."""
    p, y = array(p), array(y)
    if p.ndim != 2 or y.shape != p.shape[:1] or len(y) == 0:
        raise ValueError(f"probabilities have shape {p.shape} and labels {y.shape}; expected [N, C] and [N] with N > 0")
    p = shares(p, "probabilities")
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= p.shape[1]:
        raise ValueError(f"labels are not whole numbers from 0 to {p.shape[1] - 1}, the classes of the probabilities")
    return p, y.astype(np.int64)
