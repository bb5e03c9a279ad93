"""The results of paper 3 as one tidy table: a row for each run and thing measured."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from gazebook import data, evidence, metrics
from gazebook.data import scenes
from gazebook.evidence import select
from gazebook.evidence.frame import tidy
from gazebook.ledger import Ledger, Record
from gazebook.measure import units
from gazebook.measure.attributes import WAYS
from gazebook.measure.reliance import BACKGROUND, OBJECT
from gazebook.papers.foregrounds.grid import (
    AXES,
    RESNET,
    ROBUST_WEAK,
    TRANSFORMERS,
    Axes,
    parts,
)  # fmt: skip

RESPONSE = 0.3  # standard deviations: a unit whose activation falls by less, whatever is removed, stands for no attribute
WORST = (5, 10, 20)  # numbers of worst-aligned images looked at
THIRDS = ("small", "middle", "large")  # of the objects, by area
KINDS = {"sigma": "fixed sigma", "l2": "L2 norm"}
SCORES = {
    "iou": "IoU",
    "delta_density": "delta density",
    "average_precision": "average precision",
    "precision": "precision",
    "recall": "recall",
}
LABELS = ("correlation", "planted", "mask", "fg", "bg", "zone", "asked", "norm_fg", "norm_bg", "third", "attribute", "chance")
SALIENCY = ("alignment", "discovery", "detector", "saliency on cue")  # measures that Grad-CAM gives


def results(ledger: Ledger, axes: Axes | str, *names: str) -> pd.DataFrame:
    """The frame of the runs of a profile, or of `axes`, that are there; `names` limits them to some parts (`grid.parts`).

    `value` is RFS in measure "noise" (by kind, level and mask), "levels" (accuracies averaged over the levels first) and
    "thirds" (the same for small, middle and large objects); what the prediction follows, object minus background, in "truth"; a
    mean score in
    "alignment"; recall of the cue among the worst-aligned in "discovery"; the share of units whose attribute is found in
    "units"; a mean loss of probability in "attribute". `fg` and `bg` are the accuracies under noise.
    """
    axes = AXES[axes] if isinstance(axes, str) else axes
    rows: list[dict] = []
    for part, runs in parts(axes).items():
        if names and part not in names:
            continue
        key = ""
        for run, label in runs.items():
            key = key if "layer" in run.evaluation else run.key  # a second run follows the one that it repeats
            if run in ledger:
                record, again = ledger.read(run), "layer" in run.evaluation
                keep = _kept_measures(again, label["model"] in TRANSFORMERS)
                rows += [{"part": part, **label, "key": key} | row for row in _rows(record) if keep(row["split"])]
    rows = [{"n" if k == "images" else "measure" if k == "split" else k: v for k, v in row.items()} for row in rows]
    own = ("scenes",) if axes.images["data"] == "scenes" else ("scenes", "images")  # that differ
    classes = {"scenes": len(scenes.CLASS_NAMES), "images": len(data.class_names(axes.images["data"]))}
    return tidy(rows, "foregrounds", LABELS, middle=axes.middle, parts=own, classes=classes)


def _kept_measures(again: bool, transformer: bool) -> Callable[[str], bool]:
    """Which measures count: of a transformer's second run what Grad-CAM gives, of its first all else."""
    if again:
        return lambda measure: measure in SALIENCY
    return lambda measure: not transformer or measure not in SALIENCY


def of(frame: pd.DataFrame, measure: str, part: str = "scenes", **equal) -> pd.DataFrame:
    """The rows of a measure and part whose columns have these values."""
    return select(frame, part=part, measure=measure, **equal)


def of_family(frame: pd.DataFrame, measure: str, part: str = "scenes", **equal) -> pd.DataFrame:
    """The same of the family alone: on scenes, of the models trained at the middle correlation."""
    return family(of(frame, measure, part, **equal), frame.attrs.get("middle", 0.5))


def six_of(rows: pd.DataFrame) -> list[str]:
    """Six of the nine models, which are as many as a figure can show: a probed twin has the trunk of the plain one."""
    return [m for m in dict.fromkeys(rows["model"]) if not m.startswith("probed") and m != ROBUST_WEAK]


