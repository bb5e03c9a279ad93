"""Figures. Each function takes a tidy table or arrays and returns a matplotlib figure.

Colours are seaborn's colour-blind-safe palette, always paired with a second cue (marker or label). The background is
opaque white, so that a figure stays readable on a dark page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure

from gazebook.explain import class_hues, colour_mask
from gazebook.metrics import mean_interval

MARKERS = ("o", "X", "s", "P", "D", "^", "v", "<", ">", "*")


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
        },
    )


def palette(names: Sequence[str]) -> dict[str, tuple]:
    """A colour for each name, in order, from the colour-blind-safe palette."""
    return dict(zip(names, sns.color_palette("colorblind", len(names)), strict=True))


def curves(data: pd.DataFrame, x: str, y: str, hue: str, order: Sequence[str], **layout) -> Figure:
    """Lines of the mean over seeds with its 95% interval as a band: one colour and marker for each of `order`.

    `layout`: see `_panels`.
    """

    def draw(ax: Axes, rows: pd.DataFrame, color, **style) -> None:
        seeds = rows.groupby(x)[y]
        mean, bounds = seeds.mean(), np.array([mean_interval(values) for _, values in seeds])
        ax.fill_between(mean.index, *bounds.T, color=color, alpha=0.15, linewidth=0)
        ax.plot(mean.index, mean, color=color, markersize=6, **style)

    return _panels(draw, data, hue, order, **layout)


def dots(data: pd.DataFrame, x: str, y: str, hue: str, order: Sequence[str], **layout) -> Figure:
    """One dot a row of `data`: one colour and marker for each of `order`. `layout`: see `_panels`."""

    def draw(ax: Axes, rows: pd.DataFrame, **style) -> None:
        ax.scatter(rows[x], rows[y], s=42, alpha=0.85, **style)

    return _panels(draw, data, hue, order, **layout)


def _panels(
    draw: Callable, data: pd.DataFrame, hue: str, order: Sequence[str], *, labels: Mapping[str, str], xlabel: str, ylabel: str,
    facet: str | None = None, facets: Mapping[str, str] | None = None,
) -> Figure:  # fmt: skip
    """Panels side by side with one legend below: `facets` maps the values of column `facet` to titles, in their order."""
    panels = list(facets.items()) if facets else [(None, None)]
    fig, axes = plt.subplots(1, len(panels), figsize=(1.2 + 2.9 * len(panels), 3.9), sharey=True, squeeze=False)
    colours = palette(order)
    for ax, (value, title) in zip(axes[0], panels, strict=True):
        part = data if facet is None else data[data[facet] == value]
        for name, marker in zip(order, MARKERS, strict=False):
            rows = part[part[hue] == name]
            if len(rows):
                draw(ax, rows, color=colours[name], marker=marker, label=labels[name])
        ax.set(xlabel=xlabel, ylabel=ylabel if ax is axes[0][0] else "", title=title or "")
    handles = {h.get_label(): h for ax in axes[0] for h in ax.get_legend_handles_labels()[0]}
    where = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "ncols": min(4, len(handles)), "fontsize": 9}
    fig.legend(handles.values(), handles.keys(), **where)
    fig.tight_layout()
    return fig


def picture_grid(
    cells: Sequence[Sequence[np.ndarray | None]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    size: float = 0.95,
    cmap: str = "gray",
) -> Figure:
    """Pictures (uint8 [H, W, 3] or a map [H, W] in [0, 1]) in rows and columns with their names; None leaves a gap."""
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
                ax.set_title(columns[j], fontsize=9)
            if j == 0:
                ax.set_ylabel(rows[i], fontsize=9, rotation=0, ha="right", va="center")
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


def as_pictures(images: np.ndarray) -> np.ndarray:
    """uint8 [N, 3, H, W] -> [N, H, W, 3]."""
    return np.asarray(images).transpose(0, 2, 3, 1)


def record_pictures(arrays: Mapping[str, np.ndarray], num_classes: int) -> dict[str, np.ndarray]:
    """The pictures of a record's arrays: images and masks uint8 [N, H, W, 3], attention float [N, H, W] in [0, 1]."""
    images = arrays["examples"]
    attention = arrays["attention"][: len(images)].astype(np.float32) / 255
    masks = colour_mask(images, attention, arrays["winners"], num_classes)
    return {"images": as_pictures(images), "attention": attention, "masks": masks}


def functions(
    x: np.ndarray, lines: Mapping[str, Callable | np.ndarray], *, xlabel: str, ylabel: str, log_x: bool = False
) -> Figure:
    """Curves of functions or arrays over x, named in a legend."""
    fig, ax = plt.subplots(figsize=(6, 3.6))
    for (name, line), colour in zip(lines.items(), palette(list(lines)).values(), strict=True):
        ax.plot(x, line(x) if callable(line) else line, label=name, color=colour, linewidth=2)
    ax.set(xlabel=xlabel, ylabel=ylabel, xscale="log" if log_x else "linear")
    ax.legend()
    fig.tight_layout()
    return fig
