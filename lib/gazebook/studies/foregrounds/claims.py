"""What the paper's abstract finds, and this book's questions about its rulers, as predicates over the tidy results.

Written when the first ten models of scenes at one seed had been looked at, before any result on pictures, cues, transformers
and contrastive nets. A review then changed some when eighteen were known: all models are tested on the same scenes; 5 and C14
take intervals; 6 leaves out runs that cannot decide; ties between attributes count in part (C12 to C14). No threshold was
changed. The paper's text could not be had: its findings are the abstract's.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from gazebook import metrics
from gazebook.data.noise import KINDS
from gazebook.studies.foregrounds import tidy
from gazebook.studies.foregrounds.attributes import WAYS
from gazebook.studies.foregrounds.runs import (
    PROBED,
    PROBED_VIT,
    RESNET,
    ROBUST,
    SIMCLR,
    SIMCLR_VIT,
    TRANSFORMERS,
    VIT,
)  # fmt: skip
from gazebook.studies.verdicts import Claim, Finding, of_cases, of_intervals, of_sign, undecided

RANKS = 0.8  # rank correlation with the truth from which a ruler counts as good (notes of this book, before any run)


def robust_is_lower(frame: pd.DataFrame) -> Finding:
    """1. RFS of residual nets minus that of adversarially trained ones, on scenes and pictures, both kinds of noise."""
    return _lower(frame, ROBUST, RESNET)


def contrastive_is_lower(frame: pd.DataFrame) -> Finding:
    """2. RFS of a probed supervised residual net minus that of a probed contrastive one."""
    return _lower(frame, SIMCLR, PROBED)


def contrastive_transformer_is_lower(frame: pd.DataFrame) -> Finding:
    """3. The same of transformers."""
    return _lower(frame, SIMCLR_VIT, PROBED_VIT)


def transformers_adapt(frame: pd.DataFrame) -> Finding:
    """4. RFS of transformers at the highest level that is not near chance minus that at the lowest."""
    return of_intervals(*_rises(frame, TRANSFORMERS))


def transformers_adapt_more(frame: pd.DataFrame) -> Finding:
    """5. That rise of a ViT minus that of a residual net, seed by seed, over the levels in a warning zone for neither."""
    cases = []
    for part in _parts(frame):
        for kind in KINDS:
            rows = _usable(frame, part, kind, (VIT, RESNET))
            common = rows.groupby(["seed", "level"])["model"].transform("nunique") == 2
            rise = {(model, seed): case for model, seed, *case in _ends(rows[common])}
            for seed in rows["seed"].unique():
                if {(VIT, seed), (RESNET, seed)} <= set(rise):
                    (a, a_low, a_high), (b, b_low, b_high) = rise[VIT, seed], rise[RESNET, seed]
                    half = float(np.hypot(a_high - a_low, b_high - b_low) / 2)
                    cases.append((a - b, a - b - half, a - b + half))
    return of_intervals(cases, ", ".join(f"{c[0]:+.2f}" for c in cases))


def worst_pictures_show_the_cue(frame: pd.DataFrame) -> Finding:
    """6. Recall of the planted cue among the five worst-aligned pictures, against its share among all that are named so. Runs
    in which all of those show it, or none, or in which they are five or fewer, decide nothing.
    """
    rows = tidy.of(frame, "discovery", "cues", level=5, condition="delta_density")
    rows = rows[(rows["chance"] > 0) & (rows["chance"] < 1) & (rows["images"] > 5)]
    text = f"mean recall {rows['value'].mean():.2f}, chance {rows['chance'].mean():.2f}" if len(rows) else ""
    return of_cases(rows["value"] > rows["chance"], text)


def saliency_finds_the_object(frame: pd.DataFrame) -> Finding:
    """7. Mean delta density with the pictures' own masks against masks of other pictures, model by model."""
    rows = pd.concat([tidy.of_family(frame, "alignment", part) for part in _parts(frame)])
    rows = rows[rows["condition"] == "delta_density"]
    wide = rows.pivot_table(index=["part", "key"], columns="mask", values="value")
    if not {"own", "shuffled masks"} <= set(wide):
        return undecided("no runs for it yet")
    return of_cases(wide["own"] > wide["shuffled masks"])


def robust_really_uses_backgrounds(frame: pd.DataFrame) -> Finding:
    """C1. What predictions follow, object minus background: residual nets minus adversarially trained ones."""
    return _truth_lower(frame, ROBUST, RESNET)