def common_seed_rows(frame: pd.DataFrame, measure: str, part: str = "scenes", **equal) -> pd.DataFrame:
    """The same of the seeds that all models of the family have."""
    return whole_seeds(frame, of_family(frame, measure, part, **equal))


def whole_seeds(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` of the seeds that all models of the family have, where there are such: so that seeds compare like with like."""
    seeds = evidence.common_seeds(family(rows, frame.attrs.get("middle", 0.5)), "model")["seed"].unique()
    return rows[rows["seed"].isin(seeds)]


def family(rows: pd.DataFrame, middle: float = 0.5) -> pd.DataFrame:
    """The rows of the family alone: on scenes, those trained at the middle correlation."""
    return rows[rows["correlation"].isna() | (rows["correlation"] == middle)]


def against_truth(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` of scenes, one a model, joined with what the model really follows: a column truth."""
    truth = of(frame, "truth").set_index("key")["value"].rename("truth")
    return rows.join(truth, on="key", how="inner").dropna(subset=["value", "truth"])


def matched(frame: pd.DataFrame, part: str, kind: str) -> tuple[float, pd.DataFrame]:
    """RFS of each model of the family where noise has brought it to one mean accuracy: (that accuracy, one row per model).

    It lies midway between the lowest that every model is brought to and the highest that every model reaches; RFS between
    levels is interpolated. Empty where models have no accuracy in common.
    """
    rows = common_seed_rows(frame, "noise", part, condition=kind, mask="own")
    rows = rows.assign(mean=(rows["fg"] + rows["bg"]) / 2)
    ends = rows.groupby("key")["mean"].agg(["min", "max"])
    if ends.empty or ends["min"].max() > ends["max"].min():
        return float("nan"), rows.iloc[:0]
    target = float((ends["min"].max() + ends["max"].min()) / 2)
    found = []
    for _, own in rows.groupby("key", sort=False):
        own = own.sort_values("mean")
        found.append(own.iloc[0].to_dict() | {"value": float(np.interp(target, own["mean"], own["value"]))})
    return target, pd.DataFrame(found)


def proxies(frame: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of each way with removal over attributes, one row per model of scenes, one column per way."""
    found = []
    for (model, seed, _), own in common_seed_rows(frame, "attribute").groupby(["model", "seed", "key"], sort=False):
        wide = own.pivot_table(index="attribute", columns="condition", values="value")
        rho = {way: metrics.rank_correlation(wide["removed"], wide[way]) for way in WAYS[1:]}
        found.append({"model": model, "seed": seed, **rho})
    return pd.DataFrame(found, columns=["model", "seed", *WAYS[1:]])


def score_ranks(frame: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation with the truth of each alignment score over all models of scenes, seeds by scores."""
    return truth_ranks(frame, of(frame, "alignment", mask="own")).reindex(columns=list(SCORES))


def truth_ranks(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation with the truth of `rows` by their condition, a kind of noise or a score: seeds by conditions, of the
    seeds that all kinds of models have.
    """
    names = ["seed", "condition"]
    groups = evidence.common_seeds(against_truth(frame, rows), ["model", "correlation"]).groupby(names)
    rho = {k: metrics.rank_correlation(g["value"], g["truth"]) for k, g in groups}
    return pd.Series(rho, pd.MultiIndex.from_tuples(rho, names=names), dtype=float).unstack() if rho else pd.DataFrame()


def _rows(record: Record) -> list[dict]:
    makers = {"clean": _clean, "noise": _noise, "truth": _truth, "attribute": _attributes, "alignment": _alignment, "cue": _cue}
    there = dict.fromkeys(row["split"] for row in record.rows)
    found = [row for split in there for row in makers[split](record)]
    return found + (_units(record) if "units" in record.arrays else [])


def _clean(record: Record) -> list[dict]:
    return [row | {"value": row["accuracy"]} for row in record.rows if row["split"] == "clean"]


def _sensitivity(fg: float, bg: float, chance: float) -> dict:
    value = metrics.relative_foreground_sensitivity(min(fg, 1), min(bg, 1))
    return {"value": value, "fg": fg, "bg": bg, "zone": metrics.warning_zone(fg, bg, chance)}


def _noise(record: Record) -> list[dict]:
    """RFS of each kind, level and mask; over all levels (accuracies averaged first); and that of thirds of the images."""
    rows = [row for row in record.rows if row["split"] == "noise"]
    chance = 1 / (int(record.arrays["labels"].max()) + 1)
    found, groups = [], {}
    for i in range(0, len(rows), 2):  # foreground, then background
        fg, bg = rows[i], rows[i + 1]
        same = {name: fg[name] for name in ("split", "condition", "level", "mask", "images", "asked")}
        norms = {"norm_fg": fg["norm"], "norm_bg": bg["norm"]}
        found.append(same | norms | _sensitivity(fg["accuracy"], bg["accuracy"], chance))
        groups.setdefault((fg["condition"], fg["mask"]), []).append(i)
    for (kind, mask), index in groups.items():
        means = [float(np.mean([rows[i + r]["accuracy"] for i in index])) for r in (0, 1)]
        found.append({"split": "levels", "condition": kind, "mask": mask} | _sensitivity(*means, chance))
        if mask == "own":
            found += [{"condition": kind} | row for row in _thirds(record, np.array(index), chance)]
    return found


def _thirds(record: Record, index: np.ndarray, chance: float) -> list[dict]:
    """RFS over all levels of the thirds of images with the smallest, middle and largest objects."""
    area, labels = record.arrays["area"].astype(float), record.arrays["labels"]
    order = np.argsort(area, kind="stable")
    found = []
    for name, chosen in zip(THIRDS, np.array_split(order, len(THIRDS)), strict=True):
        right = [record.arrays["right"][index + r][:, chosen].mean(axis=0) / 255 for r in (0, 1)]
        row = _sensitivity(*(metrics.macro_accuracy(r, labels[chosen]) for r in right), chance)
        found.append({"split": "thirds", "level": float(area[chosen].mean()), "third": name} | row)
    return found


def _truth(record: Record) -> list[dict]:
    follows = record.arrays["conflict"]
    value = float((follows == OBJECT).mean() - (follows == BACKGROUND).mean())
    return [row | {"value": value} for row in record.rows if row["split"] == "truth"]


def _attributes(record: Record) -> list[dict]:
    return [row | {"value": row["drop"]} for row in record.rows if row["split"] == "attribute"]


def _alignment(record: Record) -> list[dict]:
    """A row for each score and control."""
    rows = [row for row in record.rows if row["split"] == "alignment"]
    named = [{"split": "alignment", "mask": row["condition"], "images": row["images"]} for row in rows]
    return [n | {"condition": s, "value": row[s]} for n, row in zip(named, rows, strict=True) for s in metrics.SCORES]


def _cue(record: Record) -> list[dict]:
    """Accuracy with and without the cue; and for each score how often the cue is on the images that it finds worst."""
    found = [row | {"value": row["accuracy"]} for row in record.rows if row["split"] == "cue"]
    present, share = record.arrays["cue_present"], record.arrays["cue_share"].astype(float)
    seen = share[present]
    found.append({"split": "saliency on cue", "condition": "share", "value": float(np.nanmean(seen)) if len(seen) else np.nan})
    chance = float(present.mean()) if len(present) else float("nan")
    for i, score in enumerate(metrics.SCORES):
        values = record.arrays["cue_scores"][i].astype(float)
        order = np.argsort(np.where(np.isfinite(values), values, np.inf), kind="stable")
        for k in WORST if len(present) else ():
            found.append({"split": "discovery", "condition": score, "level": k, "value": float(present[order[:k]].mean()),
                          "chance": chance, "images": len(present)})  # fmt: skip
        found.append({"split": "detector", "condition": score, "value": _auroc(-values, present), "images": len(present)})
    return found


def _auroc(values: np.ndarray, positive: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score  # takes seconds, and only the chapter on cues needs it

    usable = np.isfinite(values)
    if len(np.unique(positive[usable])) < 2:
        return float("nan")
    return float(roc_auc_score(positive[usable], values[usable]))


def _units(record: Record) -> list[dict]:
    """For each way the share of units whose first attribute is the one whose removal they answer to most; see `units`."""
    found = []
    for name, scores in zip(("as they come", "independent in a class"), record.arrays["units"].astype(float), strict=True):
        known = np.isfinite(scores).all(axis=(0, 1))
        scores = np.where(known, scores, -np.inf)
        truth = scores[units.WAYS.index("removed")]
        if not known.any():
            continue
        answers = np.where(known, truth, -np.inf).max(axis=1) >= RESPONSE
        best = scores == scores.max(axis=2, keepdims=True)
        best = best / best.sum(axis=2, keepdims=True)  # of attributes in a tie each counts in part
        named = {"split": "units", "mask": name, "images": int(answers.sum())}
        truly = np.eye(truth.shape[1])[truth.argmax(axis=1)]
        found += [
            named | {"condition": way, "value": _mean((best[i] * truly).sum(axis=1)[answers])}
            for i, way in enumerate(units.WAYS[:-1])
        ]
        sides = (best[units.WAYS.index("top images")] * best[units.WAYS.index("location")]).sum(axis=1)
        found.append(named | {"condition": "both sides agree", "value": _mean(sides[answers])})
    return found


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def proxy_table(frame: pd.DataFrame) -> pd.DataFrame:
    """How far each proxy is off: its rank correlation with removal over attributes, and its mean error in points."""
    wide = evidence.wide(common_seed_rows(frame, "attribute"), ["key", "attribute"], "condition")
    ranks, found = proxies(frame), []
    for way in WAYS[1:]:
        off = 100 * (wide[way] - wide["removed"])
        row = {"way": way, "rho with removal, median over models": ranks[way].median(), "mean error, points": off.mean()}
        found.append(row | {"mean absolute error": off.abs().mean()})
    return pd.DataFrame(found).set_index("way")


def _rank_row(frame: pd.DataFrame, rows: pd.DataFrame, middle: float) -> dict:
    """Rank correlation of RFS with the truth over all models, and over the family."""
    rows = against_truth(frame, rows)
    own = family(rows, middle)
    found = {"models": len(rows), "rho": metrics.rank_correlation(rows["value"], rows["truth"])}
    return found | {"family": len(own), "rho of the family": metrics.rank_correlation(own["value"], own["truth"])}


def ruler_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of RFS with the truth: by kind of noise and level, over all levels, at matched accuracy."""
    middle, found = frame.attrs.get("middle", 0.5), []
    for kind, name in KINDS.items():
        rows = of(frame, "noise", condition=kind, mask="own")
        cases = [(f"level {level:g}", rows[rows["level"] == level]) for level in sorted(rows["level"].unique())]
        cases.append(("all levels", of(frame, "levels", condition=kind, mask="own")))
        cases.append(("matched accuracy", matched(frame, "scenes", kind)[1]))
        found += [{"noise": name, "by": label} | _rank_row(frame, own, middle) for label, own in cases]
    return pd.DataFrame(found).set_index(["noise", "by"])


def mask_table(frame: pd.DataFrame, part: str) -> pd.DataFrame:
    """RFS over all levels by the mask that says what the foreground is; mean over seeds."""
    rows = common_seed_rows(frame, "levels", part)
    if rows.empty:
        return pd.DataFrame()
    rows = rows.assign(condition=rows["condition"].map(KINDS) + ", " + rows["mask"])
    return rows.pivot_table(index="model", columns="condition", values="value", sort=False)


def score_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of each alignment score with the truth over all models of scenes, mean over seeds."""
    rho = score_ranks(frame).mean()
    return pd.DataFrame({"score": [SCORES[n] for n in rho.index], "rho": rho.to_numpy()}).set_index("score")


def gate(frame: pd.DataFrame) -> str:
    """Why the paper's claims cannot be tested on these models; "" where they can: on images the residual net is right on at
    least 90% without noise, as the paper's networks are.
    """
    if "images" not in frame.attrs.get("parts", ("scenes", "images")):
        return "regime not met: there are no real images in this profile"
    rows = of(frame, "clean", "images", model=RESNET)
    right = rows["value"].mean()
    if not len(rows) or right >= GATE:
        return ""
    return f"regime not met: our ResNet is right on {100 * right:.0f}% of the real images, {100 * GATE:.0f}% is asked for"


GATE = 0.9
