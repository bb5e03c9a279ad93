"""The overfit criterion as a tool: SCrIBE models, a folder of unlabelled images, a ranking with intervals and a report."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import jinja2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from tqdm import tqdm

import gazebook
from gazebook import metrics, plots
from gazebook.data.image_folder import Images
from gazebook.errors import GazebookError
from gazebook.explain import segmentation_mask
from gazebook.files import atomic_write, printable
from gazebook.ledger import project_folder
from gazebook.measure.attention import read_attention
from gazebook.measure.opened import unique_names
from gazebook.models.foreign import ForeignMaps, from_python
from gazebook.runs import Run
from gazebook.train import checkpoint, to_float

METRICS = {
    "sparsity": "sparsity",
    "regions": "regions",
    "classes": "classes in the region",
    "entropy": "entropy of the prediction (nats)",
}
BATCH = 250
FEW = 100  # images below which the report warns
SHOWN = 8  # images in the figure of masks
SIZE = 32  # pixels, of all image sets that this project trains on by default
# fields of Run in which models of one recipe may differ
WITHIN_A_RECIPE = {"fraction", "seed", "train_images", "evaluation", "test_images"}


class NoBackgroundError(GazebookError):
    """A checkpoint of this project that the audit does not concern."""


@dataclass(frozen=True)
class Audited:
    """A model with a name, its input size in pixels, and what is known of its training; `recipe` is None for a module that
    this project did not train.
    """

    name: str
    module: ForeignMaps
    size: int = SIZE
    recipe: dict | None = None
    class_names: tuple[str, ...] = field(default=())


def load_model(spec: str | Path, size: int | None = None) -> Audited:
    """A checkpoint of this project (a .safetensors file), or PACKAGE.MODULE:NAME, where NAME is a torch module or a function
    that returns one. Raises GazebookError with the remedy.
    """
    text = str(spec)
    if text.endswith(".safetensors"):
        return _from_checkpoint(Path(text), size or SIZE)
    if ":" in text:
        module = from_python(text, size or SIZE)
        return Audited(text, module, size or SIZE, None, tuple(f"class {i}" for i in range(module.num_classes)))
    raise GazebookError(
        f"{printable(text)} is not a model; give a .safetensors checkpoint such as results/weights/KEY.safetensors, or "
        "PACKAGE.MODULE:NAME for a torch module with .cam"
    )


def load_models(specs: Sequence[str | Path], size: int | None = None) -> tuple[list[Audited], list[str], int]:
    """The models that can be loaded, under names that differ; of others what is wrong, a line each; and how many checkpoints
    were left out because their maps have no background. Raises GazebookError where none can be loaded.
    """
    loaded, failed, left_out = [], [], []
    for spec in specs:
        try:
            loaded.append(load_model(spec, size))
        except NoBackgroundError as error:
            left_out.append(str(error))
        except GazebookError as error:
            failed.append(str(error))
    if not loaded:
        raise GazebookError("; ".join(failed or left_out[:1]))
    return unique_names(loaded), failed, len(left_out)


def published_models() -> list[Path]:
    """The checkpoints of one recipe, trained for equal epochs, that come with the project's checkout."""
    folder = project_folder()
    files = sorted((folder / "book" / "results" / "weights").glob("*.safetensors")) if folder else []
    return [f for f in files if (run := checkpoint.run_of(f)).study == "scribe" and "updates" not in run.canonical()]


def _from_checkpoint(file: Path, size: int) -> Audited:
    module, run, names = checkpoint.load_model(file)
    if run.head != "scribe":
        raise NoBackgroundError(f"{file} has a {run.head} head; its maps have no background: give SCrIBE checkpoints")
    recipe = {name: value for name, value in run.canonical().items() if name not in WITHIN_A_RECIPE}
    return Audited(_title(run), ForeignMaps(str(file), module, size), size, recipe, names)


