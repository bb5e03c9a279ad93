"""The results of paper 3 as one tidy table: a row for each run and thing measured."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from gazebook import metrics
from gazebook.data import noise, scenes
from gazebook.ledger import Ledger, Record
from gazebook.studies.foregrounds import units
from gazebook.studies.foregrounds.runs import (
    AXES,
    DEIT,
    PROBED,
    PROBED_VIT,
    RESNET,
    ROBUST,
    ROBUST_WEAK,
    SIMCLR,
    SIMCLR_VIT,
    VIT,
    Axes,
    parts,
)  # fmt: skip
from gazebook.studies.foregrounds.truth import BACKGROUND, OBJECT

# models that are compared picture by picture: the first minus the second
PAIRS = (
    (ROBUST, RESNET), (ROBUST_WEAK, RESNET), (SIMCLR, PROBED), (SIMCLR_VIT, PROBED_VIT), (PROBED, RESNET), (VIT, RESNET),
    (DEIT, VIT),
)  # fmt: skip
RESPONSE = 0.3  # standard deviations: a unit whose activation falls by less, whatever is removed, stands for no attribute
WORST = (5, 10, 20)  # numbers of worst-aligned pictures looked at
THIRDS = ("small", "middle", "large")  # of the objects, by area
RESAMPLES = 500
COLUMNS = ["part", "model", "correlation", "planted", "seed", "split", "condition", "level", "mask", "images", "accuracy"]
COLUMNS += ["value", "low", "high", "fg", "bg", "zone", "asked", "norm_fg", "norm_bg", "third", "attribute", "chance", "key"]


def results(ledger: Ledger, axes: Axes | str, *names: str) -> pd.DataFrame:
    """Tidy results of the runs of a profile, or of `axes`, that are there; `names` limits them to some parts (`runs.parts`).

    `value` with `low` and `high`, the 95% interval over test pictures, is RFS in split "noise" (a row a kind, level and mask),
    "levels" (accuracies averaged over the levels first) and "thirds" (the same for small, middle and large objects); the
    difference of two models' RFS in "pairs"; what the prediction follows, object minus background, in "truth"; a mean score in
    "alignment"; recall of the cue among the worst-aligned in "discovery"; the share of units whose attribute is found in
    "units"; a mean loss of probability in "attribute". `fg` and `bg` are the accuracies under noise.
    """
    axes = AXES[axes] if isinstance(axes, str) else axes
    rows: list[dict] = []
    for part, runs in parts(axes).items():
        if names and part not in names:
            continue
        records = {}
        for run, label in runs.items():
            if run in ledger:
                record = ledger.read(run)
                records[label["model"], label.get("correlation"), label["seed"]] = record
                named = {"part": part, **label, "key": run.key}
                rows += [named | row for row in _rows(record)]
        if part != "cues":
            rows += [{"part": part} | row for row in _pairs(records)]
    frame = pd.DataFrame(rows)
    frame = frame.reindex(columns=[*COLUMNS, *(c for c in frame if c not in COLUMNS)])
    frame.attrs["middle"] = axes.middle
    frame.attrs["parts"] = ("scenes",) if axes.pictures["data"] == "scenes" else ("scenes", "pictures")  # that differ
    frame.attrs["classes"] = {"scenes": len(scenes.CLASS_NAMES), "pictures": _classes(axes.pictures["data"])}
    return frame


def of(frame: pd.DataFrame, split: str, part: str = "scenes", **equal) -> pd.DataFrame:
    """The rows of a split and part whose columns have these values."""
    rows = frame[(frame["part"] == part) & (frame["split"] == split)]
    for column, value in equal.items():
        rows = rows[rows[column] == value]
    return rows


def of_family(frame: pd.DataFrame, split: str, part: str = "scenes", **equal) -> pd.DataFrame:
    """The same of the family alone: on scenes, of the models trained at the middle correlation."""
    return family(of(frame, split, part, **equal), frame.attrs.get("middle", 0.5))


def to_average(frame: pd.DataFrame, split: str, part: str = "scenes", **equal) -> pd.DataFrame:
    """The same of the seeds that all models of the family have, where there are such: so that means compare like with like."""
    seeds = _common_seeds(of_family(frame, "clean", part))
    rows = of_family(frame, split, part, **equal)
    return rows[rows["seed"].isin(seeds)] if seeds else rows


def _common_seeds(clean: pd.DataFrame) -> list:
    models = clean.groupby("seed")["model"].nunique()
    return models.index[models == clean["model"].nunique()].tolist()


def family(rows: pd.DataFrame, middle: float = 0.5) -> pd.DataFrame:
    """The rows of the family alone: on scenes, those trained at the middle correlation."""
    return rows[rows["correlation"].isna() | (rows["correlation"] == middle)]


def against_truth(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` of scenes, one a model, joined with what the model really follows: a column truth."""
    truth = of(frame, "truth").set_index("key")["value"].rename("truth")
    return rows.join(truth, on="key", how="inner").dropna(subset=["value", "truth"])


