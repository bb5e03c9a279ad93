"""Models to audit: checkpoints of this project, or any torch module with class maps."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn

from gazebook import data, models
from gazebook.errors import GazebookError
from gazebook.ledger import project_folder
from gazebook.runs import Run
from gazebook.train import checkpoint

SIZE = 32  # pixels, of all image sets that this project trains on by default
# fields of Run in which models of one recipe may differ
WITHIN_A_RECIPE = {"fraction", "seed", "train_images", "evaluation", "test_images"}


@dataclass(frozen=True)
class Audited:
    """A model with a name, its input size in pixels, and what is known of its training.

    `module.cam(x)` gives class maps [N, C, h, w] for images float [N, 3, H, W] in [0, 1]; `recipe` is None for a module
    that this project did not train.
    """

    name: str
    module: nn.Module
    size: int = SIZE
    recipe: dict | None = None
    class_names: tuple[str, ...] = field(default=())


def load_model(spec: str | Path, size: int | None = None) -> Audited:
    """A checkpoint of this project (a .safetensors file), or PACKAGE.MODULE:NAME, where NAME is a torch module or a function
    that returns one. Raises GazebookError with the remedy.
    """
    text = str(spec)
    if text.endswith(".safetensors"):
        return _from_checkpoint(Path(text), size)
    if ":" in text:
        return _from_python(text, size)
    raise GazebookError(
        f"{text} is not a model; give a .safetensors checkpoint such as results/weights/KEY.safetensors, or "
        "PACKAGE.MODULE:NAME for a torch module with .cam"
    )


def told_apart(models: Sequence[Audited]) -> list[Audited]:
    """The models with names that differ: where two have the same name, a number is added."""
    names = [model.name for model in models]
    return [
        replace(model, name=f"{model.name} ({names[: i + 1].count(model.name)})") if names.count(model.name) > 1 else model
        for i, model in enumerate(models)
    ]


def published_models() -> list[Path]:
    """The checkpoints of one recipe, trained for equal epochs, that come with the project's checkout."""
    folder = project_folder()
    files = sorted((folder / "book" / "results" / "weights").glob("*.safetensors")) if folder else []
    return [f for f in files if (run := _run(f)).study == "scribe" and "updates" not in run.canonical()]


def _from_checkpoint(file: Path, size: int | None) -> Audited:
    if not file.is_file():
        raise GazebookError(
            f"{file} does not exist; gazebook grid scribe leaves checkpoints in results/weights/ (a run whose record came from "
            "elsewhere has none: delete its record and run again)"
        )
    run = _run(file)
    names = data.class_names(run.data)
    module = models.build(run.trunk, len(names), run.head, run.head_options, **run.trunk_options)
    checkpoint.restore(file, module)
    if run.head != "scribe":
        raise GazebookError(f"{file} has a {run.head} head; its maps have no background: give SCrIBE checkpoints")
    recipe = {name: value for name, value in run.canonical().items() if name not in WITHIN_A_RECIPE}
    return Audited(_title(run), module.eval(), size or SIZE, recipe, names)


def _run(file: Path) -> Run:
    """The run whose weights a checkpoint holds."""
    try:
        return Run.from_dict(json.loads(checkpoint.read_metadata(file)["run"]))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise GazebookError(
            f"{file} is not a checkpoint of this project ({error}); give one, or PACKAGE.MODULE:NAME"
        ) from error


def _title(run: Run) -> str:
    images = f"{run.fraction:.0%} of {run.train_images}" if run.train_images else f"{run.fraction:.0%}"
    length = "" if run.updates is None else f", {run.updates} updates"
    return f"{run.augmentation}, {images} images, seed {run.seed}{length}"


def _from_python(text: str, size: int | None) -> Audited:
    module_name, _, attribute = text.rpartition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")  # a module beside the user
    try:
        found = getattr(importlib.import_module(module_name), attribute)
        module = found if isinstance(found, nn.Module) else found()
    except Exception as error:
        raise GazebookError(
            f"{text} could not be loaded ({type(error).__name__}: {error}); correct PACKAGE.MODULE:NAME"
        ) from error
    if not isinstance(module, nn.Module) or not callable(getattr(module, "cam", None)):
        raise GazebookError(f"{text} is no torch module with .cam(images) -> class maps [N, C, h, w]; add that method")
    module = module.eval()
    try:
        with torch.no_grad():
            maps = module.cam(torch.zeros(1, 3, size or SIZE, size or SIZE))
    except Exception as error:
        raise GazebookError(f"{text}.cam failed on a picture of {size or SIZE} px ({error}); give its --size") from error
    if not isinstance(maps, torch.Tensor) or maps.ndim != 4:
        shown = f"shape {tuple(maps.shape)}" if isinstance(maps, torch.Tensor) else type(maps).__name__
        raise GazebookError(f"{text}.cam gives {shown}; expected class maps [N, C, h, w]")
    return Audited(text, module, size or SIZE, None, tuple(f"class {i}" for i in range(maps.shape[1])))
