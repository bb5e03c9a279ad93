"""The effects that paper 1's claims are about: from the frame to one value per seed."""

import numpy as np
import pandas as pd

from gazebook import evidence
from gazebook.evidence import select
from gazebook.measure.corruption import NOISE
from gazebook.metrics import rank_correlation
from gazebook.papers.scribe.results import TITLES, cells, corrupted, curves, pairs, tested

GEOMETRIC = ["crop", "flip", "rotate", "perspective"]
NOISY = (*NOISE, "spatter", "snow")
MODEL = ["seed", "augmentation"]


def by_seed(table: pd.DataFrame | pd.Series) -> pd.Series:
    """Means over everything but the seed."""
    values = table.stack() if isinstance(table, pd.DataFrame) else table
    return values.dropna().groupby("seed").mean()


def size_rank(measure: str, **options):
    """Rank correlation of training set size and a measure, mean over augmentations."""
    return lambda frame: by_seed(curves(frame, measure, **options).apply(rank, axis=1))


def rank(row: pd.Series) -> float:
    """Rank correlation of a row's columns and values."""
    row = row.dropna()
    return rank_correlation(row.index, row)


def growth(measure: str, *names: str, **options):
    """A measure at the full training set minus at the smallest, mean over (some) augmentations."""

    def effect(frame: pd.DataFrame) -> pd.Series:
        table = curves(frame, measure, **options)
        table = table[table.index.get_level_values("augmentation").isin(names)] if names else table
        return by_seed(table.iloc[:, -1] - table.iloc[:, 0]) if len(table) else pd.Series(dtype=float)

    return effect


def margin(measure: str, name: str, sign: int = 1, among: list[str] | None = None, where=None, table_of=cells):
    """How far an augmentation's measure lies above the highest of the others (sign -1: below their lowest), mean over rows
    of the table of which `where(percent, smallest, full)` is true.
    """

    def effect(frame: pd.DataFrame) -> pd.Series:
        table = sign * table_of(frame, measure)
        if where and len(table):
            percent = table.index.get_level_values("percent")
            table = table[where(percent, percent.min(), percent.max())]
        others = table[[c for c in (among or list(table.columns)) if c != name]]
        return by_seed(table[name] - others.max(axis=1))

    return effect


def over_augmentations(x: str, y: str, where=None):
    """Rank correlation over augmentations of two measures, mean over sizes."""

    def effect(frame: pd.DataFrame) -> pd.Series:
        a, b = cells(frame, x), cells(frame, y)
        if where and len(a):
            percent = a.index.get_level_values("percent")
            a = a[where(percent, percent.min(), percent.max())]
        rho = [rank_correlation(a.loc[i], b.loc[i]) if i in b.index else np.nan for i in a.index]
        return by_seed(pd.Series(rho, a.index, dtype=float))

    return effect


def within_augmentations(x: str, y: str):
    """Rank correlation over sizes of two measures, mean over augmentations."""

    def effect(frame: pd.DataFrame) -> pd.Series:
        a, b = curves(frame, x), curves(frame, y)
        both = {i: pd.concat([a.loc[i], b.loc[i]], axis=1).dropna().to_numpy().T for i in a.index.intersection(b.index)}
        rho = pd.Series({i: rank_correlation(*pair) for i, pair in both.items()}, dtype=float)
        return by_seed(rho.rename_axis(MODEL)) if len(rho) else rho

    return effect


def steps(measure: str, statistic, *names: str):
    """A statistic of the steps of a measure from one training set size to the next, mean over (some) augmentations, of models
    at every size that any has: over fewer sizes steps would be larger.
    """

    def effect(frame: pd.DataFrame) -> pd.Series:
        table = curves(frame, measure).dropna()
        table = table[table.index.get_level_values("augmentation").isin(names)] if names else table
        return by_seed(table.apply(lambda row: statistic(np.diff(row)), axis=1)) if len(table) else None

    return effect


