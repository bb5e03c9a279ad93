"""The results of paper 2 as one tidy table: a row for each run and thing measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from scipy import stats

from gazebook import data, metrics
from gazebook.data.composite import VARIANTS
from gazebook.data.image_set import balanced_order
from gazebook.ledger import Ledger, Record
from gazebook.runs import Run
from gazebook.studies.backgrounds.evaluation import categories, correctness
from gazebook.studies.backgrounds.runs import AXES, LARGE, Axes, family, pretrained, scenes, trained_on
from gazebook.studies.backgrounds.runs import released as released_runs

TITLES = {
    "original": "Original",
    "only_bg_b": "Only-BG-B",
    "only_bg_t": "Only-BG-T",
    "no_fg": "No-FG",
    "only_fg": "Only-FG",
    "mixed_same": "Mixed-Same",
    "mixed_rand": "Mixed-Rand",
    "mixed_next": "Mixed-Next",
    LARGE: "all pictures",
}
# differences between two variants, picture by picture: name -> (minuend, subtrahend)
CONTRASTS = {
    "gap": ("mixed_same", "mixed_rand"),
    "cut": ("original", "mixed_same"),
    "hole": ("no_fg", "only_bg_b"),
}
NATURAL = ("original", LARGE)  # training sets of whole pictures
# training sets whose models are compared picture by picture: the first minus the second
PAIRS = (("original", "mixed_rand"), ("original", LARGE))
TRIES = (1, 10, 100)  # backgrounds tried
SALIENCY = ("mask", "cam", "gradient")
COLUMNS = ["part", "model", "training_set", "correlation", "seed", "split", "condition", "images", "accuracy", "low", "high"]
COLUMNS += ["empty", "agreement", "key"]


def results(ledger: Ledger, axes: Axes | str, *names: str) -> pd.DataFrame:
    """Tidy results of the runs of a profile, or of `axes`, that are there; `names` limits them to some parts (`runs.parts`).

    Split "test": accuracy on each variant, averaged over draws of backgrounds; "contrast": see CONTRASTS, in shares of 1;
    "categories": shares of the kinds of pictures, and see `_needed`; "fooled": shares of foregrounds fooled within so many
    backgrounds, and "fooled, right before" of those that are classified rightly on Original; "inside": share of saliency
    inside the mask, and the mask's of the picture; "original - mixed_rand" and so on: see PAIRS. Each as `accuracy` with
    `low` and `high`, the 95% interval over test pictures. The other splits are as they were measured; draws of one
    condition are averaged.
    """
    axes = AXES[axes] if isinstance(axes, str) else axes
    rows: list[dict] = []
    for part, runs in _labelled(axes).items():
        if names and part not in names:
            continue
        pictures: dict[tuple, dict] = {}
        for run, label in runs:
            if run in ledger:
                record = ledger.read(run)
                values = _per_picture(record)
                pictures[run.seed, label.get("training_set")] = values
                rows += _rows(record, values, {"part": part, **label, "seed": run.seed, "key": run.key})
        if part == "sets":
            rows += _pairs(pictures)
    frame = pd.DataFrame(rows)
    frame = frame.reindex(columns=[*COLUMNS, *(c for c in frame if c not in COLUMNS)])
    frame.attrs["classes"] = len(data.class_names(axes.fields["data"]))
    return frame


def tested(frame: pd.DataFrame, condition: str | None = None, part: str = "sets", split: str = "test") -> pd.DataFrame:
    """The rows of a part and split, of one condition or all."""
    rows = frame[(frame["part"] == part) & (frame["split"] == split)]
    return rows if condition is None else rows[rows["condition"] == condition]


def natural(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of models of whole pictures."""
    return rows[rows["training_set"].isin(NATURAL)]


def chance(frame: pd.DataFrame) -> float:
    """One over the number of classes: nine, or in scenes ten."""
    return 1 / frame.attrs.get("classes", 9)


