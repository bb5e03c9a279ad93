"""What paper 2 finds, and this book's controls, as predicates over the tidy results.

Written before the runs were read, with these exceptions, which a review changed or added when the first seed was known: 8, 16b
and 20 are new, 12 became a test of equivalence, C5 and C7 ask more precisely, and differences are taken picture by picture.

Absolute accuracies are never compared with the paper's: it judges other nets on larger pictures of more kinds. What is
compared are signs, orders and gaps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from gazebook import metrics
from gazebook.studies.backgrounds import tidy
from gazebook.studies.backgrounds.runs import LARGE
from gazebook.studies.backgrounds.tidy import TITLES, natural, tested
from gazebook.studies.verdicts import Claim, Finding, Verdict, of_cases, of_intervals, undecided

BACKGROUNDS = ("only_bg_b", "only_bg_t", "no_fg")
NO_GAP = 0.03  # BG-gaps within so much of zero count as none
CLOSE = 0.05  # BG-gap and true reliance count as equal within so much


def background_classifies_original(frame: pd.DataFrame) -> Finding:
    """1. Trained on backgrounds alone, tested on Original: accuracy against chance."""
    rows = tested(frame, "original")
    return _above(rows[rows["training_set"].isin(BACKGROUNDS)], tidy.chance(frame))


def background_classifies_background(frame: pd.DataFrame) -> Finding:
    """2. Trained and tested on the same kind of background-only pictures: accuracy against chance."""
    rows = tested(frame)
    return _above(
        rows[rows["training_set"].isin(BACKGROUNDS) & (rows["training_set"] == rows["condition"])], tidy.chance(frame)
    )


def silhouette_helps(frame: pd.DataFrame) -> Finding:
    """3. Accuracy on No-FG minus accuracy on Only-BG-B of models of whole pictures."""
    return _above(natural(tested(frame, "hole", split="contrast")), 0)


def order_of_backgrounds(frame: pd.DataFrame) -> Finding:
    """4. Each trained and tested on its own kind: No-FG, then Only-BG-B, then Only-BG-T."""
    rows = tested(frame)
    rows = rows[rows["training_set"] == rows["condition"]]
    own = rows.pivot_table(index="seed", columns="condition", values="accuracy")
    own = own.reindex(columns=["no_fg", "only_bg_b", "only_bg_t"]).dropna()
    text = ", ".join(f"{TITLES[name]} {100 * value:.1f}" for name, value in own.mean().items()) if len(own) else ""
    cases = [case for pair in (("no_fg", "only_bg_b"), ("only_bg_b", "only_bg_t")) for case in _apart(rows, *pair)]
    return of_intervals(cases, text)


def box_leaks(frame: pd.DataFrame) -> Finding:
    """5. A forest that sees the box's place, size and shape: accuracy against chance."""
    return _above(tested(frame, "box geometry", split="control"), tidy.chance(frame))


def cutting_costs(frame: pd.DataFrame) -> Finding:
    """6. Accuracy on Original minus accuracy on Mixed-Same of models of whole pictures."""
    return _above(natural(tested(frame, "cut", split="contrast")), 0)


def gap_is_positive(frame: pd.DataFrame) -> Finding:
    """7. BG-gap of models of whole pictures and of pretrained models."""
    own = natural(tested(frame, "gap", split="contrast"))
    return _above(pd.concat([own, tested(frame, "gap", "pretrained", "contrast")]), 0)


def whole_pictures_teach_backgrounds(frame: pd.DataFrame) -> Finding:
    """8. Models of whole pictures on Only-BG-T: accuracy against chance."""
    return _above(natural(tested(frame, "only_bg_t")), tidy.chance(frame))


def pretrained_gap_is_smaller(frame: pd.DataFrame) -> Finding:
    """9. BG-gap of models of the nine classes (all pictures) minus that of each pretrained model."""
    own = _of(tested(frame, "gap", split="contrast"), LARGE)
    others = tested(frame, "gap", "pretrained", "contrast")
    return of_intervals([_minus(a, b) for _, a in own.iterrows() for _, b in others.iterrows()], _listed(own, others))


def most_are_vulnerable(frame: pd.DataFrame) -> Finding:
    """10. Share of foregrounds that some background fools, of models of whole pictures, against one half."""
    return _above(natural(tested(frame, "any", split="fooled")), 0.5)


def mixed_rand_closes_the_gap(frame: pd.DataFrame) -> Finding:
    """11. BG-gap of models of Original minus that of models of Mixed-Rand."""
    return _paired(frame, "gap")


