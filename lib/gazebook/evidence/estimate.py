"""`Estimate`: a value with its 95% interval and what it was taken over. Every interval on a page is one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import scipy
from numpy.typing import ArrayLike

from gazebook.metrics import mean_interval, mean_of_means_interval

SEEDS = "seed"
FEWEST = 3  # seeds below which an interval decides nothing


@dataclass(frozen=True)
class Estimate:
    """A mean over `n` units with its 95% interval; `low` and `high` are NaN where there are too few for one.

    `unit` is what was sampled, in the singular: "seed" (the training, the unit of evidence), or "image" or "model" where one
    trained network, or a family of them, is the object.
    """

    value: float
    low: float
    high: float
    n: int
    unit: str = SEEDS

    @classmethod
    def of(cls, values: ArrayLike, unit: str = SEEDS) -> Estimate:
        """The mean of independent values [N] with Student's interval; NaN are left out."""
        values = np.asarray(values, np.float64)
        values = values[np.isfinite(values)]
        if not len(values):
            return cls(float("nan"), float("nan"), float("nan"), 0, unit)
        return cls(float(values.mean()), *mean_interval(values), len(values), unit)

    @classmethod
    def of_groups(cls, groups: Iterable[ArrayLike], unit: str = SEEDS) -> Estimate:
        """The mean of the groups' means, each group counting the same, with Welch's interval; `n` is that of the smallest."""
        groups = [values[np.isfinite(values)] for values in (np.asarray(g, np.float64) for g in groups)]
        return cls(*mean_of_means_interval(groups), min(map(len, groups)), unit)

    @property
    def error(self) -> float:
        """The standard error that gives the interval: half of it over its Student quantile."""
        quantile = scipy.special.stdtrit(self.n - 1, 0.975) if self.n > 1 else np.nan
        return float((self.high - self.low) / 2 / quantile)

    @property
    def p(self) -> float:
        """Two-sided p-value against 0; NaN without an interval."""
        if not np.isfinite(self.error):
            return float("nan")
        if self.error == 0:
            return 0.0 if self.value else 1.0
        return float(2 * scipy.special.stdtr(self.n - 1, -abs(self.value / self.error)))

    @property
    def decides(self) -> bool:
        """Whether there is an interval of units enough to decide anything: three seeds."""
        return bool(np.isfinite([self.value, self.low, self.high]).all()) and (self.unit != SEEDS or self.n >= FEWEST)

    def minus(self, other: Estimate | float) -> Estimate:
        """The difference: to a number, which shifts the interval; to an independent estimate, whose error is added."""
        if not isinstance(other, Estimate):
            return replace(self, value=self.value - other, low=self.low - other, high=self.high - other)
        half = float(np.hypot(self.high - self.low, other.high - other.low) / 2)
        value = self.value - other.value
        return replace(self, value=value, low=value - half, high=value + half, n=min(self.n, other.n))

    def times(self, factor: float) -> Estimate:
        """In another unit of measurement; a negative factor turns the interval round."""
        low, high = sorted((self.low * factor, self.high * factor))
        return replace(self, value=self.value * factor, low=low, high=high)

    def bounded(self, low: float, high: float) -> Estimate:
        """Its interval cut at what the quantity can be: Student's does not know where correlations end."""
        return replace(self, low=max(self.low, low), high=min(self.high, high))

    def text(self, digits: int = 1, sign: bool = True) -> str:
        """'+1.2 [+0.3, +2.1], 5 seeds'."""
        if not np.isfinite(self.value):
            return "no runs yet"
        shown = f"{'+' if sign else ''}z.{digits}f"
        interval = f" [{self.low:{shown}}, {self.high:{shown}}]" if np.isfinite(self.low) else ""
        return f"{self.value:{shown}}{interval}, {self.n:,} {self.unit}{'s' * (self.n != 1)}"

    __str__ = text
