"""The figures of part 3."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gazebook import data, metrics, plots
from gazebook.data import noise, scenes
from gazebook.errors import GazebookError
from gazebook.ledger import Ledger
from gazebook.studies.foregrounds import oracle, tidy
from gazebook.studies.foregrounds.attributes import FEW, WAYS
from gazebook.studies.foregrounds.runs import Axes, on_pictures, on_scenes, with_cue
from gazebook.studies.foregrounds.tables import KINDS, SCORES, attribute_table
from gazebook.train import to_float


def unit_square(frame: pd.DataFrame, chance: float) -> Figure:
    """RFS over the unit square of two accuracies, with the zones in which it says little; and the paths of the family."""
    fig, axes = plt.subplots(1, 2, figsize=(10.5, 4.8), sharex=True, sharey=True)
    grid = np.linspace(0, 1, 201)
    fg, bg = np.meshgrid(grid, grid)
    rfs = metrics.relative_foreground_sensitivity(fg, bg)
    zone = ((fg > 1 - 0.02) & (bg > 1 - 0.02)) | ((fg < chance + 0.05) & (bg < chance + 0.05))
    for ax in axes:
        image = ax.imshow(rfs, origin="lower", extent=(0, 1, 0, 1), cmap="PuOr_r", vmin=-1, vmax=1, alpha=0.75)
        ax.contourf(fg, bg, zone, levels=[0.5, 1], hatches=["///"], colors="none")
        ax.plot([0, 1], [0, 1], color="0.2", linewidth=1)
        ax.grid(False)
        ax.set(xlabel="accuracy, noise in the foreground", xlim=(0, 1), ylim=(0, 1))
    axes[0].contour(fg, bg, (fg + bg) / 2, levels=[0.25, 0.5, 0.75], colors="0.3", linestyles="--", linewidths=0.8)
    axes[0].set(ylabel="accuracy, noise in the background", title="RFS; dashed: one mean accuracy")
    rows = tidy.of_family(frame, "noise", condition="l2", mask="own")
    names = list(dict.fromkeys(rows["model"]))
    for name, marker in zip(names, plots.MARKERS, strict=False):
        own = rows[(rows["model"] == name) & (rows["seed"] == rows["seed"].min())].sort_values("level")
        axes[1].plot(own["fg"], own["bg"], marker=marker, color=plots.palette(names)[name], label=name, markersize=5)
    axes[1].set(title="the family on scenes, L2 noise growing")
    fig.legend(loc="upper center", bbox_to_anchor=(0.45, 0), ncols=4, fontsize=9)
    fig.colorbar(image, ax=axes, label="RFS", shrink=0.85)
    return fig


def oracle_curves() -> Figure:
    """RFS of oracles of known trust against the foreground's area, for both kinds of noise."""
    areas = np.linspace(0.05, 0.95, 91)
    long = [
        {"area": a, "rfs": metrics.relative_foreground_sensitivity(*oracle.accuracies(trust, a, level, kind)),
         "trust": f"{trust:g}", "kind": kind}
        for kind, level in (("sigma", 40.0), ("l2", 1500.0)) for trust in (0.25, 0.5, 0.75) for a in areas
    ]  # fmt: skip
    names = ["0.25", "0.5", "0.75"]
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True)
    frame = pd.DataFrame(long)
    for ax, (kind, title) in zip(axes, KINDS.items(), strict=True):
        for name, style in zip(names, ("-", "--", ":"), strict=True):
            own = frame[(frame["kind"] == kind) & (frame["trust"] == name)]
            ax.plot(
                own["area"], own["rfs"], style, color=plots.palette(names)[name], label=f"trust in the foreground {name}", lw=2
            )
        ax.axhline(0, color="0.4", linewidth=1)
        ax.set(xlabel="the foreground's share of the picture", title=title)
    axes[0].set(ylabel="RFS")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, fontsize=9)
    fig.tight_layout()
    return fig


def noise_sheet(level: float = 100, sigma: float = 60) -> Figure:
    """Scenes with noise in the foreground and in the background, of both kinds, beside the mask."""
    import torch

    images = data.load("scenes", "test", images=200).fraction(1.0, 0, 6)  # made on the spot: no data is needed
    x, masks, side = to_float(images.images), images.masks, images.images.shape[-1]
    rows = [x, masks[:, None].float().expand(-1, 3, -1, -1)]
    titles = ["picture", "mask"]
    for kind, strength, name in (
        ("sigma", sigma / 255, f"sigma {sigma:g}/255"),
        ("l2", noise.scaled_norm(level, side), f"norm {level:g}"),
    ):
        for region, where in (("foreground", masks), ("background", ~masks)):
            rows.append(noise.add(x, where, strength, kind, torch.Generator().manual_seed(0))[0])
            titles.append(f"{name}, {region}")
    cells = [[picture.permute(1, 2, 0).numpy() for picture in row] for row in rows]
    return plots.picture_grid(cells, rows=titles, columns=[images.class_names[i] for i in images.labels])


