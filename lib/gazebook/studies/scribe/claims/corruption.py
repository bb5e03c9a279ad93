"""Claims 35 to 50: corrupted pictures (section 3.5, Figure 3). Cases are models trained on all images unless said."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gazebook.metrics import rank_correlation
from gazebook.studies.scribe.claims.select import (
    MILD,
    NOISE,
    NOISY,
    against_clean,
    best,
    by_augmentation,
    corrupted,
    share,
    spread,
)
from gazebook.studies.scribe.runs import REFERENCE
from gazebook.studies.scribe.tidy import TITLES, tested, wide
from gazebook.studies.verdicts import Claim, Finding, of_cases

MODEL = ["augmentation", "seed"]


def degrades(frame: pd.DataFrame) -> Finding:
    """35. Every corruption at every severity lowers accuracy (mean over the models)."""
    drops = _drops(frame)
    mean = drops.groupby(["condition", "severity"])["drop"].mean()
    text = f"mean drop {100 * mean.min():.1f} to {100 * mean.max():.1f} points" if len(mean) else ""
    return of_cases(mean >= 0, text)


def worse_with_severity(frame: pd.DataFrame) -> Finding:
    """36. Accuracy falls with severity: rank correlation at most -.9 for every corruption (mean over the models)."""
    mean = corrupted(frame).groupby(["condition", "severity"])["accuracy"].mean()
    rho = {name: rank_correlation(g.index.get_level_values("severity"), g) for name, g in mean.groupby("condition")}
    rho = {name: r for name, r in rho.items() if np.isfinite(r)}
    weak = ", ".join(f"{name} {r:.2f}" for name, r in rho.items() if r > -0.9)
    return of_cases([r <= -0.9 for r in rho.values()], f"not: {weak}" if weak else "")


def mild_and_harsh(frame: pd.DataFrame) -> Finding:
    """37. Brightness, saturate, blurs and JPEG cost less accuracy than noise, spatter, weather and contrast."""
    drops = _drops(frame)
    mean = drops.groupby([*MODEL, drops["condition"].isin(MILD)])["drop"].mean().unstack().dropna()
    if not {True, False} <= set(mean.columns):
        return of_cases([])
    text = f"mean drop {100 * mean[True].mean():.1f} against {100 * mean[False].mean():.1f} points"
    return of_cases(mean[True] < mean[False], text)


def noise_at_once(frame: pd.DataFrame) -> Finding:
    """38. Noise at severity 1 costs more than the mild group at severity 3."""
    drops = _drops(frame)
    noise = drops[drops["condition"].isin(NOISE) & (drops["severity"] == 1)].set_index([*MODEL, "condition"])["drop"]
    mild = drops[drops["condition"].isin(MILD) & (drops["severity"] == 3)].groupby(MODEL)["drop"].mean()
    if not len(noise) or not len(mild):
        return of_cases([])
    each = noise.unstack("condition")
    text = ", ".join(f"{name} {100 * each[name].mean():.1f}" for name in each) + f", mild {100 * mild.mean():.1f} points"
    return of_cases(each.gt(mild, axis=0).to_numpy().ravel(), text)


def chaotic(frame: pd.DataFrame) -> Finding:
    """39. Under noise more training images do not steadily help: accuracy follows size less than on clean pictures, and
    for some augmentation by less than .8 in rank correlation.
    """
    clean = _size_correlation(tested(frame))
    passed, texts = [], []
    for name in NOISE:
        rows = corrupted(frame, percent=None)
        noisy = _size_correlation(rows[rows["condition"] == name])
        for seed, g in noisy.groupby("seed"):
            passed.append(g.min() < 0.8 and g.mean() < clean.xs(seed, level="seed").mean())
        if len(noisy):
            texts.append(f"{name}: lowest {noisy.min():.2f}, mean {noisy.mean():.2f}")
    return of_cases(passed, "; ".join([*texts, f"clean: mean {clean.mean():.2f}"]) if texts else "")


def bright_is_plane_or_ship(frame: pd.DataFrame) -> Finding:
    """40. Brightness at severity 5 makes the most overfit model (no transform, smallest set) say plane or ship: more often
    than on clean pictures, and in more than a fifth of them.
    """
    rows = share(frame, "predicted", "airplane", "ship")
    some = corrupted(rows, percent=None)
    some = some[(some["condition"] == "brightness") & (some["severity"] == 5) & (some["augmentation"] == "none")]
    some = some[some["percent"] == some["percent"].min()]
    rise = against_clean(some, rows, "share")
    return of_cases((rise > 0) & (some["share"] > 0.2), _shares(some, rise))


def pale_is_deer_plane_ship(frame: pd.DataFrame) -> Finding:
    """41. Low contrast (severity 3 to 5) puts more deer, plane and ship into the region than clean pictures have."""
    return _region_grows(frame, ("contrast",), ("deer", "airplane", "ship"), severities=(3, 4, 5))


def noise_is_frog_and_bird(frame: pd.DataFrame) -> Finding:
    """42. Noise, spatter and snow put more frog and bird into the region; at severity 5 of both noises at least half of
    the pictures have a pixel of one of them. The share with either is known from below (the larger of the two) and from
    above (their sum); models for which that leaves it open do not count.
    """
    found = _region_rise(frame, NOISY, ("frog", "bird"))
    if found.empty:
        return of_cases([])
    strongest = corrupted(frame)
    strongest = strongest[(strongest["severity"] == 5) & strongest["condition"].isin(NOISE)]
    two = strongest[["present:frog", "present:bird"]].astype(float)
    low, high = two.max(axis=1), two.sum(axis=1).clip(upper=1)
    decided = (low >= 0.5) | (high < 0.5)
    text = f"{_region_text(found)}; at severity 5 of noise frog or bird in {low.min():.0%} to {high.max():.0%} of the pictures"
    return of_cases([*(found["rise"] > 0), *(low[decided] >= 0.5)], text)


def saturation_like_noise(frame: pd.DataFrame) -> Finding:
    """43. Saturation at severity 5 puts more frog and bird into the region than at severity 1."""
    rows = corrupted(share(frame, "mask", "frog", "bird"))
    table = wide(rows[rows["condition"] == "saturate"], MODEL, "severity", "share")
    if not {1, 5} <= set(table.columns):
        return of_cases([])
    return of_cases(table[5] > table[1], f"mean share {table[1].mean():.2f} to {table[5].mean():.2f}")


def fog_is_cat(frame: pd.DataFrame) -> Finding:
    """44. Fog makes more pictures show cat, most of all for Combined."""
    rows = share(frame, "present", "cat")
    foggy = corrupted(rows)
    foggy = foggy[foggy["condition"] == "fog"]
    rise = against_clean(foggy, rows, "share").groupby([foggy[c] for c in MODEL]).mean()
    most = best(wide(foggy, ["seed"], "augmentation", "share", TITLES).dropna())
    text = f"mean rise {rise.mean():+.2f}" if len(rise) else ""
    if len(most):
        text += f"; most for {', '.join(most.map(TITLES))}"
        text += f"; largest rise for {TITLES[rise.groupby('augmentation').mean().idxmax()]}"
    return of_cases([*(rise > 0), *(most == "combined")], text)


def same_under_corruption(frame: pd.DataFrame) -> Finding:
    """28b. On corrupted pictures too the two heads rank conditions alike: over corruptions and severities the rank
    correlation of their accuracies is at least .9.
    """
    keys = [*MODEL, "condition", "severity"]
    both = [corrupted(frame, head).groupby(keys)["accuracy"].mean() for head in ("scribe", "softmax")]
    pair = pd.concat(both, axis=1, keys=("scribe", "softmax")).dropna()
    rho = [rank_correlation(g["scribe"], g["softmax"]) for _, g in pair.groupby(MODEL)]
    rho = [r for r in rho if np.isfinite(r)]
    return of_cases([r >= 0.9 for r in rho], spread(rho))


def _best(name: str, conditions: tuple[str, ...], metrics: tuple[str, ...] = ("accuracy",)):
    def check(frame: pd.DataFrame) -> Finding:
        rows = corrupted(frame)
        rows = rows[rows["condition"].isin(conditions)]
        passed, winners = [], []
        for metric in metrics:
            winners.append(best(by_augmentation(rows, metric), lowest=metric.startswith("ece")))
            passed += list(winners[-1] == name)
        counts = pd.concat(winners).map(TITLES).value_counts()
        return of_cases(passed, "best: " + ", ".join(f"{title} {count}" for title, count in counts.items()))

    return check


def combined_calibrated_not_best(frame: pd.DataFrame) -> Finding:
    """49. Combined has the lowest ECE for most corruptions, and the highest accuracy for none."""
    rows = corrupted(frame)
    calibrated = best(by_augmentation(rows, "ece_10"), lowest=True) == "combined"
    accurate = best(by_augmentation(rows, "accuracy")) == "combined"
    by_seed = [s.groupby("seed").sum() for s in (calibrated, accurate)]
    count = rows["condition"].nunique()
    text = f"lowest ECE {calibrated.sum()} of {len(calibrated)}, highest accuracy {accurate.sum()} of {len(accurate)}"
    return of_cases([*(by_seed[0] > count / 2), *(by_seed[1] == 0)], text)


def masks_stay(frame: pd.DataFrame) -> Finding:
    """50. At severity 3 the reference model's attention stays where it was under mild corruptions, more than under harsh."""
    augmentation, percent = REFERENCE
    rows = corrupted(frame, percent=percent)
    rows = rows[(rows["augmentation"] == augmentation) & (rows["severity"] == 3)].dropna(subset="mse_clean")
    mse = rows.groupby(["seed", rows["condition"].isin(MILD)])["mse_clean"].mean().unstack()
    if not {True, False} <= set(mse.columns):
        return of_cases([])
    return of_cases(mse[True] < mse[False], f"mean MSE {mse[True].mean():.3f} against {mse[False].mean():.3f}")


