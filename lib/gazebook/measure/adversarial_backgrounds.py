"""Adversarial backgrounds (paper 2): is there any background that turns a foreground into another class?

Composites are made on the device, batch by batch. Backgrounds are tried in a random order, a different one for each
foreground, until one fools the model: so the share of vulnerable foregrounds after n tries can be read off for every n.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from gazebook.data.image_set import ImageSet
from gazebook.images.composite import compose, tiled
from gazebook.measure.backgrounds import Predictor, released
from gazebook.measure.ruler import Measured, Ruler, Trained, accuracy_row, check_counts

STRONGEST, FOOLED = 5, 3  # backgrounds shown, and foregrounds before each of them
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


def _adversarial(trained: Trained) -> Measured:
    """A row whose accuracy is the challenge's: the share of foregrounds that no background fools; array tries int32 [F]."""
    test = trained.test
    predict = Predictor(trained.model, test, trained.device)
    chosen = test.fraction(1.0, 0, min(trained.asked("adversarial"), len(test)))
    started = time.monotonic()
    found = search(predict, chosen, _backgrounds(test), batch=predict.batch, device=predict.device)
    speed = round(found.composites / (time.monotonic() - started), 1)
    row = accuracy_row("adversarial", "any background", 0, found.tries == 0)
    row |= {"backgrounds": len(test), "composites": found.composites}
    return Measured([row], {"tries": found.tries.numpy().astype(np.int32)}, {"composites_per_second": speed})


def _strength(trained: Trained) -> Measured:
    """Every background's strength float16 [B]; images of the strongest, each with foregrounds that it turns into its class."""
    test = trained.test
    predict = Predictor(trained.model, test, trained.device)
    chosen = test.fraction(1.0, 0, min(trained.asked("strength"), len(test)))
    backgrounds = _backgrounds(test)
    power = strength(predict, chosen, backgrounds, test.labels, batch=predict.batch, device=predict.device)
    best = power.argsort(descending=True, stable=True)[:STRONGEST]
    shown = []
    for b in best.tolist():
        made = compose(chosen.images, chosen.masks, backgrounds[b])
        fooled = (predict(made).cpu() == test.labels[b]) & (chosen.labels != test.labels[b])
        first = fooled.nonzero()[:FOOLED, 0]
        blank = torch.zeros(FOOLED - len(first), *made.shape[1:], dtype=torch.uint8)
        shown.append(torch.cat([backgrounds[b][None], made[first], blank]))
    arrays = {"strength": power.numpy().astype(np.float16), "strongest": torch.stack(shown).numpy()}
    return Measured(arrays=arrays | {"strongest_labels": test.labels[best].numpy().astype(np.uint8)})


def _backgrounds(test: ImageSet) -> torch.Tensor:
    """Only-BG-T of all test images, uint8 [N, 3, H, W]."""
    return released(test, "only_bg_t").images if test.name == "imagenet9" else tiled(test.images, test.boxes)


ADVERSARIAL = Ruler(_adversarial, ("adversarial",), check=check_counts("adversarial"))
STRENGTH = Ruler(_strength, ("strength",), check=check_counts("strength"))
