"""The results of paper 4 as one frame: a row for each run, or pair of runs, and thing measured."""

from collections.abc import Iterator
from importlib.resources import files

import numpy as np
import pandas as pd
import torch

from gazebook import data, evidence, metrics
from gazebook.data.fine_scenes import PARTS
from gazebook.evidence import Estimate, select
from gazebook.evidence.frame import tidy
from gazebook.explain.saliency import minmax_normalize, upsample
from gazebook.ledger import Ledger, Record
from gazebook.measure.erasing import LEVELS
from gazebook.papers.distraction.grid import (
    AXES,
    BASE,
    CONTROLS,
    METHODS,
    ONE,
    RANDOM,
    STREAMS,
    TITLES,
    ZERO,
    Axes,
    leaky,
    main,
    on_set,
    sweep,
)

REPORT = ("accuracy", "macro_precision", "macro_recall", "macro_f1", "weighted_precision", "weighted_recall", "weighted_f1")
REGION = 0.5  # of a min-max normalised map: what is above is the region that a model looks at
LABELS = ("data", "against", "p", "th")
PAPER_SETS = {"stanford_cars": "Stanford Cars", "fgvc_aircraft": "FGVC-Aircraft"}
PAPER_METHODS = {
    "hierarchical_vgg16": "hierarchical",
    "baseline": BASE,
    "occlude_0": ZERO,
    "occlude_random": RANDOM,
    "occlude_1": ONE,
}


def results(ledger: Ledger, axes: Axes | str) -> pd.DataFrame:
    """The frame of the runs of a profile, or of `axes`, that are there; `part` is main, sweep or leaky, `model` the method.

    Measures of one run: "clean" and "erased", a row for each metric of REPORT and confidence; "hidden", accuracy with a share
    `level` hidden where the model looks (condition highest) or elsewhere (shifted); "region", means over images; "part",
    accuracy without parts; "recall", of each class; "speed", images a second in training; "train", accuracy in it.
    "containment" is how much of the region of `against` lies in that of `model`.
    """
    axes = AXES[axes] if isinstance(axes, str) else axes
    rows: list[dict] = []
    for part, runs in (("main", main(axes)), ("sweep", sweep(axes)), ("leaky", leaky(axes))):
        records = {}
        for run, label in runs.items():
            if run in ledger:
                record = records[tuple(label.values())] = ledger.read(run)
                rows += [{"part": part, **label, "key": run.key} | row for row in _rows(record)]
        if part == "main":
            rows += [{"part": part} | row for row in _containment(records)]
    return tidy(rows, "distraction", LABELS, sets=tuple(axes.sets), stream_classes=stream_classes(axes))


def stream_classes(axes: Axes) -> tuple[str, ...]:
    """The classes of the photo streams, in the order of their labels."""
    if STREAMS not in axes.sets:
        return ()
    return data.class_names(axes.sets[STREAMS].fields.get("data_options", {}).get("of", "cifar10"))


def of(frame: pd.DataFrame, measure: str, part: str = "main", **equal) -> pd.DataFrame:
    """The rows of a measure and part whose columns have these values."""
    return select(frame, part=part, measure=measure, **equal)


def per_seed(frame: pd.DataFrame, name: str, measure: str, condition: str, method: str, against: str = BASE) -> pd.Series:
    """The difference of two methods on a data set for each seed that has both, on the same test images."""
    table = evidence.wide(of(frame, measure, data=name, condition=condition), "seed", "model")
    return (table[method] - table[against]).dropna() if {method, against} <= set(table) else pd.Series(dtype=float)


