"""Claims 14 to 34: accuracy and attention (Table 2), the two heads (Table 3), calibration (Figure 2)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gazebook.metrics import rank_correlation
from gazebook.studies.scribe.claims.select import best, cells, correlations, curves, sizes, spread
from gazebook.studies.scribe.tables import agreement, gain_interval, pairs
from gazebook.studies.scribe.tidy import TITLES, tested
from gazebook.studies.verdicts import Claim, Finding, Verdict, of_cases, undecided

GEOMETRIC = ("crop", "flip", "rotate", "perspective")
SMALLEST_GAIN = 0.009  # of SCrIBE in the paper's Table 3
METRICS = ("accuracy", "confidence", "ece_10")


def accuracy_grows(frame: pd.DataFrame) -> Finding:
    """14. Accuracy rises at every step of the training set."""
    found = curves(frame, "accuracy")
    steps = [np.diff(c) for c in found.values()]
    down = sum(int((s <= 0).sum()) for s in steps)
    text = f"{down} of {sum(map(len, steps))} steps do not rise{sizes(found)}"
    return of_cases([bool((s > 0).all()) for s in steps], text)


def crop_best(frame: pd.DataFrame) -> Finding:
    """15. RandomCrop has the highest accuracy at every fraction."""
    winners = best(cells(frame, "accuracy"))
    counts = winners.map(TITLES).value_counts()
    return of_cases(winners == "crop", "best: " + ", ".join(f"{name} {count}" for name, count in counts.items()))


def worst_recipe(frame: pd.DataFrame) -> Finding:
    """16. The worst is Combined at 10%, no transform from 20 to 80%, ColorJitter from 90%."""
    table = cells(frame, "accuracy")
    worst, percent = best(table, lowest=True), table.index.get_level_values("percent")
    expected = np.where(percent <= 10, "combined", np.where(percent <= 80, "none", "color"))
    counts = worst.map(TITLES).value_counts()
    return of_cases(worst == expected, "worst: " + ", ".join(f"{name} {count}" for name, count in counts.items()))


def crop_gain_shrinks(frame: pd.DataFrame) -> Finding:
    """17. RandomCrop's gain over no transform is larger at the smallest training set than at the full one."""
    first, last = _ends(_gain(frame, "crop"))
    return of_cases(first > last, _from_to(first, last))


def combined_turns(frame: pd.DataFrame) -> Finding:
    """18. Combined is worse than no transform at the smallest training set and better at the full one."""
    first, last = _ends(_gain(frame, "combined"))
    return of_cases([*(first < 0), *(last > 0)], _from_to(first, last))


def geometry_beats_colour(frame: pd.DataFrame) -> Finding:
    """19. Every single geometric augmentation beats ColorJitter at 20% and more."""
    table = cells(frame, "accuracy")
    table = table[table.index.get_level_values("percent") >= 20]
    better = {name: table[name] > table["color"] for name in GEOMETRIC}
    text = ", ".join(f"{TITLES[name]} {values.sum()} of {len(values)}" for name, values in better.items())
    return of_cases(np.concatenate(list(better.values())), text if len(table) else "")


def discordant(frame: pd.DataFrame) -> Finding:
    """20. There are pairs of models of which the more accurate has the higher MSE."""
    per_seed = _agreements(frame)
    text = "; ".join(f"{share:.1%} of pairs, rho {rho:.2f}" for rho, share in per_seed)
    return of_cases([share > 0 for _, share in per_seed], text)


def unrelated(frame: pd.DataFrame) -> Finding:
    """20b. Accuracy and MSE are only loosely related: |rho| below .5."""
    per_seed = _agreements(frame)
    return of_cases([abs(rho) < 0.5 for rho, _ in per_seed], ", ".join(f"rho {rho:.2f}" for rho, _ in per_seed))


def mse_not_monotone(frame: pd.DataFrame) -> Finding:
    """21. The MSE falls at every step for RandomCrop and Combined, and for no other augmentation."""
    found = curves(frame, "mse")
    falls = {k: bool((np.diff(c) < 0).all()) for k, c in found.items()}
    names = sorted({name for (name, _), fell in falls.items() if fell}, key=list(TITLES).index)
    text = "falling in some seed: " + (", ".join(TITLES[n] for n in names) or "none") + sizes(found)
    return of_cases([fell == (name in ("crop", "combined")) for (name, _), fell in falls.items()], text if falls else "")


