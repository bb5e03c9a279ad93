"""The results of paper 4 as one tidy table: a row for each run, or pair of runs, and thing measured."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch

from gazebook import data, metrics
from gazebook.data.fine_scenes import PARTS
from gazebook.explain.saliency import enlarged, scaled
from gazebook.ledger import Ledger, Record
from gazebook.studies.distraction.evaluation import LEVELS
from gazebook.studies.distraction.runs import (
    AXES,
    BASE,
    BOX,
    LARGE,
    LATE,
    LOWEST,
    ONE,
    RANDOM,
    SHIFTED,
    STREAMS,
    ZERO,
    Axes,
    leaky,
    main,
    sweep,
)

# beside every method minus baseline: the first minus the second, on the same pictures and seed
PAIRS = ((ZERO, SHIFTED), (ZERO, BOX), (ZERO, LOWEST), (ZERO, ONE), (ONE, RANDOM), (LARGE, ZERO), (LATE, ZERO))
REPORT = ("accuracy", "macro_precision", "macro_recall", "macro_f1", "weighted_precision", "weighted_recall", "weighted_f1")
REGION = 0.5  # of a scaled map: what is above is the region that a model looks at
COLUMNS = [
    "group",
    "part",
    "method",
    "against",
    "seed",
    "p",
    "th",
    "split",
    "condition",
    "level",
    "value",
    "low",
    "high",
    "images",
]


def results(ledger: Ledger, axes: Axes | str) -> pd.DataFrame:
    """Tidy results of the runs of a profile, or of `axes`, that are there; `group` is main, sweep or leaky.

    Splits of one run: "clean" and "erased", a row for each metric of REPORT and confidence; "hidden", accuracy with a share
    `level` hidden where the model looks (condition highest) or elsewhere (shifted); "region", means over pictures; "part",
    accuracy without parts; "recall", of each class; "speed", pictures a second in training; "train", accuracy in it. Of two
    runs of one seed, `method` minus `against`: "difference", with its 95% interval over test pictures. "containment" is how
    much of the region of `against` lies in that of `method`.
    """
    axes = AXES[axes] if isinstance(axes, str) else axes
    rows: list[dict] = []
    baselines: dict[tuple, Record] = {}
    for group, runs in (("main", main(axes)), ("sweep", sweep(axes)), ("leaky", leaky(axes))):
        records = {}
        for run, label in runs.items():
            if run in ledger:
                record = records[tuple(label.values())] = ledger.read(run)
                rows += [{"group": group, **label} | row for row in _rows(record)]
        baselines |= {label[:3]: record for label, record in records.items() if label[1] == BASE and group == "main"}
        if group != "leaky":
            rows += [{"group": group} | row for row in _differences(records, baselines)]
        if group == "main":
            rows += [{"group": group} | row for row in _containment(records)]
    frame = pd.DataFrame(rows)
    frame = frame.reindex(columns=[*COLUMNS, *(c for c in frame if c not in COLUMNS)])
    frame.attrs["parts"] = tuple(axes.parts)
    frame.attrs["stream_classes"] = stream_classes(axes)
    return frame


def stream_classes(axes: Axes) -> tuple[str, ...]:
    """The classes of the photo streams, in the order of their labels."""
    if STREAMS not in axes.parts:
        return ()
    return data.class_names(axes.parts[STREAMS].fields.get("data_options", {}).get("of", "cifar10"))


def of(frame: pd.DataFrame, split: str, group: str = "main", **equal) -> pd.DataFrame:
    """The rows of a split and group whose columns have these values."""
    rows = frame[(frame["group"] == group) & (frame["split"] == split)]
    for column, value in equal.items():
        rows = rows[rows[column] == value]
    return rows


def seeds_of(frame: pd.DataFrame, part: str, split: str, condition: str, method: str, against: str = BASE) -> np.ndarray:
    """The difference of two methods in a metric for each seed that has both: float [S]; `split` is "difference" for what is
    paired picture by picture, else that of the reports.
    """
    if split == "difference":
        rows = of(frame, split, part=part, condition=condition, method=method, against=against)
        return rows.sort_values("seed")["value"].to_numpy(float)
    rows = of(frame, split, part=part, condition=condition)
    wide = rows.pivot_table(index="seed", columns="method", values="value")
    if not {method, against} <= set(wide):
        return np.array([])
    return (wide[method] - wide[against]).dropna().to_numpy(float)


def fine_grained(frame: pd.DataFrame) -> tuple[str, ...]:
    """The parts that stand for the paper's fine-grained data sets."""
    return tuple(p for p in frame.attrs.get("parts", ()) if p != STREAMS)


