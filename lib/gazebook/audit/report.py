"""The audit as text, figure and self-contained HTML."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import jinja2
import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure

import gazebook
from gazebook import plots
from gazebook.audit.measure import METRICS, interval_text
from gazebook.audit.models import Audited
from gazebook.audit.pictures import Pictures
from gazebook.explain import segmentation_mask
from gazebook.files import replacing
from gazebook.train import to_float

SHOWN = 8  # pictures in the figure of masks


def text_table(summed: pd.DataFrame) -> pd.DataFrame:
    """The summary for people: a row a model, means with their intervals; `≈` marks a rank that is not clear of the next."""
    rows = []
    for _, line in summed.iterrows():
        unclear = line.get("clear") is False or line.get("clear") == False  # noqa: E712 (numpy's own False)
        rank = f"{line['rank']}{' ≈' if unclear else ''}"
        rows.append({"rank": rank, "model": line["model"], **{m: interval_text(line, m) for m in METRICS}})
    return pd.DataFrame(rows)


def figure(summed: pd.DataFrame) -> Figure:
    """Mean and interval of each measure, a row a model, the sparsest on top."""
    fig, axes = plt.subplots(1, len(METRICS), figsize=(3 + 2.6 * len(METRICS), 1.4 + 0.34 * len(summed)), sharey=True)
    colour, *_ = plots.palette(["bar"]).values()
    for ax, (metric, title) in zip(axes, METRICS.items(), strict=True):
        low, high = summed[metric] - summed[f"{metric}_low"], summed[f"{metric}_high"] - summed[metric]
        ax.errorbar(summed[metric], range(len(summed)), xerr=[low, high], fmt="o", color=colour, capsize=3)
        ax.set(xlabel=title)
    axes[0].set(yticks=range(len(summed)), yticklabels=summed["model"])
    axes[0].invert_yaxis()
    fig.tight_layout()
    return fig


@torch.no_grad()
def mask_figure(models: Sequence[Audited], pictures: dict[int, Pictures], summed: pd.DataFrame, count: int = SHOWN) -> Figure:
    """The first pictures, and each model's segmentation mask of them, in the order of the ranking."""
    first = pictures[models[0].size]
    models = sorted(models, key=lambda model: list(summed["model"]).index(model.name))
    cells = [list(plots.as_pictures(first.images[:count].numpy()))]
    for model in models:
        images = pictures[model.size].images[:count]
        cells.append(list(segmentation_mask(images, model.module.cpu().cam(to_float(images)))))
    columns = [str(i + 1) for i in range(len(cells[0]))]
    return plots.picture_grid(cells, rows=["picture", *(m.name for m in models)], columns=columns)


def write_html(
    file: str | Path, summed: pd.DataFrame, said: Sequence[str], figures: dict[str, Figure], folder: str, pictures: int
) -> Path:
    """A report in one file without links to elsewhere. Raises GazebookError when it cannot be written."""
    file = Path(file)
    template = jinja2.Template(files("gazebook.audit").joinpath("report.html").read_text(encoding="utf-8"), autoescape=True)
    page = template.render(
        table=text_table(summed).to_dict("records"),
        headings=["rank", "model", *METRICS.values()],
        notes=said,
        figures={alt: _encoded(fig) for alt, fig in figures.items()},
        folder=folder,
        pictures=pictures,
        version=gazebook.__version__,
    )
    with replacing(file, "give another --html") as partial:
        partial.write_text(page, encoding="utf-8")
    return file


def _encoded(fig: Figure) -> str:
    content = io.BytesIO()
    fig.savefig(content, format="png", dpi=130, bbox_inches="tight")
    plt.close(fig)
    return base64.b64encode(content.getvalue()).decode()
