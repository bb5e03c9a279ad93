"""The figures of part 4."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from gazebook import plots
from gazebook.data import fine_scenes, photo_streams
from gazebook.data.erasing import erased
from gazebook.data.unbalanced import oversampled
from gazebook.ledger import Ledger, Record
from gazebook.metrics import mean_of_means_interval
from gazebook.studies.distraction import tables, tidy
from gazebook.studies.distraction.runs import (
    BASE,
    CONTROLS,
    LARGE,
    LATE,
    METHODS,
    PAPER,
    SHIFTED,
    STREAMS,
    TH,
    TITLES,
    ZERO,
    Axes,
    of_part,
)
from gazebook.train import to_float
from gazebook.train.distraction import FILLS, PLACES, Distraction, filled

LEVELS = np.linspace(0, 1, 51)
SHOWN = (*PAPER, SHIFTED, LARGE, LATE)  # where all methods would be too many


def kinds_sheet() -> Figure:
    """A bird of each kind, complete, and the same without each of its parts; made on the spot."""
    specs = fine_scenes.describe(np.arange(300), "test", frequency=1.0)
    chosen = specs[[int(np.flatnonzero(specs.labels == c)[0]) for c in range(len(fine_scenes.CLASS_NAMES))]]
    rows = {"complete": fine_scenes.drawn(chosen)}
    rows |= {f"without {part}": fine_scenes.drawn(fine_scenes.without(chosen, part)) for part in fine_scenes.PARTS}
    cells = [list(plots.as_pictures(r.images)) for r in rows.values()]
    return plots.picture_grid(cells, rows=list(rows), columns=[n.replace("-", "\n") for n in fine_scenes.CLASS_NAMES])


def hiding_sheet(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> Figure:
    """Pictures uint8 [N, 3, H, W] before and after hiding: by each fill, at each place of the controls, and more of them."""
    x = to_float(images)
    rows = {"picture": x}
    for fill in FILLS:
        rows[f"highest, {fill}"] = _after(model, x, labels, Distraction(p=1, fill=fill))
    for place in PLACES[1:]:
        rows[f"{place}, zero"] = _after(model, x, labels, Distraction(p=1, place=place))
    rows["th = 0.5"] = _after(model, x, labels, Distraction(p=1, th=0.5))
    cells = [[picture.permute(1, 2, 0).numpy() for picture in row] for row in rows.values()]
    return plots.picture_grid(cells, rows=list(rows), columns=[""] * len(x))


def _after(model, x: torch.Tensor, labels: torch.Tensor, method: Distraction) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return filled(x, method.hidden(model, x, labels, generator), method.fill, generator)


def area_curves(ledger: Ledger, axes: Axes) -> Figure:
    """Share of the picture above th, of baselines after training, mean over pictures and seeds; the paper's th is marked."""
    lines = {}
    for part in axes.parts:
        found = [_areas(r) for r in _records(ledger, axes, part, BASE)]
        if found:
            lines[TITLES[part]] = np.mean(found, axis=0)
    fig = plots.functions(LEVELS, lines, xlabel="th", ylabel="share of the picture above it")
    ax = fig.axes[0]
    ax.axvline(TH, color="0.3", linestyle="--", linewidth=1)
    ax.annotate("paper's", (TH, ax.get_ylim()[1] * 0.9), ha="right", fontsize=9, rotation=90, va="top")
    return fig


def region_curves(ledger: Ledger, axes: Axes) -> Figure:
    """Share of the picture above a level of the scaled map, by method of SHOWN, a panel a part; mean over pictures, seeds."""
    long = []
    for part in axes.parts:
        for method in SHOWN:
            for k, record in enumerate(_records(ledger, axes, part, method)):
                areas = _areas(record)[::5]
                named = {"part": part, "method": method, "seed": k}
                long += [named | {"level": x, "area": a} for x, a in zip(LEVELS[::5], areas, strict=True)]
    frame = pd.DataFrame(long, columns=["part", "method", "seed", "level", "area"])
    names = [m for m in SHOWN if (frame["method"] == m).any()]
    shown = {p: TITLES[p] for p in axes.parts if (frame["part"] == p).any()}
    return plots.curves(
        frame, "level", "area", "method", names, labels={n: n for n in names}, band=False, facet="part", facets=shown,
        columns=2, xlabel="level of the scaled map", ylabel="share above it",
    )  # fmt: skip


def _areas(record: Record) -> np.ndarray:
    full = tidy.heat_maps(record)
    return np.array([(full > level).mean() for level in LEVELS])