def per_picture(record: Record) -> dict[str, np.ndarray]:
    """What is known of each test picture, or of each of which there is a map: float [N] or [M]."""
    arrays = record.arrays
    right = (arrays["predicted"] == arrays["labels"]).astype(float)
    found = {"accuracy": right, "confidence": arrays["confidence"].astype(float)}
    if "predicted_erased" in arrays:
        found["erased"] = (arrays["predicted_erased"] == arrays["labels"]).astype(float)
        found["drop"] = right - found["erased"]
    if "area" in arrays:
        found |= {f"area {level:g}": a for level, a in zip(LEVELS, arrays["area"].astype(float), strict=True)}
        found |= {name: arrays[name].astype(float) for name in ("regions", "spread", "object") if name in arrays}
    if "part_cover" in arrays:
        found["parts covered"] = arrays["part_cover"].astype(float).mean(axis=0)
    if "parts" in arrays:
        single = arrays["parts"][1 : 1 + len(PARTS)].astype(float)  # one part removed
        found["one part removed"] = single.mean(axis=0)
        found["least of one removed"] = single[single.mean(axis=1).argmin()]
    return found


def heat_maps(record: Record, count: int | None = None, side: int | None = None) -> np.ndarray:
    """The scaled maps of a record, float [M, S, S]: the first `count`, at `side` or four times their own size."""
    maps = torch.from_numpy(record.arrays["maps"][:count].astype(np.float32))
    side = 4 * maps.shape[-1] if side is None else side
    return scaled(enlarged(maps, (side, side))).numpy()


def regions(record: Record, level: float = REGION) -> np.ndarray:
    """Where the scaled maps of a record are above a level: bool [M, S, S]."""
    return heat_maps(record) > level


def _rows(record: Record) -> Iterator[dict]:
    for row in record.rows:
        if row["split"] in ("clean", "erased"):
            named = {"split": row["split"], "images": row["images"]}
            yield from (named | {"condition": name, "value": row[name]} for name in (*REPORT, "confidence"))
        else:
            yield row | {"value": row["accuracy"]}
    for name, values in per_picture(record).items():
        if name not in ("accuracy", "confidence", "erased"):
            yield {"split": "region", "condition": name, "value": float(np.nanmean(values)), "images": len(values)}
    labels, predicted = record.arrays["labels"], record.arrays["predicted"]
    for c in np.unique(labels):
        own = labels == c
        yield {"split": "recall", "condition": int(c), "value": float((predicted[own] == c).mean()), "images": int(own.sum())}
    yield {"split": "train", "condition": "accuracy", "value": record.history[-1]["accuracy"]}
    yield {"split": "speed", "condition": "images a second", "value": record.provenance["images_per_second"]}


def _differences(records: dict[tuple, Record], baselines: dict[tuple, Record]) -> Iterator[dict]:
    """Rows of each pair of methods of one part, seed, p and th; the baseline stands for every p and th."""
    known = {label: per_picture(record) for label, record in records.items()}
    base = {label: per_picture(record) for label, record in baselines.items()}
    for (part, method, seed, p, th), own in known.items():
        against = [b for a, b in PAIRS if a == method] + [BASE] * (method != BASE)
        for other in against:
            values = base.get((part, other, seed)) if other == BASE else known.get((part, other, seed, p, th))
            for name in own.keys() & values.keys() if values else ():
                difference = own[name] - values[name]
                difference = difference[np.isfinite(difference)]
                low, high = metrics.mean_interval(difference)
                yield {
                    "part": part, "method": method, "against": other, "seed": seed, "p": p, "th": th, "split": "difference",
                    "condition": name, "value": float(difference.mean()), "low": low, "high": high, "images": len(difference),
                }  # fmt: skip


def _containment(records: dict[tuple, Record]) -> Iterator[dict]:
    """How much of a baseline's region the nets of its seed share (condition "same seed") and those of others ("other seeds"),
    other baselines among them; and what the size of their regions would give ("chance").
    """
    found = {label[:3]: regions(record) for label, record in records.items() if "maps" in record.arrays}
    for (part, method, seed), own in found.items():
        named = {"part": part, "method": method, "against": BASE, "seed": seed, "split": "containment", "images": len(own)}
        for other in {s for p, m, s in found if (p, m) == (part, BASE)}:
            base = found[part, BASE, other]
            if (method, seed) != (BASE, other):
                condition = "same seed" if seed == other else "other seeds"
                yield named | {"condition": condition, "value": float(np.nanmean(metrics.containment(base, own)))}
        yield named | {"condition": "chance", "value": float(own.mean())}


def common_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each part the rows of the seeds that all of its methods have, where there are such: so that means over seeds compare
    like with like.
    """
    kept = []
    for _, own in rows.groupby("part", sort=False):
        methods = own.groupby("seed")["method"].nunique()
        seeds = methods.index[methods == own["method"].nunique()]
        kept.append(own[own["seed"].isin(seeds)] if len(seeds) else own)
    return pd.concat(kept) if kept else rows
