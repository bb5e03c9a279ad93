"""What the predicates of part 4 look at: differences over seeds, over test pictures, means with a margin."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from gazebook.metrics import mean_interval
from gazebook.studies.distraction import tidy
from gazebook.studies.distraction.runs import BASE, FINE, STREAMS, TITLES, ZERO
from gazebook.studies.verdicts import Finding, of_cases, of_intervals, undecided

SAME = 0.005  # what rounds to the same second decimal, as in Tables 3 and 4
SEEDS = 2  # that a mean must have to decide anything
NONE = undecided("no runs for it yet, or one seed")


def source(score: str) -> tuple[str, str]:
    """Accuracy is compared picture by picture, other scores by their reports."""
    return ("difference", score) if score == "accuracy" else ("clean", score)


def real(frame: pd.DataFrame, parts: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the parts that are there; in the demo, which has no photographs, the fine scenes in their place."""
    own = tidy.fine_grained(frame)
    return tuple(p for p in parts if p in own) or tuple(p for p in own if p == FINE)


def signed(frame, parts, split: str, condition: str, method: str, against: str = BASE, sign: int = 1) -> Finding:
    """t-intervals over seeds of `sign` times the difference, a case a part."""
    found = {p: sign * tidy.seeds_of(frame, p, split, condition, method, against) for p in parts}
    found = {p: v for p, v in found.items() if len(v)}
    return over_seeds(found.values(), "; ".join(f"{TITLES[p]} {points(v)}" for p, v in found.items()))


def over_seeds(cases: Iterable[np.ndarray], said: str = "") -> Finding:
    """A claim that a quantity is positive in each case, decided by t-intervals over its seeds; one seed decides nothing."""
    cases = [np.asarray(v, float) for v in cases if len(v)]
    enough = [(float(v.mean()), *mean_interval(v)) for v in cases if len(v) >= SEEDS]
    if cases and not enough:
        return undecided(f"one seed: {said}")
    return of_intervals(enough, said)


def paired(frame: pd.DataFrame, conditions: list[str], methods: tuple[str, ...] = (ZERO,)) -> Finding:
    """Differences to the baseline, a case a data set, seed, condition and method; intervals over test pictures."""
    rows = tidy.of(frame, "difference", against=BASE)
    rows = rows[rows["condition"].isin(conditions) & rows["method"].isin(methods)]
    text = f"mean {rows['value'].mean():+.3f}" if len(rows) else ""
    return of_intervals(bounds(rows), text)


def margins(frame: pd.DataFrame, split: str, margins: dict[str, float]) -> Finding:
    """Means over seeds of 0-occlusion minus baseline on the streams: each above zero, and at least its margin, or SAME less,
    since the paper's are of two digits.
    """
    found = {s: tidy.seeds_of(frame, STREAMS, split, s, ZERO) for s in margins}
    if not all(len(v) >= SEEDS for v in found.values()):
        return NONE
    means = {s: v.mean() for s, v in found.items()}
    text = ", ".join(f"{s.replace('_', ' ')} {v:+.3f}" for s, v in means.items())
    return of_cases([means[s] > 0 and means[s] >= least - SAME for s, least in margins.items()], text)


def bounds(rows: pd.DataFrame) -> list[tuple[float, float, float]]:
    return list(rows[["value", "low", "high"]].itertuples(index=False, name=None))


def points(values: np.ndarray) -> str:
    return f"{100 * np.mean(values):+.2f} points" if len(values) else "none"


def listed(values: dict[str, float]) -> str:
    return ", ".join(f"{TITLES[p]} {100 * v:+.2f} points" for p, v in values.items())