def ruler_dots(frame: pd.DataFrame) -> Figure:
    """RFS over all levels against what predictions really follow, a dot a model of scenes, by correlation in training."""
    rows = tidy.against_truth(frame, tidy.of(frame, "levels", mask="own"))
    rows = rows.assign(correlation=[f"{c:g}" for c in rows["correlation"]])
    names = sorted(rows["correlation"].unique())
    return plots.dots(
        rows, "truth", "value", "correlation", names, labels={n: f"correlation {n}" for n in names}, facet="condition",
        facets=KINDS, xlabel="follows object minus background", ylabel="RFS",
    )  # fmt: skip


def area_intervals(frame: pd.DataFrame) -> Figure:
    """RFS of the family's first model on small, middle and large objects, by kind of noise."""
    rows = tidy.of_family(frame, "thirds")
    rows = rows[rows["model"] == rows["model"].iloc[0]] if len(rows) else rows
    rows = rows[rows["seed"] == rows["seed"].min()]
    rows = rows.assign(
        label=[f"{KINDS[c]}, {t} objects" for c, t in zip(rows["condition"], rows["third"], strict=True)],
        accuracy=rows["value"],
    )
    return plots.intervals(rows, "label", "condition", list(KINDS), labels=KINDS, xlabel="RFS", line=(0, "no difference"))


def level_curves(frame: pd.DataFrame, part: str) -> Figure:
    """RFS of the family against the noise level, by kind of noise; points in a warning zone are left out."""
    rows = tidy.to_average(frame, "noise", part, mask="own")
    rows = rows[rows["zone"] == ""]
    names = list(dict.fromkeys(rows["model"]))
    return plots.curves(
        rows, "level", "value", "model", names, labels={n: n for n in names}, band=False, facet="condition",
        facets=KINDS, xlabel="noise level", ylabel="RFS",
    )  # fmt: skip


def accuracy_paths(frame: pd.DataFrame, part: str) -> Figure:
    """RFS of the family against the mean of the two accuracies: noise grows towards the left; first seed."""
    rows = tidy.of_family(frame, "noise", part, mask="own")
    rows = rows[(rows["seed"] == rows["seed"].min()) & (rows["zone"] == "")]
    rows = rows.assign(mean=(rows["fg"] + rows["bg"]) / 2)
    names = list(dict.fromkeys(rows["model"]))
    return plots.paths(
        rows, "mean", "value", "model", names, labels={n: n for n in names}, along="level", facet="condition", facets=KINDS,
        xlabel="mean accuracy under noise", ylabel="RFS",
    )  # fmt: skip


def pair_intervals(frame: pd.DataFrame, part: str) -> Figure:
    """Differences of RFS between models, on the same pictures, by kind of noise; each seed by itself."""
    rows = tidy.of_family(frame, "pairs", part, mask="own").sort_values(["model", "seed"], kind="stable")
    rows = rows.assign(
        accuracy=rows["value"], label=[f"{m}, seed {s:g}" for m, s in zip(rows["model"], rows["seed"], strict=True)]
    )
    return plots.intervals(rows, "label", "condition", list(KINDS), labels=KINDS, xlabel="difference of RFS", line=(0, "none"))


def attribute_map(frame: pd.DataFrame) -> Figure:
    """Loss of probability when an attribute is removed from the scene: rows attributes, columns models."""
    return plots.heat_map(_shown(attribute_table(frame)), "loss of probability, points", fmt=".0f")


def proxy_dots(frame: pd.DataFrame) -> Figure:
    """Loss by each proxy against loss by removal, a dot an attribute and model."""
    rows = _shown(tidy.of_family(frame, "attribute"))
    wide = rows.pivot_table(index=["key", "attribute"], columns="condition", values="value").reset_index()
    long = wide.melt(["key", "attribute", "removed"], list(WAYS[1:]), "way", "loss")
    names = {way: way for way in WAYS[1:]}
    fig = plots.dots(long, "removed", "loss", "way", list(names), labels=names, facet="way", facets=names, columns=2,
                     xlabel="loss when removed", ylabel="loss by the proxy")  # fmt: skip
    top = float(np.nanmax(wide["removed"])) if len(wide) else 1
    for ax in fig.axes:
        ax.plot([0, top], [0, top], color="0.4", linestyle="--", linewidth=1)
    return fig


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    if rows.empty:
        raise GazebookError(f"no attribute is on at least {FEW} test pictures; ask for more test_images")
    return rows