def contrastive_really_uses_backgrounds(frame: pd.DataFrame) -> Finding:
    """C2. The same of probed supervised and contrastive residual nets."""
    return _truth_lower(frame, SIMCLR, PROBED)


def ranks_as_truth(frame: pd.DataFrame) -> Finding:
    """C3. Rank correlation of RFS over all levels and the truth, over all models of scenes, for each kind of noise."""
    return _ranks(frame, lambda kind: tidy.of(frame, "levels", condition=kind, mask="own"))


def ranks_the_family(frame: pd.DataFrame) -> Finding:
    """C4. The same over the family at one correlation alone."""
    return _ranks(frame, lambda kind: tidy.of_family(frame, "levels", condition=kind, mask="own"))


def matched_ranks_the_family(frame: pd.DataFrame) -> Finding:
    """C5. The same with RFS at one mean accuracy."""
    return _ranks(frame, lambda kind: tidy.matched(frame, "scenes", kind)[1])


def area_moves_it(frame: pd.DataFrame) -> Finding:
    """C6. Fixed sigma: RFS of a model is higher for the third of its pictures with the largest objects than the smallest."""
    rows = tidy.of(frame, "thirds", condition="sigma").pivot_table(index="key", columns="third", values="value")
    if rows.empty:
        return undecided("no runs for it yet")
    return of_cases(rows["large"] > rows["small"], f"mean {(rows['large'] - rows['small']).mean():+.2f}")


def shuffled_masks_give_nothing(frame: pd.DataFrame) -> Finding:
    """C7. L2 noise in masks of other pictures: RFS below that with the pictures' own masks."""
    rows = tidy.of(frame, "levels", condition="l2").pivot_table(index="key", columns="mask", values="value")
    if not {"own", "shuffled"} <= set(rows):
        return undecided("no runs for it yet")
    return of_cases(rows["own"] > rows["shuffled"], f"own {rows['own'].mean():+.2f}, shuffled {rows['shuffled'].mean():+.2f}")


def grey_ranks_attributes(frame: pd.DataFrame) -> Finding:
    """C8. Rank correlation over attributes of the loss by greying and by removing, model by model."""
    return _proxy(frame, "grey")


def noise_ranks_attributes(frame: pd.DataFrame) -> Finding:
    """C9. The same of noise in the attribute, of either kind."""
    return _proxy(frame, "sigma", "l2")


def alignment_ranks_as_truth(frame: pd.DataFrame) -> Finding:
    """C10. Rank correlation of each alignment score and the truth, over all models of scenes."""
    rho = score_ranks(frame)
    text = ", ".join(f"{name} {value:.2f}" for name, value in rho.items())
    return of_cases([value >= RANKS for value in rho.values()], text)


def gaussian_is_beaten(frame: pd.DataFrame) -> Finding:
    """C11. Average precision of a net's own saliency above that of a Gaussian in the middle, model by model."""
    rows = pd.concat([tidy.of_family(frame, "alignment", part) for part in _parts(frame)])
    rows = rows[rows["condition"] == "average_precision"].pivot_table(index=["part", "key"], columns="mask", values="value")
    if "centred Gaussian" not in rows:
        return undecided("no runs for it yet")
    return of_cases(rows["own"] > rows["centred Gaussian"])


def location_beats_labels(frame: pd.DataFrame) -> Finding:
    """C12. Of units that answer to an attribute: location names it more often than the top pictures do."""
    return _units(frame, lambda t: t["location"] > t["top pictures"])


def independence_helps_labels(frame: pd.DataFrame) -> Finding:
    """C13. Top pictures name it more often when attributes are drawn independently than as they come."""
    rows = _unit_rows(frame)
    rows = rows[rows["condition"] == "top pictures"].pivot_table(index="key", columns="mask", values="value")
    if not {"independent in a class", "as they come"} <= set(rows):
        return undecided("no runs for it yet")
    return of_cases(rows["independent in a class"] > rows["as they come"])