def difference(measure: str, more: str, less: str, end: int):
    """A measure of one augmentation minus another's at one end of the size axis (0 smallest, -1 full)."""

    def effect(frame: pd.DataFrame) -> pd.Series:
        table = cells(frame, measure)
        percents = sorted(table.index.get_level_values("percent").unique())
        if len(percents) < 2:
            return pd.Series(dtype=float)
        own = table.xs(percents[end], level="percent")
        return own[more] - own[less]

    return effect


def spread_growth(frame: pd.DataFrame) -> pd.Series:
    """Spread of sparsity over augmentations at the full training set minus at the smallest."""
    table = cells(frame)
    width = (table.max(axis=1) - table.min(axis=1)).unstack("percent")
    return width.iloc[:, -1] - width.iloc[:, 0] if width.shape[1] > 1 else pd.Series(dtype=float)


def mse_order(near: list[str], sign: int):
    """At 100%: mean MSE of the other augmentations minus that of `near`, the reference left out."""

    def effect(frame: pd.DataFrame) -> pd.Series:
        rows = tested(frame, "mse")
        rows = rows[(rows["percent"] == 100) & (rows["value"] > 0)]
        table = evidence.wide(rows, "seed", "augmentation", TITLES)
        return sign * (table.drop(columns=near).mean(axis=1) - table[near].mean(axis=1))

    return effect


def overconfidence(frame: pd.DataFrame) -> pd.DataFrame:
    """Confidence minus accuracy, and the ECE, of all models of Table 3 (both heads at 100%)."""
    rows = [tested(frame, ["confidence", "accuracy", "ece_10"], head, variant=v)
            for head, v in (("scribe", "base"), ("softmax", "published"))]  # fmt: skip
    rows = pd.concat(rows)
    table = evidence.wide(rows[rows["percent"] == 100], ["seed", "head", "augmentation"], "measure")
    table = table.reindex(columns=["confidence", "accuracy", "ece_10"]).dropna()
    return pd.DataFrame({"over": table["confidence"] - table["accuracy"], "ece": table["ece_10"]})


def head_ranks(measure: str):
    """Rank correlation over augmentations of a measure of both heads."""
    return lambda frame: pd.Series(
        {seed: rank_correlation(g["softmax"], g["scribe"]) for seed, g in pairs(frame, measure, "published").groupby("seed")},
        dtype=float,
    )


# corrupted images -------------------------------------------------------------------------------------------------------


def drop(frame: pd.DataFrame, **options) -> pd.DataFrame:
    """Rows of accuracy lost to corruption, in column value."""
    rows = corrupted(frame, "accuracy", **options)
    return rows.assign(value=rows["clean"] - rows["value"])


def mean_of(rows: pd.DataFrame, value: str = "value", **equal) -> pd.Series:
    """The mean of selected rows for each seed."""
    return select(rows, **equal).groupby("seed")[value].mean()


def best_under(name: str, conditions: tuple[str, ...], measure: str = "accuracy", sign: int = 1):
    """`margin` of an augmentation on corrupted images, mean over conditions; a row a corruption, means over severities."""

    def table_of(frame: pd.DataFrame, measure: str) -> pd.DataFrame:
        rows = select(corrupted(frame, measure), condition=conditions)
        return evidence.wide(rows, ["seed", "condition"], "augmentation", TITLES).dropna()

    return margin(measure, name, sign, table_of=table_of)


def class_rise(kind: str, names: tuple[str, ...], rise: bool = True, percent: int | None = 100, **equal):
    """The summed share of classes on corrupted images, or its rise over the same images without corruption."""

    def effect(frame: pd.DataFrame) -> pd.Series:
        rows = select(corrupted(frame, [f"{kind}:{n}" for n in names], percent=percent), **equal)
        if percent is None:  # the most overfit: the smallest training set
            rows = rows[rows["percent"] == rows["percent"].min()]
        value = rows["value"] - rows["clean"] if rise else rows["value"]
        summed = value.groupby([rows[c] for c in ("seed", "key", "condition", "level")]).sum()
        return summed.groupby("seed").mean()

    return effect