def mse_order(frame: pd.DataFrame) -> Finding:
    """22. At the full training set Perspective and Combined are closest to the reference, none and ColorJitter furthest."""
    full = _full(cells(frame, "mse"))
    passed = []
    for _, row in full.drop(columns="crop").iterrows():
        order = list(row.sort_values().index)
        passed += [set(order[:2]) == {"perspective", "combined"}, set(order[-2:]) == {"none", "color"}]
    means = full.mean().sort_values()
    return of_cases(passed, ", ".join(f"{TITLES[name]} {value:.3f}" for name, value in means.items() if name != "crop"))


def mse_largest(frame: pd.DataFrame) -> Finding:
    """23. The largest MSE of all is that of Combined at the smallest training set."""
    rows = tested(frame).dropna(subset="mse")
    top = [g.loc[g["mse"].idxmax()] for _, g in rows.groupby("seed")] if len(rows) else []
    text = ", ".join(f"{TITLES[r['augmentation']]} at {r['percent']}% ({r['mse']:.3f})" for r in top)
    return of_cases([r["augmentation"] == "combined" and r["percent"] == rows["percent"].min() for r in top], text)


def _scribe_higher(metric: str):
    def check(frame: pd.DataFrame) -> Finding:
        gain = _published_gain(frame, metric)
        text = f"gain {100 * gain.min():+.1f} to {100 * gain.max():+.1f} points" if len(gain) else ""
        return of_cases(gain >= 0, text)

    return check


def not_significant(frame: pd.DataFrame) -> Finding:
    """27. Accuracies differ by at most 2.5 points, ECEs by at most 2."""
    gaps = {m: _published_gain(frame, m).abs() for m in ("accuracy", "ece_10")}
    text = ", ".join(f"largest in {m.split('_')[0]} {100 * g.max():.1f}" for m, g in gaps.items() if len(g))
    return of_cases([*(gaps["accuracy"] <= 0.025), *(gaps["ece_10"] <= 0.02)], text)


def same_trends(frame: pd.DataFrame) -> Finding:
    """28. The two models rank the augmentations alike: rank correlation at least .9 in accuracy, confidence and ECE."""
    both = pairs(frame, list(METRICS), "published")
    rho = {m: [] for m in METRICS}
    for _, g in both.groupby("seed"):
        for metric in METRICS:
            rho[metric].append(rank_correlation(g[metric, "softmax"], g[metric, "scribe"]))
    found = {m: [r for r in values if np.isfinite(r)] for m, values in rho.items()}
    text = ", ".join(f"{m.split('_')[0]} {min(v):.2f} to {max(v):.2f}" for m, v in found.items() if v)
    return of_cases([r >= 0.9 for values in found.values() for r in values], text)


def over_confident(frame: pd.DataFrame) -> Finding:
    """29. Every model of Table 3 is over-confident, and that is all of its ECE, within .3 points."""
    full = pd.concat([tested(frame), tested(frame, "softmax", variant="published")])
    full = full[full["percent"] == 100]
    over = full["confidence"] - full["accuracy"]
    alike = (full["ece_10"] - over).abs() <= 0.003 + 1e-9
    text = f"over-confident {int((over > 0).sum())}, ECE within .3 points {int(alike.sum())} of {len(full)}"
    return of_cases((over > 0) & alike, text)


def matched_gain(frame: pd.DataFrame) -> Finding:
    """30. With the same trunk and learning rate SCrIBE's gain in accuracy is gone: its interval lies below the smallest gain
    of the paper, .9 points. An interval above 0 refutes it; a wide one leaves it open.
    """
    mean, low, high = gain_interval(frame, "accuracy")
    if not np.isfinite(low):
        return undecided("no runs for it yet" if np.isnan(mean) else f"{100 * mean:+.2f} points, one seed")
    text = f"{100 * mean:+.2f} points [{100 * low:+.2f}, {100 * high:+.2f}]"
    published, *_ = gain_interval(frame, "accuracy", "published")
    if np.isfinite(published):
        text += f"; as published {100 * published:+.2f}"
    verdict = Verdict.FAILS if low > 0 else Verdict.HOLDS if high < SMALLEST_GAIN else Verdict.UNDECIDED
    return Finding(verdict, text)


