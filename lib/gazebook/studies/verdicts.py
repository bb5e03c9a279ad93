"""Claims as predicates: what a paper says, what our runs say, and a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from gazebook.metrics import mean_interval


class Verdict(StrEnum):
    """How a claim fares."""

    HOLDS = "holds"
    PARTLY = "partly"
    FAILS = "does not hold"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Finding:
    """A verdict and its evidence in one line of numbers."""

    verdict: Verdict
    evidence: str


@dataclass(frozen=True)
class Claim:
    """A statement that runs can decide. `check` takes the study's tidy table of results.

    `source` says where the statement comes from; `paper` is the paper's own evidence for it; `own` marks a question that
    this book adds and the paper does not claim.
    """

    name: str
    text: str
    source: str
    paper: str
    check: Callable[[pd.DataFrame], Finding]
    own: bool = False


def of_cases(passed: Iterable[bool], evidence: str = "") -> Finding:
    """A claim about many cases: holds in all, partly in some, does not hold in none; undecided without cases."""
    passed = list(passed)
    if not passed:
        return undecided("no runs for it yet")
    count = f"{sum(passed)} of {len(passed)} cases" + (f"; {evidence}" if evidence else "")
    verdict = Verdict.HOLDS if all(passed) else Verdict.PARTLY if any(passed) else Verdict.FAILS
    return Finding(verdict, count)


def of_sign(values: Sequence[float], evidence: str = "", digits: int = 3) -> Finding:
    """A claim that a quantity is positive, one value a seed: decided by the 95% t-interval of its mean over seeds."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return undecided(
            f"{len(values)} seed{'s' * (len(values) != 1)}, {_listed(values, digits)}" + (f"; {evidence}" if evidence else "")
        )
    low, high = mean_interval(values)
    text = f"mean {values.mean():+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}] over {len(values)} seeds"
    verdict = Verdict.HOLDS if low > 0 else Verdict.FAILS if high < 0 else Verdict.UNDECIDED
    return Finding(verdict, text + (f"; {evidence}" if evidence else ""))


def of_intervals(values: Iterable[tuple[float, float, float]], evidence: str = "") -> Finding:
    """A claim that a quantity is positive in each of several cases, each a value with the interval (value, low, high).

    Holds when all intervals lie above zero, partly when some do, does not hold when all lie below; undecided otherwise.
    """
    values = [v for v in values if np.isfinite(v).all()]
    if not values:
        return undecided("no runs for it yet")
    above, below = sum(low > 0 for _, low, _ in values), sum(high < 0 for _, _, high in values)
    text = f"{above} of {len(values)} intervals on its side, {below} on the other" + (f"; {evidence}" if evidence else "")
    if above == len(values):
        return Finding(Verdict.HOLDS, text)
    if above:
        return Finding(Verdict.PARTLY, text)
    return Finding(Verdict.FAILS if below == len(values) else Verdict.UNDECIDED, text)


def undecided(why: str) -> Finding:
    """Too little to go by."""
    return Finding(Verdict.UNDECIDED, why)


def scorecard(claims: Iterable[Claim], results: pd.DataFrame) -> pd.DataFrame:
    """A row a claim: claim, source, paper, ours, verdict."""
    rows = []
    for claim in claims:
        finding = claim.check(results)
        rows.append(
            {
                "no.": claim.name,
                "claim": claim.text,
                "source": claim.source,
                "paper": claim.paper,
                "ours": finding.evidence,
                "verdict": str(finding.verdict),
            }
        )
    return pd.DataFrame(rows)


def _listed(values: np.ndarray, digits: int) -> str:
    return ", ".join(f"{v:+.{digits}f}" for v in values) or "no value"
