"""Paper 1's results from the ledger, and its tables beside the paper's own."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import numpy as np
import pandas as pd

from gazebook import data
from gazebook.data.augment import AUGMENTATIONS
from gazebook.ledger import Ledger, Record
from gazebook.metrics import attention_mse, mean_interval, rank_correlation
from gazebook.studies.scribe.evaluation import LEVELS
from gazebook.studies.scribe.runs import AXES, Axes, parts

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
REFERENCE = ("crop", 100)  # the paper's best model: its attention is what the others' is compared with
CLASS_COUNTS = ("predicted", "mask", "present")

# what a table without results still has
COLUMNS = ["variant", "head", "augmentation", "percent", "seed", "split", "protocol", "condition", "pipeline", "severity"]
COLUMNS += ["accuracy", "confidence", "ece_10", "ece_15", "sparsity", "sparsity_30", "sparsity_70", "sparsity_right"]
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
    """For each row and class: `predicted`, share of the predictions; `mask`, share of the pixels in the region; `present`,
    share of the pictures with such a pixel.
    """
    counts = record.arrays.get("class_counts")
    if counts is None:
        return []
    names = data.class_names(record.run.data)
    shares = []
    for row, (predicted, pixels, present) in zip(record.rows, counts.astype(float), strict=True):
        of = (predicted / row["images"], pixels / max(pixels.sum(), 1), present / row["images"])
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


def paper_table1() -> pd.DataFrame:
    """Table 1 of the paper: augmentation, percent, sparsity."""
    return _paper("table1").rename(columns={"train_percent": "percent"})


def paper_table2() -> pd.DataFrame:
    """Table 2 of the paper: augmentation, percent, accuracy as a share in [0, 1], mse."""
    names = {"train_percent": "percent", "mse_to_crop100": "mse"}
    table = _paper("table2").rename(columns=names)
    return table.assign(accuracy=table["accuracy_percent"] / 100).drop(columns="accuracy_percent")


def paper_table3() -> pd.DataFrame:
    """Table 3 of the paper, as shares in [0, 1]: augmentation, head, accuracy, confidence, ece."""
    table = _paper("table3")
    shares = {f"{name}_percent": name for name in ("accuracy", "confidence", "ece")}
    return table.assign(**{short: table[long] / 100 for long, short in shares.items()}).drop(columns=list(shares))


def tested(frame: pd.DataFrame, head: str = "scribe", protocol: str = "epochs", variant: str = "base") -> pd.DataFrame:
    """The rows of one head, protocol and variant that were measured on the whole clean test set."""
    rows = frame[(frame["split"] == "test") & (frame["pipeline"] == "none")]
    return rows[(rows["head"] == head) & (rows["protocol"] == protocol) & (rows["variant"] == variant)]


def wide(rows: pd.DataFrame, index: list[str], columns: str, values: str, order: Sequence | None = None) -> pd.DataFrame:
    """The mean of a value by `index` and `columns`, which may be limited to an order; with the right names if there is
    nothing to show.
    """
    if rows.empty:
        empty = pd.MultiIndex.from_arrays([[]] * len(index), names=index) if len(index) > 1 else pd.Index([], name=index[0])
        return pd.DataFrame(index=empty, columns=pd.Index(list(order or ()), name=columns), dtype=float)
    table = rows.pivot_table(index=index, columns=columns, values=values)
    return table if order is None else table.reindex(columns=list(order))


def beside_paper(frame: pd.DataFrame, metric: str, paper: pd.DataFrame, scale: float = 1) -> pd.DataFrame:
    """A table in the layout of the paper's Tables 1 and 2, rows of an augmentation, a column a percentage: ours (mean over
    seeds), its 95% interval's half width where there are seeds enough for one, the paper's, the difference.
    """
    cells = tested(frame).dropna(subset=metric).groupby(["augmentation", "percent"])[metric]
    ours = scale * cells.mean().unstack("percent")
    half = scale * cells.agg(lambda seeds: mean_interval(seeds)[1] - seeds.mean()).unstack("percent")
    theirs = scale * paper.pivot(index="augmentation", columns="percent", values=metric)
    rows = []
    for name in (a for a in AUGMENTATIONS if a in ours.index):
        lines = {"ours": ours.loc[name]}
        if half.loc[name].notna().any():
            lines["± (95%)"] = half.loc[name]
        lines["paper"] = theirs.loc[name].reindex(ours.columns)
        lines["difference"] = lines["ours"] - lines["paper"]
        for whose, line in lines.items():
            title = TITLES[name] if whose == "ours" else ""
            rows.append({"augmentation": title, metric: whose} | {f"{percent}%": v for percent, v in line.items()})
    return pd.DataFrame(rows)


def table1(frame: pd.DataFrame) -> pd.DataFrame:
    """Table 1: sparsity."""
    return beside_paper(frame, "sparsity", paper_table1())


def table2(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Table 2: `metric` is accuracy (in percent) or mse."""
    return beside_paper(frame, metric, paper_table2(), 100 if metric == "accuracy" else 1)


