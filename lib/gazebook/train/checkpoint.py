"""Checkpoints: one safetensors file with weights, optimiser state and history, replaced atomically."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn

from gazebook.errors import GazebookError
from gazebook.tensors import DAMAGED, read_metadata, read_tensors, write_tensors


def save(file: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None, history: list[dict], **metadata: str) -> None:
    """Write model weights, the optimiser's state, history and further texts to `file`; the old file stays whole until then."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    if optimizer is not None:
        for i, p in enumerate(model.parameters()):
            tensors |= {f"optimizer.{i}.{n}": t for n, t in optimizer.state[p].items() if t is not None}
    write_tensors(file, tensors, {"history": json.dumps(history), **metadata})


def read_history(file: Path) -> list[dict]:
    """The history alone of what `save` wrote."""
    return json.loads(read_metadata(file)["history"])


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