def robust_units_are_clearer(frame: pd.DataFrame) -> Finding:
    """C14. Both sides agree on more units of adversarially trained nets than of standard ones."""
    rows = tidy.of(frame, "units", condition="both sides agree", mask="as they come")
    wide = rows.pivot_table(index="seed", columns="model", values="value")
    if not {ROBUST, RESNET} <= set(wide):
        return undecided("no runs for it yet")
    wide = wide.dropna(subset=[ROBUST, RESNET])
    return of_sign(wide[ROBUST] - wide[RESNET], f"robust {wide[ROBUST].mean():.2f}, standard {wide[RESNET].mean():.2f}")


def score_ranks(frame: pd.DataFrame) -> dict[str, float]:
    """Rank correlation with the truth of each alignment score, over all models of scenes; those with too few are left out."""
    found = {}
    for name in metrics.SCORES:
        rows = tidy.against_truth(frame, tidy.of(frame, "alignment", condition=name, mask="own"))
        rho = metrics.rank_correlation(rows["value"], rows["truth"])
        if np.isfinite(rho):
            found[name] = rho
    return found


def _lower(frame: pd.DataFrame, lower: str, higher: str) -> Finding:
    """Intervals of higher minus lower, a case a part, seed and kind; on scenes at the middle correlation."""
    cases, said = [], []
    for part in _parts(frame):
        rows = tidy.of_family(frame, "pairs", part, mask="own")
        rows = rows[rows["model"] == f"{lower} - {higher}"]
        cases += [(-r.value, -r.high, -r.low) for r in rows.itertuples()]
        if len(rows):
            said.append(f"{part} {', '.join(f'{v:+.2f}' for v in rows['value'])}")
    return of_intervals(cases, "; ".join(said))


def _truth_lower(frame: pd.DataFrame, lower: str, higher: str) -> Finding:
    rows = tidy.of_family(frame, "truth").set_index(["model", "seed"])
    cases = []
    for seed in sorted(frame["seed"].dropna().unique()):
        if {(lower, seed), (higher, seed)} <= set(rows.index):
            a, b = rows.loc[(higher, seed)], rows.loc[(lower, seed)]
            half = float(np.hypot(a["high"] - a["low"], b["high"] - b["low"]) / 2)
            value = float(a["value"] - b["value"])
            cases.append((value, value - half, value + half))
    return of_intervals(cases, ", ".join(f"{-v:+.2f}" for v, _, _ in cases))


def _rises(frame: pd.DataFrame, models: tuple[str, ...]) -> tuple[list, str]:
    """(rise, low, high) of each model, part, kind and seed, as of independent samples; and the values in words."""
    cases = [c[2:] for part in _parts(frame) for kind in KINDS for c in _ends(_usable(frame, part, kind, models))]
    return cases, ", ".join(f"{c[0]:+.2f}" for c in cases)


def _usable(frame: pd.DataFrame, part: str, kind: str, models: tuple[str, ...]) -> pd.DataFrame:
    rows = tidy.of_family(frame, "noise", part, condition=kind, mask="own")
    return rows[rows["model"].isin(models) & (rows["zone"] == "")]


def _ends(rows: pd.DataFrame) -> list[tuple]:
    """(model, seed, rise, low, high) of RFS from the lowest level to the highest."""
    found = []
    for (model, seed), own in rows.groupby(["model", "seed"], sort=False):
        own = own.sort_values("level")
        if len(own) >= 2:
            a, b = own.iloc[0], own.iloc[-1]
            half = float(np.hypot(a["high"] - a["low"], b["high"] - b["low"]) / 2)
            rise = float(b["value"] - a["value"])
            found.append((model, seed, rise, rise - half, rise + half))
    return found


def _parts(frame: pd.DataFrame) -> tuple[str, ...]:
    """Scenes and pictures; in the demo, whose pictures are the same scenes, those alone."""
    return frame.attrs.get("parts", ("scenes", "pictures"))


def _ranks(frame: pd.DataFrame, rows_of) -> Finding:
    rho = {}
    for kind in KINDS:
        rows = tidy.against_truth(frame, rows_of(kind))
        value = metrics.rank_correlation(rows["value"], rows["truth"])
        if np.isfinite(value):
            rho[kind] = (value, len(rows))
    text = ", ".join(f"{kind} rho {value:.2f} over {n} models" for kind, (value, n) in rho.items())
    return of_cases([value >= RANKS for value, _ in rho.values()], text)


