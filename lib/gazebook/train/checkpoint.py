"""Checkpoints: one safetensors file with weights, optimiser state and history, replaced atomically."""

import json
import re
from pathlib import Path

import torch
from torch import nn

from gazebook import data, models
from gazebook.errors import GazebookError
from gazebook.runs import Run
from gazebook.tensors import DAMAGED, read_metadata, read_shapes, read_tensors, write_tensors

LARGEST_OPTION = 4096  # of a model that a file names


def save(file: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None, history: list[dict], **metadata: str) -> None:
    """Write model weights, the optimiser's state, history and further texts to `file`; the old file stays whole until then."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    if optimizer is not None:
        for i, p in enumerate(model.parameters()):
            tensors |= {f"optimizer.{i}.{n}": t for n, t in optimizer.state[p].items() if t is not None}
    write_tensors(file, tensors, {"history": json.dumps(history), **metadata})


def restore(file: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> list[dict]:
    """Load what `save` wrote and return the history; an absent file leaves everything as it is and returns [].

    Raises GazebookError where the file is damaged, of another model, or has weights that are no numbers.
    """
    if not file.exists():
        return []
    try:
        tensors, metadata = read_tensors(file)
        history = json.loads(metadata["history"])
        if any(t.is_floating_point() and not t.isfinite().all() for t in tensors.values()):
            raise ValueError("weights that are not finite")
        model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
    except (*DAMAGED, RuntimeError) as error:
        raise GazebookError(f"the checkpoint {file} is damaged or of another model; delete it and run again") from error
    for i, p in enumerate(model.parameters()):
        prefix = f"optimizer.{i}."
        for name in (n for n in tensors if optimizer is not None and n.startswith(prefix)):
            # like the parameter, device and memory format; AdamW counts its steps in a number on the CPU
            like = torch.empty_like(p).copy_(tensors[name]) if tensors[name].shape == p.shape else tensors[name]
            optimizer.state[p][name.removeprefix(prefix)] = like
    return history


def run_of(file: Path) -> Run:
    """The run whose weights a file holds. Raises GazebookError where it holds none."""
    try:
        return Run.from_dict(json.loads(read_metadata(file)["run"]))
    except (*DAMAGED, AttributeError, GazebookError) as error:
        raise GazebookError(
            f"{file} is not a checkpoint of this project ({error}); give one, or PACKAGE.MODULE:NAME"
        ) from error


def load_model(file: Path) -> tuple[nn.Module, Run, tuple[str, ...]]:
    """The trained model that a file holds, its run, and the names of its classes. Raises GazebookError with the remedy.

    It is built only where the file's tensors have just its shapes: a file from elsewhere may neither ask for memory nor for a
    download.
    """
    if not file.is_file():
        raise GazebookError(
            f"{file} does not exist; gazebook grid scribe leaves checkpoints in results/weights/ (a run whose record came from "
            "elsewhere has none: delete its record and run again)"
        )
    run = run_of(file)
    names = data.class_names(run.data)
    numbers = [int(n) for n in re.findall(r"\d+", json.dumps([run.trunk_options, run.head_options]))]
    try:
        if run.trunk not in models.TRUNKS or max(numbers, default=0) > LARGEST_OPTION:
            raise ValueError(f"trunk {run.trunk} with {run.trunk_options}")
        with torch.device("meta"):
            built = models.initial_model(run, len(names)).state_dict()
        expected = {f"model.{name}": list(t.shape) for name, t in built.items()}
        if expected != {name: shape for name, shape in read_shapes(file).items() if name.startswith("model.")}:
            raise ValueError("tensors of another model")
        model = models.initial_model(run, len(names))
    except Exception as error:
        raise GazebookError(f"{file} does not hold the model that it names ({error}); fetch it again") from error
    restore(file, model)
    return model.eval(), run, names
