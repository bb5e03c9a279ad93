"""Paper 1's figures on clean pictures, in the paper's layout; corruption_figures has the others."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from gazebook import data, plots
from gazebook.ledger import Ledger
from gazebook.runs import Run
from gazebook.studies.scribe.runs import Axes, table1
from gazebook.studies.scribe.tables import control_augmentations, paper_table1, paper_table2
from gazebook.studies.scribe.tidy import TITLES, tested, whole

SIZE_LABEL = "% of the training images"
PROTOCOLS = {"epochs": "equal epochs", "updates": "equal updates"}
THRESHOLDS = {"sparsity_30": "A ≤ .3", "sparsity": "A ≤ .5 (the criterion)", "sparsity_70": "A ≤ .7"}


def sparsity_curves(frame: pd.DataFrame) -> Figure:
    """Sparsity against training set size, ours and the paper's Table 1, a line an augmentation."""
    ours = tested(frame)[["augmentation", "percent", "sparsity"]].assign(whose="ours")
    both = pd.concat([ours, paper_table1().assign(whose="paper")])
    order = present(ours)
    return plots.curves(
        both, "percent", "sparsity", "augmentation", order, labels=TITLES, xlabel=SIZE_LABEL, ylabel="sparsity",
        facet="whose", facets={"ours": "ours", "paper": "paper, Table 1"},
    )  # fmt: skip


def control_curves(frame: pd.DataFrame) -> Figure:
    """Sparsity against training set size, with equal epochs and with equal updates."""
    order = control_augmentations(frame)
    own = whole(frame)
    own = own[(own["split"] == "test") & own["augmentation"].isin(order)]
    return plots.curves(
        own, "percent", "sparsity", "augmentation", order, labels=TITLES, xlabel=SIZE_LABEL, ylabel="sparsity",
        facet="protocol", facets=PROTOCOLS,
    )  # fmt: skip


def gap_dots(frame: pd.DataFrame) -> Figure:
    """Sparsity against the gap between training and test accuracy, a dot a model, for the augmentations of the control."""
    order = control_augmentations(frame)
    own = whole(frame)
    own = own[own["augmentation"].isin(order)]
    keys = ["augmentation", "seed", "percent", "protocol"]
    wide = own.pivot_table(index=keys, columns="split", values=["accuracy", "sparsity"])
    models = pd.DataFrame({"gap": wide["accuracy", "train"] - wide["accuracy", "test"], "sparsity": wide["sparsity", "test"]})
    return plots.dots(
        models.reset_index(), "gap", "sparsity", "augmentation", order, labels=TITLES,
        xlabel="training minus test accuracy", ylabel="sparsity", facet="protocol", facets=PROTOCOLS,
    )  # fmt: skip


def threshold_curves(frame: pd.DataFrame) -> Figure:
    """The share of empty map against training set size for three thresholds."""
    long = tested(frame).melt(["augmentation", "percent"], list(THRESHOLDS), "threshold", "share")
    order = present(long)
    return plots.curves(
        long, "percent", "share", "augmentation", order, labels=TITLES, xlabel=SIZE_LABEL, ylabel="share of the map",
        facet="threshold", facets=THRESHOLDS,
    )  # fmt: skip


def figure2(frame: pd.DataFrame) -> Figure:
    """Accuracy, confidence and ECE against training set size, a line an augmentation (the paper's Figure 2)."""
    metrics = {"accuracy": "accuracy", "confidence": "confidence", "ece_10": "ECE (ten bins)"}
    long = tested(frame).melt(["augmentation", "percent", "seed"], list(metrics), "metric", "value")
    return plots.curves(
        long, "percent", "value", "augmentation", present(long), labels=TITLES, xlabel=SIZE_LABEL, ylabel="",
        facet="metric", facets=metrics, share_y=False,
    )  # fmt: skip


def accuracy_mse_dots(frame: pd.DataFrame) -> Figure:
    """Accuracy against the MSE to the reference model's attention, a dot a model, ours and the paper's Table 2."""
    ours = tested(frame).dropna(subset="mse")[["augmentation", "percent", "accuracy", "mse"]].assign(whose="ours")
    both = pd.concat([ours, paper_table2().assign(whose="paper")])
    return plots.dots(
        both, "accuracy", "mse", "augmentation", present(ours), labels=TITLES, xlabel="accuracy",
        ylabel="MSE to the best model", facet="whose", facets={"ours": "ours", "paper": "paper, Table 2"}, share_y=False,
    )  # fmt: skip


