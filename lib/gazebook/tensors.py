"""Files of tensors (safetensors) that carry a checksum of their content."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from gazebook.files import atomic_write

DAMAGED = (SafetensorError, OSError, ValueError, TypeError, KeyError, RecursionError)  # what reading such a file may raise


def write_tensors(file: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """A safetensors file with a checksum of its content, whole or not at all."""
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    with atomic_write(file) as partial:
        save_file(tensors, partial, metadata={**metadata, "sha256": _digest(tensors)})


def read_tensors(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors and the texts of a safetensors file. Raises OSError, SafetensorError, or ValueError where the content is
    not what its checksum says; a file without one is taken as it is.
    """
    with safe_open(file, "pt") as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)
    metadata = read_metadata(file)
    if "sha256" in metadata and metadata["sha256"] != _digest(tensors):
        raise ValueError("its checksum does not fit its content")
    return tensors, metadata


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(tensors[name].cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_metadata(file: Path) -> dict[str, str]:
    """The texts of a safetensors file alone."""
    with safe_open(file, "pt") as stored:
        return stored.metadata() or {}


def read_shapes(file: Path) -> dict[str, list[int]]:
    """The shape of each tensor of a safetensors file, without reading them."""
    with safe_open(file, "pt") as stored:
        return {name: stored.get_slice(name).get_shape() for name in stored.keys()}  # noqa: SIM118 (not a dict)
