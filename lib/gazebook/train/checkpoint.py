"""Checkpoints: one safetensors file with weights, optimiser state and history, replaced atomically."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from gazebook.errors import GazebookError
from gazebook.files import replacing


def save(file: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None, history: list[dict], **metadata: str) -> None:
    """Write model weights, momentum buffers, history and further texts to `file`; the old file stays whole until then."""
    tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    if optimizer is not None:
        for i, p in enumerate(model.parameters()):
            if (momentum := optimizer.state[p].get("momentum_buffer")) is not None:
                tensors[f"momentum.{i}"] = momentum.contiguous()
    with replacing(file) as partial:
        save_file(tensors, partial, metadata={"history": json.dumps(history), **metadata})


def read_history(file: Path) -> list[dict]:
    """The history alone of what `save` wrote."""
    return json.loads(read_metadata(file)["history"])


def read_metadata(file: Path) -> dict[str, str]:
    """The texts of what `save` wrote."""
    with safe_open(file, "pt") as stored:
        return stored.metadata() or {}


def restore(file: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> list[dict]:
    """Load what `save` wrote and return the history; an absent file leaves everything as it is and returns []."""
    if not file.exists():
        return []
    try:
        with safe_open(file, "pt") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)
        history = read_history(file)
        model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
    except (SafetensorError, OSError, RuntimeError, TypeError, KeyError, ValueError) as error:
        raise GazebookError(f"the checkpoint {file} is damaged or of another model; delete it and run again") from error
    for i, p in enumerate(model.parameters()):
        if optimizer is not None and f"momentum.{i}" in tensors:
            momentum = torch.empty_like(p)  # keeps the parameter's device and memory format
            optimizer.state[p]["momentum_buffer"] = momentum.copy_(tensors[f"momentum.{i}"])
    return history
