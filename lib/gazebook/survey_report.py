"""What a survey found, for people: a table for the terminal, and one self-contained page."""

import base64
import io
from collections.abc import Sequence
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from textwrap import fill

import jinja2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gazebook import plots
from gazebook.files import atomic_write, printable
from gazebook.measure.opened import Opened
from gazebook.measure.standard import HEADLINES, RULERS, SHOWN
from gazebook.measure.survey import Survey, estimated
from gazebook.provenance import provenance

FEW = 100  # images below which the page warns
WIDEST = 12  # columns of images
WITHIN_A_RECIPE = {"fraction", "seed", "train_images", "evaluation", "test_images"}  # fields of Run that may differ in a recipe
CITE = {
    "sparsity": "Liu, Lehman, AlRegib 2020 (SCrIBE)",
    "corruption": "Hendrycks, Dietterich 2019",
    "variants": "Xiao, Engstrom, Ilyas, Madry 2020 (Noise or Signal)",
    "adversarial": "Xiao, Engstrom, Ilyas, Madry 2020 (Noise or Signal)",
    "noise": "Moayeri et al. 2022 (RIVAL10)",
    "attributes": "Moayeri et al. 2022 (RIVAL10)",
    "alignment": "Moayeri et al. 2022 (RIVAL10); Selvaraju et al. 2017 (Grad-CAM)",
    "erasing": "Zhong et al. 2020; Morales et al. 2021",
    "accuracy": "Guo et al. 2017 (ECE)",
}


def summary(found: Survey) -> pd.DataFrame:
    """What is said first: a ranking where sparsity alone was measured, else the headlines."""
    return ranking(found) if set(found.frame["ruler"]) == {"sparsity"} else headlines(found.frame)


def ranking(found: Survey) -> pd.DataFrame:
    """Models by the ruler `sparsity`, the sparsest first, with intervals over images (paper 1, section 2.2). A rank with `≈` is
    not told apart from the next: the difference, image by image, may be zero.
    """
    rows = found.frame[(found.frame["ruler"] == "sparsity") & (found.frame["against"] == "")]
    means = rows.pivot(index="model", columns="measure", values="value").sort_values("sparsity", ascending=False)
    images = {name: next(r.values for r in found.rows["sparsity", name] if r.measure == "sparsity") for name in means.index}
    texts = rows.assign(text=[_text(r) for r in rows.itertuples()]).pivot(index="model", columns="measure", values="text")
    texts = texts.loc[means.index, list(dict.fromkeys(rows["measure"]))]
    close = [not estimated(images[a] - images[b])[1] > 0 for a, b in pairwise(means.index)]
    texts.insert(0, "rank", [f"{i}{' ≈' if near else ''}" for i, near in enumerate([*close, False], 1)])
    return texts.rename_axis(columns=None)


