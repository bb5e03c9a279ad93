"""Controls C1 to C10: questions of this book that the paper does not ask."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gazebook.metrics import rank_correlation
from gazebook.studies.scribe.claims.select import (
    NOISE,
    against_clean,
    correlations,
    corrupted,
    curves,
    spread,
)
from gazebook.studies.scribe.claims.sparsity import ranks_generalisation
from gazebook.studies.scribe.tidy import TITLES, tested, wide
from gazebook.studies.verdicts import Claim, Finding, of_cases, of_sign, undecided


def equal_updates(frame: pd.DataFrame, variant: str = "base") -> Finding:
    """C1. Sparsity at 100% minus sparsity at the smallest fraction, trained for the same number of updates."""
    found = curves(frame, "sparsity", "updates", variant)
    if not found:
        return undecided("no runs for it yet")
    growth = pd.Series({k: c.iloc[-1] - c.iloc[0] for k, c in found.items()}).unstack(0).dropna()
    text = ", ".join(f"{TITLES[name]} {value:+.3f}" for name, value in growth.mean().items())
    return of_sign(growth.mean(axis=1), text)


def equal_updates_ranks(frame: pd.DataFrame) -> Finding:
    """C2. Claim 12 among models that were trained for the same number of updates."""
    return ranks_generalisation(frame, "updates")


def any_r(frame: pd.DataFrame) -> Finding:
    """C3. Sparsity grows with the training set for every r of the pooling."""
    return _in_variants(frame, "r = ")


def any_map(frame: pd.DataFrame) -> Finding:
    """C4. Sparsity grows with the training set for another size of the class map."""
    return _in_variants(frame, "map ")


def any_threshold(frame: pd.DataFrame) -> Finding:
    """C5. Sparsity grows with the training set when the cut is at .3 or .7 instead of .5."""
    rho = {t: correlations(curves(frame, t)) for t in ("sparsity_30", "sparsity_70")}
    text = "; ".join(f"at .{t[-2:]}: {spread(r)}" for t, r in rho.items() if r)
    return of_cases([r > 0 for values in rho.values() for r in values], text)


def sparser_when_right(frame: pd.DataFrame) -> Finding:
    """C6. Maps are sparser where the prediction is right than where it is wrong."""
    rows = tested(frame).dropna(subset=["sparsity_right", "sparsity_wrong"])
    gap = rows["sparsity_right"] - rows["sparsity_wrong"]
    return of_cases(gap > 0, f"mean difference {gap.mean():+.3f}" if len(gap) else "")


def larger_grid(frame: pd.DataFrame) -> Finding:
    """C7. On five times as many images sparsity grows with the training set at equal epochs and falls at equal updates."""
    grown = correlations(curves(frame, "sparsity", "epochs", "larger"))
    fallen = correlations(curves(frame, "sparsity", "updates", "larger"))
    text = f"equal epochs: {spread(grown)}; equal updates: {spread(fallen)}" if grown and fallen else ""
    return of_cases([*(r > 0 for r in grown), *(r < 0 for r in fallen)], text)


def area_is_kinder(frame: pd.DataFrame) -> Finding:
    """C8. Noise costs less accuracy when the picture is shrunk by areas instead of without antialiasing."""
    both = [_noise_drops(frame, p) for p in ("upsampled", "upsampled_area")]
    pair = pd.concat(both, axis=1, keys=("cubic", "area")).dropna()
    text = f"mean drop {100 * pair['cubic'].mean():.1f} against {100 * pair['area'].mean():.1f} points" if len(pair) else ""
    return of_cases(pair["area"] < pair["cubic"], text)


def protocols_agree(frame: pd.DataFrame) -> Finding:
    """C9. Both protocols rank the twelve corruptions alike: rank correlation of mean accuracy at least .8, model by model."""
    tables = []
    for protocol in ("upsampled", "direct"):
        rows = corrupted(frame, protocol=protocol)
        tables.append(wide(rows, ["augmentation", "seed"], "condition", "accuracy"))
    there = tables[0].index.intersection(tables[1].index)
    rho = [rank_correlation(tables[0].loc[i], tables[1].loc[i]) for i in there]
    rho = [r for r in rho if np.isfinite(r)]
    return of_cases([r >= 0.8 for r in rho], spread(rho))


def seeds_do_not_blur(frame: pd.DataFrame) -> Finding:
    """C10. The growth from the smallest to the full training set is more than four times the deviation between seeds."""
    passed, ratios = [], []
    for _, rows in tested(frame).groupby("augmentation"):
        table = wide(rows, ["seed"], "percent", "sparsity").dropna(axis=1)
        if len(table) > 1 and table.shape[1] > 1:
            growth = table[table.columns.max()].mean() - table[table.columns.min()].mean()
            ratios.append(growth / table.std(ddof=1).mean())
            passed.append(ratios[-1] > 4)
    return of_cases(passed, f"growth is {min(ratios):.0f} to {max(ratios):.0f} deviations" if ratios else "")


def _in_variants(frame: pd.DataFrame, prefix: str) -> Finding:
    names = sorted({v for v in frame["variant"].unique() if str(v).startswith(prefix)})
    rho = {name: correlations(curves(frame, "sparsity", variant=name)) for name in names}
    text = "; ".join(f"{name}: {spread(values)}" for name, values in rho.items() if values)
    return of_cases([r > 0 for values in rho.values() for r in values], text)


def _noise_drops(frame: pd.DataFrame, protocol: str) -> pd.Series:
    """Loss of accuracy against the same pictures without noise: protocols may have been measured on different pictures."""
    rows = corrupted(frame, protocol=protocol)
    rows = rows[rows["condition"].isin(NOISE)]
    drop = -against_clean(rows, frame, "accuracy", protocol)
    return drop.groupby([rows[name] for name in ("condition", "severity", "augmentation", "seed")]).mean()


BOOK = "this book"
NOT = "not measured"
CLAIMS = (
    Claim("C1", "Trained for equally many updates, sparsity still grows with the size of the training set.",
          BOOK, NOT, equal_updates, own=True),
    Claim("C2", "Trained for equally many updates, sparser still means a smaller gap between training and test accuracy.",
          BOOK, NOT, equal_updates_ranks, own=True),
    Claim("C3", "Sparsity grows with the training set whatever the r of the pooling.", BOOK, NOT, any_r, own=True),
    Claim("C4", "Sparsity grows with the training set for a coarser class map too.", BOOK, NOT, any_map, own=True),
    Claim("C5", "Sparsity grows with the training set when the cut is at .3 or .7.", BOOK, NOT, any_threshold, own=True),
    Claim("C6", "Maps are sparser where the prediction is right.", BOOK, NOT, sparser_when_right, own=True),
    Claim("C7", "On five times as many images: sparsity grows at equal epochs and falls at equal updates.",
          BOOK, NOT, larger_grid, own=True),
    Claim("C8", "Noise costs less when pictures are shrunk by areas, not by cubic interpolation without antialiasing.",
          BOOK, NOT, area_is_kinder, own=True),
    Claim("C9", "Enlarging first or corrupting directly: the corruptions keep their order (rank correlation at least .8).",
          BOOK, NOT, protocols_agree, own=True),
    Claim("C10", "The growth of sparsity stands out from the noise between seeds (more than four deviations).",
          BOOK, NOT, seeds_do_not_blur, own=True),
)  # fmt: skip
