"""Figures. Each function takes a tidy table or arrays and returns a matplotlib figure.

Colours are seaborn's colour-blind-safe palette, always paired with a second cue (marker or label). The background is
opaque white, so that a figure stays readable on a dark page.
"""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure

from gazebook.evidence.estimate import FEWEST, Estimate
from gazebook.explain import class_hues, colour_mask
from gazebook.metrics import mean_interval

MARKERS = ("o", "X", "s", "P", "D", "^", "v", "<", ">", "*")

COLOURS = 6  # in one figure; further lines are grey


def theme() -> None:
    """The book's look; call it once in a notebook."""
    sns.set_theme(
        context="notebook",
        style="whitegrid",
        palette="colorblind",
        rc={
            "figure.facecolor": "white",
            "figure.dpi": 110,
            "savefig.facecolor": "white",
            "axes.titlesize": 11,
            "axes.labelsize": 11,
            "legend.frameon": False,
            "svg.hashsalt": "gazebook",
        },
    )


def palette(names: Sequence[str]) -> dict[str, tuple]:
    """A colour for each name, in order, from the colour-blind-safe palette; after six, which one can tell apart, greys."""
    greys = [(shade,) * 3 for shade in np.linspace(0.35, 0.65, max(0, len(names) - COLOURS))]
    return dict(zip(names, [*sns.color_palette("colorblind", min(len(names), COLOURS)), *greys], strict=True))


def curves(data: pd.DataFrame, x: str, y: str, hue: str, order: Sequence[str], *, band: bool = True, **layout) -> Figure:
    """Lines of the mean over seeds with its 95% interval as a band: one colour and marker for each of `order`.

    The y axis fits the lines: a band of three seeds may be far wider than anything else and is cut; one of two seeds is not
    drawn, and none without `band`. `layout`: see `_panels`.
    """
    interval = lambda values: mean_interval(values) if len(values) >= FEWEST else (np.nan, np.nan)  # noqa: E731
    style = {"kind": "line", "dashes": False, "markersize": 7, "errorbar": interval if band else None}
    grid = _panels(data, x, y, hue, order, **style, **layout)
    panels = [ax for ax in grid.axes.flat if ax.get_lines()]
    for group in [panels] if layout.get("share_y", True) else [[ax] for ax in panels]:
        heights = np.concatenate([line.get_ydata() for ax in group for line in ax.get_lines()] or [[0, 1]]).astype(float)
        margin = 0.08 * max(np.nanmax(heights) - np.nanmin(heights), 0.02)
        for ax in group:
            ax.set_ylim(np.nanmin(heights) - margin, np.nanmax(heights) + margin)
    return grid.figure


def dots(data: pd.DataFrame, x: str, y: str, hue: str, order: Sequence[str], **layout) -> Figure:
    """One dot per row of `data`: one colour and marker for each of `order`. `layout`: see `_panels`."""
    return _panels(data, x, y, hue, order, kind="scatter", s=60, alpha=0.85, **layout).figure


def intervals(
    data: pd.DataFrame, label: str, hue: str, order: Sequence[str], *, labels: Mapping[str, str], xlabel: str,
    line: tuple[float, str] | None = None,
) -> Figure:  # fmt: skip
    """A dot with its interval (columns value, low, high) for each row: one line a `label`, one colour and marker for each of
    `order`; `line` is a value to compare with, and its name.
    """
    names = list(dict.fromkeys(data[label]))
    fig, ax = plt.subplots(figsize=(8, 1.2 + 0.42 * len(names)))
    there = [name for name in order if (data[hue] == name).any()]
    for k, (name, marker) in enumerate(zip(there, MARKERS, strict=False)):
        rows = data[data[hue] == name]
        place = np.array([names.index(v) for v in rows[label]]) + (k - (len(there) - 1) / 2) * 0.6 / len(there)
        spread = np.abs(rows[["low", "high"]].to_numpy(float).T - rows["value"].to_numpy(float))
        style = {"color": palette(order)[name], "marker": marker, "linestyle": "none", "capsize": 3, "markersize": 6}
        ax.errorbar(rows["value"], place, xerr=spread, label=labels[name], **style)
    if line:
        ax.axvline(line[0], color="0.3", linestyle="--", linewidth=1, label=line[1])
    ax.set(xlabel=xlabel, yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    fig.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=4, fontsize=9)
    fig.tight_layout()
    return fig


