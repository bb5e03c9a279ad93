"""Paper 1's tables from the ledger, beside the paper's own."""

from __future__ import annotations

from importlib.resources import files

import pandas as pd

from gazebook.data.augment import AUGMENTATIONS
from gazebook.ledger import Ledger
from gazebook.metrics import mean_interval
from gazebook.runs import Run

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

# what a table without results still has
COLUMNS = ["head", "augmentation", "percent", "seed", "split", "protocol", "accuracy", "confidence", "ece_10", "ece_15"]
COLUMNS += ["sparsity", "sparsity_30", "sparsity_70", "classes", "regions", "soft_share"]


def results(ledger: Ledger, runs: list[Run]) -> pd.DataFrame:
    """Tidy results of the runs that are there: one row a run and split (test, train).

    Adds `percent` (of the training images) and `protocol`: "epochs" (every fraction for the same epochs, as in the
    paper) or "updates" (every fraction for the same number of updates).
    """
    frame = ledger.frame(runs)
    if frame.empty:
        return pd.DataFrame(columns=COLUMNS)
    frame["percent"] = (frame["fraction"] * 100).round().astype(int)
    frame["protocol"] = frame["updates"].isna().map({True: "epochs", False: "updates"})
    return frame


def paper_table1() -> pd.DataFrame:
    """Table 1 of the paper: augmentation, percent, sparsity."""
    return _paper("table1").rename(columns={"train_percent": "percent"})


def paper_table3() -> pd.DataFrame:
    """Table 3 of the paper, as shares in [0, 1]: augmentation, head, accuracy, confidence, ece."""
    table = _paper("table3")
    shares = {f"{name}_percent": name for name in ("accuracy", "confidence", "ece")}
    return table.assign(**{short: table[long] / 100 for long, short in shares.items()}).drop(columns=list(shares))


def tested(frame: pd.DataFrame, head: str = "scribe", protocol: str = "epochs") -> pd.DataFrame:
    """The rows of one head and protocol that were measured on the test set."""
    return frame[(frame["split"] == "test") & (frame["head"] == head) & (frame["protocol"] == protocol)]


def table1(frame: pd.DataFrame) -> pd.DataFrame:
    """Table 1 by rows of an augmentation: ours (mean over seeds), its 95% interval's half width where there are seeds
    enough for one, the paper's, the difference; a column a percentage.
    """
    cells = tested(frame).groupby(["augmentation", "percent"])["sparsity"]
    ours = cells.mean().unstack("percent")
    half = cells.agg(lambda seeds: mean_interval(seeds)[1] - seeds.mean()).unstack("percent")
    paper = paper_table1().pivot(index="augmentation", columns="percent", values="sparsity")
    rows = []
    for name in (a for a in AUGMENTATIONS if a in ours.index):
        lines = {"ours": ours.loc[name]}
        if half.loc[name].notna().any():
            lines["± (95%)"] = half.loc[name]
        lines["paper"] = paper.loc[name].reindex(ours.columns)
        lines["difference"] = lines["ours"] - lines["paper"]
        for whose, line in lines.items():
            title = TITLES[name] if whose == "ours" else ""
            rows.append({"augmentation": title, "sparsity": whose} | {f"{percent}%": v for percent, v in line.items()})
    return pd.DataFrame(rows)


def heads_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Table 3, matched: both heads at 100% with one trunk and learning rate; SCrIBE's gains beside the paper's, in percent."""
    columns = ["accuracy", "confidence", "ece"]
    ours = _pairs(frame.rename(columns={"ece_10": "ece"}), columns)  # the paper's figures are of ten bins
    ours = ours.groupby("augmentation").mean()
    paper = paper_table3().pivot(index="augmentation", columns="head", values=columns)
    rows = {}
    for name in (a for a in AUGMENTATIONS if a in ours.index):
        row = {h: 100 * ours.loc[name, ("accuracy", h)] for h in ("softmax", "scribe")}
        for column in columns:
            for whose, table in (("", ours), ("paper's ", paper)):
                row[f"{whose}gain in {column}"] = 100 * (
                    table.loc[name, (column, "scribe")] - table.loc[name, (column, "softmax")]
                )
        rows[TITLES[name]] = row
    return pd.DataFrame(rows).T


def gain_interval(frame: pd.DataFrame, metric: str) -> tuple[float, float, float]:
    """SCrIBE minus softmax at 100%, averaged over augmentations: mean and 95% interval over the seeds that have them all."""
    pairs = _pairs(frame, [metric])
    gain = (pairs[metric, "scribe"] - pairs[metric, "softmax"]).unstack("augmentation").dropna().mean(axis=1)
    return float(gain.mean()), *mean_interval(gain)


def _pairs(frame: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """Metrics by (augmentation, seed) at 100%, for pairs of which both heads are there; columns (metric, head)."""
    full = frame[(frame["split"] == "test") & (frame["protocol"] == "epochs") & (frame["percent"] == 100)]
    wide = full.pivot_table(index=["augmentation", "seed"], columns="head", values=metrics)
    both = pd.MultiIndex.from_product([metrics, ["softmax", "scribe"]])
    return wide.reindex(columns=both).dropna()


def control_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The ends of the size axis under both protocols, for the augmentations of the control: means over the seeds that
    have all four corners.
    """
    own = frame[(frame["head"] == "scribe") & frame["augmentation"].isin(control_augmentations(frame))]
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


def control_augmentations(frame: pd.DataFrame) -> list[str]:
    """The augmentations of the equal-updates control that have results, in the paper's order."""
    there = set(frame.loc[frame["protocol"] == "updates", "augmentation"])
    return [name for name in TITLES if name in there]


def overview(frame: pd.DataFrame) -> pd.DataFrame:
    """One line a run, measured on the test set, for reading and sorting."""
    names = {
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
    table = frame.loc[(frame["split"] == "test") & (frame["head"] == "scribe"), list(names)]
    return table.rename(columns=names).round(3).reset_index(drop=True)


def _paper(name: str) -> pd.DataFrame:
    with files("gazebook.studies.scribe").joinpath("paper", f"{name}.csv").open() as file:
        return pd.read_csv(file)