def reliance(frame: pd.DataFrame) -> pd.DataFrame:
    """For each model of scenes: correlation in training, BG-gap, and true reliance, the accuracy that is lost when the same
    objects are drawn on random backgrounds instead of their class's own.
    """
    keys = ["key", "correlation", "seed"]
    truth = tested(frame, part="scenes", split="truth").pivot_table(index=keys, columns="condition", values="accuracy")
    if not {"rendered_home", "rendered_random"} <= set(truth):
        return pd.DataFrame(columns=["correlation", "seed", "gap", "reliance"])
    gap = tested(frame, "gap", "scenes", "contrast").set_index(keys)["accuracy"]
    table = pd.DataFrame({"gap": gap, "reliance": truth["rendered_home"] - truth["rendered_random"]})
    return table.dropna().reset_index().drop(columns="key")


def models(frame: pd.DataFrame) -> pd.DataFrame:
    """The models of whole pictures that chapter 7 compares: a row each (mean over seeds), a column a variant."""
    own = natural(frame[(frame["part"].isin(["sets", "family"])) & (frame["split"] == "test")])
    return own.pivot_table(index=["part", "model"], columns="condition", values="accuracy", sort=False).dropna()


def released(ledger: Ledger, names: Sequence[str]) -> pd.DataFrame:
    """ImageNet classifiers on the released ImageNet-9, those that are in the ledger: a row each, a column a variant."""
    rows = [
        {"part": "released", "model": record.run.trunk} | {row["condition"]: row["accuracy"] for row in record.rows}
        for record in ledger.records(released_runs(names))
    ]
    return pd.DataFrame(rows, columns=["part", "model", *VARIANTS]).set_index(["part", "model"])


def slope(x: pd.Series, y: pd.Series) -> tuple[float, float, float]:
    """Least-squares slope with its 95% interval; NaN for fewer than four models."""
    if len(x) < 4 or np.ptp(x) == 0:
        return (float("nan"),) * 3
    fit = stats.linregress(x, y)
    half = stats.t.ppf(0.975, len(x) - 2) * fit.stderr
    return float(fit.slope), float(fit.slope - half), float(fit.slope + half)


def _labelled(axes: Axes) -> dict[str, list[tuple[Run, dict]]]:
    """The runs of each part, each with what it is called in the table."""
    nine = [(trained_on(axes, name, seed), {"model": TITLES[name], "training_set": name})
            for seed in axes.seeds for name in axes.training_sets]  # fmt: skip
    rho = [run.data_options["background_correlation"] for run in scenes(axes)]
    return {
        "sets": nine,
        "scenes": [(run, {"model": f"correlation {r:g}", "correlation": r}) for run, r in zip(scenes(axes), rho, strict=True)],
        "family": [(run, {"model": name, "training_set": "original"}) for name, run in family(axes).items()],
        "pretrained": [(run, {"model": run.trunk}) for run in pretrained(axes)],
    }


def _per_picture(record: Record) -> dict[str, np.ndarray]:
    """What is known of each test picture, float [N] (or fewer): right on each variant (the share of draws), the contrasts,
    the category, whether some background fools the model, shares of saliency inside the mask.
    """
    labels = record.arrays["labels"]
    right = correctness(record.rows, record.arrays["predictions"], labels)
    values = right | {name: right[more] - right[less] for name, (more, less) in CONTRASTS.items()}
    values["category"] = categories(record.rows, record.arrays["predictions"], labels)
    if "tries" in record.arrays:
        tries = record.arrays["tries"]
        order = balanced_order(torch.from_numpy(labels.astype(np.int64)), int(labels.max()) + 1)[: len(tries)].numpy()
        values |= {"any": (tries > 0).astype(float), "right before": right["original"][order] > 0.5}
        values |= {str(n): metrics.fooled_within(tries, n).astype(float) for n in TRIES}
    return values | dict(zip(SALIENCY, record.arrays.get("saliency", np.empty((0, 0))).astype(float), strict=False))