def _drops(frame: pd.DataFrame) -> pd.DataFrame:
    rows = corrupted(frame)
    return rows.assign(drop=-against_clean(rows, frame, "accuracy"))


def _size_correlation(rows: pd.DataFrame) -> pd.Series:
    """Rank correlation of size and accuracy (mean over severities) by (augmentation, seed)."""
    curves = wide(rows, MODEL, "percent", "accuracy")
    rho = [rank_correlation(row.dropna().index, row.dropna()) for _, row in curves.iterrows()]
    return pd.Series(rho, curves.index, dtype=float).dropna()


def _shares(rows: pd.DataFrame, rise: pd.Series) -> str:
    return f"mean share {rows['share'].mean():.2f}, clean {(rows['share'] - rise).mean():.2f}" if len(rows) else ""


def _region_rise(frame, conditions, names, severities=(1, 2, 3, 4, 5)) -> pd.DataFrame:
    """By (corruption, augmentation, seed): mean share of the classes in the region, and its rise over clean pictures."""
    rows = share(frame, "mask", *names)
    some = corrupted(rows)
    some = some[some["condition"].isin(conditions) & some["severity"].isin(severities)]
    return some.assign(rise=against_clean(some, rows, "share")).groupby(["condition", *MODEL])[["share", "rise"]].mean()