def ece_falls(frame: pd.DataFrame) -> Finding:
    """31. ECE falls with the training set: rank correlation at most -.9 for every augmentation."""
    found = curves(frame, "ece_10")
    rho = correlations(found)
    return of_cases([r <= -0.9 for r in rho], spread(rho) + sizes(found))


def combined_calibrated(frame: pd.DataFrame) -> Finding:
    """32. Combined has the lowest ECE and the lowest confidence at every fraction."""
    lowest = {m: best(cells(frame, m), lowest=True) == "combined" for m in ("ece_10", "confidence")}
    text = ", ".join(f"{m.split('_')[0]} {v.sum()} of {len(v)}" for m, v in lowest.items())
    return of_cases(np.concatenate(list(lowest.values())), text)


def sparse_is_miscalibrated(frame: pd.DataFrame) -> Finding:
    """33. Over augmentations ECE and sparsity agree: rank correlation at least .8 at both ends of the size axis."""
    sparse, error = cells(frame), cells(frame, "ece_10")
    percent = sparse.index.get_level_values("percent")
    at_ends = sparse.index[(percent == percent.min()) | (percent == percent.max())] if len(sparse) else []
    rho = [rank_correlation(sparse.loc[i], error.loc[i]) for i in at_ends]
    rho = [r for r in rho if np.isfinite(r)]
    return of_cases([r >= 0.8 for r in rho], spread(rho))


def fragments_are_miscalibrated(frame: pd.DataFrame) -> Finding:
    """33b. Over augmentations, at the smallest training set, the number of regions and ECE agree (rank correlation .8)."""
    pieces, error = cells(frame, "regions"), cells(frame, "ece_10")
    percent = pieces.index.get_level_values("percent")
    smallest = pieces.index[percent == percent.min()] if len(pieces) else []
    rho = [rank_correlation(pieces.loc[i], error.loc[i]) for i in smallest]
    rho = [r for r in rho if np.isfinite(r)]
    return of_cases([r >= 0.8 for r in rho], spread(rho))


def sparse_is_calibrated_within(frame: pd.DataFrame) -> Finding:
    """34. Within an augmentation ECE falls as sparsity grows: the opposite sign."""
    sparse, error = curves(frame, "sparsity"), curves(frame, "ece_10")
    rho = [rank_correlation(sparse[k], error[k]) for k in sparse]
    rho = [r for r in rho if np.isfinite(r)]
    return of_cases([r < 0 for r in rho], spread(rho))


def _agreements(frame: pd.DataFrame) -> list[tuple[float, float]]:
    rows = tested(frame).dropna(subset="mse")
    found = [agreement(g) for _, g in rows.groupby("seed")]
    return [(rho, share) for rho, share in found if np.isfinite(rho)]


def _gain(frame: pd.DataFrame, name: str) -> pd.Series:
    """Accuracy of an augmentation minus that without, by (seed, percent)."""
    table = cells(frame, "accuracy")
    return table[name] - table["none"]