def accuracy_against_mse(frame: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of accuracy and MSE over all models but the reference, and the share of discordant pairs (higher
    accuracy, yet higher MSE), ours and the paper's.
    """
    rows = {}
    ours = tested(frame).dropna(subset="mse")
    named = {"MSE": ("mse", ours), "MSE of rounded maps": ("mse_rounded", ours), "paper": ("mse", paper_table2())}
    for name, (metric, table) in named.items():
        per_seed = [agreement(g, metric) for _, g in (table.groupby("seed") if "seed" in table else [(0, table)])]
        if per_seed:
            rows[name] = np.nanmean(per_seed, axis=0)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["rank correlation", "share of discordant pairs"])


def agreement(models: pd.DataFrame, metric: str = "mse") -> tuple[float, float]:
    """Spearman's rho of accuracy and MSE, and the share of pairs in which the more accurate model has the higher MSE."""
    others = models[(models["augmentation"] != REFERENCE[0]) | (models["percent"] != REFERENCE[1])]
    a, m = others["accuracy"].to_numpy(), others[metric].to_numpy()
    i, j = np.triu_indices(len(others), 1)
    discordant = (a[i] - a[j]) * (m[i] - m[j]) > 0
    return rank_correlation(a, m), float(discordant.mean()) if len(discordant) else float("nan")


def pairs(frame: pd.DataFrame, metrics: list[str], twin: str = "base") -> pd.DataFrame:
    """Metrics at 100% of the images by (augmentation, seed), for pairs of which both heads are there; columns (metric,
    head). The softmax model is the matched one (`base`) or as its authors trained it (`published`).
    """
    soft, own = tested(frame, "softmax", variant=twin), tested(frame)
    both = pd.concat([t[t["percent"] == 100] for t in (soft, own)])
    wide = both.pivot_table(index=["augmentation", "seed"], columns="head", values=metrics)
    return wide.reindex(columns=pd.MultiIndex.from_product([metrics, ["softmax", "scribe"]])).dropna()


def table3(frame: pd.DataFrame) -> pd.DataFrame:
    """Table 3, in percent: for each augmentation accuracy, confidence and ECE of the softmax model (I) and of SCrIBE (II),
    with the softmax model as published, matched, and the paper's.
    """
    columns = {"accuracy": "Acc.", "confidence": "Conf.", "ece": "ECE"}
    named = frame.rename(columns={"ece_10": "ece"})  # the paper's figures are of ten bins
    whose = {"as published": "published", "matched": "base"}
    means = {title: pairs(named, list(columns), twin).groupby("augmentation").mean() for title, twin in whose.items()}
    means["paper"] = paper_table3().pivot(index="augmentation", columns="head", values=list(columns))
    rows = []
    for name in AUGMENTATIONS:
        for title, table in means.items():
            if name in table.index and any(name in means[t].index for t in whose):
                heads = {"I": "softmax", "II": "scribe"}
                cells = {
                    f"{short} {i}": 100 * table.loc[name, (c, h)] for c, short in columns.items() for i, h in heads.items()
                }
                rows.append({"augmentation": TITLES[name] if title == "as published" else "", "softmax model": title} | cells)
    return pd.DataFrame(rows)


def gains(frame: pd.DataFrame) -> pd.DataFrame:
    """SCrIBE minus softmax at 100% averaged over augmentations, in points: as published, matched, on the larger grid, and
    the paper's, each as text with its 95% interval over seeds.
    """
    rows = {}
    for title, part, twin in (
        ("as published", frame, "published"),
        ("matched", frame, "base"),
        ("matched, larger grid", frame[frame["variant"] == "larger"].assign(variant="base"), "base"),
    ):
        cells = {}
        for metric, name in (("accuracy", "accuracy"), ("confidence", "confidence"), ("ece_10", "ECE")):
            mean, low, high = gain_interval(part, metric, twin)
            if np.isfinite(mean):
                interval = f" [{100 * low:+.2f}, {100 * high:+.2f}]" if np.isfinite(low) else " (one seed)"
                cells[name] = f"{100 * mean:+.2f}{interval}"
        if cells:
            rows[title] = cells
    wide = paper_table3().pivot(index="augmentation", columns="head", values=["accuracy", "confidence", "ece"])
    paper = {m: 100 * (wide[m, "scribe"] - wide[m, "softmax"]).mean() for m in ("accuracy", "confidence", "ece")}
    rows["paper"] = dict(zip(("accuracy", "confidence", "ECE"), (f"{v:+.2f}" for v in paper.values()), strict=True))
    return pd.DataFrame.from_dict(rows, orient="index")


def gain_interval(frame: pd.DataFrame, metric: str, twin: str = "base") -> tuple[float, float, float]:
    """SCrIBE minus softmax at 100%, averaged over augmentations: mean and 95% interval over the seeds that have them all."""
    both = pairs(frame, [metric], twin)
    gain = (both[metric, "scribe"] - both[metric, "softmax"]).unstack("augmentation").dropna().mean(axis=1)
    return float(gain.mean()), *mean_interval(gain)


def control_table(frame: pd.DataFrame, variant: str = "base") -> pd.DataFrame:
    """The ends of the size axis under both protocols, for the augmentations of the control: means over the seeds that
    have all four corners.
    """
    own = whole(frame, variant)
    own = own[own["augmentation"].isin(control_augmentations(frame, variant))]
    ends = own["percent"].isin({own["percent"].min(), own["percent"].max()})
    corner = ["protocol", "percent"]
    wide = own[ends].pivot_table(index=["augmentation", "seed"], columns=[*corner, "split"], values=["sparsity", "accuracy"])
    wide = wide.dropna().groupby("augmentation").mean().stack(corner)
    table = pd.DataFrame(
        {
            "sparsity": wide["sparsity", "test"],
            "training accuracy": wide["accuracy", "train"],
            "test accuracy": wide["accuracy", "test"],
            "gap": wide["accuracy", "train"] - wide["accuracy", "test"],
        }
    )
    order = [key for name in TITLES for key in table.index if key[0] == name]
    table = table.loc[order]
    table.index = table.index.map(lambda key: f"{TITLES[key[0]]}, equal {key[1]}, {key[2]}%")
    return table


def gap_correlations(frame: pd.DataFrame, protocol: str = "epochs", variant: str = "base") -> dict[tuple, float]:
    """Rank correlation of sparsity and the gap between training and test accuracy by (augmentation, seed)."""
    keys = ["augmentation", "seed", "percent"]
    rows = whole(frame, variant)
    models = wide(rows[rows["protocol"] == protocol], keys, "split", "accuracy", ("train", "test"))
    models["sparsity"] = tested(frame, protocol=protocol, variant=variant).set_index(keys)["sparsity"]
    models["gap"] = models["train"] - models["test"]
    rho = {k: rank_correlation(g["sparsity"], g["gap"]) for k, g in models.groupby(["augmentation", "seed"])}
    return {k: r for k, r in rho.items() if np.isfinite(r)}


def gap_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of sparsity and gap over training set sizes by augmentation: mean over seeds under both protocols,
    and in how many seeds it is negative.
    """
    columns = {}
    for variant, title in (("base", ""), ("larger", ", larger grid")):
        for protocol in ("epochs", "updates"):
            rho = gap_correlations(frame, protocol, variant)
            cells = {}
            for name in TITLES:
                own = [r for (a, _), r in rho.items() if a == name]
                if own:
                    cells[TITLES[name]] = f"{np.mean(own):+.2f} ({sum(r < 0 for r in own)} of {len(own)})"
            if cells:
                columns[f"equal {protocol}{title}"] = cells
    return pd.DataFrame(columns).reindex([t for t in TITLES.values() if any(t in c for c in columns.values())])


def whole(frame: pd.DataFrame, variant: str = "base") -> pd.DataFrame:
    """SCrIBE's rows on the whole test set and on the training sample, under both protocols."""
    return frame[(frame["head"] == "scribe") & (frame["pipeline"] == "none") & (frame["variant"] == variant)]


def control_augmentations(frame: pd.DataFrame, variant: str = "base") -> list[str]:
    """The augmentations of the equal-updates control that have results, in the paper's order."""
    there = set(frame.loc[(frame["protocol"] == "updates") & (frame["variant"] == variant), "augmentation"])
    return [name for name in TITLES if name in there]


def overview(frame: pd.DataFrame) -> pd.DataFrame:
    """One line a run, measured on the test set, for reading and sorting."""
    names = {
        "variant": "variant",
        "head": "head",
        "augmentation": "augmentation",
        "percent": "% of images",
        "protocol": "equal",
        "seed": "seed",
        "accuracy": "accuracy",
        "confidence": "confidence",
        "ece_15": "ECE",
        "sparsity": "sparsity",
        "classes": "classes",
        "regions": "regions",
        "soft_share": "soft",
    }
    table = frame.loc[(frame["split"] == "test") & (frame["pipeline"] == "none"), list(names)]
    return table.rename(columns=names).round(3).reset_index(drop=True)


def _paper(name: str) -> pd.DataFrame:
    with files("gazebook.studies.scribe").joinpath("paper", f"{name}.csv").open() as file:
        return pd.read_csv(file)