def _title(run: Run) -> str:
    images = f"{run.fraction:.0%} of {run.train_images}" if run.train_images else f"{run.fraction:.0%}"
    length = "" if run.updates is None else f", {run.updates} updates"
    return f"{run.augmentation}, {images} images, seed {run.seed}{length}"


@torch.no_grad()
def audit(
    models: Sequence[Audited],
    images: dict[int, Images],
    device: str = "cpu",
    progress: bool = True,
    failed: list[str] | None = None,
) -> pd.DataFrame:
    """One row per model and image: sparsity, regions, classes, entropy, confidence, predicted class. `images` by size.

    Raises GazebookError for a model that fails; with a list `failed` it is told there and has no rows, unless all fail.
    """
    rows, told = [], [] if failed is None else failed
    for model in tqdm(models, "auditing", unit=" models", delay=2, disable=not progress, leave=False):
        try:
            rows.append(_measured(model, images[model.size], device))
        except GazebookError as error:
            told.append(str(error))
    if told and (failed is None or not rows):
        raise GazebookError("; ".join(told))
    return pd.concat(rows, ignore_index=True)


def _measured(model: Audited, given: Images, device: str) -> pd.DataFrame:
    module = model.module.to(device)
    parts = []
    for start in range(0, len(given.images), BATCH):
        batch = given.images[start : start + BATCH]
        maps = module.cam(to_float(batch.to(device)))
        read, _ = read_attention(maps, batch.shape[-2:])
        p = module.pool(maps).softmax(dim=1).double()
        part = {name: read[name].double().cpu().numpy() for name in ("sparsity", "classes")}
        part["regions"] = metrics.regions_per_image(read["a"].cpu().numpy())
        part["entropy"] = -torch.special.xlogy(p, p).sum(dim=1).cpu().numpy()
        part["confidence"] = p.max(dim=1).values.cpu().numpy()
        part["predicted"] = [model.class_names[i] for i in p.argmax(dim=1).tolist()]
        parts.append(pd.DataFrame({"model": model.name, "image": given.names[start : start + BATCH], **part}))
    return pd.concat(parts, ignore_index=True)


