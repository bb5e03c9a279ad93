"""Claims 1 to 13: sparsity as a sign of overfitting.

Each predicate is judged case by case (augmentation and seed). Where a claim has a threshold, the paper's own table meets it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from gazebook.metrics import rank_correlation
from gazebook.studies.scribe.claims.select import cells, correlations, corrupted, curves, sizes, spread
from gazebook.studies.scribe.tidy import TITLES, gap_correlations
from gazebook.studies.verdicts import Claim, Finding, of_cases, undecided

STEP_DOWN = 0.005  # the largest step down in the paper's Table 1 is .004


def grows(frame: pd.DataFrame) -> Finding:
    """1. For every augmentation the rank correlation of fraction and sparsity is at least .9."""
    found = curves(frame, "sparsity")
    rho = correlations(found)
    return of_cases([r >= 0.9 for r in rho], spread(rho) + sizes(found))


def ends(frame: pd.DataFrame) -> Finding:
    """2. Sparsity is lowest at the smallest and highest at the full training set."""
    return of_cases(c.idxmin() == c.index[0] and c.idxmax() == c.index[-1] for c in curves(frame, "sparsity").values())


def small_steps_down(frame: pd.DataFrame) -> Finding:
    """3. Steps down are rare and tiny: at most one in 21, none above .005."""
    steps = np.concatenate([np.diff(c) for c in curves(frame, "sparsity").values()] or [np.empty(0)])
    if not len(steps):
        return undecided("no runs for it yet")
    down = -steps[steps < 0]
    text = f"{len(down)} of {len(steps)} steps go down" + (f", the largest by {down.max():.3f}" if len(down) else "")
    return Finding(of_cases([len(down) <= len(steps) / 21, not len(down) or down.max() <= STEP_DOWN]).verdict, text)


def largest_growth(frame: pd.DataFrame) -> Finding:
    """4. Sparsity grows most for Combined, then for RandomCrop, and grows without augmentation too."""
    growth = {k: c.iloc[-1] - c.iloc[0] for k, c in curves(frame, "sparsity").items()}
    if not growth:
        return undecided("no runs for it yet")
    by_seed = pd.Series(growth).unstack(0).reindex(columns=list(TITLES)).dropna()
    order = [list(row.sort_values(ascending=False).index[:2]) == ["combined", "crop"] for _, row in by_seed.iterrows()]
    means = by_seed.mean().sort_values(ascending=False)
    text = ", ".join(f"{TITLES[name]} {value:+.3f}" for name, value in means.items())
    return of_cases([*order, *(by_seed["none"] > 0)], f"growth: {text}" if len(by_seed) else "")


def grows_on_corrupted(frame: pd.DataFrame) -> Finding:
    """5. For every corruption and severity, sparsity grows with the training set (rank correlation above 0)."""
    groups = corrupted(frame, percent=None).groupby(["condition", "severity", "augmentation", "seed"])
    rho = groups[["percent", "sparsity"]].apply(lambda g: rank_correlation(g["percent"], g["sparsity"]))
    rho = rho.dropna() if len(rho) else pd.Series(dtype=float)
    worst = rho.groupby(level="condition").mean().sort_values() if len(rho) else rho
    text = f"lowest mean rho {worst.iloc[0]:.2f} under {worst.index[0]}" if len(rho) else ""
    return of_cases(rho > 0, text)


def combined_lowest(frame: pd.DataFrame) -> Finding:
    """6. Combined has the lowest sparsity at every fraction, RandomCrop the second lowest."""
    orders = [list(row.sort_values().index[:2]) for _, row in cells(frame).iterrows()]
    first = sum(o[0] == "combined" for o in orders)
    second = sum(o[1] == "crop" for o in orders)
    return of_cases([o == ["combined", "crop"] for o in orders], f"Combined lowest in {first}, RandomCrop second in {second}")


def augmentation_lowers(frame: pd.DataFrame) -> Finding:
    """7. Augmentation lowers sparsity: every augmentation lies below none at every fraction."""
    table = cells(frame)
    below = table.drop(columns="none").lt(table["none"], axis=0)
    text = ", ".join(f"{TITLES[name]} {below[name].sum()}" for name in below)
    return of_cases(below.to_numpy().ravel(), f"of {len(below)} each: {text}")


def spread_shrinks(frame: pd.DataFrame) -> Finding:
    """8. The spread over augmentations shrinks as the training set grows: rank correlation -1."""
    table = cells(frame)
    width = table.max(axis=1) - table.min(axis=1)
    rho = correlations({seed: g.droplevel("seed") for seed, g in width.groupby("seed")})
    mean = width.groupby("percent").mean()
    text = "mean spread " + ", ".join(f"{v:.3f}" for v in mean) if len(mean) else ""
    return of_cases([np.isclose(r, -1) for r in rho], text)


def _falls(value: str, name: str):
    def check(frame: pd.DataFrame) -> Finding:
        found = curves(frame, value).values()
        first, last = (np.mean([c.iloc[i] for c in found]) if found else np.nan for i in (0, -1))
        return of_cases([c.iloc[-1] < c.iloc[0] for c in found], f"mean {name} {first:.2f} to {last:.2f}")

    return check


def fewer_classes(frame: pd.DataFrame) -> Finding:
    """9. The number of classes in the region falls with the training set, to below two at the full one."""
    found = curves(frame, "classes")
    falling = [r < 0 for r in correlations(found)]
    few = [c.iloc[-1] < 2 for c in found.values()]
    first, last = (np.mean([c.iloc[i] for c in found.values()]) if found else np.nan for i in (0, -1))
    text = f"falling in {sum(falling)} of {len(falling)}, below two in {sum(few)} of {len(few)}; mean {first:.2f} to {last:.2f}"
    return of_cases([*falling, *few], text)


def ranks_generalisation(frame: pd.DataFrame, protocol: str = "epochs", variant: str = "base") -> Finding:
    """12 and C2. Within an augmentation, sparser means a smaller gap between training and test accuracy."""
    rho = list(gap_correlations(frame, protocol, variant).values())
    return of_cases([r < 0 for r in rho], spread(rho))


def across_recipes(frame: pd.DataFrame) -> Finding:
    """13. Across augmentations at one fraction the sign turns: sparser goes with lower accuracy."""
    sparse, right = cells(frame), cells(frame, "accuracy")
    rho = [rank_correlation(sparse.loc[i], right.loc[i]) for i in sparse.index]
    rho = [r for r in rho if np.isfinite(r)]
    return of_cases([r < 0 for r in rho], spread(rho))


CLAIMS = (
    Claim("1", "For every augmentation, sparsity grows with the size of the training set (rank correlation at least .9).",
          "2.2, Table 1", "rho .985 to 1.000 in 7 of 7 rows", grows),
    Claim("2", "Sparsity is lowest at the smallest training set and highest at the full one.",
          "Table 1", "7 of 7 rows", ends),
    Claim("3", "Steps down are rare and tiny.", "Table 1", "3 of 63 steps, at most .004", small_steps_down),
    Claim("4", "Sparsity grows most with Combined, then RandomCrop; it grows without augmentation too.",
          "Table 1", "Combined +.321, RandomCrop +.306, none +.110", largest_growth),
    Claim("5", "Sparsity grows with the training set on corrupted pictures too, whatever the distortion.",
          "2.2", "not shown", grows_on_corrupted),
    Claim("6", "Combined has the lowest sparsity at every size, RandomCrop the second lowest.",
          "Table 1", "10 of 10 columns", combined_lowest),
    Claim("7", "Augmentation lowers sparsity.", "3.4",
          "49 of 60 cells; not RandomRotation at 50 to 70%, ColorJitter at 20 to 80%", augmentation_lowers),
    Claim("8", "Augmentations differ less in sparsity the larger the training set.",
          "3.4, Table 1", "spread .323 to .112, falling at every step", spread_shrinks),
    Claim("9", "With more training images fewer classes appear in one image's region; at the full set hardly more than one.",
          "2.2, Figure 1", "by eye", fewer_classes),
    Claim("10", "With more training images the region falls into fewer pieces.",
          "Figure 1", "by eye", _falls("regions", "regions")),
    Claim("11", "With more training images the region's border is clearer (fewer pixels with .1 < A < .9).",
          "2.2, Figure 1", "by eye", _falls("soft_share", "share")),
    Claim("12", "Without labels, sparsity ranks models by overfitting: within a recipe, sparser means a smaller gap between "
          "training and test accuracy.", "2.2", "not measured", ranks_generalisation),
    Claim("13", "Critical: across recipes at one size the sign turns, sparser goes with lower accuracy.",
          "from Table 1 and 2", "rho below 0 in 10 of 10 columns", across_recipes, own=True),
)  # fmt: skip