def matched(frame: pd.DataFrame, part: str, kind: str) -> tuple[float, pd.DataFrame]:
    """RFS of each model of the family where noise has brought it to one mean accuracy: (that accuracy, a row a model).

    It lies midway between the lowest that every model is brought to and the highest that every model reaches; RFS between
    levels is interpolated. Empty where models have no accuracy in common.
    """
    rows = of_family(frame, "noise", part, condition=kind, mask="own")
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


def _classes(data_name: str) -> int:
    from gazebook import data

    return len(data.class_names(data_name))


def _rows(record: Record) -> list[dict]:
    makers = {"clean": _clean, "noise": _noise, "truth": _truth, "attribute": _attributes, "alignment": _alignment, "cue": _cue}
    there = dict.fromkeys(row["split"] for row in record.rows)
    found = [row for split in there for row in makers[split](record)]
    return found + (_units(record) if "units" in record.arrays else [])


def _clean(record: Record) -> list[dict]:
    return [row | {"value": row["accuracy"]} for row in record.rows if row["split"] == "clean"]


@lru_cache(maxsize=8)
def _weights(labels: bytes) -> np.ndarray:
    return metrics.class_resamples(np.frombuffer(labels, np.uint8), RESAMPLES)


def _boots(record: Record) -> tuple[list[dict], np.ndarray]:
    """The noise rows of a record, and of each RESAMPLES accuracies [R, B], from the same resampled pictures for all models."""
    rows = [row for row in record.rows if row["split"] == "noise"]
    return rows, record.arrays["right"] / 255 @ _weights(record.arrays["labels"].tobytes()).T


def _sensitivity(fg: float, bg: float, boots: tuple[np.ndarray, np.ndarray], chance: float) -> dict:
    spread = metrics.relative_foreground_sensitivity(*np.clip(boots, 0, 1))
    low, high = np.quantile(spread, [0.025, 0.975])
    value = metrics.relative_foreground_sensitivity(min(fg, 1), min(bg, 1))
    zone = metrics.warning_zone(fg, bg, chance)
    return {"value": value, "low": float(low), "high": float(high), "fg": fg, "bg": bg, "zone": zone}


def _noise(record: Record) -> list[dict]:
    rows, boots = _boots(record)
    chance = 1 / (int(record.arrays["labels"].max()) + 1)
    found = []
    for i in range(0, len(rows), 2):  # foreground, then background
        fg, bg = rows[i], rows[i + 1]
        same = {name: fg[name] for name in ("split", "condition", "level", "mask", "images", "asked")}
        norms = {"norm_fg": fg["norm"], "norm_bg": bg["norm"]}
        found.append(same | norms | _sensitivity(fg["accuracy"], bg["accuracy"], boots[i : i + 2], chance))
    for kind, mask, index in _groups(rows):
        found.append({"split": "levels", "condition": kind, "mask": mask} | _sensitivity(*_means(rows, boots, index), chance))
        if mask == "own":
            found += [{"condition": kind} | row for row in _thirds(record, index, chance)]
    return found


def _groups(rows: list[dict]):
    """(kind, mask, places of its foreground rows)."""
    for kind in noise.KINDS:
        for mask in dict.fromkeys(row["mask"] for row in rows):
            index = [i for i, r in enumerate(rows) if (r["condition"], r["mask"], r["region"]) == (kind, mask, "foreground")]
            if index:
                yield kind, mask, np.array(index)