def removal_sheet(axes: Axes) -> Figure:
    """Scenes with an attribute, without it, with grey in its place, and with noise in it."""
    from gazebook.studies.foregrounds import attributes
    from gazebook.studies.foregrounds.truth import drawn

    options = axes.fields.get("data_options", {})
    images = data.load("scenes", "test", **(options | {"images": 200}))
    specs = scenes.describe(images, options)
    columns, names = [], ["wheels", "sail", "stripes", "ears", "wings", "horns"]
    for name in names:
        a = scenes.ATTRIBUTES.index(name)
        i = int(images.attributes[:, a].flatten(1).sum(dim=1).argmax())
        x, m = to_float(images.images[i : i + 1]), images.attributes[i : i + 1, a]
        made = attributes.changed(x, m, drawn(specs[np.array([i])].without(name), images), 0)
        columns.append([x[0], *(picture[0] for picture in made.values())])
    cells = [[column[r].permute(1, 2, 0).numpy() for column in columns] for r in range(len(columns[0]))]
    return plots.picture_grid(cells, rows=["with it", *WAYS], columns=names, size=1.1)


def alignment_intervals(frame: pd.DataFrame, part: str) -> Figure:
    """Five scores of the family on its own masks, mean over seeds, with intervals over pictures."""
    rows = tidy.to_average(frame, "alignment", part, mask="own")
    rows = rows.groupby(["model", "condition"], sort=False)[["value", "low", "high"]].mean().reset_index()
    rows = rows.assign(accuracy=rows["value"])
    return plots.intervals(rows, "model", "condition", list(SCORES), labels=SCORES, xlabel="score")


def score_dots(frame: pd.DataFrame) -> Figure:
    """Each alignment score against the truth, a dot a model of scenes."""
    rows = tidy.against_truth(frame, tidy.of(frame, "alignment", mask="own"))
    what = "follows object minus background"
    return plots.dots(rows, "truth", "value", "condition", list(SCORES), labels=SCORES, xlabel=what, ylabel="mean score")


def worst_sheet(ledger: Ledger, axes: Axes, model: str) -> Figure:
    """Pictures of each predicted class whose saliency is aligned worst, with it; real pictures where there are some."""
    record = ledger.read(on_pictures(axes, model, axes.seeds[0]))
    names = data.class_names(record.run.data)
    return _gallery(record.arrays["worst_images"], record.arrays["worst_maps"], names, record.arrays["worst_labels"])


def cue_sheet(ledger: Ledger, axes: Axes) -> Figure:
    """The five worst-aligned pictures that the first model with a cue takes for the class that has it, for each such class."""
    if not axes.cue_models:
        raise GazebookError("none of the chosen models is trained with a planted cue; leave models empty, or add ResNet")
    model = axes.cue_models[0]
    records = [ledger.read(run) for c in axes.cues if (run := with_cue(axes, model, c, axes.seeds[0])) in ledger]
    named = [r.run.data_options["cue"]["planted_class"] for r in records]
    images, maps = ([r.arrays[name] for r in records] for name in ("cue_images", "cue_maps"))
    return _gallery(images, maps, named)


def _gallery(images, maps, names, labels=None) -> Figure:
    """Each class's pictures in a row, and under them the same with saliency as brightness."""
    cells, titles = [], []
    for c, (own, shown) in enumerate(zip(images, maps, strict=True)):
        there = [labels is None or labels[c][k] != 255 for k in range(len(own))]
        pictures = plots.as_pictures(own) / 255
        lit = pictures * (0.15 + 0.85 * (np.asarray(shown)[..., None] / 255))
        cells += [[p if t else None for p, t in zip(row, there, strict=True)] for row in (pictures, lit)]
        titles += [f"taken for {names[c]}", "what counts"]
    width = max(1, *map(len, cells))
    cells = [[*row, *[None] * (width - len(row))] for row in cells]
    return plots.picture_grid(cells, rows=titles, columns=[str(k + 1) for k in range(width)])


def unit_map(ledger: Ledger, axes: Axes, which: int = 0, count: int = 12) -> Figure:
    """Of the units that answer most to the removal of an attribute: how much the removal of each weakens them."""
    record = ledger.read(on_scenes(axes, next(iter(axes.models)), axes.middle, axes.seeds[0]))
    scores = record.arrays["units"][which, -1].astype(float)
    known = np.isfinite(scores).all(axis=0)
    best = np.argsort(-np.where(known, scores, -np.inf).max(axis=1))[:count]
    names = [name for name, k in zip(scenes.ATTRIBUTES, known, strict=True) if k]
    table = pd.DataFrame(scores[best][:, known], index=[f"unit {u}" for u in best], columns=names)
    return plots.heat_map(table, "fall of activation, standard deviations", fmt=".1f", diverging=True, best="highest")
