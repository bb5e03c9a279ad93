"""Adversarial backgrounds (paper 2): is there any background that turns a foreground into another class?

Composites are made on the device, batch by batch. Backgrounds are tried in a random order, a different one for each
foreground, until one fools the model: so the share of vulnerable foregrounds after n tries can be read off for every n.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from gazebook.data.composite import compose
from gazebook.data.image_set import ImageSet

# images uint8 [N, 3, H, W] on the device -> predicted labels int64 [N]
Predict = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Search:
    """tries: int64 [N], how many backgrounds were tried until one fooled the model, 0 where none of them did; fooled_by:
    int64 [N], that background, -1 where none; composites: how many were looked at in all.
    """

    tries: torch.Tensor
    fooled_by: torch.Tensor
    composites: int


def search(
    predict: Predict,
    foregrounds: ImageSet,
    backgrounds: torch.Tensor,
    *,
    seed: int = 0,
    batch: int = 256,
    device: torch.device | str = "cpu",
) -> Search:
    """Try each foreground (with its mask) before backgrounds uint8 [B, 3, H, W] until one fools the model, or all were tried.

    A foreground that the model gets wrong before any background counts as fooled by it, as in the paper's challenge.
    """
    count, total = len(foregrounds), len(backgrounds)
    generator = torch.Generator().manual_seed(seed)
    orders = torch.stack([torch.randperm(total, generator=generator) for _ in range(count)])
    images, masks, labels = (t.to(device) for t in (foregrounds.images, foregrounds.masks, foregrounds.labels))
    backgrounds = backgrounds.to(device)
    tries, fooled_by = torch.zeros(count, dtype=torch.int64), torch.full((count,), -1)
    active, tried, looked = torch.arange(count), 0, 0
    while len(active) and tried < total:
        width = max(1, min(batch // len(active), total - tried))  # backgrounds for each foreground that is left
        chosen = orders[active, tried : tried + width]
        wrong = []
        for part, own in zip(active.split(batch), chosen.split(batch), strict=True):
            made = compose(images[part, None], masks[part, None], backgrounds[own])
            predicted = predict(made.flatten(0, 1)).view(own.shape)
            wrong.append((predicted != labels[part, None]).cpu())
        fooled = torch.cat(wrong)
        looked += fooled.numel()
        hit, first = fooled.any(dim=1), fooled.int().argmax(dim=1)
        tries[active[hit]] = tried + 1 + first[hit]
        fooled_by[active[hit]] = chosen[hit, first[hit]]
        active, tried = active[~hit], tried + width
    return Search(tries, fooled_by, looked)


def strength(
    predict: Predict,
    foregrounds: ImageSet,
    backgrounds: torch.Tensor,
    background_labels: torch.Tensor,
    *,
    batch: int = 256,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Share of the foregrounds of other classes that each background turns into its own class: float [B] in [0, 1]."""
    backgrounds = backgrounds.to(device)
    won = torch.zeros(len(backgrounds), dtype=torch.int64)
    tried = torch.zeros(len(backgrounds), dtype=torch.int64)
    for image, mask, label in zip(foregrounds.images, foregrounds.masks, foregrounds.labels, strict=True):
        image, mask = image.to(device), mask.to(device)
        found = torch.cat([predict(compose(image, mask, part)).cpu() for part in backgrounds.split(batch)])
        other = background_labels != label
        won += other & (found == background_labels)
        tried += other
    return won / tried.clamp_min(1)
