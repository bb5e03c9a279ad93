"""Paper 1's results from the ledger as one tidy table, and the rows that tables, figures and claims look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gazebook import data
from gazebook.ledger import Ledger, Record
from gazebook.metrics import attention_mse, rank_correlation
from gazebook.studies.scribe.evaluation import LEVELS
from gazebook.studies.scribe.runs import AXES, REFERENCE, Axes, parts

# The paper's names of the augmentations (torchvision's transforms)
TITLES = {
    "none": "No transform",
    "crop": "RandomCrop",
    "flip": "RandomHorizontalFlip",
    "rotate": "RandomRotation",
    "perspective": "RandomPerspective",
    "color": "ColorJitter",
    "combined": "Combined",
}
BASE = ("size", "heads", "control")  # parts of the one grid that all chapters share
CLASS_COUNTS = ("predicted", "mask", "present")

# what a table without results still has
COLUMNS = ["variant", "head", "augmentation", "percent", "seed", "split", "protocol", "condition", "pipeline", "severity"]
COLUMNS += ["images", "accuracy", "confidence", "ece_10", "ece_15", "sparsity", "sparsity_30", "sparsity_70", "sparsity_right"]
COLUMNS += ["sparsity_wrong", "classes", "regions", "soft_share", "mse", "mse_rounded", "mse_clean", "key"]


def results(ledger: Ledger, axes: Axes | str, *names: str) -> pd.DataFrame:
    """Tidy results of the runs of a profile, or of `axes`, that are there: one row a run and condition.

    `names` limits them to some parts of the grid (see `runs.parts`). Added to what the run measured: `percent` of the
    training images; `protocol`, "epochs" (every fraction for the same epochs, as in the paper) or "updates"; `variant`,
    "base" or what else is different; `mse` and `mse_rounded` to the attention of the reference model of the same seed;
    and the shares of each class, such as "mask:frog" (see `_class_shares`).
    """
    axes = AXES[axes] if isinstance(axes, str) else axes
    rows = []
    for part, runs in parts(axes).items():
        if names and part not in names:
            continue
        records = list(ledger.records(runs))
        distances = _distances(records) if part == "size" else {}
        for record in records:
            rows += _rows(record, "base" if part in BASE else part, distances.get(record.run.key, {}))
    frame = pd.DataFrame(rows)
    return frame.reindex(columns=[*COLUMNS, *(c for c in frame if c not in COLUMNS)])


def _rows(record: Record, variant: str, distance: dict) -> list[dict]:
    run = record.run
    named = {
        "variant": variant,
        "head": run.head,
        "augmentation": run.augmentation,
        "percent": round(100 * run.fraction),
        "seed": run.seed,
        "protocol": "updates" if run.updates else "epochs",
        "key": run.key,
    }
    shares = _class_shares(record)
    rows = []
    for i, row in enumerate(record.rows):
        whole = {"pipeline": "none", "severity": 0} | row
        clean = whole["pipeline"] == "none" and row["split"] == "test"
        rows.append(named | whole | (shares[i] if shares else {}) | (distance if clean else {}))
    return rows


def _class_shares(record: Record) -> list[dict]:
    """For each row and class: `predicted`, share of the predictions; `mask`, share of the pixels in the region (NaN without a
    region); `present`, share of the pictures with such a pixel.
    """
    counts = record.arrays.get("class_counts")
    if counts is None:
        return []
    names = data.class_names(record.run.data)
    shares = []
    for row, (predicted, pixels, present) in zip(record.rows, counts.astype(float), strict=True):
        of = (predicted / row["images"], pixels / (pixels.sum() or np.nan), present / row["images"])
        shares.append({f"{k}:{n}": v[i] for k, v in zip(CLASS_COUNTS, of, strict=True) for i, n in enumerate(names)})
    return shares


def _distances(records: list[Record]) -> dict[str, dict]:
    """mse and mse_rounded of each record's attention to that of the reference model of its seed, by key."""
    maps = {r.run.key: r.arrays["compared"] / LEVELS for r in records if "compared" in r.arrays}
    augmentation, percent = REFERENCE
    reference = {
        r.run.seed: maps[r.run.key]
        for r in records
        if r.run.augmentation == augmentation and round(100 * r.run.fraction) == percent and r.run.key in maps
    }
    distances = {}
    for run in (r.run for r in records):
        if run.key in maps and run.seed in reference:
            own, best = maps[run.key], reference[run.seed]
            distances[run.key] = {
                "mse": attention_mse(own, best),
                "mse_rounded": attention_mse(own.round(), best.round()),
            }
    return distances


def tested(frame: pd.DataFrame, head: str = "scribe", protocol: str = "epochs", variant: str = "base") -> pd.DataFrame:
    """The rows of one head, protocol and variant that were measured on the whole clean test set."""
    rows = frame[(frame["split"] == "test") & (frame["pipeline"] == "none")]
    return rows[(rows["head"] == head) & (rows["protocol"] == protocol) & (rows["variant"] == variant)]


def whole(frame: pd.DataFrame, variant: str = "base") -> pd.DataFrame:
    """SCrIBE's rows on the whole test set and on the training sample, under both protocols."""
    return frame[(frame["head"] == "scribe") & (frame["pipeline"] == "none") & (frame["variant"] == variant)]


def wide(rows: pd.DataFrame, index: list[str], columns: str, values: str, order: Sequence | None = None) -> pd.DataFrame:
    """The mean of a value by `index` and `columns`, which may be limited to an order; with the right names if there is
    nothing to show.
    """
    if rows.empty:
        empty = pd.MultiIndex.from_arrays([[]] * len(index), names=index) if len(index) > 1 else pd.Index([], name=index[0])
        return pd.DataFrame(index=empty, columns=pd.Index(list(order or ()), name=columns), dtype=float)
    table = rows.pivot_table(index=index, columns=columns, values=values)
    return table if order is None else table.reindex(columns=list(order))


def gap_correlations(frame: pd.DataFrame, protocol: str = "epochs", variant: str = "base") -> dict[tuple, float]:
    """Rank correlation of sparsity and the gap between training and test accuracy by (augmentation, seed)."""
    keys = ["augmentation", "seed", "percent"]
    rows = whole(frame, variant)
    models = wide(rows[rows["protocol"] == protocol], keys, "split", "accuracy", ("train", "test"))
    models["sparsity"] = tested(frame, protocol=protocol, variant=variant).set_index(keys)["sparsity"]
    models["gap"] = models["train"] - models["test"]
    rho = {k: rank_correlation(g["sparsity"], g["gap"]) for k, g in models.groupby(["augmentation", "seed"])}
    return {k: r for k, r in rho.items() if np.isfinite(r)}
