"""Paper 1's figures, in the paper's layout."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from gazebook import data, plots
from gazebook.ledger import Ledger
from gazebook.studies.scribe.runs import Axes, table1
from gazebook.studies.scribe.tables import TITLES, control_augmentations, paper_table1, tested

SIZE_LABEL = "% of the training images"
PROTOCOLS = {"epochs": "equal epochs", "updates": "equal updates"}
THRESHOLDS = {"sparsity_30": "A ≤ .3", "sparsity": "A ≤ .5 (the criterion)", "sparsity_70": "A ≤ .7"}


def sparsity_curves(frame: pd.DataFrame) -> Figure:
    """Sparsity against training set size, ours and the paper's Table 1, a line an augmentation."""
    ours = tested(frame)[["augmentation", "percent", "sparsity"]].assign(whose="ours")
    both = pd.concat([ours, paper_table1().assign(whose="paper")])
    order = [name for name in TITLES if name in set(ours["augmentation"])]
    return plots.curves(
        both, "percent", "sparsity", "augmentation", order, labels=TITLES, xlabel=SIZE_LABEL, ylabel="sparsity",
        facet="whose", facets={"ours": "ours", "paper": "paper, Table 1"},
    )  # fmt: skip


def control_curves(frame: pd.DataFrame) -> Figure:
    """Sparsity against training set size, with equal epochs and with equal updates."""
    order = control_augmentations(frame)
    own = frame[(frame["head"] == "scribe") & (frame["split"] == "test") & frame["augmentation"].isin(order)]
    return plots.curves(
        own, "percent", "sparsity", "augmentation", order, labels=TITLES, xlabel=SIZE_LABEL, ylabel="sparsity",
        facet="protocol", facets=PROTOCOLS,
    )  # fmt: skip


def gap_dots(frame: pd.DataFrame) -> Figure:
    """Sparsity against the gap between training and test accuracy, a dot a model, for the augmentations of the control."""
    order = control_augmentations(frame)
    own = frame[(frame["head"] == "scribe") & frame["augmentation"].isin(order)]
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
    order = [name for name in TITLES if name in set(long["augmentation"])]
    return plots.curves(
        long, "percent", "share", "augmentation", order, labels=TITLES, xlabel=SIZE_LABEL, ylabel="share of the map",
        facet="threshold", facets=THRESHOLDS,
    )  # fmt: skip


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