def size_chaos(measure: str, names: tuple[str, ...] = ()):
    """Rank correlation of size and a measure, by (seed, augmentation): clean, and under noise (mean over severities)."""
    clean = curves_rank(tested, measure)
    noisy = curves_rank(lambda frame, m: select(corrupted(frame, m, percent=None), condition=NOISE), measure)
    return lambda frame: pd.DataFrame({"clean": clean(frame), "noisy": noisy(frame)}).dropna()


def curves_rank(rows_of, measure: str):
    """Rank correlation over sizes of the rows that `rows_of(frame, measure)` gives."""

    def ranks(frame: pd.DataFrame) -> pd.Series:
        table = evidence.wide(rows_of(frame, measure), MODEL, "percent")
        return table.apply(rank, axis=1) if len(table) else pd.Series(dtype=float)

    return ranks


def rotation_regular(frame: pd.DataFrame) -> pd.Series:
    """Rank correlation of size and accuracy under noise: RandomRotation minus the mean of the others."""
    table = size_chaos("accuracy")(frame)["noisy"].unstack("augmentation")
    return table["rotate"] - table.drop(columns="rotate").mean(axis=1) if "rotate" in table else pd.Series(dtype=float)


def masks_move(near: dict, far: dict):
    """At 100%: how much more the attention moves (MSE to the clean image's) under `far` than under `near`."""

    def effect(frame: pd.DataFrame) -> pd.Series:
        rows = corrupted(frame, "mse_clean")
        return mean_of(rows, **far) - mean_of(rows, **near)

    return effect


def heads_alike(frame: pd.DataFrame) -> pd.Series:
    """Rank correlation over corruptions and severities of the accuracies of both heads, mean over augmentations."""
    keys = [*MODEL, "condition", "level"]
    both = {h: corrupted(frame, "accuracy", h).groupby(keys)["value"].mean() for h in ("scribe", "softmax")}
    pair = pd.DataFrame(both).dropna()
    rho = {k: rank_correlation(g["scribe"], g["softmax"]) for k, g in pair.groupby(MODEL)}
    return by_seed(pd.Series(rho, pd.MultiIndex.from_tuples(rho, names=MODEL), dtype=float)) if rho else None


def variants_rank(prefix: str):
    """`size_rank` of sparsity for each variant whose name begins so: one column per variant."""

    def effect(frame: pd.DataFrame) -> pd.DataFrame:
        names = sorted(v for v in frame["variant"].unique() if v.startswith(prefix))
        return pd.DataFrame({name: size_rank("sparsity", variant=name)(frame) for name in names})

    return effect


def area_kinder(frame: pd.DataFrame) -> pd.Series:
    """Accuracy lost to noise when shrunk without antialiasing minus when shrunk by areas."""
    lost = [mean_of(drop(frame, protocol=p), condition=NOISE) for p in ("upsampled", "upsampled_area")]
    return lost[0] - lost[1]


def protocols_agree(frame: pd.DataFrame) -> pd.Series:
    """Rank correlation of the corruptions' mean accuracies under both protocols, mean over augmentations."""
    both = [evidence.wide(corrupted(frame, "accuracy", protocol=p), MODEL, "condition") for p in ("upsampled", "direct")]
    there = both[0].index.intersection(both[1].index)
    rho = pd.Series([rank_correlation(both[0].loc[i], both[1].loc[i]) for i in there], there, dtype=float)
    return by_seed(rho) if len(rho) else None


def rate_gain(frame: pd.DataFrame) -> pd.Series:
    """SCrIBE minus softmax in accuracy at 100%, each head at the best of its learning rates, mean over augmentations."""
    names = ["base", *(v for v in frame["variant"].unique() if str(v).startswith("rate"))]
    rows = select(frame, measure="accuracy", split="test", pipeline="none", percent=100, variant=names, protocol="epochs")
    swept = rows.loc[rows["variant"] != "base", ["augmentation", "seed"]].drop_duplicates()
    rows = rows.merge(swept)
    best = rows.groupby(["seed", "augmentation", "head"])["value"].max().unstack("head")
    return by_seed((best["scribe"] - best["softmax"]).dropna()) if {"scribe", "softmax"} <= set(best) else None
