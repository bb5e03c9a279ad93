"""What a trained model says of pictures, in batches; shared by studies that show it many changed ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

BATCH = {"cpu": 250, "cuda": 2000}
Probabilities = Callable[[torch.Tensor], torch.Tensor]


def probabilities(model: nn.Module, device: torch.device | str) -> Probabilities:
    """A function from images float [N, 3, H, W] in [0, 1] to the probabilities of a model, float [N, C] on the CPU."""
    size = BATCH.get(torch.device(device).type, 250)

    @torch.no_grad()
    def predict(images: torch.Tensor) -> torch.Tensor:
        return torch.cat([model(part.to(device)).float().softmax(dim=1).cpu() for part in images.split(size)])

    return predict
