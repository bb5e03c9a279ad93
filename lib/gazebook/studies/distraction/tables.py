"""The tables of part 4, ours beside the paper's."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pandas as pd

from gazebook.metrics import mean_interval, mean_of_means_interval
from gazebook.studies.distraction import tidy
from gazebook.studies.distraction.evaluation import LEVELS
from gazebook.studies.distraction.runs import (
    BASE,
    CONTROLS,
    METHODS,
    PAPER,
    SHIFTED,
    STREAMS,
    TITLES,
    ZERO,
)  # fmt: skip

PAPER_SETS = {"stanford_cars": "Stanford Cars", "fgvc_aircraft": "FGVC-Aircraft"}
PAPER_METHODS = {
    "hierarchical_vgg16": "hierarchical",
    "baseline": BASE,
    "occlude_0": "0-occlusion",
    "occlude_random": "R-occlusion",
    "occlude_1": "1-occlusion",
}
NAMES = {
    "accuracy": "accuracy", "macro_precision": "macro precision", "macro_recall": "macro recall", "macro_f1": "macro F1",
    "weighted_precision": "weighted precision", "weighted_recall": "weighted recall", "weighted_f1": "weighted F1",
}  # fmt: skip
TOGETHER = "mean of these"
TABLE1 = {"accuracy": "accuracy", "macro_precision": "precision", "macro_recall": "recall", "macro_f1": "F1"}


def paper_table(number: int) -> pd.DataFrame:
    """Table 1, 3 or 4 of the paper, as shares in [0, 1], its columns named as our methods."""
    with files("gazebook.studies.distraction").joinpath("paper", f"table{number}.csv").open() as file:
        return pd.read_csv(file).rename(columns=PAPER_METHODS)


def table1(frame: pd.DataFrame) -> pd.DataFrame:
    """Table 1 in percent: four metrics on our data sets, mean over the seeds that all four methods have, and on the paper's;
    macro averages.
    """
    rows = {}
    for part in tidy.fine_grained(frame):
        clean = tidy.of(frame, "clean", part=part)
        clean = tidy.common_seeds(clean[clean["method"].isin(PAPER)])
        wide = clean.pivot_table(index="condition", columns="method", values="value")
        for metric, name in TABLE1.items():
            if metric in wide.index:
                rows[f"{TITLES[part]} (ours)", name] = 100 * wide.loc[metric].reindex(list(PAPER))
    for row in paper_table(1).itertuples():
        rows[f"{PAPER_SETS[row.dataset]} (paper)", row.metric.replace("f1", "F1")] = 100 * pd.Series(
            row[3:], index=[BASE, *_rest()]
        )
    return pd.DataFrame.from_dict(rows, orient="index")[list(PAPER)].set_axis(pd.MultiIndex.from_tuples(rows))


def _rest() -> list[str]:
    return [PAPER_METHODS[c] for c in ("occlude_0", "occlude_random", "occlude_1")]


def gain_table(frame: pd.DataFrame, condition: str = "accuracy") -> pd.DataFrame:
    """Method minus baseline in points: mean over seeds with its 95% t-interval over seeds; the paper's for accuracy."""
    parts = tidy.fine_grained(frame)
    there = [m for m in METHODS if m != BASE and len(tidy.of(frame, "clean", method=m))]
    table = {TITLES[part]: [spread(_gains(frame, part, condition, m)) for m in there] for part in parts}
    found = pd.DataFrame(table, index=pd.Index(there, name="method"))
    if condition == "accuracy":
        paper = paper_table(1).query("metric == 'accuracy'").set_index("dataset")
        for name, title in PAPER_SETS.items():
            gains = 100 * (paper.loc[name, _rest()].astype(float) - float(paper.loc[name, BASE]))
            found[f"{title} (paper)"] = [f"{gains[m]:+.1f}" if m in gains else "" for m in there]
    return found


def control_table(frame: pd.DataFrame) -> pd.DataFrame:
    """0-occlusion minus each control in points: mean over seeds with its interval, and the number of seeds; and the mean of the
    data sets, each counting the same.
    """
    rows = {}
    for control in CONTROLS:
        for label, values in guided_minus(frame, control).items():
            groups = values if label == TOGETHER else [values]
            mean, low, high = mean_of_means_interval(groups)
            text = f"{mean:+.2f}" + (f" [{low:+.2f}, {high:+.2f}]" if np.isfinite(low) else " (one seed)")
            rows[control, label] = {"guided minus control, points": text, "seeds": sum(map(len, groups))}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["control", "data"]) if rows else pd.DataFrame()


def guided_minus(frame: pd.DataFrame, control: str) -> dict[str, list]:
    """0-occlusion minus a control in points, a value a seed, by data set; TOGETHER are all of these lists."""
    found = {TITLES[p]: _gains(frame, p, "accuracy", ZERO, control) for p in frame.attrs.get("parts", ())}
    found = {title: v for title, v in found.items() if len(v)}
    return found | ({TOGETHER: list(found.values())} if len(found) > 1 else {})


