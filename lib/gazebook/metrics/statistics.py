"""Intervals and rank correlation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


def bootstrap_interval(
    values: ArrayLike, statistic: Callable = np.mean, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic of values [N]; (value, value) when N is 1 or all are equal."""
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"values have shape {values.shape}; expected [N] with N > 0")
    if np.all(values == values[0]):
        return (float(statistic(values)),) * 2
    found = stats.bootstrap(
        (values,), statistic, confidence_level=level, method="percentile", rng=np.random.default_rng(seed), batch=1000
    ).confidence_interval
    return float(found.low), float(found.high)


def mean_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Student-t interval of the mean of a few independent values [N], such as seeds; NaN for N < 2."""
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return float("nan"), float("nan")
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def rank_correlation(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rho in [-1, 1] of two sequences [N]; NaN when N < 3 or one is constant.

    Rounded to 12 digits, so that a rho of .9 is not below a threshold of .9.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return round(float(stats.spearmanr(x, y).statistic), 12)