def sparsity_ece_dots(frame: pd.DataFrame) -> Figure:
    """Sparsity against ECE, a dot a model, at the smallest and at the full training set."""
    rows = tested(frame)
    ends = {p: f"{p}% of the images" for p in sorted({rows["percent"].min(), rows["percent"].max()})} if len(rows) else {}
    return plots.dots(
        rows, "sparsity", "ece_10", "augmentation", present(rows), labels=TITLES, xlabel="sparsity", ylabel="ECE (ten bins)",
        facet="percent", facets=ends or None,
    )  # fmt: skip


def sparsity_ece_paths(frame: pd.DataFrame) -> Figure:
    """Sparsity against ECE, the models of one augmentation joined from the smallest to the full training set."""
    rows = tested(frame).groupby(["augmentation", "percent"])[["sparsity", "ece_10"]].mean().reset_index()
    return plots.paths(
        rows, "sparsity", "ece_10", "augmentation", present(rows), along="percent", labels=TITLES,
        xlabel="sparsity", ylabel="ECE (ten bins)",
    )  # fmt: skip


def variant_curves(frame: pd.DataFrame, prefix: str, base: str) -> Figure:
    """Sparsity against training set size for the variants whose names begin with `prefix`, beside `base`, a panel an
    augmentation.
    """
    variants = {"base": base} | {v: v for v in sorted(frame["variant"].unique()) if v.startswith(prefix)}
    rows = pd.concat([tested(frame, variant=v) for v in variants])
    changed = rows[rows["variant"] != "base"]
    rows = rows[rows["percent"].isin(changed["percent"]) & rows["seed"].isin(changed["seed"])]
    facets = {a: TITLES[a] for a in present(changed)}
    return plots.curves(
        rows, "percent", "sparsity", "variant", list(variants), labels=variants, xlabel=SIZE_LABEL, ylabel="sparsity",
        facet="augmentation", facets=facets,
    )  # fmt: skip


def right_wrong_curves(frame: pd.DataFrame) -> Figure:
    """Sparsity of pictures that are classified rightly and wrongly, against training set size, a panel an augmentation."""
    kinds = {"sparsity_right": "prediction right", "sparsity_wrong": "prediction wrong"}
    long = tested(frame).melt(["augmentation", "percent", "seed"], list(kinds), "kind", "share").dropna()
    return plots.curves(
        long, "percent", "share", "kind", list(kinds), labels=kinds, xlabel=SIZE_LABEL, ylabel="sparsity",
        facet="augmentation", facets={a: TITLES[a] for a in present(long)}, columns=4,
    )  # fmt: skip


def larger_curves(frame: pd.DataFrame) -> Figure:
    """Sparsity against training set size on the larger grid, with equal epochs and with equal updates."""
    rows = whole(frame, "larger")
    return plots.curves(
        rows[rows["split"] == "test"], "percent", "sparsity", "augmentation", present(rows), labels=TITLES,
        xlabel=SIZE_LABEL, ylabel="sparsity", facet="protocol", facets=PROTOCOLS,
    )  # fmt: skip


def reliability(ledger: Ledger, runs: dict[str, list[Run]]) -> Figure:
    """Reliability diagrams, for each title the bins of all its runs together."""
    summed = {title: [r.arrays["reliability"] for r in ledger.records(own)] for title, own in runs.items()}
    return plots.reliability({title: sum(tables) for title, tables in summed.items() if tables})


def present(rows: pd.DataFrame) -> list[str]:
    """The augmentations that have rows, in the paper's order."""
    return [name for name in TITLES if name in set(rows["augmentation"])]


def figure1(ledger: Ledger, axes: Axes, example: int, kind: str) -> Figure:
    """Figure 1 for one example picture: `kind` (attention or masks) by augmentation (rows) and training set (columns).

    The first column is the picture itself. Cells without a record stay empty.
    """
    fractions = sorted(axes.fractions)
    cells = {(r.run.augmentation, r.run.fraction): r for r in ledger.records(table1(axes, axes.seeds[:1]))}
    picture, rows = None, []
    num_classes = len(data.class_names(axes.fields["data"]))
    for augmentation in axes.augmentations:
        row = []
        for fraction in fractions:
            record = cells.get((augmentation, fraction))
            drawn = plots.record_pictures(record.arrays, num_classes) if record else None
            row.append(drawn[kind][example] if drawn else None)
            picture = drawn["images"][example] if drawn else picture
        rows.append([None, *row])
    rows[0][0] = picture
    return plots.picture_grid(
        rows, rows=[TITLES[a] for a in axes.augmentations], columns=["picture", *(f"{f:.0%}" for f in fractions)]
    )
