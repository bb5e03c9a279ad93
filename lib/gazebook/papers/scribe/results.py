"""Paper 1's results from the ledger as one frame, and the rows that its tables, figures and claims look at."""

from importlib.resources import files

import numpy as np
import pandas as pd

from gazebook import data, evidence
from gazebook.evidence import select
from gazebook.evidence.frame import tidy
from gazebook.ledger import Ledger, Record
from gazebook.measure.attention import LEVELS
from gazebook.measure.corruption import NOISE
from gazebook.metrics import attention_mse, rank_correlation
from gazebook.papers.scribe.grid import AXES, Axes, parts, scales

# The paper's names of the augmentations (torchvision's transforms) and of the corruptions (Figure 3)
TITLES = {
    "none": "No transform",
    "crop": "RandomCrop",
    "flip": "RandomHorizontalFlip",
    "rotate": "RandomRotation",
    "perspective": "RandomPerspective",
    "color": "ColorJitter",
    "combined": "Combined",
}
SIZE_LABEL = "% of the training images"
PROTOCOLS = {"epochs": "equal epochs", "updates": "equal updates"}
# the paper's two groups of corruptions (section 3.5)
MILD = ("brightness", "saturate", "defocus_blur", "motion_blur", "zoom_blur", "jpeg_compression")
HARSH = (*NOISE, "spatter", "snow", "fog", "contrast")
BASE = ("size", "heads", "control")  # parts of the one grid that all chapters share
CLASS_COUNTS = ("predicted", "mask", "present")
LABELS = ("scale", "variant", "head", "augmentation", "percent", "protocol", "split", "pipeline")


def results(ledger: Ledger, axes: Axes | str, *names: str) -> pd.DataFrame:
    """The frame of the runs of a profile, or of `axes`, that are there, at every scale.

    `names` limits it to some parts of the grid (see `grid.parts`). Labels: `scale`, the number of training images that 100%
    are; `variant`, "base" or what else is different; `percent` of the training images; `protocol`, "epochs" (every fraction
    for the same epochs, as in the paper) or "updates"; `pipeline`, how images were corrupted, "none" for the whole test set;
    `level`, the severity. Measures are those of the records, `mse` and `mse_rounded` to the attention of the most accurate
    model of the same scale and seed, and the shares of each class, such as "mask:frog" (see `_class_shares`).
    """
    axes = AXES[axes] if isinstance(axes, str) else axes
    rows: list[dict] = []
    for scale, own in scales(axes).items():
        for part, runs in parts(own).items():
            if names and part not in names:
                continue
            records = list(ledger.records(runs))
            distances = _distances(records) if part == "size" else {}
            for record in records:
                named = {"part": part, "scale": scale, "variant": "base" if part in BASE else part}
                rows += _rows(record, named, distances.get(record.run.key, {}))
    keys = ["part", "model", "seed", "condition", "level", "n", "key", *LABELS]
    table = pd.DataFrame(rows).reindex(columns=list(dict.fromkeys([*keys, *(k for r in rows for k in r)])))
    long = table.melt(keys, var_name="measure", value_name="value").dropna(subset="value")
    return tidy(long.assign(value=long["value"].astype(float)), "scribe", LABELS)


def _rows(record: Record, named: dict, distance: dict) -> list[dict]:
    run = record.run
    percent = round(100 * run.fraction)
    named = named | {
        "head": run.head,
        "augmentation": run.augmentation,
        "percent": percent,
        "seed": run.seed,
        "model": f"{run.head}, {run.augmentation}, {percent}%",
        "protocol": "updates" if run.updates else "epochs",
        "key": run.key,
    }
    shares = _class_shares(record)
    rows = []
    for i, row in enumerate(record.rows):
        whole = {"pipeline": "none", "severity": 0} | row
        whole |= {"level": whole.pop("severity"), "n": whole.pop("images")}
        clean = whole["pipeline"] == "none" and row["split"] == "test"
        rows.append(named | whole | (shares[i] if shares else {}) | (distance if clean else {}))
    return rows


def _class_shares(record: Record) -> list[dict]:
    """For each row and class: `predicted`, share of the predictions; `mask`, share of the pixels in the region (NaN without a
    region); `present`, share of the images with such a pixel.
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


def reference(records: list[Record], seed: int) -> Record | None:
    """The most accurate model of a seed, whose attention the others' is compared with (section 3.3: the best-performing
    model); None without one that keeps its attention.
    """
    own = [r for r in records if r.run.seed == seed and "compared" in r.arrays]
    return max(own, key=lambda r: r.rows[0]["accuracy"], default=None)


def _distances(records: list[Record]) -> dict[str, dict]:
    """mse and mse_rounded of each record's attention to that of the reference model of its seed, by key."""
    best = {seed: reference(records, seed) for seed in {r.run.seed for r in records}}
    distances = {}
    for record in records:
        if "compared" in record.arrays:
            own, other = (r.arrays["compared"] / LEVELS for r in (record, best[record.run.seed]))
            distances[record.run.key] = {
                "mse": attention_mse(own, other),
                "mse_rounded": attention_mse(own.round(), other.round()),
            }
    return distances