def headlines(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per headline measure, one column per model: the value with its interval; beside each model but the first whether
    it differs from that.
    """
    names = list(dict.fromkeys(frame["model"]))
    rows = {}
    for ruler, wanted in HEADLINES.items():
        for measure, condition, factor, unit in wanted:
            own = frame[(frame["ruler"] == ruler) & (frame["measure"] == measure) & (frame["condition"] == condition)]
            if not len(own):
                continue
            label = f"{ruler}: {measure}{f' {condition}' if condition not in ('', 'all') else ''}{f' ({unit})' if unit else ''}"
            rows[label] = {name: _cell(own[own["model"] == name], factor) for name in names}
    return pd.DataFrame.from_dict(rows, orient="index", columns=names).fillna("")


def _cell(rows: pd.DataFrame, factor: float) -> str:
    """'12.3 [10.1, 14.5], n 260, higher'."""
    alone = rows[rows["against"] == ""]
    if not len(alone):
        return ""
    row, digits = alone.iloc[0], 1 if factor == 100 else 3
    text = f"{factor * row['value']:.{digits}f} [{factor * row['low']:.{digits}f}, {factor * row['high']:.{digits}f}], "
    verdict = "".join(f", {v}" for v in rows.loc[rows["against"] != "", "verdict"] if v)
    return f"{text}n {row['n']:,}{verdict}"


def notes(found: Survey, models: Sequence[Opened], skipped: dict[str, str], cut: int | None) -> list[str]:
    """What a reader must know: what was left out and why, and how little there is to go by."""
    count = found.frame.attrs.get("images", 0)
    said = ["The measurement was stopped: what follows is what was finished."] if found.stopped else []
    for line, names in found.left_out.items():
        own = ", ".join(names)
        said.append(f"Left out, {line}{f' ({own})' if len(names) < len(models) else ''}.")
    if skipped:
        name, reason = next(iter(skipped.items()))
        said.append(f"Skipped, because they could not be read: {len(skipped)} images (first {name}: {reason}).")
    if cut is not None and cut < count:
        said.append(
            f"The masks of {count - cut} images are empty, or reach from edge to edge: rulers with masks leave them out."
        )
    if count < FEW:
        said.append(f"Few images ({count}): intervals are wide; give {FEW} or more.")
    ranked = [model for model in models if ("sparsity", model.name) in found.rows]
    if len(models) > 1 and len(found.rows) > len(ranked):
        said.append(
            f"Higher, lower and not told apart are against {models[0].name}, on the same images, without a correction for the "
            "number of comparisons."
        )
    said.append("Intervals are over images: they say nothing of other trainings of the same network.")
    return said + (_of_sparsity(ranked) if len(ranked) > 1 else [])


def _of_sparsity(models: Sequence[Opened]) -> list[str]:
    """When a ranking by sparsity means something."""
    longer = "Sparsity also grows with the length of training: compare models that were trained for equally many epochs."
    if any(model.run is None for model in models):
        return ["How some models were trained is not known here: sparsity ranks models of one recipe only.", longer]
    recipes = [model.run.canonical() for model in models]
    different = {k for a in recipes for b in recipes for k in {*a, *b} if a.get(k) != b.get(k)} - WITHIN_A_RECIPE
    if not different:
        return [longer]
    return [
        f"The models differ in {', '.join(sorted(different))}: sparsity ranks models of one recipe only; across recipes the "
        "order turns round in the paper's own tables.",
        longer,
    ]


def write_page(file: Path, found: Survey, models: Sequence[Opened], said: Sequence[str], images: str, seconds: float) -> Path:
    """A report in one file without links to elsewhere. Raises GazebookError when it cannot be written."""
    plots.theme()
    table = summary(found)
    template = jinja2.Template(files("gazebook").joinpath("survey.html").read_text(encoding="utf-8"), autoescape=True)
    used = [name for name in RULERS if name in set(found.frame["ruler"])]
    origin = provenance(next(models[0].network.buffers()).device, seconds)
    page = template.render(
        models=[m.name for m in models],
        headings=[table.index.name or "measure", *table.columns],
        table=[[name, *row] for name, row in zip(table.index, table.to_numpy().tolist(), strict=True)],
        notes=said,
        panels=[_panel(name, found) for name in used],
        images=printable(images),
        count=found.frame.attrs.get("images", 0),
        origin=origin | {m.name: f"input {m.size} px, {m.num_classes:,} classes" for m in models},
        cite=sorted({CITE[name] for name in used}),
    )
    with atomic_write(file, "give another --html") as partial:
        partial.write_text(page, encoding="utf-8")
    return file


def _panel(name: str, found: Survey) -> dict:
    """A ruler's part of the page: its question, images, and all of its rows."""
    rows = found.frame[(found.frame["ruler"] == name) & (found.frame["against"] == "")]
    rows = rows.assign(level=rows["level"].map(lambda v: "" if np.isnan(v) else f"{v:g}"))
    keys = ["measure", "condition", "level"]
    rows = rows.assign(text=[_text(r) for r in rows.itertuples()])
    wide = rows.pivot_table(index=keys, columns="model", values="text", aggfunc="first", sort=False)
    body = [[*key, *row] for key, row in zip(wide.index, wide.fillna("").to_numpy().tolist(), strict=True)]
    panel = {"name": name, "question": RULERS[name].question, "headings": [*keys, *wide.columns], "rows": body, "image": ""}
    if shown := found.shown.get(name):
        panel |= {
            "image": encoded(shown_figure(found, name)),
            "alt": f"{name}: {', '.join(' '.join(t.split()) for t in shown)}",
        }
    return panel


def _text(row) -> str:
    """'0.640 [0.630, 0.650]'."""
    return f"{row.value:.3f}{f' [{row.low:.3f}, {row.high:.3f}]' if np.isfinite(row.low) else ''}"


def shown_figure(found: Survey, ruler: str) -> Figure:
    """What a ruler showed the models: one row per image, a column what was done to it."""
    shown = found.shown[ruler]
    titles = list(shown)[:WIDEST]
    count = min(SHOWN, *(len(shown[t]) for t in titles))
    cells = [[plots.as_images(shown[t][i : i + 1].numpy())[0] for t in titles] for i in range(count)]
    return plots.image_grid(cells, rows=[""] * count, columns=[fill(t, 14) for t in titles], size=1.5)


def encoded(fig: Figure) -> str:
    """A figure as base64 of a JPEG; closes it."""
    content = io.BytesIO()
    fig.savefig(content, format="jpeg", dpi=130, bbox_inches="tight")
    plt.close(fig)
    return base64.b64encode(content.getvalue()).decode()
