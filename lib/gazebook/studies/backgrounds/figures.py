"""The figures of part 2."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gazebook import data, metrics, plots
from gazebook.data.composite import VARIANTS
from gazebook.ledger import Ledger
from gazebook.metrics import fooled_within
from gazebook.studies.backgrounds.runs import Axes, reference, trained_on
from gazebook.studies.backgrounds.tables import COMPARED, cross
from gazebook.studies.backgrounds.tidy import TITLES, models, reliance, slope, tested

PROCEDURES = {"ellipse": "ellipse", "rectangle": "rectangle", "rectangle4": "enlarged"}


def contact_sheet(ledger: Ledger, axes: Axes) -> Figure:
    """One test picture of each class in the eight variants."""
    arrays = ledger.read(reference(axes)).arrays
    sets = [plots.as_pictures(own) for own in arrays["examples"]]
    rows = [[own[i] for own in sets] for i in range(len(sets[0]))]
    return plots.picture_grid(
        rows, rows=_classes(axes, arrays["example_labels"]), columns=[TITLES[v] for v in VARIANTS], size=1.2
    )


def mask_sheet(ledger: Ledger, axes: Axes) -> Figure:
    """What each mask procedure cuts out of the same pictures."""
    arrays = ledger.read(reference(axes)).arrays
    pictures = plots.as_pictures(arrays["mask_pictures"])
    cuts = [[np.where(m[..., None], p, 0) for m, p in zip(own, pictures, strict=True)] for own in arrays["mask_examples"]]
    numbers = [str(i + 1) for i in range(len(pictures))]
    return plots.picture_grid([list(pictures), *cuts], rows=["picture", *PROCEDURES.values()], columns=numbers)


def cross_map(frame: pd.DataFrame) -> Figure:
    """The cross table as colours and numbers: rows are training sets, columns test variants."""
    return plots.heat_map(cross(frame), "accuracy, %", fmt=".1f", best="highest")


def background_intervals(frame: pd.DataFrame, chance: float) -> Figure:
    """Accuracy on Original by training set, with the interval over test pictures; a line marks chance."""
    rows = _seeds(tested(frame, "original"))
    return plots.intervals(
        rows,
        "model",
        "seed",
        _seed_names(rows),
        labels=_seed_labels(rows),
        xlabel="accuracy on Original",
        line=(chance, "chance"),
    )


def gap_intervals(frame: pd.DataFrame) -> Figure:
    """BG-gap by training set and for pretrained models, with the interval over test pictures."""
    rows = pd.concat([tested(frame, "gap", part, "contrast") for part in ("sets", "pretrained")])
    rows = _seeds(rows)
    order = _seed_names(rows)
    return plots.intervals(rows, "model", "seed", order, labels=_seed_labels(rows), xlabel="BG-gap", line=(0, "no gap"))


def reliance_curves(frame: pd.DataFrame) -> Figure:
    """BG-gap and true reliance against the correlation of background and class in training."""
    kinds = {"gap": "BG-gap", "reliance": "true reliance"}
    long = reliance(frame).melt(["correlation", "seed"], list(kinds), "kind", "value")
    return plots.curves(
        long, "correlation", "value", "kind", list(kinds), labels=kinds, xlabel="correlation in training", ylabel="share of 1"
    )


def reliance_dots(frame: pd.DataFrame) -> Figure:
    """BG-gap against true reliance, a dot a model of scenes, with the diagonal."""
    table = reliance(frame)
    names = [f"{c:g}" for c in sorted(table["correlation"].unique())]
    table["correlation"] = [f"{c:g}" for c in table["correlation"]]
    fig = plots.dots(
        table, "reliance", "gap", "correlation", names, labels={n: f"correlation {n}" for n in names},
        xlabel="true reliance", ylabel="BG-gap",
    )  # fmt: skip
    top = table[["reliance", "gap"]].to_numpy().max() if len(table) else 1
    fig.axes[0].plot([0, top], [0, top], color="0.4", linestyle="--", linewidth=1, zorder=1)
    return fig


def fooled_curves(ledger: Ledger, axes: Axes) -> Figure:
    """Share of foregrounds fooled within so many backgrounds, for three training sets; what the model of Original would
    reach if all objects were equally easy to fool; and what guessing gives.
    """
    found, most = {}, 1
    for name in COMPARED:
        runs = [trained_on(axes, name, seed) for seed in axes.seeds if name in axes.training_sets]
        records = [r for r in ledger.records(runs) if "tries" in r.arrays]
        if records:
            found[name] = [r.arrays["tries"] for r in records]
            looked = [row["backgrounds"] for r in records for row in r.rows if row["split"] == "adversarial"]
            most = max(most, *looked)
    tries = np.unique(np.geomspace(1, most, 80).round().astype(int))
    lines = {
        TITLES[name]: np.mean([[fooled_within(own, n).mean() for n in tries] for own in all_], axis=0)
        for name, all_ in found.items()
    }
    if TITLES["original"] in lines:
        lines["if all objects were alike"] = 1 - (1 - lines[TITLES["original"]][0]) ** tries
    lines["guessing"] = 1 - (1 / len(data.class_names(axes.fields["data"]))) ** tries
    return plots.functions(tries, lines, xlabel="backgrounds tried", ylabel="share of foregrounds fooled", log_x=True)


def strongest(ledger: Ledger, axes: Axes) -> Figure:
    """The strongest backgrounds (left), each with foregrounds that it turns into its own class."""
    arrays = ledger.read(reference(axes)).arrays
    names = _classes(axes, arrays["strongest_labels"])
    power = np.sort(arrays["strength"].astype(float))[::-1]
    rows = [list(plots.as_pictures(own)) for own in arrays["strongest"]]
    titles = [f"{name}, {100 * p:.0f}%" for name, p in zip(names, power, strict=False)]
    columns = ["background", *(["fooled"] * (len(rows[0]) - 1))]
    return plots.picture_grid(rows, rows=titles, columns=columns)


def saliency_sheet(ledger: Ledger, axes: Axes) -> Figure:
    """Where models of Original and of Mixed-Rand look: the pictures, their masks, Grad-CAM and input gradients of both."""
    arrays = ledger.read(reference(axes)).arrays
    other = ledger.read(trained_on(axes, "mixed_rand", axes.seeds[0])).arrays
    count = min(len(arrays["cam_maps"]), len(arrays["examples"][0]))
    rows = [list(plots.as_pictures(arrays["examples"][0])[:count]), list(arrays["example_masks"][:count].astype(float))]
    for kind in ("cam_maps", "gradient_maps"):
        for own in (arrays, other):
            rows.append(list(own[kind][:count].astype(float) / 255))
    titles = ["picture", "mask", "Grad-CAM, Original", "Grad-CAM, Mixed-Rand", "gradient, Original", "gradient, Mixed-Rand"]
    return plots.picture_grid(rows, rows=titles, columns=_classes(axes, arrays["example_labels"][:count]))


def saliency_intervals(frame: pd.DataFrame) -> Figure:
    """Share of saliency inside the mask for models of three training sets, beside the mask's share of the picture."""
    kinds = {"mask": "the mask's share of the picture", "cam": "Grad-CAM", "gradient": "input gradient"}
    rows = tested(frame, split="inside")
    rows = _mean_of_seeds(rows[rows["training_set"].isin(COMPARED)])
    label = "share of saliency inside the mask"
    return plots.intervals(rows, "model", "condition", list(kinds), labels=kinds, xlabel=label)