def tested(
    frame: pd.DataFrame, measure: str | list[str], head: str = "scribe", protocol: str = "epochs", variant: str = "base"
) -> pd.DataFrame:
    """A measure on the whole clean test set, of one head, protocol and variant."""
    return select(frame, measure=measure, split="test", pipeline="none", head=head, protocol=protocol, variant=variant)


def curves(frame: pd.DataFrame, measure: str, protocol: str = "epochs", variant: str = "base") -> pd.DataFrame:
    """A measure by (seed, augmentation) and percent, for those that have both ends of the size axis; NaN where a size is not
    there.
    """
    table = evidence.wide(tested(frame, measure, protocol=protocol, variant=variant), ["seed", "augmentation"], "percent")
    return table.dropna(subset=[table.columns[0], table.columns[-1]]) if table.shape[1] > 1 else table.iloc[:0]


def cells(frame: pd.DataFrame, measure: str = "sparsity") -> pd.DataFrame:
    """A measure with a row for each (seed, percent), a column for each of the seven augmentations: of the seeds that have them
    all at both ends of the size axis, at the sizes that all of these seeds have, so that means compare like with like.
    """
    rows = tested(frame, measure)
    table = evidence.wide(rows, ["seed", "percent"], "augmentation", TITLES).dropna()
    sizes = {seed: set(own.index.get_level_values("percent")) for seed, own in table.groupby("seed")}
    sizes = {seed: own for seed, own in sizes.items() if {rows["percent"].min(), rows["percent"].max()} <= own}
    shared = set.intersection(*sizes.values()) if sizes else set()
    seed, percent = (table.index.get_level_values(name) for name in ("seed", "percent"))
    return table[seed.isin(list(sizes)) & percent.isin(list(shared))]


def pipeline(frame: pd.DataFrame) -> str:
    """The protocol under which models saw the most corrupted images."""
    measured = select(frame, measure="accuracy")
    measured = measured[measured["level"] > 0]
    return str(measured.groupby("pipeline")["n"].max().idxmax()) if len(measured) else "none"


def corrupted(
    frame: pd.DataFrame, measure: str | list[str], head: str = "scribe", percent: int | None = 100, protocol: str = ""
) -> pd.DataFrame:
    """A measure on corrupted images, of models of the base grid; all training set sizes with percent=None. `protocol` defaults
    to that with the most images. Added is `clean`, the same model's value on the same images without corruption.
    """
    rows = select(frame, measure=measure, variant="base", head=head, pipeline=protocol or pipeline(frame))
    rows = rows if percent is None else rows[rows["percent"] == percent]
    clean = rows[rows["level"] == 0].drop_duplicates(["key", "measure"]).set_index(["key", "measure"])["value"]
    rows = rows[rows["level"] > 0]
    return rows.assign(clean=clean.reindex(pd.MultiIndex.from_frame(rows[["key", "measure"]])).to_numpy())


def pairs(frame: pd.DataFrame, measure: str, twin: str = "base") -> pd.DataFrame:
    """A measure at 100% by (seed, augmentation), one column per head, where both are there. The softmax model is the
    matched one (`base`) or as its authors trained it (`published`).
    """
    both = pd.concat([tested(frame, measure, "softmax", variant=twin), tested(frame, measure)])
    table = evidence.wide(both[both["percent"] == 100], ["seed", "augmentation"], "head", ("softmax", "scribe"))
    return table.dropna()


def gain(frame: pd.DataFrame, measure: str, twin: str = "base") -> pd.Series:
    """SCrIBE minus softmax at 100%, averaged over augmentations: one value per seed that has them all."""
    both = pairs(frame, measure, twin)
    return (both["scribe"] - both["softmax"]).unstack("augmentation").dropna().mean(axis=1)


def gap_correlations(frame: pd.DataFrame, protocol: str = "epochs", variant: str = "base") -> pd.DataFrame:
    """Rank correlation over sizes of sparsity and the gap between training and test accuracy: seeds by augmentations."""
    rows = select(frame, head="scribe", pipeline="none", variant=variant, protocol=protocol)
    models = evidence.wide(select(rows, measure="accuracy"), ["augmentation", "seed", "percent"], "split", ("train", "test"))
    models["gap"] = models["train"] - models["test"]
    sparse = select(rows, measure="sparsity", split="test").set_index(["augmentation", "seed", "percent"])["value"]
    models["sparsity"] = sparse[~sparse.index.duplicated()].reindex(models.index)
    rho = {k: rank_correlation(g["sparsity"], g["gap"]) for k, g in models.dropna().groupby(["seed", "augmentation"])}
    return pd.Series(rho, index=pd.MultiIndex.from_tuples(rho, names=["seed", "augmentation"]), dtype=float).unstack()


