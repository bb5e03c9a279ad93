"""Noise in the foreground and in the background (paper 3), and the clean accuracy that it is compared with."""

from collections.abc import Iterator

import numpy as np
import torch

from gazebook import metrics
from gazebook.data.image_set import ImageSet
from gazebook.errors import GazebookError
from gazebook.images import noise
from gazebook.images.masks import boxes_as_masks
from gazebook.measure.ruler import Measured, Ruler, Trained
from gazebook.runs import Run
from gazebook.train import to_float

REGIONS = ("foreground", "background")


def clean(trained: Trained) -> Measured:
    """Row "clean", the macro accuracy. Arrays: labels uint8 [N]; clean uint8 [N], right or not; area float16 [N], the
    foreground's share.
    """
    test = trained.test
    right = (trained.clean.argmax(dim=1) == test.labels).numpy()
    arrays = {"labels": test.labels.numpy().astype(np.uint8), "clean": right.astype(np.uint8)}
    arrays["area"] = test.masks.float().mean(dim=(1, 2)).numpy().astype(np.float16)
    row = {"split": "clean", "images": len(test), "accuracy": round(metrics.macro_accuracy(right, test.labels), 6)}
    return Measured([row], arrays)


def noisy(trained: Trained) -> Measured:
    """Rows "noise", one for each kind, level, region and mask. Arrays right and probability uint8 [R, N] of the R rows: the
    share of draws that are right, and the mean probability of the true class, both times 255.
    """
    test = trained.test
    images, labels = to_float(test.images), test.labels
    rows, right, probability = [], [], []
    for kind, level, mask, region, regions, draws in _conditions(trained):
        strength = level / 255 if kind == "sigma" else noise.scaled_norm(level, images.shape[-1])
        hits, sure, norms = torch.zeros(len(test)), torch.zeros(len(test)), torch.zeros(len(test))
        for draw in range(draws):  # the same noise for all models
            generator = torch.Generator().manual_seed(draw * 1000 + round(level) * 2 + REGIONS.index(region))
            made, norm = noise.add(images, regions, strength, kind, generator)
            p = trained.probabilities(made)
            hits += p.argmax(dim=1) == labels
            sure += p.gather(1, labels[:, None])[:, 0]
            norms += norm
        share = (hits / draws).numpy()
        row = {"split": "noise", "condition": kind, "level": level, "region": region, "mask": mask, "images": len(test)}
        row |= {"accuracy": round(metrics.macro_accuracy(share, labels), 6), "norm": round(float(norms.mean()) / draws, 4)}
        rows.append(row | {"asked": round(strength, 4) if kind == "l2" else None})
        right.append(np.round(255 * share).astype(np.uint8))
        probability.append(np.round(255 * (sure / draws).numpy()).astype(np.uint8))
    return Measured(rows, {"right": np.stack(right), "probability": np.stack(probability)})


def _conditions(trained: Trained) -> Iterator[tuple]:
    """(kind, level, mask, region, where bool [N, H, W], draws): with the images' own masks, with those of others as a
    control, and with boxes as masks where it is asked for.
    """
    test = trained.test
    masks = {"own": (test.masks, trained.asked("draws", 1)), "shuffled": (noise.shuffled(test.masks), 1)}
    if trained.asked("boxes"):
        masks["box"] = (boxes_as_masks(test.boxes, test.images.shape[-1]), 1)
    for kind in noise.KINDS:
        for level in trained.asked(kind, ()):
            for mask, (where, draws) in masks.items():
                yield kind, level, mask, "foreground", where, draws
                yield kind, level, mask, "background", ~where, draws


def _check_masks(run: Run, test: ImageSet) -> None:
    if test.masks is None:
        raise GazebookError(f"{test.name} has no masks of the foreground; use scenes, rival6_tiny or rival10")


def _check_levels(run: Run, test: ImageSet) -> None:
    for name in noise.KINDS:
        levels = run.evaluation.get(name, [])
        if not isinstance(levels, list) or any(not level > 0 for level in levels):
            raise GazebookError(f"evaluation has {name}: {levels!r}; give a list of levels above 0")


CLEAN = Ruler(clean, check=_check_masks)
NOISE = Ruler(noisy, noise.KINDS, ("draws", "boxes"), check=_check_levels)