def mixed_rand_gap_is_zero(frame: pd.DataFrame) -> Finding:
    """12. The interval of the BG-gap of models of Mixed-Rand lies within three points of zero; does not hold when it lies
    beyond them; undecided when it is too wide to tell.
    """
    rows = _of(tested(frame, "gap", split="contrast"), "mixed_rand")
    if not len(rows):
        return undecided("no runs for it yet")
    near = (rows["low"] >= -NO_GAP) & (rows["high"] <= NO_GAP)
    far = (rows["low"] > NO_GAP) | (rows["high"] < -NO_GAP)
    verdict = (
        Verdict.HOLDS if near.all() else Verdict.FAILS if far.all() else Verdict.PARTLY if near.any() else Verdict.UNDECIDED
    )
    text = ", ".join(f"{100 * r.accuracy:+.1f} [{100 * r.low:+.1f}, {100 * r.high:+.1f}]" for r in rows.itertuples())
    return Finding(verdict, f"{text} points")


def mixed_rand_costs_original(frame: pd.DataFrame) -> Finding:
    """13. Accuracy on Original of models of Original minus that of models of Mixed-Rand."""
    return _paired(frame, "original")


def mixed_rand_gains_mixed_rand(frame: pd.DataFrame) -> Finding:
    """14. Accuracy on Mixed-Rand of models of Mixed-Rand minus that of models of Original."""
    return _paired(frame, "mixed_rand", sign=-1)


def saliency_moves_inside(frame: pd.DataFrame) -> Finding:
    """15. Share of saliency inside the mask of models of Mixed-Rand minus that of models of Original, for two saliencies."""
    return _paired(frame, "cam", "gradient", sign=-1)


def background_is_needed(frame: pd.DataFrame) -> Finding:
    """16. Of the pictures classified rightly: the share that is wrong before most backgrounds, against one half."""
    return _above(natural(tested(frame, "needed", split="categories")), 0.5)


def background_is_needed_beyond_cutting(frame: pd.DataFrame) -> Finding:
    """16b. The same of the pictures that are also right before backgrounds of their own class."""
    return _above(natural(tested(frame, "needed, survives cutting", split="categories")), 0.5)


def progress_uses_backgrounds(frame: pd.DataFrame) -> Finding:
    """17. Slope of accuracy on Only-BG-T over accuracy on Original, across models."""
    return _slope(frame, lambda table: table["only_bg_t"])


def progress_uses_foregrounds_more(frame: pd.DataFrame) -> Finding:
    """18. Slope of accuracy on Mixed-Rand minus accuracy on Only-BG-T over accuracy on Original, across models."""
    return _slope(frame, lambda table: table["mixed_rand"] - table["only_bg_t"])


def progress_closes_the_gap(frame: pd.DataFrame) -> Finding:
    """19. Slope of minus BG-gap over accuracy on Original, across models."""
    return _slope(frame, lambda table: table["mixed_rand"] - table["mixed_same"])


def gap_ranks_correlation(frame: pd.DataFrame) -> Finding:
    """C1. Rank correlation of BG-gap and the correlation of background and class in training, seed by seed."""
    rows = tested(frame, "gap", "scenes", "contrast")
    rho = [metrics.rank_correlation(g["correlation"], g["accuracy"]) for _, g in rows.groupby("seed")]
    return _ranks(rho)


def gap_ranks_reliance(frame: pd.DataFrame) -> Finding:
    """C2. Rank correlation of BG-gap and true reliance over all models of scenes."""
    table = tidy.reliance(frame)
    return _ranks([metrics.rank_correlation(table["reliance"], table["gap"])] if len(table) else [])


def gap_is_reliance(frame: pd.DataFrame) -> Finding:
    """C3. BG-gap lies within five points of true reliance, model by model."""
    table = tidy.reliance(frame)
    off = table["gap"] - table["reliance"]
    text = f"gap minus reliance {100 * off.min():+.1f} to {100 * off.max():+.1f} points" if len(table) else ""
    return of_cases(off.abs() < CLOSE, text)


def silhouette_leaks(frame: pd.DataFrame) -> Finding:
    """C4. A forest that sees the silhouette alone: accuracy against chance."""
    return _above(tested(frame, "silhouette", split="control"), tidy.chance(frame))


