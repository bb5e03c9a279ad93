"""Paper 1's tables, ours beside the paper's own."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pandas as pd

from gazebook.data.augment import AUGMENTATIONS
from gazebook.metrics import mean_interval, rank_correlation
from gazebook.studies.scribe.runs import REFERENCE
from gazebook.studies.scribe.tidy import TITLES, gap_correlations, tested, whole


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
        own = [title for title in means if name in means[title].index]
        for title in own if len(own) > 1 else ():  # not the paper's line alone
            table = means[title]
            if True:
                heads = {"I": "softmax", "II": "scribe"}
                cells = {
                    f"{short} {i}": 100 * table.loc[name, (c, h)] for c, short in columns.items() for i, h in heads.items()
                }
                rows.append({"augmentation": TITLES[name] if title == own[0] else "", "softmax model": title} | cells)
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