def _region_grows(frame, conditions, names, severities=(1, 2, 3, 4, 5)) -> Finding:
    found = _region_rise(frame, conditions, names, severities)
    return of_cases(found["rise"] > 0, _region_text(found))


def _region_text(found: pd.DataFrame) -> str:
    means = found.groupby("condition").mean()
    text = ", ".join(f"{name} {m['share'] - m['rise']:.2f} to {m['share']:.2f}" for name, m in means.iterrows())
    return f"mean share, clean to corrupted: {text}" if text else ""


CLAIMS = (
    Claim("28b", "The two models show the same trends for various testing inputs: corruptions and severities rank alike (rank "
          "correlation of accuracy at least .9).", "3.2", "in words", same_under_corruption),
    Claim("35", "Every corruption lowers accuracy, at every severity.", "3.5", "all perturbations degrade", degrades),
    Claim("36", "The stronger the corruption, the lower the accuracy (rank correlation at most -.9).",
          "3.5", "not shown", worse_with_severity),
    Claim("37", "Brightness, saturation, blurs and JPEG are mild; noise, spatter, snow, fog and contrast are not.",
          "3.5", "not drastic, in words", mild_and_harsh),
    Claim("38", "Noise is catastrophic even at its lowest level: worse than the mild group at level 3.",
          "3.5", "chaotic even at low levels, in words", noise_at_once),
    Claim("39", "Under noise the trend with training set size is chaotic.", "3.5", "in words", chaotic),
    Claim("40", "Brightness makes a highly overfit model see planes and ships.", "3.5", "in words", bright_is_plane_or_ship),
    Claim("41", "Low contrast makes the models see deer, planes and ships.", "3.5", "in words", pale_is_deer_plane_ship),
    Claim("42", "Noise, spatter and snow make the models see frogs and birds; strong noise does so in almost all images.",
          "3.5", "in words", noise_is_frog_and_bird),
    Claim("43", "Strong saturation behaves like noise: more frogs and birds.", "3.5", "in words", saturation_like_noise),
    Claim("44", "Fog makes the models see cats, Combined most of all.", "3.5", "in words", fog_is_cat),
    Claim("45", "ColorJitter is best for brightness, contrast, saturation and fog, in accuracy and ECE.",
          "3.5", "in words", _best("color", ("brightness", "contrast", "saturate", "fog"), ("accuracy", "ece_10"))),
    Claim("46", "RandomPerspective is best for defocus and motion blur.",
          "3.5", "in words", _best("perspective", ("defocus_blur", "motion_blur"))),
    Claim("47", "RandomCrop is best for zoom blur.", "3.5", "in words", _best("crop", ("zoom_blur",))),
    Claim("48", "RandomRotation is best for gaussian and impulse noise, spatter and snow.",
          "3.5", "in words", _best("rotate", NOISY)),
    Claim("49", "Combined has the lowest ECE for most corruptions, and the highest accuracy for none.",
          "3.5", "in words", combined_calibrated_not_best),
    Claim("50", "Masks stay on the object under mild corruptions, not under harsh ones.",
          "3.5, Figure 3", "by eye", masks_stay),
)  # fmt: skip