def _records(ledger: Ledger, axes: Axes, part: str, method: str) -> list[Record]:
    runs = [of_part(axes, part, method, seed) for seed in axes.parts[part].seeds.get(method, ())]
    return list(ledger.records(runs))


def map_sheet(ledger: Ledger, axes: Axes, part: str, methods: list[str]) -> Figure:
    """Heat maps of the true class side by side: a picture a column, a method a row, the first seed's models."""
    rows, cells, pictures = ["picture"], [], None
    for method in methods:
        seeds = axes.parts[part].seeds.get(method, ())
        run = of_part(axes, part, method, seeds[0]) if seeds else None
        if run is None or run not in ledger or "examples" not in (record := ledger.read(run)).arrays:
            continue
        pictures = record.arrays["examples"]
        full = tidy.heat_maps(record, len(pictures), pictures.shape[-1])
        cells.append([_overlay(p, m) for p, m in zip(plots.as_pictures(pictures), full, strict=True)])
        rows.append(method)
    if pictures is None:
        return _nothing()
    return plots.picture_grid([list(plots.as_pictures(pictures)), *cells], rows=rows, columns=[""] * len(pictures), size=1.1)


def _overlay(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A grey picture under its heat map: uint8 [H, W, 3] and [H, W] in [0, 1] -> [H, W, 3] in [0, 1]."""
    grey = np.repeat(picture.mean(axis=2, keepdims=True) / 255, 3, axis=2)
    return 0.45 * grey + 0.55 * plt.get_cmap("inferno")(heat)[..., :3]


def gain_panels(frame: pd.DataFrame, condition: str = "accuracy") -> Figure:
    """Method minus baseline in points, a panel a fine-grained data set: a dot a seed, with its interval over test pictures."""
    parts = [p for p in tidy.fine_grained(frame) if len(tidy.of(frame, "difference", part=p, condition=condition))]
    if not parts:
        return _nothing()
    rows = tidy.of(frame, "difference", condition=condition, against=BASE)
    names = [m for m in METHODS if m in set(rows["method"])]
    seeds = sorted(rows["seed"].unique())
    fig, axes = plt.subplots(
        1, len(parts), figsize=(2.4 + 2.9 * len(parts), 1.3 + 0.42 * len(names)), sharey=True, squeeze=False
    )
    for ax, part in zip(axes[0], parts, strict=True):
        own = rows[rows["part"] == part]
        for k, (seed, colour) in enumerate(plots.palette(seeds).items()):
            dots = own[own["seed"] == seed]
            place = np.array([names.index(m) for m in dots["method"]]) + (k - (len(seeds) - 1) / 2) * 0.6 / len(seeds)
            value, spread = 100 * dots["value"].astype(float), 100 * (dots["high"] - dots["low"]).astype(float) / 2
            ax.errorbar(value, place, xerr=spread, fmt=plots.MARKERS[k % 10], color=colour, markersize=5, label=f"seed {seed}")
        ax.axvline(0, color="0.3", linestyle="--", linewidth=1)
        ax.set(title=TITLES[part], xlabel="minus baseline, points", yticks=range(len(names)), yticklabels=names)
        ax.set_ylim(len(names) - 0.5, -0.5)
        _cut_off(ax, own.assign(place=own["method"].map(names.index)))
    shown = {label: h for ax in axes[0] for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend(shown.values(), shown.keys(), loc="upper center", bbox_to_anchor=(0.5, 0), ncols=6, fontsize=9)
    fig.tight_layout()
    return fig


def guidance_intervals(frame: pd.DataFrame) -> Figure:
    """0-occlusion minus each control in points: means over seeds with 95% t-intervals, a line a data set, and their mean."""
    rows = []
    for control in CONTROLS:
        found = tables.guided_minus(frame, control)
        for label, values in found.items():
            value, low, high = mean_of_means_interval(values if label == tables.TOGETHER else [values])
            low, high = (low, high) if np.isfinite(low) else (value, value)  # one seed
            rows.append({"data": label, "control": control, "accuracy": value, "low": low, "high": high})
    if not rows:
        return _nothing()
    shown = {c: f"against {c}" for c in CONTROLS}
    return plots.intervals(
        pd.DataFrame(rows), "data", "control", list(shown), labels=shown, xlabel="guided hiding minus control, points",
        line=(0, "no difference"),
    )  # fmt: skip


def _cut_off(ax: plt.Axes, rows: pd.DataFrame) -> None:
    """Limit the axis to what methods other than the large box need, and say where that lies if it is beyond."""
    others = 100 * rows.loc[rows["method"] != LARGE, ["low", "high"]].astype(float).abs().to_numpy()
    limit = 1.1 * max(others.max(initial=0), 1)
    far = rows[(rows["method"] == LARGE) & (100 * rows["value"].abs() > limit)]
    ax.set_xlim(-limit, limit)
    if len(far):
        text = f"{100 * far['value'].mean():+.0f}"
        side = -1 if far["value"].mean() < 0 else 1
        arrow = {"arrowstyle": "->", "color": "0.3"}
        place = (0.75 * side * limit, far["place"].iloc[0])
        ax.annotate(text, (0.98 * side * limit, place[1]), place, fontsize=8, va="center", ha="center", arrowprops=arrow)


def tail_bars(axes: Axes) -> Figure:
    """Training frames of each class of the photo streams, and how many are repeated against the tail."""
    names, options = tidy.stream_classes(axes), axes.parts[STREAMS].fields["data_options"]
    frames = photo_streams.class_frames(len(names), **options)
    labels = torch.from_numpy(np.repeat(np.arange(len(names)), frames))
    repeated = torch.bincount(labels[oversampled(labels)], minlength=len(names)).numpy() - frames
    counts = pd.DataFrame({"frames": frames, "repeated": repeated * options.get("oversample", False)}, index=list(names))
    return plots.stacked_bars(counts.sort_values("frames", ascending=False), "training frames")


def part_map(frame: pd.DataFrame) -> Figure:
    """Accuracy on birds without parts, a row a training: which parts each net needs."""
    rows = tidy.common_seeds(tidy.of(frame, "part")).copy()
    if rows.empty:
        return _nothing()
    rows["net"] = rows["method"] + ", " + rows["seed"].astype(int).astype(str)
    rows = rows[rows["method"].isin(SHOWN)]
    rows = rows.assign(place=rows["method"].map(list(METHODS).index)).sort_values(["place", "seed"], kind="stable")
    table = 100 * rows.pivot_table(index="net", columns="condition", values="value", sort=False)
    return plots.heat_map(table.rename(columns=tables.birds), "accuracy, %", fmt=".0f")


def recall_map(frame: pd.DataFrame) -> Figure:
    """Recall of each class of the streams minus the baseline's, in points, mean over seeds."""
    wide = tidy.of(frame, "recall", part=STREAMS).pivot_table(index="condition", columns="method", values="value")
    if BASE not in wide or wide.shape[1] < 2:
        return _nothing()
    names = frame.attrs["stream_classes"]
    change = 100 * wide.drop(columns=BASE).sub(wide[BASE], axis=0)
    change.index = [names[int(c)] for c in change.index]
    return plots.heat_map(change, "recall minus baseline, points", fmt="+.1f", diverging=True)


def erased_sheet(ledger: Ledger, axes: Axes) -> Figure:
    """Test pictures of the first seed's baselines, and the same erased at random."""
    rows, cells = [], []
    for part in axes.parts:
        found = [r for r in _records(ledger, axes, part, BASE) if "examples" in r.arrays]
        if found:
            pictures = torch.from_numpy(found[0].arrays["examples"])
            for name, shown in ((TITLES[part], pictures), ("erased", erased(pictures)[0])):
                rows.append(name.replace(", ", ",\n"))
                cells.append(list(plots.as_pictures(shown.numpy())))
    return plots.picture_grid(cells, rows=rows, columns=[""] * len(cells[0])) if cells else _nothing()


def sweep_curves(frame: pd.DataFrame) -> Figure:
    """Gain over the baseline against p and against th, guided and elsewhere; mean over seeds."""
    rows = tables.swept(frame)
    paper_p, paper_th = rows["th"] == TH, rows["p"] == METHODS[ZERO]["p"]
    long = pd.concat([rows[paper_p].assign(axis="p", x=rows["p"]), rows[paper_th].assign(axis="th", x=rows["th"])])
    long = long.assign(points=100 * long["value"].astype(float))
    names = [ZERO, SHIFTED]
    facets = {"p": "against p (th = 0.85)", "th": "against th (p = 0.25)"}
    return plots.curves(
        long, "x", "points", "method", names, labels={n: n for n in names}, band=False, facet="axis", facets=facets,
        xlabel="", ylabel="accuracy minus baseline, points",
    )  # fmt: skip


def _nothing() -> Figure:
    fig, ax = plt.subplots(figsize=(4, 1))
    ax.text(0.5, 0.5, "too few runs for it", ha="center", va="center")
    ax.set_axis_off()
    return fig
