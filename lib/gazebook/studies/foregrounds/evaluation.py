"""How a model of paper 3 is measured: noise in the foreground and in the background, and what the other modules measure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from gazebook import metrics
from gazebook.data import noise
from gazebook.data.image_set import ImageSet
from gazebook.data.masks import boxes_as_masks
from gazebook.errors import GazebookError
from gazebook.runs import Run
from gazebook.studies.foregrounds import attributes, saliency, truth, units
from gazebook.studies.predictions import Probabilities, probabilities
from gazebook.train import to_float

# keys of Run.evaluation: levels of noise (sigma in 1/255, L2 norms at 224 px), draws of it, whether boxes are tried as masks,
# whether scenes are drawn again, whether attributes are removed, on how many pictures saliency is compared with masks, whether
# units are measured, how many pictures of a class are kept as examples, whether there is a planted cue
KEYS = ("sigma", "l2", "draws", "boxes", "truth", "attributes", "alignment", "units", "examples", "cue", "data")
REGIONS = ("foreground", "background")


def evaluate(
    model: nn.Module, run: Run, train: ImageSet, test: ImageSet, device: torch.device | str = "cpu"
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Rows and arrays of what `run.evaluation` asks for.

    Rows: split "clean"; "noise", one for each kind, level, region and mask; and those of `truth`, `attributes`, `saliency`
    and `units`. Arrays: labels uint8 [N]; area float16 [N], the foreground's share; clean uint8 [N], right or not; right and
    probability uint8 [R, N] of the R noise rows: the share of draws that are right, and the mean probability of the true
    class, both times 255.
    """
    asked = _checked(run, test)
    model.eval()
    predict = probabilities(model, device)
    options = run.data_options | asked.get("data", {})  # with which the test scenes were drawn
    clean = predict(to_float(test.images))
    right = (clean.argmax(dim=1) == test.labels).numpy()
    arrays = {"labels": test.labels.numpy().astype(np.uint8), "clean": right.astype(np.uint8)}
    rows = [{"split": "clean", "images": len(test), "accuracy": round(metrics.macro_accuracy(right, test.labels), 6)}]
    if test.masks is not None:
        arrays["area"] = test.masks.float().mean(dim=(1, 2)).numpy().astype(np.float16)
    if asked.get("sigma") or asked.get("l2"):
        rows += _noise(predict, test, asked, arrays)
    if asked.get("truth"):
        rows += truth.rows(predict, test, options, arrays)
    if asked.get("attributes"):
        rows += attributes.rows(predict, test, options)
    if asked.get("alignment"):
        rows += saliency.alignment(model, run, test, asked["alignment"], device, arrays)
    if asked.get("examples"):
        saliency.worst(model, test, asked["examples"], device, arrays)
    if asked.get("cue"):
        rows += saliency.cue(model, run, test, device, arrays)
    if asked.get("units"):
        rows += units.rows(model, test, options, device, arrays)
    return rows, arrays


def _noise(predict: Probabilities, test: ImageSet, asked: dict, arrays: dict) -> list[dict]:
    images, labels = to_float(test.images), test.labels
    rows, right, probability = [], [], []
    for kind, level, mask, region, regions, draws in _conditions(test, asked):
        side = test.images.shape[-1]
        strength = level / 255 if kind == "sigma" else noise.scaled_norm(level, side)
        hits, sure, norms = torch.zeros(len(test)), torch.zeros(len(test)), torch.zeros(len(test))
        for draw in range(draws):  # the same noise for all models
            generator = torch.Generator().manual_seed(draw * 1000 + round(level) * 2 + REGIONS.index(region))
            noisy, norm = noise.add(images, regions, strength, kind, generator)
            p = predict(noisy)
            hits += p.argmax(dim=1) == labels
            sure += p.gather(1, labels[:, None])[:, 0]
            norms += norm
        share = (hits / draws).numpy()
        row = {"split": "noise", "condition": kind, "level": level, "region": region, "mask": mask, "images": len(test)}
        rows.append(
            row
            | {
                "accuracy": round(metrics.macro_accuracy(share, labels), 6),
                "norm": round(float(norms.mean()) / draws, 4),
                "asked": round(strength, 4) if kind == "l2" else None,
            }
        )
        right.append(np.round(255 * share).astype(np.uint8))
        probability.append(np.round(255 * (sure / draws).numpy()).astype(np.uint8))
    arrays |= {"right": np.stack(right), "probability": np.stack(probability)}
    return rows


def _conditions(test: ImageSet, asked: dict) -> Iterator[tuple]:
    """(kind, level, mask, region, where bool [N, H, W], draws): with the pictures' own masks, with those of others as a
    control, and with boxes as masks where it is asked for.
    """
    masks = {"own": (test.masks, asked.get("draws", 1)), "shuffled": (noise.shuffled(test.masks), 1)}
    if asked.get("boxes"):
        masks["box"] = (boxes_as_masks(test.boxes, test.images.shape[-1]), 1)
    for kind in noise.KINDS:
        for level in asked.get(kind, ()):
            for mask, (where, draws) in masks.items():
                yield kind, level, mask, "foreground", where, draws
                yield kind, level, mask, "background", ~where, draws


def _checked(run: Run, test: ImageSet) -> dict:
    """`run.evaluation` when all of its keys are known and the pictures know what it asks for."""
    asked = run.evaluation
    if unknown := set(asked) - set(KEYS):
        raise GazebookError(f"evaluation has unknown {', '.join(sorted(unknown))}; choose from {', '.join(KEYS)}")
    for name in noise.KINDS:
        if not isinstance(asked.get(name, []), list) or any(not level > 0 for level in asked.get(name, [])):
            raise GazebookError(f"evaluation has {name}: {asked[name]!r}; give a list of levels above 0")
    if test.masks is None:
        raise GazebookError(f"{test.name} has no masks of the foreground; use scenes, rival6_tiny or rival10")
    only = [name for name in ("truth", "attributes", "cue") if asked.get(name)]
    if only and test.name != "scenes":
        raise GazebookError(f"only scenes can be drawn again, not {test.name}; leave out {', '.join(only)}")
    return asked