def _rows(record: Record, values: dict[str, np.ndarray], named: dict) -> list[dict]:
    rows = [named | {"split": "test", "condition": name} | _share(values[name]) for name in VARIANTS if name in values]
    rows += [named | {"split": "contrast", "condition": name} | _mean(values[name]) for name in CONTRASTS]
    kinds = {name: values["category"] == i for i, name in enumerate(metrics.CATEGORIES)}
    rows += [
        named | {"split": "categories", "condition": name} | _share(own) for name, own in (kinds | _needed(values)).items()
    ]
    for name in (*map(str, TRIES), "any"):
        if name in values:
            rows.append(named | {"split": "fooled", "condition": name} | _share(values[name]))
            own = values[name][values["right before"]]
            rows.append(named | {"split": "fooled, right before", "condition": name} | _share(own))
    rows += [named | {"split": "inside", "condition": name} | _mean(values[name]) for name in SALIENCY if name in values]
    others = pd.DataFrame([r for r in record.rows if r["split"] not in ("test", "adversarial")])
    if len(others):
        others = others.drop(columns="draw", errors="ignore").groupby(["split", "condition"], sort=False).mean().reset_index()
        rows += [named | row | _binomial(row) for row in others.to_dict("records")]
    return rows


def _needed(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Wrong on Mixed-Rand, of the pictures that are right on Original ("needed"); and of those that are also right on
    Mixed-Same, so that it is not cutting and pasting that harms them ("needed, survives cutting").
    """
    right, survives = values["original"] > 0.5, values["mixed_same"] > 0.5
    wrong = values["mixed_rand"] <= 0.5
    return {"needed": wrong[right], "needed, survives cutting": wrong[right & survives]}


def _pairs(pictures: dict[tuple, dict]) -> list[dict]:
    """Differences between models of two training sets, picture by picture, for each seed that has both."""
    rows = []
    for a, b in PAIRS:
        for seed in dict.fromkeys(seed for seed, _ in pictures):
            if not {(seed, a), (seed, b)} <= set(pictures):
                continue
            more, less = pictures[seed, a], pictures[seed, b]
            named = {"part": "sets", "model": f"{TITLES[a]} - {TITLES[b]}", "seed": seed, "split": f"{a} - {b}"}
            for name in (*VARIANTS, *CONTRASTS, "any", *SALIENCY):
                if name in more and name in less:
                    rows.append(named | {"condition": name} | _mean(more[name] - less[name]))
    return rows


def _binomial(row: dict) -> dict:
    """The interval of an accuracy that was measured on so many pictures, from its count."""
    if not np.isfinite(row.get("accuracy", np.nan)):
        return {}
    return _wilson(round(row["accuracy"] * row["images"]), int(row["images"]))


def _wilson(right: int, of: int) -> dict:
    interval = stats.binomtest(right, of).proportion_ci(method="wilson")
    return {"low": float(interval.low), "high": float(interval.high)}


def _mean(values: np.ndarray) -> dict:
    """Mean with Student's 95% interval."""
    values = values[np.isfinite(values)].astype(float)
    if not len(values):
        return {"images": 0, "accuracy": float("nan"), "low": float("nan"), "high": float("nan")}
    low, high = metrics.mean_interval(values)
    return {"images": len(values), "accuracy": float(values.mean()), "low": low, "high": high}


def _share(values: np.ndarray) -> dict:
    """Mean of values in [0, 1] with its 95% interval: Wilson's where all are 0 or 1, which does not collapse at the ends.

    Not for differences, even where those happen to be 0 or 1: Wilson's interval never reaches below 0.
    """
    found = _mean(values)
    if found["images"] and np.isin(values, (0.0, 1.0)).all():
        return found | _wilson(int(values.sum()), len(values))
    return found