def category_bars(frame: pd.DataFrame) -> Figure:
    """Percent of the test pictures in each category, a bar a training set; mean over seeds, rounded."""
    rows = tested(frame, split="categories")
    rows = rows[rows["training_set"].isin(COMPARED) & rows["condition"].isin(metrics.CATEGORIES)]
    table = rows.pivot_table(index="model", columns="condition", values="accuracy", sort=False) * 100
    return plots.stacked_bars(table.round().astype(int), "percent of the test pictures")


def category_sheet(ledger: Ledger, axes: Axes) -> Figure:
    """Examples of each category: Original, Mixed-Rand and Only-BG-T of the same picture, side by side."""
    shown = ledger.read(reference(axes)).arrays["category_examples"]
    rows = [[None if not p.any() else p.transpose(1, 2, 0) for k in kind for p in k] for kind in shown]
    titles = ["Original", "Mixed-Rand", "Only-BG-T"] * shown.shape[1]
    return plots.picture_grid(rows, rows=list(metrics.CATEGORIES), columns=titles, size=1.1)


def progress_dots(table: pd.DataFrame) -> Figure:
    """Accuracy on five variants against accuracy on Original, a dot a model (see `tidy.models`), with least-squares lines."""
    shown = ("mixed_same", "mixed_rand", "only_fg", "no_fg", "only_bg_t")
    long = table[["original", *shown]].reset_index(drop=True).melt("original", var_name="variant", value_name="accuracy")
    fig = plots.dots(
        long, "original", "accuracy", "variant", list(shown), labels=TITLES, xlabel="accuracy on Original", ylabel="accuracy"
    )
    for name, colour in plots.palette(shown).items():
        rise, _, _ = slope(table["original"], table[name])
        if np.isfinite(rise):
            ends = np.array([table["original"].min(), table["original"].max()])
            fig.axes[0].plot(ends, table[name].mean() + rise * (ends - table["original"].mean()), color=colour, linewidth=1.5)
    return fig


def gap_progress(frame: pd.DataFrame) -> Figure:
    """BG-gap against accuracy on Original, a dot a model of whole pictures; pretrained models beside them."""
    own = models(frame).reset_index()
    pre = frame[(frame["part"] == "pretrained") & (frame["split"] == "test")]
    pre = pre.pivot_table(index=["part", "model"], columns="condition", values="accuracy").reset_index()
    table = pd.concat([own, pre])
    table["gap"] = table["mixed_same"] - table["mixed_rand"]
    kinds = {"sets": "the nine classes", "family": "changed in one thing", "pretrained": "ImageNet"}
    return plots.dots(
        table, "original", "gap", "part", list(kinds), labels=kinds, xlabel="accuracy on Original", ylabel="BG-gap"
    )


def _classes(axes: Axes, labels: np.ndarray) -> list[str]:
    """Short names: vehicle, instrument."""
    names = data.class_names(axes.fields["data"])
    return [names[label].split()[-1] for label in labels]


def _seeds(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(seed=rows["seed"].astype(str))


def _seed_names(rows: pd.DataFrame) -> list[str]:
    return sorted(rows["seed"].unique())


def _seed_labels(rows: pd.DataFrame) -> dict[str, str]:
    return {name: f"seed {name}" for name in _seed_names(rows)}


def _mean_of_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.groupby(["model", "condition"], sort=False)[["accuracy", "low", "high"]].mean().reset_index()