def proxies(frame: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of each way with removal over attributes, a row a model of scenes, a column a way."""
    rows = tidy.of_family(frame, "attribute")
    found = []
    for key, own in rows.groupby("key", sort=False):
        wide = own.pivot_table(index="attribute", columns="condition", values="value")
        rho = {way: metrics.rank_correlation(wide["removed"], wide[way]) for way in WAYS[1:]}
        found.append({"key": key, "model": own["model"].iloc[0], **rho})
    return pd.DataFrame(found, columns=["key", "model", *WAYS[1:]])


def _proxy(frame: pd.DataFrame, *ways: str) -> Finding:
    table = proxies(frame)
    values = table[list(ways)].to_numpy(float).ravel()
    values = values[np.isfinite(values)]
    return of_cases(values >= RANKS, f"median rho {np.median(values):.2f}" if len(values) else "")


def _unit_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Without the probed supervised nets, whose units are those of the nets that they probe."""
    rows = tidy.of(frame, "units")
    return rows[~rows["model"].isin((PROBED, PROBED_VIT))]


def _units(frame: pd.DataFrame, test) -> Finding:
    wide = _unit_rows(frame).pivot_table(index=["key", "mask"], columns="condition", values="value")
    if wide.empty:
        return undecided("no runs for it yet")
    means = wide.mean()
    return of_cases(test(wide), ", ".join(f"{name} {means[name]:.2f}" for name in ("location", "top pictures", "AUROC")))


ABSTRACT, BOOK, FIELD = "abstract", "this book", "said in the field"
CLAIMS = (
    Claim("1", "In ResNets, adversarial training lowers relative foreground sensitivity.", ABSTRACT, "stated", robust_is_lower),
    Claim("2", "Contrastive training lowers it in ResNets.", ABSTRACT, "stated, CLIP and SimCLR", contrastive_is_lower),
    Claim("3", "Contrastive training lowers it in transformers.", ABSTRACT, "stated, CLIP", contrastive_transformer_is_lower),
    Claim("4", "Transformers raise it as noise grows.", ABSTRACT, "stated", transformers_adapt),
    Claim("5", "More than ResNets do.", "follow-up's figure, as read off", "DeiT-S rises longer than RN50",
          transformers_adapt_more),
    Claim("6", "The pictures with the worst-aligned saliency show spurious features.", ABSTRACT, "pictures",
          worst_pictures_show_the_cue),
    Claim("7", "Saliency points at the object, more than at objects of other pictures.", BOOK, "assessed by the abstract",
          saliency_finds_the_object, own=True),
    Claim("C1", "Adversarially trained ResNets really follow objects less, relative to backgrounds.", BOOK, "not measured",
          robust_really_uses_backgrounds, own=True),
    Claim("C2", "So do contrastive ResNets.", BOOK, "not measured",
          contrastive_really_uses_backgrounds, own=True),
    Claim("C3", "RFS ranks models of all kinds of training scenes as the truth does.", BOOK, "not measured", ranks_as_truth,
          own=True),
    Claim("C4", "RFS ranks the family, trained on the same scenes, as the truth does.", BOOK, "not measured",
          ranks_the_family, own=True),
    Claim("C5", "RFS at matched accuracy does so.", BOOK, "not measured", matched_ranks_the_family, own=True),
    Claim("C6", "RFS under noise of fixed sigma grows with the object's area.", BOOK, "not measured", area_moves_it, own=True),
    Claim("C7", "With masks of other pictures RFS is lower than with the pictures' own.", BOOK, "not measured",
          shuffled_masks_give_nothing, own=True),
    Claim("C8", "Greying an attribute ranks attributes as removing them does.", BOOK, "not measured", grey_ranks_attributes,
          own=True),
    Claim("C9", "Noise in an attribute does so.", BOOK, "not measured", noise_ranks_attributes, own=True),
    Claim("C10", "Saliency alignment ranks models as the truth.", BOOK, "not measured", alignment_ranks_as_truth, own=True),
    Claim("C11", "Saliency finds objects better than a Gaussian in the middle.", BOOK, "not measured", gaussian_is_beaten,
          own=True),
    Claim("C12", "Where a unit fires says better what it stands for than its top pictures do.", BOOK, "not measured",
          location_beats_labels, own=True),
    Claim("C13", "Top pictures say it better where attributes are independent within each class.", BOOK, "not measured",
          independence_helps_labels, own=True),
    Claim("C14", "Units of adversarially trained nets are easier to name.", FIELD, "not measured", robust_units_are_clearer,
          own=True),
)  # fmt: skip