def seed_intervals(data: pd.DataFrame, label: str, *, xlabel: str, line: tuple[float, str] | None = None) -> Figure:
    """`intervals` with one colour and marker per seed."""
    rows = data.assign(seed=data["seed"].astype(int).astype(str))
    seeds = sorted(rows["seed"].unique())
    return intervals(rows, label, "seed", seeds, labels={s: f"seed {s}" for s in seeds}, xlabel=xlabel, line=line)


def estimates(values: Mapping[str, Estimate | None], xlabel: str, line: float = 0) -> Figure:
    """A dot a value, with its interval where there is one, and a line to compare with; small enough for the first page."""
    fig, ax = plt.subplots(figsize=(4.6, 1.1 + 0.36 * len(values)))
    for place, e in enumerate(e or Estimate(*[np.nan] * 3, 0) for e in values.values()):
        spread = [[e.value - e.low], [e.high - e.value]] if e.decides else None
        ax.errorbar(e.value, place, xerr=spread, color=sns.color_palette("colorblind")[0], marker="o", capsize=4)
    ax.axvline(line, color="0.3", linestyle="--", linewidth=1)
    ax.set(xlabel=xlabel, yticks=range(len(values)), yticklabels=values, ylim=(len(values) - 0.5, -0.5))
    fig.tight_layout()
    return fig


def paths(data: pd.DataFrame, x: str, y: str, hue: str, order: Sequence[str], *, along: str, **layout) -> Figure:
    """Rows of one hue joined in the order of `along`. `layout`: see `_panels`."""
    style = {"kind": "line", "dashes": False, "markersize": 7, "sort": False, "estimator": None}
    return _panels(data.sort_values(along), x, y, hue, order, **style, **layout).figure


def _panels(
    data: pd.DataFrame, x: str, y: str, hue: str, order: Sequence[str], *, labels: Mapping[str, str], xlabel: str, ylabel: str,
    facet: str | None = None, facets: Mapping[str, str] | None = None, columns: int | None = None, share_y: bool = True,
    **style,
) -> sns.FacetGrid:  # fmt: skip
    """Panels with one legend below: `facets` maps the values of column `facet` to titles, in their order, `columns` to a
    row (default: all).
    """
    order = [name for name in order if (data[hue] == name).any()]
    shown = data[data[hue].isin(order)].assign(**{hue: lambda t: t[hue].map(labels)})
    names, markers = [labels[name] for name in order], list(MARKERS[: len(order)])
    if facet:
        shown = shown[shown[facet].isin(facets)].assign(**{facet: lambda t: t[facet].map(facets)})
        titles = [title for title in facets.values() if (shown[facet] == title).any()]
        style |= {"col": facet, "col_order": titles, "col_wrap": min(columns or len(titles), len(titles)) or None}
    grid = sns.relplot(
        shown, x=x, y=y, hue=hue, hue_order=names, style=hue, style_order=names, markers=markers, palette=palette(names),
        height=2.6 if columns else 3.6, aspect=1.1, facet_kws={"sharey": share_y, "sharex": True}, **style,
    )  # fmt: skip
    grid.set_axis_labels(xlabel, ylabel)
    if facet:
        grid.set_titles("{col_name}")
    if grid.legend:
        sns.move_legend(
            grid, "upper center", bbox_to_anchor=(0.5, 0), ncols=min(4 if facet else 2, len(names) or 1), title=None, fontsize=9
        )
    return grid


def heat_map(table: pd.DataFrame, label: str, *, fmt: str = ".2f", diverging: bool = False, best: str | None = None) -> Figure:
    """A table as colours and numbers. `diverging` centres the colours on 0; `best` ("highest", "lowest") frames each row's
    best cell.
    """
    fig, ax = plt.subplots(figsize=(2.6 + 0.78 * table.shape[1], 1.1 + 0.36 * len(table)))
    colours = {"cmap": "PuOr_r", "center": 0} if diverging else {"cmap": "cividis"}
    annotation = {"annot": True, "fmt": fmt.replace(".", "z."), "annot_kws": {"fontsize": 8}}
    sns.heatmap(table.astype(float), ax=ax, linewidths=0.5, cbar_kws={"label": label}, **annotation, **colours)
    if best:
        values = table.to_numpy(float)
        places = values.argmax(axis=1) if best == "highest" else values.argmin(axis=1)
        for row, column in enumerate(places):
            ax.add_patch(plt.Rectangle((column, row), 1, 1, fill=False, edgecolor="#d55e00", linewidth=2.5, zorder=5))
    ax.set(xlabel="", ylabel="")
    ax.tick_params(axis="x", rotation=35)
    plt.setp(ax.get_xticklabels(), ha="right")
    fig.tight_layout()
    return fig