def _thirds(record: Record, index: np.ndarray, chance: float) -> list[dict]:
    """The same of the thirds of pictures with the smallest, middle and largest objects."""
    area, labels = record.arrays["area"].astype(float), record.arrays["labels"]
    order = np.argsort(area, kind="stable")
    found = []
    for name, chosen in zip(THIRDS, np.array_split(order, len(THIRDS)), strict=True):
        right = [record.arrays["right"][index + r][:, chosen].mean(axis=0) / 255 for r in (0, 1)]
        weights = _weights(labels[chosen].tobytes())
        means = [metrics.macro_accuracy(r, labels[chosen]) for r in right]
        row = _sensitivity(*means, [weights @ r for r in right], chance)
        found.append({"split": "thirds", "level": float(area[chosen].mean()), "third": name} | row)
    return found


def _pairs(records: dict[tuple, Record]) -> list[dict]:
    """Differences of RFS over all levels between models of PAIRS, for each seed that has both: on the same pictures."""
    levels = {name: _over_levels(record) for name, record in records.items() if "right" in record.arrays}
    found = []
    for more, less in PAIRS:
        for (model, rho, seed), own in levels.items():
            other = levels.get((less, rho, seed), {}) if model == more else {}
            for kind, mask in own.keys() & other.keys():
                (a, spread_a), (b, spread_b) = own[kind, mask], other[kind, mask]
                low, high = np.quantile(spread_a - spread_b, [0.025, 0.975])
                row = {"model": f"{more} - {less}", "correlation": rho, "seed": seed, "split": "pairs", "condition": kind}
                found.append(row | {"mask": mask, "value": a - b, "low": float(low), "high": float(high)})
    return found


def _over_levels(record: Record) -> dict[tuple[str, str], tuple[float, np.ndarray]]:
    """RFS, accuracies averaged over levels, and its resamples [B], by kind and mask."""
    rows, boots = _boots(record)
    found = {}
    for kind, mask, index in _groups(rows):
        fg, bg, spread = _means(rows, boots, index)
        rfs = metrics.relative_foreground_sensitivity
        found[kind, mask] = rfs(fg, bg), rfs(*np.clip(spread, 0, 1))
    return found


def _means(rows: list[dict], boots: np.ndarray, index: np.ndarray) -> tuple[float, float, list[np.ndarray]]:
    """Accuracies under noise in foreground and background, averaged over levels, and both of their resamples."""
    fg, bg = (np.mean([rows[i + r]["accuracy"] for i in index]) for r in (0, 1))
    return fg, bg, [boots[index + r].mean(axis=0) for r in (0, 1)]


def _truth(record: Record) -> list[dict]:
    follows = record.arrays["conflict"]
    values = (follows == OBJECT).astype(float) - (follows == BACKGROUND)
    low, high = metrics.mean_interval(values)
    row = next(row for row in record.rows if row["split"] == "truth")
    return [row | {"value": float(values.mean()), "low": low, "high": high}]


def _attributes(record: Record) -> list[dict]:
    return [row | {"value": row["drop"]} for row in record.rows if row["split"] == "attribute"]


def _alignment(record: Record) -> list[dict]:
    """A row for each score and control; of the model's own with an interval."""
    found = []
    for row in (r for r in record.rows if r["split"] == "alignment"):
        for i, score in enumerate(metrics.SCORES):
            new = {
                "split": "alignment",
                "condition": score,
                "mask": row["condition"],
                "images": row["images"],
                "value": row[score],
            }
            if row["condition"] == "own":
                values = record.arrays["alignment"][i].astype(float)
                new |= dict(zip(("low", "high"), metrics.mean_interval(values[np.isfinite(values)]), strict=True))
            found.append(new)
    return found


def _cue(record: Record) -> list[dict]:
    """Accuracy with and without the cue; and for each score how often the cue is on the pictures that it finds worst."""
    found = [row | {"value": row["accuracy"]} for row in record.rows if row["split"] == "cue"]
    present, share = record.arrays["cue_present"], record.arrays["cue_share"].astype(float)
    seen = share[present]
    found.append({"split": "cue", "condition": "share", "value": float(np.nanmean(seen)) if len(seen) else np.nan})
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
        sides = (best[units.WAYS.index("top pictures")] * best[units.WAYS.index("location")]).sum(axis=1)
        found.append(named | {"condition": "both sides agree", "value": _mean(sides[answers])})
    return found


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
