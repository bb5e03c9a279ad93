"""Intervals and rank correlation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import scipy
from numpy.typing import ArrayLike


def mean_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Student-t interval of the mean of a few independent values [N], such as seeds; NaN for N < 2."""
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return float("nan"), float("nan")
    half = scipy.special.stdtrit(len(values) - 1, (1 + level) / 2) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def share_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of the mean of values [N] that are 0 or 1, which does not collapse at the ends."""
    values = np.asarray(values)
    found = scipy.stats.binomtest(int(values.sum()), len(values)).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)


def mean_of_means_interval(groups: Iterable[ArrayLike], level: float = 0.95) -> tuple[float, float, float]:
    """Mean of the means of groups of independent values, each group counting the same, with its Student-t interval.

    The variance is the sum of those of the groups' means, its degrees of freedom Welch and Satterthwaite's. NaN bounds where a
    group has one value.
    """
    groups = [np.asarray(g, np.float64) for g in groups]
    mean = float(np.mean([g.mean() for g in groups]))
    if any(len(g) < 2 for g in groups):
        return mean, float("nan"), float("nan")
    parts = np.array([g.var(ddof=1) / len(g) for g in groups])
    if not parts.sum():
        return mean, mean, mean
    freedom = parts.sum() ** 2 / sum(v**2 / (len(g) - 1) for v, g in zip(parts, groups, strict=True))
    half = float(scipy.special.stdtrit(freedom, (1 + level) / 2) * np.sqrt(parts.sum()) / len(groups))
    return mean, mean - half, mean + half


def rank_correlation(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rho in [-1, 1] of two sequences [N]; NaN when N < 3 or one is constant.

    Rounded to 12 digits, so that a rho of .9 is not below a threshold of .9.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return round(float(scipy.stats.spearmanr(x, y).statistic), 12)