def stacked_bars(counts: pd.DataFrame, xlabel: str) -> Figure:
    """Counts as one bar a row, a part a column, each part with its number."""
    fig, ax = plt.subplots(figsize=(8, 1 + 0.45 * len(counts)))
    start = np.zeros(len(counts))
    for (name, values), colour in zip(counts.items(), palette(list(counts)).values(), strict=True):
        bars = ax.barh(counts.index, values, left=start, color=colour, label=name, edgecolor="white")
        ax.bar_label(bars, [f"{v:.0f}" if v >= 0.5 else "" for v in values], label_type="center", color="white", fontsize=10)
        start += values.to_numpy()
    ax.invert_yaxis()
    ax.grid(False)
    ax.set(xlabel=xlabel)
    fig.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=min(3, counts.shape[1]), fontsize=9)
    fig.tight_layout()
    return fig


def image_grid(
    cells: Sequence[Sequence[np.ndarray | None]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    size: float = 0.95,
    cmap: str = "gray",
) -> Figure:
    """Images (uint8 [H, W, 3] or a map [H, W] in [0, 1]) in rows and columns with their names; None leaves a gap."""
    shape = len(cells), len(cells[0])
    fig, axes = plt.subplots(*shape, figsize=(size * shape[1], size * shape[0]), squeeze=False)
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            ax = axes[i][j]
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
            for spine in ax.spines.values():
                spine.set_visible(False)
            if cell is not None:
                ax.imshow(cell, cmap=cmap, vmin=0, vmax=1, interpolation="nearest")
            if i == 0:
                ax.set_title(columns[j], fontsize=9, parse_math=False)
            if j == 0:
                ax.set_ylabel(rows[i], fontsize=9, rotation=0, ha="right", va="center", parse_math=False)
    fig.subplots_adjust(wspace=0.06, hspace=0.06)
    return fig


def class_legend(class_names: Sequence[str]) -> Figure:
    """The hue of each class in a segmentation mask."""
    fig, ax = plt.subplots(figsize=(9, 0.75))
    hsv = np.stack([class_hues(len(class_names)), *np.ones((2, len(class_names)))], axis=-1)
    ax.imshow(hsv_to_rgb(hsv)[None], aspect="auto")
    ax.set(yticks=[], xticks=range(len(class_names)), xticklabels=class_names)
    ax.grid(False)
    ax.tick_params(length=0, labelsize=9)
    fig.tight_layout()
    return fig


def as_images(images: np.ndarray) -> np.ndarray:
    """uint8 [N, 3, H, W] -> [N, H, W, 3]."""
    return np.asarray(images).transpose(0, 2, 3, 1)


def record_images(arrays: Mapping[str, np.ndarray], num_classes: int) -> dict[str, np.ndarray]:
    """The images of a record's arrays: images and masks uint8 [N, H, W, 3], attention float [N, H, W] in [0, 1]."""
    images = arrays["examples"]
    attention = arrays["attention"][: len(images)].astype(np.float32) / 255
    masks = colour_mask(images, attention, arrays["winners"], num_classes)
    return {"images": as_images(images), "attention": attention, "masks": masks}


def functions(
    x: np.ndarray, lines: Mapping[str, Callable | np.ndarray], *, xlabel: str, ylabel: str, log_x: bool = False
) -> Figure:
    """Curves of functions or arrays over x, named in a legend below."""
    fig, ax = plt.subplots(figsize=(6, 3.6))
    for (name, line), colour in zip(lines.items(), palette(list(lines)).values(), strict=True):
        ax.plot(x, line(x) if callable(line) else line, label=name, color=colour, linewidth=2)
    ax.set(xlabel=xlabel, ylabel=ylabel, xscale="log" if log_x else "linear")
    fig.tight_layout()
    fig.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=min(3, len(lines)), fontsize=9)
    return fig


def nothing() -> Figure:
    """In place of a figure that needs more runs."""
    fig, ax = plt.subplots(figsize=(4, 1))
    ax.text(0.5, 0.5, "too few runs for it", ha="center", va="center")
    ax.set_axis_off()
    return fig