def objects_differ(frame: pd.DataFrame) -> Finding:
    """C5. If all objects were equally easy to fool, and each try by itself, 1 - (1 - e)^10 of them would fall within ten
    backgrounds. That bound minus the share that does.
    """
    rows = natural(tested(frame, split="fooled"))
    one = rows[rows["condition"] == "1"].set_index(["model", "seed"])["accuracy"]
    ten = rows[rows["condition"] == "10"].set_index(["model", "seed"])
    bound = 1 - (1 - one) ** 10
    cases = [(bound[i] - r["accuracy"], bound[i] - r["high"], bound[i] - r["low"]) for i, r in ten.iterrows()]
    text = f"{100 * ten['accuracy'].mean():.1f}% fooled, {100 * bound.mean():.1f}% expected" if len(ten) else ""
    return of_intervals(cases, text)


def mixed_rand_is_less_vulnerable(frame: pd.DataFrame) -> Finding:
    """C6. Share of vulnerable foregrounds of models of Original minus that of models of Mixed-Rand."""
    return _paired(frame, "any")


def more_pictures_protect(frame: pd.DataFrame) -> Finding:
    """20. Share of vulnerable foregrounds of models of Original minus that of models of all pictures."""
    return _paired(frame, "any", less=LARGE)


def rectangle_fails(frame: pd.DataFrame) -> Finding:
    """C7. The authors' rectangle leaves more empty masks than the ellipse, on the same pictures at their own size."""
    table = tested(frame, split="masks").pivot_table(index="key", columns="condition", values="empty")
    if not {"rectangle", "ellipse"} <= set(table):
        return undecided("no runs for it yet")
    text = ", ".join(f"{name} {100 * value:.0f}% empty" for name, value in table.mean().items())
    return of_cases(table["rectangle"] > table["ellipse"], text)


def _slope(frame: pd.DataFrame, of: Callable[[pd.DataFrame], pd.Series]) -> Finding:
    table = tidy.models(frame)
    if not len(table):
        return undecided("no runs for it yet")
    found = tidy.slope(table["original"], of(table))
    return of_intervals([found], f"slope {found[0]:+.2f} [{found[1]:+.2f}, {found[2]:+.2f}] over {len(table)} models")


def _of(rows: pd.DataFrame, training_set: str) -> pd.DataFrame:
    return rows[rows["training_set"] == training_set]


def _above(rows: pd.DataFrame, threshold: float) -> Finding:
    cases = rows[["accuracy", "low", "high"]] - threshold
    return of_intervals(cases.itertuples(index=False, name=None), _listed(rows))


def _paired(frame: pd.DataFrame, *conditions: str, less: str = "mixed_rand", sign: int = 1) -> Finding:
    """Models of Original minus models of another training set, picture by picture, seed by seed; or the other way round."""
    rows = tested(frame, split=f"original - {less}")
    rows = rows[rows["condition"].isin(conditions)]
    cases = [tuple(sorted((sign * low, sign * high))) for low, high in zip(rows["low"], rows["high"], strict=True)]
    cases = [(sign * value, *bounds) for value, bounds in zip(rows["accuracy"], cases, strict=True)]
    return of_intervals(cases, ", ".join(f"{100 * v:+.1f}" for v, _, _ in cases) + " points" if cases else "")


def _apart(rows: pd.DataFrame, more: str, less: str) -> list[tuple[float, float, float]]:
    """Differences between two training sets, seed by seed, as of independent samples."""
    a, b = (_of(rows, name).set_index("seed") for name in (more, less))
    return [_minus(a.loc[seed], b.loc[seed]) for seed in a.index.intersection(b.index)]


def _minus(a: pd.Series, b: pd.Series) -> tuple[float, float, float]:
    """Difference of two means with the interval of independent samples: on the same pictures it is rather too wide."""
    half = float(np.hypot(a["high"] - a["low"], b["high"] - b["low"]) / 2)
    value = float(a["accuracy"] - b["accuracy"])
    return value, value - half, value + half


def _ranks(rho: list[float]) -> Finding:
    rho = [r for r in rho if np.isfinite(r)]
    if not rho:
        return undecided("fewer than three models to rank")
    return of_cases([r >= 0.9 for r in rho], ", ".join(f"rho {r:.2f}" for r in rho))


def _listed(*tables: pd.DataFrame) -> str:
    """'Only-BG-T 31.2, 30.8' in percent, one value a seed, for evidence."""
    parts = []
    for table in tables:
        for model, rows in table.groupby("model", sort=False):
            parts.append(f"{model} {', '.join(f'{100 * v:.1f}' for v in rows['accuracy'])}")
    return "; ".join(parts)