def agreement(frame: pd.DataFrame, measure: str = "mse") -> pd.DataFrame:
    """Of each seed: rank correlation of accuracy and MSE over all models but the reference, and the share of discordant pairs,
    in which the more accurate model has the higher MSE.
    """
    table = evidence.wide(tested(frame, ["accuracy", measure]), ["seed", "augmentation", "percent"], "measure").dropna()
    found = {seed: discordance(g["accuracy"], g[measure]) for seed, g in table.groupby("seed")} if measure in table else {}
    return pd.DataFrame.from_dict(found, orient="index", columns=["rho", "discordant"]).rename_axis("seed")


def discordance(accuracy: pd.Series, mse: pd.Series) -> tuple[float, float]:
    """Spearman's rho of accuracy and MSE, and the share of discordant pairs, over the models whose MSE is not 0."""
    others = mse.to_numpy() > 0
    a, m = accuracy.to_numpy()[others], mse.to_numpy()[others]
    i, j = np.triu_indices(len(a), 1)
    wrong = (a[i] - a[j]) * (m[i] - m[j]) > 0
    return rank_correlation(a, m), float(wrong.mean()) if len(wrong) else float("nan")


def present(rows: pd.DataFrame) -> list[str]:
    """The augmentations that have rows, in the paper's order."""
    return [name for name in TITLES if name in set(rows["augmentation"])]


def paper_table(number: int) -> pd.DataFrame:
    """Table 1, 2 or 3 of the paper: augmentation, percent (or head), and its measures as shares in [0, 1]."""
    with files("gazebook.papers.scribe").joinpath("paper", f"table{number}.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file).rename(columns={"train_percent": "percent", "mse_to_crop100": "mse"})
    shares = [name for name in table if name.endswith("_percent")]
    return table.assign(**{name.removesuffix("_percent"): table[name] / 100 for name in shares}).drop(columns=shares)


def compare_with_paper(frame: pd.DataFrame, measure: str, number: int, scale: float = 1, digits: int = 3) -> pd.DataFrame:
    """Ours beside the paper's Table 1 or 2: one row per augmentation, one column per share, "ours | paper"; ours is the
    mean over seeds.
    """
    ours = tested(frame, measure).groupby(["augmentation", "percent"])["value"].mean().unstack("percent") * scale
    theirs = paper_table(number).pivot(index="augmentation", columns="percent", values=measure) * scale
    cells = {
        f"{percent}%": [
            " | ".join("–" if np.isnan(t.loc[a, percent]) else f"{t.loc[a, percent]:.{digits}f}" for t in (ours, theirs))
            for a in present_in(ours)
        ]
        for percent in ours.columns
    }
    return pd.DataFrame(cells, index=[TITLES[a] for a in present_in(ours)]).rename_axis("ours | paper")


def present_in(table: pd.DataFrame) -> list[str]:
    """The augmentations in a table's index, in the paper's order."""
    return [name for name in TITLES if name in table.index]


def overview(frame: pd.DataFrame) -> pd.DataFrame:
    """One line per run, measured on the test set, for reading and sorting."""
    shown = ["accuracy", "confidence", "ece_15", "sparsity", "classes", "regions", "soft_share"]
    rows = select(frame, split="test", pipeline="none", measure=shown)
    keys = ["variant", "head", "augmentation", "percent", "protocol", "seed"]
    return (
        rows.pivot_table(index=keys, columns="measure", values="value")[shown].round(3).reset_index().rename_axis(columns=None)
    )


def gate(frame: pd.DataFrame) -> str:
    """Why the paper's claims cannot be tested on these models; "" where they can: the best model is right on at least 80% of
    the test images, and RandomCrop beats no transform at 100%.

    The paper's best is right on 93.5%; JPEG pixels alone cost ten points, and the net is small.
    """
    top = tested(frame, "accuracy").groupby(["augmentation", "percent"])["value"].mean()
    if not len(top):
        return ""
    if top.max() < GATE:
        return f"regime not met: the best model reaches {100 * top.max():.0f}%, {100 * GATE:.0f}% is asked for"
    if {("crop", 100), ("none", 100)} <= set(top.index) and top["crop", 100] <= top["none", 100]:
        return "regime not met: RandomCrop does not beat no transform at 100%"
    return ""


GATE = 0.8