def common(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each data set the rows of the seeds that all of its methods have."""
    return evidence.common_seeds(rows, "model", "data")


def fine_grained(frame: pd.DataFrame) -> tuple[str, ...]:
    """The data sets that stand for the paper's fine-grained ones."""
    return tuple(p for p in frame.attrs.get("sets", ()) if p != STREAMS)


def trained(frame: pd.DataFrame) -> dict[str, float]:
    """Training accuracy of the baseline by data set, mean over seeds."""
    return of(frame, "train", model=BASE).groupby("data")["value"].mean().to_dict()


def paper_table(number: int) -> pd.DataFrame:
    """Table 1, 3 or 4 of the paper, as shares in [0, 1], its columns named as our methods."""
    with files("gazebook.papers.distraction").joinpath("paper", f"table{number}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file).rename(columns=PAPER_METHODS)


def ordered(methods) -> list[str]:
    """Methods in the order of `grid.METHODS`."""
    return [m for m in METHODS if m in set(methods)]


def per_image(record: Record) -> dict[str, np.ndarray]:
    """What is known of each test image, or of each of which there is a map: float [N] or [M]."""
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
    """The min-max normalised maps of a record, float [M, S, S]: the first `count`, at `side` or four times their own size."""
    maps = torch.from_numpy(record.arrays["maps"][:count].astype(np.float32))
    side = 4 * maps.shape[-1] if side is None else side
    return minmax_normalize(upsample(maps, (side, side))).numpy()


def regions(record: Record, level: float = REGION) -> np.ndarray:
    """Where the normalised maps of a record are above a level: bool [M, S, S]."""
    return heat_maps(record) > level


def areas_above(record: Record, levels: np.ndarray) -> np.ndarray:
    """Share of the images above each level of the normalised maps of a record, mean over its images: float, one per level."""
    full = heat_maps(record)
    return np.array([(full > level).mean() for level in levels])


def _rows(record: Record) -> Iterator[dict]:
    for row in record.rows:
        if row["split"] in ("clean", "erased"):
            named = {"measure": row["split"], "n": row["images"]}
            yield from (named | {"condition": name, "value": row[name]} for name in (*REPORT, "confidence"))
        else:
            yield (
                {"measure": row["split"], "n": row["images"]}
                | {k: row[k] for k in ("condition", "level") if k in row}
                | {"value": row["accuracy"]}
            )
    for name, values in per_image(record).items():
        if name not in ("accuracy", "confidence", "erased"):
            yield {"measure": "region", "condition": name, "value": float(np.nanmean(values)), "n": len(values)}
    labels, predicted = record.arrays["labels"], record.arrays["predicted"]
    for c in np.unique(labels):
        own = labels == c
        yield {"measure": "recall", "condition": int(c), "value": float((predicted[own] == c).mean()), "n": int(own.sum())}
    yield {"measure": "train", "condition": "accuracy", "value": record.history[-1]["accuracy"]}
    yield {"measure": "speed", "condition": "images a second", "value": record.provenance["images_per_second"]}


def _containment(records: dict[tuple, Record]) -> Iterator[dict]:
    """How much of a baseline's region the nets of its seed share (condition "same seed") and those of others ("other seeds"),
    other baselines among them; and what the size of their regions would give ("chance").
    """
    found = {label[:3]: regions(record) for label, record in records.items() if "maps" in record.arrays}
    for (name, method, seed), own in found.items():
        named = {"data": name, "model": method, "against": BASE, "seed": seed, "measure": "containment", "n": len(own)}
        for other in {s for p, m, s in found if (p, m) == (name, BASE)}:
            base = found[name, BASE, other]
            if (method, seed) != (BASE, other):
                condition = "same seed" if seed == other else "other seeds"
                yield named | {"condition": condition, "value": float(np.nanmean(metrics.containment(base, own)))}
        yield named | {"condition": "chance", "value": float(own.mean())}


def gain_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Method minus baseline in points: mean over seeds with its 95% interval; the paper's gains."""
    there = [m for m in METHODS if m != BASE and len(of(frame, "clean", model=m))]
    table = {
        TITLES[p]: [Estimate.of(100 * per_seed(frame, p, "clean", "accuracy", m)).text(2) for m in there]
        for p in fine_grained(frame)
    }
    found = pd.DataFrame(table, index=pd.Index(there, name="method")).replace("no runs yet", "")
    paper = paper_table(1).query("metric == 'accuracy'").set_index("dataset")
    for name, title in PAPER_SETS.items():
        gains = {m: 100 * float(paper.loc[name, m] - paper.loc[name, BASE]) for m in (ZERO, RANDOM, ONE)}
        found[f"{title} (paper)"] = [f"{gains[m]:+.1f}" if m in gains else "" for m in there]
    return found


def guided_minus(frame: pd.DataFrame, control: str) -> dict[str, Estimate]:
    """0-occlusion minus a control in points: an estimate a data set, and one of their mean, each counting the same."""
    found = {TITLES[p]: 100 * per_seed(frame, p, "clean", "accuracy", ZERO, control) for p in frame.attrs["sets"]}
    found = {title: v for title, v in found.items() if len(v)}
    together = {"mean of these": Estimate.of_groups(found.values())} if len(found) > 1 else {}
    return {title: Estimate.of(v) for title, v in found.items()} | together


def control_table(frame: pd.DataFrame) -> pd.DataFrame:
    """0-occlusion minus each control in points, by data set and over them."""
    rows = {(c, label): e.text(2) for c in CONTROLS for label, e in guided_minus(frame, c).items()}
    return pd.Series(rows, name="guided minus control, points").rename_axis(["control", "data"]).to_frame()


def records_of(ledger: Ledger, axes: Axes, part: str, method: str) -> list[Record]:
    """The records of a method on a data set that are there, one a seed."""
    runs = [on_set(axes, part, method, seed) for seed in axes.sets[part].seeds.get(method, ())]
    return list(ledger.records(runs))


def gate(frame: pd.DataFrame) -> str:
    """Each claim names the data sets that it is about, and those name their regime: see `claims.regime`."""
    return ""