def _gains(frame: pd.DataFrame, part: str, condition: str, method: str, against: str = BASE) -> np.ndarray:
    return 100 * tidy.seeds_of(frame, part, "difference", condition, method, against)


def spread(values: np.ndarray, digits: int = 2) -> str:
    """'+0.52 [-0.30, +1.34]': mean and 95% t-interval over seeds; without an interval for one seed, empty for none."""
    if not len(values):
        return ""
    low, high = mean_interval(values)
    interval = f" [{low:+.{digits}f}, {high:+.{digits}f}]" if np.isfinite(low) else " (one seed)"
    return f"{np.mean(values):+.{digits}f}{interval}"


def table3(frame: pd.DataFrame) -> pd.DataFrame:
    """Table 3's layout on the photo streams: recall of each class, then the averages; mean over seeds, shares in [0, 1]."""
    names, clean = frame.attrs.get("stream_classes", ()), tidy.of(frame, "clean", part=STREAMS)
    if clean.empty:
        return pd.DataFrame()
    recall = tidy.of(frame, "recall", part=STREAMS)
    table = recall.pivot_table(index="condition", columns="method", values="value", sort=False)
    table.index = [names[int(c)] for c in table.index]
    table.insert(0, "test pictures", recall.drop_duplicates("condition")["images"].to_numpy())
    averages = clean.pivot_table(index="condition", columns="method", values="value")
    averages = averages.loc[[*list(NAMES)[1:], "accuracy"]].rename(index=NAMES)
    columns = ["test pictures", *_ordered(averages.columns)]
    return pd.concat([table, averages])[columns].rename_axis("class or average")


def _ordered(methods) -> list[str]:
    return [m for m in METHODS if m in set(methods)]


def paper_table3() -> pd.DataFrame:
    """Table 3 as published: EgoFoodPlaces."""
    return paper_table(3).rename(columns={"row": "class or average"}).set_index("class or average")


def table4(frame: pd.DataFrame) -> pd.DataFrame:
    """Table 4: the photo streams with erased test pictures, mean over seeds, and the paper's EgoFoodPlaces."""
    erased = tidy.of(frame, "erased", part=STREAMS)
    if erased.empty:
        return pd.DataFrame()
    ours = erased.pivot_table(index="condition", columns="method", values="value")
    ours = ours.loc[[*list(NAMES)[1:], "accuracy"], _ordered(ours.columns)].rename(index=NAMES)
    paper = paper_table(4).set_index("metric").add_suffix(" (paper)")
    paper.index = [name.lower().replace("f1", "F1") for name in paper.index]
    return ours.join(paper).rename_axis("average")


def drop_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy on clean and on erased test pictures in percent, mean over seeds, the drop, and how much smaller it is than the
    baseline's, with its interval over seeds; and the paper's.
    """
    rows = {}
    both = {s: tidy.common_seeds(tidy.of(frame, s, condition="accuracy")) for s in ("clean", "erased")}
    for part in frame.attrs.get("parts", ()):
        for method in METHODS:
            clean, erased = (r[(r["part"] == part) & (r["method"] == method)]["value"].mean() for r in both.values())
            if np.isfinite(erased):
                smaller = "" if method == BASE else spread(-_gains(frame, part, "drop", method))
                rows[TITLES[part], method] = [100 * clean, 100 * erased, 100 * (clean - erased), smaller]
    clean = paper_table(3).set_index("row").loc["Accuracy"]
    erased = paper_table(4).set_index("metric").loc["Accuracy"]
    for method in (BASE, ZERO):
        drop = 100 * (clean[method] - erased[method])
        base = 100 * (clean[BASE] - erased[BASE])
        smaller = "" if method == BASE else f"{base - drop:+.0f}"
        rows["EgoFoodPlaces (paper)", method] = [100 * clean[method], 100 * erased[method], drop, smaller]
    columns = ["clean, %", "erased, %", "drop", "smaller than the baseline's by"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).set_axis(
        pd.MultiIndex.from_tuples(rows, names=["data", "method"])
    )


def identity_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Weighted recall minus accuracy, which is zero by definition: the largest over our records, and the paper's columns."""
    rows = []
    for split in ("clean", "erased"):
        wide = tidy.of(frame, split).pivot_table(index=["part", "method", "seed"], columns="condition", values="value")
        if len(wide):
            largest = (wide["weighted_recall"] - wide["accuracy"]).abs().max()
            rows.append({"table": f"ours, {split}", "column": f"all {len(wide)}", "weighted recall - accuracy": largest})
    for number, index in ((3, "row"), (4, "metric")):
        table = paper_table(number).set_index(index)
        for name, column in table.items():
            gap = float(column["Weighted Recall"] - column["Accuracy"])
            rows.append({"table": f"paper, Table {number}", "column": name, "weighted recall - accuracy": gap})
    return pd.DataFrame(rows).set_index("table")