SUMMARY, README, BOOK = "summary", "the authors' README", "this book"
QUOTED = "quoted by others"  # from an appendix that we could not read
CLAIMS = (
    Claim("1", "Trained on backgrounds alone, models classify Original better than chance.",
          SUMMARY, "over 40%, chance 11.1%", background_classifies_original),
    Claim("2", "They classify backgrounds of their own kind better than chance.", QUOTED,
          "50 to 71%, if these are models on their own kind", background_classifies_background),
    Claim("3", "Models of whole pictures are better on No-FG than on Only-BG-B: the hole has the object's shape, and the "
          "background inside the box is left.", QUOTED, "about 13 points", silhouette_helps),
    Claim("4", "Of models trained and tested on one kind of background: No-FG leads, then Only-BG-B, then Only-BG-T.",
          QUOTED, "70.9, 54.3, 50.3, if so read", order_of_backgrounds),
    Claim("5", "Size and position of the box alone tell more than chance.", QUOTED, "about 23%", box_leaks),
    Claim("6", "Cutting out and pasting costs accuracy even when the new background is of the same class.", README,
          "6.6 points (IN-9L)", cutting_costs),
    Claim("7", "Models of whole pictures have a BG-gap above zero.", README, "14.2 (IN-9L), 5.8 to 10.2 (ImageNet)",
          gap_is_positive),
    Claim("8", "Models of whole pictures classify Only-BG-T better than chance.", QUOTED, "43.6% (IN-9L)",
          whole_pictures_teach_backgrounds),
    Claim("9", "Models of all of ImageNet have a smaller gap than models of the nine classes.", README,
          "5.8 to 10.2 against 14.2", pretrained_gap_is_smaller),
    Claim("10", "For most foregrounds there is a background that fools the model.", SUMMARY, "87.5%", most_are_vulnerable),
    Claim("11", "Training on Mixed-Rand makes the gap smaller.", README, "0.2 against 14.2", mixed_rand_closes_the_gap),
    Claim("12", "Trained on Mixed-Rand, no gap is left (within three points).", README, "0.2", mixed_rand_gap_is_zero),
    Claim("13", "Training on Mixed-Rand costs accuracy on Original.", README,
          "23 points (against IN-9L, four times the pictures)", mixed_rand_costs_original),
    Claim("14", "Training on Mixed-Rand gains accuracy on Mixed-Rand, with equally many pictures.", BOOK, "not compared",
          mixed_rand_gains_mixed_rand, own=True),
    Claim("15", "Trained on Mixed-Rand, saliency lies more on the foreground.", SUMMARY, "pictures", saliency_moves_inside),
    Claim("16", "For most pictures that are classified rightly, the background is necessary.", SUMMARY, "for most images",
          background_is_needed),
    Claim("16b", "Also for most of those that survive cutting and pasting onto a background of their class.", BOOK,
          "not compared", background_is_needed_beyond_cutting, own=True),
    Claim("17", "Better models are also better at backgrounds alone.", SUMMARY, "accuracy increases",
          progress_uses_backgrounds),
    Claim("18", "Better models gain more from foregrounds than from backgrounds.", SUMMARY, "increases more rapidly",
          progress_uses_foregrounds_more),
    Claim("19", "Better models have a smaller gap.", README, "10.2, 7.3, 5.8 from VGG16-BN to ResNet-152",
          progress_closes_the_gap),
    Claim("20", "A model of more pictures of the classes is less vulnerable.", "issue 3 of the authors' repository",
          "above 99% against 88.0%", more_pictures_protect),
    Claim("C1", "BG-gap ranks models of scenes by the correlation of background and class they were trained with.",
          BOOK, "not measured", gap_ranks_correlation, own=True),
    Claim("C2", "BG-gap ranks models of scenes by their true reliance on backgrounds.", BOOK, "not measured",
          gap_ranks_reliance, own=True),
    Claim("C3", "BG-gap equals true reliance within five points.", BOOK, "not measured", gap_is_reliance, own=True),
    Claim("C4", "A silhouette alone tells more than chance.", BOOK, "not measured", silhouette_leaks, own=True),
    Claim("C5", "Objects differ: fewer fall within ten backgrounds than if all were equally easy to fool.", BOOK,
          "not measured", objects_differ, own=True),
    Claim("C6", "Trained on Mixed-Rand, fewer foregrounds are vulnerable.", BOOK, "not measured",
          mixed_rand_is_less_vulnerable, own=True),
    Claim("C7", "At 64 pixels the authors' rectangle leaves more empty masks than the ellipse.", BOOK, "not measured",
          rectangle_fails, own=True),
)  # fmt: skip
