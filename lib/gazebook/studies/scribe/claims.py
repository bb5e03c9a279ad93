"""Paper 1's claims about sparsity, as predicates over the results, with the paper's evidence.

Each predicate is judged case by case (augmentation and seed), or by the interval over seeds where it is about one
number. Where a claim has a threshold, the paper's own table meets it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from gazebook.metrics import rank_correlation
from gazebook.studies.scribe.tables import TITLES, tested
from gazebook.studies.verdicts import Claim, Finding, of_cases, of_sign, undecided

STEP_DOWN = 0.005  # the largest step down in the paper's Table 1 is .004


def _curves(frame: pd.DataFrame, value: str, protocol: str = "epochs") -> dict[tuple[str, int], pd.Series]:
    """The value over percent for each (augmentation, seed) that has both ends of the axis."""
    rows = tested(frame, protocol=protocol)
    ends = {rows["percent"].min(), rows["percent"].max()}
    curves = {k: g.set_index("percent")[value].sort_index() for k, g in rows.groupby(["augmentation", "seed"])}
    return {k: curve for k, curve in curves.items() if len(ends) == 2 and ends <= set(curve.index)}


def _cells(frame: pd.DataFrame, value: str = "sparsity") -> pd.DataFrame:
    """The value with a row for each (seed, percent) for which all seven augmentations are there, a column for each of them."""
    wide = tested(frame).pivot_table(index=["seed", "percent"], columns="augmentation", values=value)
    return wide.reindex(columns=list(TITLES)).dropna()


def grows(frame: pd.DataFrame) -> Finding:
    """1. For every augmentation the rank correlation of fraction and sparsity is at least .9."""
    rho = [rank_correlation(c.index, c) for c in _curves(frame, "sparsity").values()]
    rho = [r for r in rho if np.isfinite(r)]
    return of_cases([r >= 0.9 for r in rho], f"rho {min(rho):.2f} to {max(rho):.2f}" if rho else "")


def ends(frame: pd.DataFrame) -> Finding:
    """2. Sparsity is lowest at the smallest and highest at the full training set."""
    return of_cases(c.idxmin() == c.index[0] and c.idxmax() == c.index[-1] for c in _curves(frame, "sparsity").values())


def small_steps_down(frame: pd.DataFrame) -> Finding:
    """3. Steps down are rare and tiny: at most one in 21, none above .005."""
    steps = np.concatenate([np.diff(c) for c in _curves(frame, "sparsity").values()] or [np.empty(0)])
    if not len(steps):
        return undecided("no runs for it yet")
    down = -steps[steps < 0]
    text = f"{len(down)} of {len(steps)} steps go down" + (f", the largest by {down.max():.3f}" if len(down) else "")
    return Finding(of_cases([len(down) <= len(steps) / 21, not len(down) or down.max() <= STEP_DOWN]).verdict, text)


def largest_growth(frame: pd.DataFrame) -> Finding:
    """4. Sparsity grows most for Combined, then for RandomCrop, and grows without augmentation too."""
    growth = {k: c.iloc[-1] - c.iloc[0] for k, c in _curves(frame, "sparsity").items()}
    if not growth:
        return undecided("no runs for it yet")
    by_seed = pd.Series(growth).unstack(0).reindex(columns=list(TITLES)).dropna()
    order = [list(row.sort_values(ascending=False).index[:2]) == ["combined", "crop"] for _, row in by_seed.iterrows()]
    means = by_seed.mean().sort_values(ascending=False)
    text = ", ".join(f"{TITLES[name]} {value:+.3f}" for name, value in means.items())
    return of_cases([*order, *(by_seed["none"] > 0)], f"growth: {text}" if len(by_seed) else "")


def combined_lowest(frame: pd.DataFrame) -> Finding:
    """6. Combined has the lowest sparsity at every fraction, RandomCrop the second lowest."""
    orders = [list(row.sort_values().index[:2]) for _, row in _cells(frame).iterrows()]
    first = sum(o[0] == "combined" for o in orders)
    second = sum(o[1] == "crop" for o in orders)
    return of_cases([o == ["combined", "crop"] for o in orders], f"Combined lowest in {first}, RandomCrop second in {second}")


def augmentation_lowers(frame: pd.DataFrame) -> Finding:
    """7. Augmentation lowers sparsity: every augmentation lies below none at every fraction."""
    cells = _cells(frame)
    below = cells.drop(columns="none").lt(cells["none"], axis=0)
    text = ", ".join(f"{TITLES[name]} {below[name].sum()}" for name in below)
    return of_cases(below.to_numpy().ravel(), f"of {len(below)} each: {text}")


def spread_shrinks(frame: pd.DataFrame) -> Finding:
    """8. The spread over augmentations shrinks as the training set grows: rank correlation -1."""
    cells = _cells(frame)
    spread = (cells.max(axis=1) - cells.min(axis=1)).unstack("percent").dropna()
    rho = [rank_correlation(row.index, row) for _, row in spread.iterrows()]
    rho = [r for r in rho if np.isfinite(r)]
    text = "mean spread " + ", ".join(f"{v:.3f}" for v in spread.mean()) if len(spread) else ""
    return of_cases([np.isclose(r, -1) for r in rho], text)


def _falls(value: str, name: str):
    def check(frame: pd.DataFrame) -> Finding:
        curves = _curves(frame, value).values()
        first, last = (np.mean([c.iloc[i] for c in curves]) if curves else np.nan for i in (0, -1))
        return of_cases([c.iloc[-1] < c.iloc[0] for c in curves], f"mean {name} {first:.2f} to {last:.2f}")

    return check


def ranks_generalisation(frame: pd.DataFrame, protocol: str = "epochs") -> Finding:
    """12 and C2. Within an augmentation, sparser means a smaller gap between training and test accuracy."""
    keys = ["augmentation", "seed", "percent"]
    fixed = frame[(frame["head"] == "scribe") & (frame["protocol"] == protocol)]
    wide = fixed.pivot_table(index=keys, columns="split", values="accuracy")
    if not {"train", "test"} <= set(wide.columns):
        return undecided("no runs for it yet")
    wide["sparsity"] = tested(frame, protocol=protocol).set_index(keys)["sparsity"]
    wide["gap"] = wide["train"] - wide["test"]
    rho = [rank_correlation(g["sparsity"], g["gap"]) for _, g in wide.groupby(["augmentation", "seed"])]
    rho = [r for r in rho if np.isfinite(r)]
    return of_cases([r < 0 for r in rho], f"rho {min(rho):.2f} to {max(rho):.2f}" if rho else "")


def across_recipes(frame: pd.DataFrame) -> Finding:
    """13. Across augmentations at one fraction the sign turns: sparser goes with lower accuracy."""
    sparse, right = _cells(frame), _cells(frame, "accuracy")
    rho = [rank_correlation(sparse.loc[i], right.loc[i]) for i in sparse.index]
    rho = [r for r in rho if np.isfinite(r)]
    return of_cases([r < 0 for r in rho], f"rho {min(rho):.2f} to {max(rho):.2f}" if rho else "")


def equal_updates(frame: pd.DataFrame) -> Finding:
    """Control: sparsity at 100% minus sparsity at the smallest fraction, trained for the same number of updates."""
    curves = _curves(frame, "sparsity", "updates")
    if not curves:
        return undecided("no runs for it yet")
    growth = pd.Series({k: c.iloc[-1] - c.iloc[0] for k, c in curves.items()}).unstack(0).dropna()
    text = ", ".join(f"{TITLES[name]} {value:+.3f}" for name, value in growth.mean().items())
    return of_sign(growth.mean(axis=1), text)


def equal_updates_ranks(frame: pd.DataFrame) -> Finding:
    """Control: claim 12 among models that were trained for the same number of updates."""
    return ranks_generalisation(frame, "updates")


CLAIMS = (
    Claim("1", "For every augmentation, sparsity grows with the size of the training set (rank correlation at least .9).",
          "2.2, Table 1", "rho .985 to 1.000 in 7 of 7 rows", grows),
    Claim("2", "Sparsity is lowest at the smallest training set and highest at the full one.",
          "Table 1", "7 of 7 rows", ends),
    Claim("3", "Steps down are rare and tiny.", "Table 1", "3 of 63 steps, at most .004", small_steps_down),
    Claim("4", "Sparsity grows most with Combined, then RandomCrop; it grows without augmentation too.",
          "Table 1", "Combined +.321, RandomCrop +.306, none +.110", largest_growth),
    Claim("6", "Combined has the lowest sparsity at every size, RandomCrop the second lowest.",
          "Table 1", "10 of 10 columns", combined_lowest),
    Claim("7", "Augmentation lowers sparsity.", "3.4",
          "49 of 60 cells; not RandomRotation at 50 to 70%, ColorJitter at 20 to 80%", augmentation_lowers),
    Claim("8", "Augmentations differ less in sparsity the larger the training set.",
          "3.4, Table 1", "spread .323 to .112, falling at every step", spread_shrinks),
    Claim("9", "With more training images fewer classes appear in one image's region.",
          "2.2, Figure 1", "by eye", _falls("classes", "classes")),
    Claim("10", "With more training images the region falls into fewer pieces.",
          "3.4, Figure 1", "by eye", _falls("regions", "regions")),
    Claim("11", "With more training images the region's border is clearer (fewer pixels with .1 < A < .9).",
          "2.2, Figure 1", "by eye", _falls("soft_share", "share")),
    Claim("12", "Without labels, sparsity ranks models by overfitting: within a recipe, sparser means a smaller gap between "
          "training and test accuracy.", "2.2", "not measured", ranks_generalisation),
    Claim("13", "Critical: across recipes at one size the sign turns, sparser goes with lower accuracy.",
          "from Table 1 and 2", "rho below 0 in 10 of 10 columns", across_recipes, own=True),
    Claim("C1", "Control: trained for equally many updates, sparsity still grows with the size of the training set.",
          "this book", "not measured", equal_updates, own=True),
    Claim("C2", "Control: trained for equally many updates, sparser still means a smaller gap between training "
          "and test accuracy.",
          "this book", "not measured", equal_updates_ranks, own=True),
)  # fmt: skip