def region_table(frame: pd.DataFrame, part: str) -> pd.DataFrame:
    """The regions of Grad-CAM of the true class, means over pictures and seeds."""
    rows = tidy.common_seeds(tidy.of(frame, "region", part=part))
    wanted = [f"area {level:g}" for level in LEVELS] + ["regions", "spread", "object", "parts covered"]
    table = rows.pivot_table(index="method", columns="condition", values="value", sort=False)
    return table.reindex(columns=[c for c in wanted if c in table], index=_ordered(table.index))


def containment_table(frame: pd.DataFrame) -> pd.DataFrame:
    """How much of the baseline's region lies in that of a net of the same seed, and of other seeds; mean over pictures."""
    rows = tidy.common_seeds(tidy.of(frame, "containment"))
    if rows.empty:
        return pd.DataFrame()
    table = rows.pivot_table(index=["part", "method"], columns="condition", values="value")
    table = table.reindex(columns=["same seed", "other seeds", "chance"])
    table = table.loc[[(p, m) for p in frame.attrs["parts"] for m in METHODS if (p, m) in table.index]]
    table.index = pd.MultiIndex.from_tuples([(TITLES[p], m) for p, m in table.index], names=["data", "method"])
    return table.rename(columns={"chance": "by size alone"})


def removed_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy, in percent, on birds drawn complete and without parts; mean over seeds, a row a method."""
    rows = tidy.common_seeds(tidy.of(frame, "part"))
    table = 100 * rows.pivot_table(index="method", columns="condition", values="value", sort=False)
    table.columns = [birds(name) for name in table.columns]
    return table.reindex(_ordered(table.index))


def birds(removed: str) -> str:
    """What birds without some parts are called."""
    return "complete" if removed == "nothing" else f"no {removed}"


def hidden_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy, in percent, with a share of each picture painted over, where the model looks and elsewhere; mean over seeds."""
    rows = tidy.common_seeds(tidy.of(frame, "hidden"))
    if rows.empty:
        return pd.DataFrame()
    named = {"highest": "where it looks", "shifted": "elsewhere"}
    rows = rows.assign(
        column=[f"{level:.0%} {named[c]}" for level, c in zip(rows["level"], rows["condition"], strict=True)],
        data=rows["part"].map(TITLES),
    )
    table = 100 * rows.pivot_table(index=["data", "method"], columns="column", values="value", sort=False)
    clean = tidy.common_seeds(tidy.of(frame, "clean", condition="accuracy")).assign(data=lambda t: t["part"].map(TITLES))
    table = table.reindex(_ordered(table.index.unique("method")), level="method")
    table.insert(0, "nothing hidden", 100 * clean.groupby(["data", "method"])["value"].mean())
    return table


def cost_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Time of a training step over the baseline's of the same seed, median over seeds; the bound is 1 + p where batches are
    explained.
    """
    rows = tidy.of(frame, "speed")
    wide = rows.pivot_table(index=["part", "seed"], columns="method", values="value")
    if BASE not in wide:
        return pd.DataFrame()
    ratio = (1 / wide).mul(wide[BASE], axis=0).groupby("part", sort=False).median().T
    ratio = ratio.reindex(_ordered(ratio.index)).rename(columns=TITLES)
    explained = {m: o["p"] if o is not None and "area" not in o else 0 for m, o in METHODS.items()}
    ratio.insert(0, "bound", [1 + explained[m] for m in ratio.index])
    return ratio


def leak_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The baseline of the photo streams on unseen events, and on unseen frames of the events of its training; percent."""
    rows = {}
    for name, group in (("unseen events", "main"), ("unseen frames of training events", "leaky")):
        own = tidy.of(frame, "clean", group, part=STREAMS, method=BASE)
        values = own.groupby("condition")["value"].mean()
        if len(values):
            rows[name] = 100 * values[["accuracy", "macro_recall", "macro_f1"]].rename(NAMES)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("tested on")


def sweep_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Guided hiding and the same shapes elsewhere minus baseline, in points, by p and th; mean over seeds, with interval."""
    both = swept(frame)
    rows = {
        f"p = {p:g}, th = {th:g}": {
            m: spread(100 * own.loc[own["method"] == m, "value"].to_numpy(float)) for m in (ZERO, SHIFTED)
        }
        for (p, th), own in both.groupby(["p", "th"])
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("hiding")


def swept(frame: pd.DataFrame) -> pd.DataFrame:
    """Differences to the baseline in accuracy of guided hiding and of the same shapes elsewhere, for every p and th."""
    rows = frame[(frame["split"] == "difference") & (frame["against"] == BASE) & (frame["condition"] == "accuracy")]
    parts = frame.loc[frame["group"] == "sweep", "part"].unique()
    rows = rows[rows["method"].isin((ZERO, SHIFTED)) & rows["part"].isin(parts)]
    seeds = rows.loc[rows["group"] == "sweep", "seed"].unique()
    return rows[rows["seed"].isin(seeds)]