def summary(rows: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """A row a model, the sparsest first: its rank, means with 95% bootstrap intervals over images, and `clear`: whether it
    is sparser than the next model, image by image, by more than the interval of the difference.
    """
    table = rows.pivot_table(index="image", columns="model", values="sparsity", sort=False)
    order = list(table.mean().sort_values(ascending=False, kind="stable").index)
    lines = []
    for rank, name in enumerate(order, 1):
        own = rows[rows["model"] == name]
        line = {"rank": rank, "model": name, "images": len(own)}
        for metric in METRICS:
            values = own[metric].to_numpy(float)
            line[metric] = values.mean()
            line[f"{metric}_low"], line[f"{metric}_high"] = metrics.bootstrap_interval(values, seed=seed)
        if rank < len(order):
            difference = (table[name] - table[order[rank]]).to_numpy()
            line["clear"] = metrics.bootstrap_interval(difference, seed=seed)[0] > 0
        lines.append(line)
    return pd.DataFrame(lines)


def notes(models: Sequence[Audited], images: Images, left_out: int = 0) -> list[str]:
    """What a reader of the ranking must know: models and images left out, few images, models of different recipes."""
    found = []
    if left_out:
        found.append(f"Left out, because their maps have no background: {left_out} checkpoints without a SCrIBE head.")
    if images.skipped:
        name, reason = next(iter(images.skipped.items()))
        found.append(f"Skipped, because they could not be read: {len(images.skipped)} (first {name}: {reason}).")
    if len(images.names) < FEW:
        found.append(f"Few images ({len(images.names)}): intervals are wide; give {FEW} or more.")
    recipes = [model.recipe for model in models]
    if any(recipe is None for recipe in recipes):
        found.append("How some models were trained is not known here: the ranking means something within one recipe only.")
    elif different := sorted({k for a in recipes for b in recipes for k in {*a, *b} if a.get(k) != b.get(k)}):
        found.append(
            f"The models differ in {', '.join(different)}: sparsity ranks models of one recipe only; across recipes the order "
            "turns round in the paper's own tables."
        )
    found.append("Sparsity also grows with the length of training: compare models that were trained for equally many epochs.")
    return found


def interval_text(line: pd.Series, metric: str) -> str:
    """'0.640 [0.630, 0.650]'."""
    value, low, high = (np.format_float_positional(line[k], 3, unique=False) for k in _bounds(metric))
    return f"{value} [{low}, {high}]"


def _bounds(metric: str) -> tuple[str, str, str]:
    return metric, f"{metric}_low", f"{metric}_high"


def text_table(summed: pd.DataFrame) -> pd.DataFrame:
    """The summary for people: one row per model, means with intervals; `≈` marks a rank indistinguishable from the next."""
    rows = []
    for _, line in summed.iterrows():
        unclear = line.get("clear") is False or line.get("clear") == False  # noqa: E712 (numpy's own False)
        rank = f"{line['rank']}{' ≈' if unclear else ''}"
        rows.append({"rank": rank, "model": line["model"], **{m: interval_text(line, m) for m in METRICS}})
    return pd.DataFrame(rows)


def figure(summed: pd.DataFrame) -> Figure:
    """Mean and interval of each measure, one row per model, the sparsest on top."""
    fig, axes = plt.subplots(1, len(METRICS), figsize=(3 + 2.6 * len(METRICS), 1.4 + 0.34 * len(summed)), sharey=True)
    colour, *_ = plots.palette(["bar"]).values()
    for ax, (metric, title) in zip(axes, METRICS.items(), strict=True):
        low, high = summed[metric] - summed[f"{metric}_low"], summed[f"{metric}_high"] - summed[metric]
        ax.errorbar(summed[metric], range(len(summed)), xerr=[low, high], fmt="o", color=colour, capsize=3)
        ax.set(xlabel=title)
    axes[0].set_yticks(range(len(summed)), summed["model"], parse_math=False)
    axes[0].invert_yaxis()
    fig.tight_layout()
    return fig


@torch.no_grad()
def mask_figure(models: Sequence[Audited], images: dict[int, Images], summed: pd.DataFrame, count: int = SHOWN) -> Figure:
    """The first images, and each model's segmentation mask of them, in the order of the ranking."""
    first = images[models[0].size]
    models = sorted(models, key=lambda model: list(summed["model"]).index(model.name))
    cells = [list(plots.as_images(first.images[:count].numpy()))]
    for model in models:
        shown = images[model.size].images[:count]
        cells.append(list(segmentation_mask(shown, model.module.cpu().cam(to_float(shown)))))
    columns = [str(i + 1) for i in range(len(cells[0]))]
    return plots.image_grid(cells, rows=["image", *(m.name for m in models)], columns=columns)


def write_html(
    file: str | Path, summed: pd.DataFrame, said: Sequence[str], figures: dict[str, Figure], folder: str, count: int
) -> Path:
    """A report in one file without links to elsewhere. Raises GazebookError when it cannot be written."""
    file = Path(file)
    template = jinja2.Template(files("gazebook").joinpath("report.html").read_text(encoding="utf-8"), autoescape=True)
    page = template.render(
        table=text_table(summed).to_dict("records"),
        headings=["rank", "model", *METRICS.values()],
        notes=said,
        figures={alt: encoded(fig) for alt, fig in figures.items()},
        folder=printable(folder),
        count=count,
        version=gazebook.__version__,
    )
    with atomic_write(file, "give another --html") as partial:
        partial.write_text(page, encoding="utf-8")
    return file


def encoded(fig: Figure, kind: str = "png") -> str:
    """A figure as base64 of a PNG or JPEG; closes it."""
    content = io.BytesIO()
    fig.savefig(content, format=kind, dpi=130, bbox_inches="tight")
    plt.close(fig)
    return base64.b64encode(content.getvalue()).decode()