def _ends(values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """The values at the smallest and at the full training set, of seeds that have both."""
    table = values.unstack("percent")
    if table.shape[1] < 2:
        return np.empty(0), np.empty(0)
    both = table[[table.columns.min(), table.columns.max()]].dropna().to_numpy()
    return both[:, 0], both[:, 1]


def _from_to(first: np.ndarray, last: np.ndarray) -> str:
    return f"mean gain {100 * first.mean():+.1f} to {100 * last.mean():+.1f} points" if len(first) else ""


def _full(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.index.get_level_values("percent") == 100]


def _published_gain(frame: pd.DataFrame, metric: str) -> pd.Series:
    both = pairs(frame, [metric], "published")
    return both[metric, "scribe"] - both[metric, "softmax"]


CLAIMS = (
    Claim("14", "Accuracy rises at every step of the training set.", "Table 2", "7 of 7 rows", accuracy_grows),
    Claim("15", "RandomCrop has the highest accuracy at every size.", "3.3, Table 2", "10 of 10 columns", crop_best),
    Claim("16", "The worst recipe is Combined at 10%, no transform from 20 to 80%, ColorJitter from 90%.",
          "Table 2", "10 of 10 columns", worst_recipe),
    Claim("17", "RandomCrop's gain over no transform shrinks as the training set grows.",
          "Table 2", "8.1 to 4.9 points", crop_gain_shrinks),
    Claim("18", "Combined hurts at the smallest training set and helps at the full one.",
          "Table 2", "-2.2 to +3.6 points", combined_turns),
    Claim("19", "Every single geometric augmentation beats ColorJitter from 20% on.",
          "1, Table 2", "36 of 36 cells", geometry_beats_colour),
    Claim("20", "High accuracy does not imply a low MSE: some more accurate models look elsewhere than the best.",
          "3.3, Table 2", "14.6% of pairs are discordant", discordant),
    Claim("20b", "Critical: the stronger reading, accuracy and MSE are hardly related (|rho| below .5).",
          "from Table 2", "rho -.87: false", unrelated, own=True),
    Claim("21", "The MSE falls at every step for RandomCrop and Combined, and for no other augmentation.",
          "Table 2", "7 of 7 rows", mse_not_monotone),
    Claim("22", "At the full training set RandomPerspective and Combined look most like the best model, no transform and "
          "ColorJitter least.", "Table 2", ".032, .037; .066, .070", mse_order),
    Claim("23", "The largest MSE is that of Combined at the smallest training set.", "Table 2", ".295", mse_largest),
    Claim("24", "SCrIBE's accuracy is at least the softmax model's, for every augmentation.",
          "3.2, Table 3", "+.9 to +2.2 points in 7 of 7 rows", _scribe_higher("accuracy")),
    Claim("25", "SCrIBE's confidence is at least the softmax model's.",
          "3.2, Table 3", "+2.0 to +3.5 points in 7 of 7 rows", _scribe_higher("confidence")),
    Claim("26", "SCrIBE's ECE is at least the softmax model's.",
          "3.2, Table 3", "+.6 to +1.5 points in 7 of 7 rows", _scribe_higher("ece_10")),
    Claim("27", "The differences are small: at most 2.5 points of accuracy and 2 of ECE ('not significant').",
          "3.2, Table 3", "at most 2.2 and 1.5", not_significant),
    Claim("28", "Both models rank the augmentations alike in accuracy, confidence and ECE (rank correlation at least .9).",
          "3.2, Table 3", "1.00, .955, .991", same_trends),
    Claim("29", "Every model is over-confident, and that is its whole ECE, within .3 points.",
          "Table 3", "14 of 14 cells", over_confident),
    Claim("30", "Critical: with the same trunk and learning rate for both heads the gain of 24 is gone.",
          "from the released notebooks", "trunk and learning rate differ", matched_gain, own=True),
    Claim("31", "ECE falls as the training set grows, for every augmentation (rank correlation at most -.9).",
          "3.4, Figure 2", "7 of 7 curves", ece_falls),
    Claim("32", "Combined has the lowest ECE and the lowest confidence at every size.",
          "3.4, Figure 2", "by eye, all sizes", combined_calibrated),
    Claim("33", "Small regions mean poor calibration: over augmentations sparsity and ECE go together (rank correlation at "
          "least .8).", "3.4", ".964 at 100%", sparse_is_miscalibrated),
    Claim("33b", "For small training sets, augmentations whose regions fall into more pieces are worse calibrated (rank "
          "correlation at least .8).", "3.4, Figures 1 and 2", "by eye", fragments_are_miscalibrated),
    Claim("34", "Critical: within an augmentation, over sizes, they go against each other.",
          "from Table 1 and Figure 2", "opposite signs", sparse_is_calibrated_within, own=True),
)  # fmt: skip
