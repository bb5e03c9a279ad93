"""The tables of part 3."""

from __future__ import annotations

import pandas as pd

from gazebook import metrics
from gazebook.studies.foregrounds import claims, tidy
from gazebook.studies.foregrounds.attributes import WAYS
from gazebook.studies.foregrounds.units import WAYS as UNIT_WAYS

KINDS = {"sigma": "fixed sigma", "l2": "L2 norm"}
SCORES = {
    "iou": "IoU",
    "delta_density": "delta density",
    "average_precision": "average precision",
    "precision": "precision",
    "recall": "recall",
}


def norm_table(frame: pd.DataFrame, part: str = "scenes") -> pd.DataFrame:
    """The norms that L2 noise really has after clipping, beside those asked for; the same for all models."""
    rows = tidy.of(frame, "noise", part, condition="l2", mask="own").drop_duplicates("level")
    table = rows[["level", "asked", "norm_fg", "norm_bg"]].set_index("level")
    table.columns = ["asked for, at this size", "in the foreground", "in the background"]
    return table.rename_axis("norm at 224 px")


def ruler_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of RFS with the truth: by kind of noise and level, over all levels, at matched accuracy."""
    middle = frame.attrs.get("middle", 0.5)
    found = []
    for kind, name in KINDS.items():
        noise = tidy.of(frame, "noise", condition=kind, mask="own")
        cases = [(f"level {level:g}", noise[noise["level"] == level]) for level in sorted(noise["level"].unique())]
        cases.append(("all levels", tidy.of(frame, "levels", condition=kind, mask="own")))
        for label, rows in cases:
            found.append({"noise": name, "by": label} | _rank(frame, rows, middle))
        found.append({"noise": name, "by": "matched accuracy"} | _rank(frame, tidy.matched(frame, "scenes", kind)[1], middle))
    return pd.DataFrame(found).set_index(["noise", "by"]) if found else pd.DataFrame()


def _rank(frame: pd.DataFrame, rows: pd.DataFrame, middle: float) -> dict:
    rows = tidy.against_truth(frame, rows)
    own = tidy.family(rows, middle)
    found = {"models": len(rows), "rho": metrics.rank_correlation(rows["value"], rows["truth"])}
    return found | {"family": len(own), "rho of the family": metrics.rank_correlation(own["value"], own["truth"])}


def family_table(frame: pd.DataFrame, part: str) -> pd.DataFrame:
    """The family: accuracy, what predictions follow (scenes), RFS by both kinds of noise, all levels and matched; mean over
    seeds.
    """
    columns = {"accuracy, %": tidy.to_average(frame, "clean", part).assign(value=lambda t: 100 * t["value"])}
    if part == "scenes":
        columns["object minus background"] = tidy.to_average(frame, "truth", part)
    for kind, name in KINDS.items():
        columns[f"RFS, {name}"] = tidy.to_average(frame, "levels", part, condition=kind, mask="own")
        found = tidy.matched(frame, part, kind)[1]
        columns[f"RFS, {name}, matched"] = found[found["seed"].isin(columns["accuracy, %"]["seed"])]
    return pd.DataFrame({name: rows.groupby("model", sort=False)["value"].mean() for name, rows in columns.items()})


def seed_table(frame: pd.DataFrame) -> pd.DataFrame:
    """RFS over all levels and the truth of those of the family on scenes that were trained more than once: a row a training."""
    middle = frame.attrs.get("middle", 0.5)
    columns = {f"RFS, {name}": tidy.of(frame, "levels", condition=kind, mask="own") for kind, name in KINDS.items()}
    columns["object minus background"] = tidy.of(frame, "truth")
    keys = ["model", "seed"]
    table = pd.DataFrame(
        {n: tidy.family(rows, middle).groupby(keys, sort=False)["value"].mean() for n, rows in columns.items()}
    )
    often = table.groupby("model", sort=False).size()
    return table[table.index.get_level_values("model").isin(often[often > 1].index)].sort_index(kind="stable")


def mask_table(frame: pd.DataFrame, part: str) -> pd.DataFrame:
    """RFS over all levels by the mask that says what the foreground is; mean over seeds."""
    rows = tidy.to_average(frame, "levels", part)
    if rows.empty:
        return pd.DataFrame()
    rows = rows.assign(condition=rows["condition"].map(KINDS) + ", " + rows["mask"])
    return rows.pivot_table(index="model", columns="condition", values="value", sort=False)


def attribute_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Loss of the true class's probability when an attribute is removed from the scene, in points: a column a model."""
    rows = tidy.to_average(frame, "attribute", condition="removed")
    return 100 * rows.pivot_table(index="attribute", columns="model", values="value", sort=False)


def proxy_table(frame: pd.DataFrame) -> pd.DataFrame:
    """How far each proxy is off: its rank correlation with removal over attributes, and its mean error in points."""
    rows = tidy.to_average(frame, "attribute")
    wide = rows.pivot_table(index=["key", "attribute"], columns="condition", values="value")
    ranks = claims.proxies(frame)
    found = []
    for way in WAYS[1:]:
        if way in wide:
            off = 100 * (wide[way] - wide["removed"])
            row = {"way": way, "rho with removal, median over models": ranks[way].median(), "mean error, points": off.mean()}
            found.append(row | {"mean absolute error": off.abs().mean()})
    return pd.DataFrame(found).set_index("way") if found else pd.DataFrame()


def alignment_table(frame: pd.DataFrame, part: str) -> pd.DataFrame:
    """Five scores of the family and of the controls (means over their models)."""
    rows = tidy.to_average(frame, "alignment", part)
    if rows.empty:
        return pd.DataFrame()
    rows = rows.assign(
        model=rows["model"].where(rows["mask"] == "own", "control: " + rows["mask"]), score=rows["condition"].map(SCORES)
    )
    return rows.pivot_table(index="model", columns="score", values="value", sort=False).reindex(columns=list(SCORES.values()))


def score_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of each alignment score with the truth over all models of scenes."""
    rho = claims.score_ranks(frame)
    return pd.DataFrame({"score": [SCORES[n] for n in rho], "rho": list(rho.values())}).set_index("score")


def cue_table(frame: pd.DataFrame) -> pd.DataFrame:
    """What the planted cue is worth: accuracy on the planted class with it and without, share of saliency on it."""
    rows = tidy.of(frame, "cue", "cues")
    table = rows.pivot_table(index=["model", "planted", "seed"], columns="condition", values="value", sort=False)
    return table.rename(columns={"with": "accuracy with", "without": "without", "share": "saliency on it"})


def discovery_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Recall of the cue among the worst-aligned pictures, by score; mean over runs."""
    rows = tidy.of(frame, "discovery", "cues")
    if rows.empty:
        return pd.DataFrame()
    table = rows.assign(score=rows["condition"].map(SCORES)).pivot_table(
        index="score", columns="level", values="value", sort=False
    )
    table.columns = [f"worst {k:g}" for k in table]
    detector = tidy.of(frame, "detector", "cues").groupby("condition", sort=False)["value"].mean().rename(SCORES)
    return table.assign(chance=rows["chance"].mean(), AUROC=detector)


def unit_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Share of units whose attribute each way names as removal does; mean over seeds."""
    rows = tidy.to_average(frame, "units")
    if rows.empty:
        return pd.DataFrame()
    table = rows.pivot_table(index=["model", "mask"], columns="condition", values="value", sort=False)
    table.insert(0, "units", rows.groupby(["model", "mask"], sort=False)["images"].mean())
    return table[["units", *UNIT_WAYS[:-1], "both sides agree"]].rename_axis(["model", "attributes"])
