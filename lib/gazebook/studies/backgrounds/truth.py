"""What a BG-gap should say where the truth is known: scenes drawn again on other backgrounds, an oracle of known reliance."""

from __future__ import annotations

import numpy as np
import torch

from gazebook import metrics
from gazebook.data import composite, scenes
from gazebook.data.image_set import ImageSet
from gazebook.errors import GazebookError
from gazebook.studies.backgrounds.adversarial import Predict

BATCH = 500


def rendered_rows(predict: Predict, run_options: dict, test: ImageSet, draws: int) -> list[dict]:
    """Accuracy on the test scenes drawn again: each object on its own class's background, and on a random one of the ten.

    No mask and no tiling is involved. The difference is what the model relies on the background for, without BG-gap's
    artefacts; `changed` is the share of predictions that differ between the two.
    """
    if test.name != "scenes":
        raise GazebookError(f"only scenes can be drawn again on another background, not {test.name}; leave out `rendered`")
    size = test.images.shape[-1]
    specs = scenes.describe(test, run_options)
    home = scenes.home_backgrounds()
    labels = torch.from_numpy(specs.labels)
    own = _predicted(predict, specs.on_background(home[specs.labels]), size)
    rows = [accuracy_row("truth", "rendered_home", 0, own == labels)]
    for draw in range(draws):
        family = np.random.default_rng([draw, 1]).integers(len(scenes.BACKGROUNDS), size=len(specs))
        other = _predicted(predict, specs.on_background(family), size)
        changed = round(float((other != own).float().mean()), 6)
        rows.append(accuracy_row("truth", "rendered_random", draw, other == labels) | {"changed": changed})
    return rows


def oracle_gap(images: ImageSet, reliance: float, seed: int = 0) -> float:
    """BG-gap of an oracle that names the background's class for a share `reliance` of the objects, drawn at random, and the
    object's for the others. Its expectation is reliance * (1 - 1 / C).
    """
    place = np.random.default_rng([seed, 2]).permutation(len(images)) / len(images)
    accuracy = {}
    for name in ("mixed_same", "mixed_rand"):
        behind = images.labels[composite.partners(images.labels, name, images.num_classes, seed)].numpy()
        answer = np.where(place < reliance, behind, images.labels.numpy())
        accuracy[name] = float((answer == images.labels.numpy()).mean())
    return metrics.background_gap(accuracy["mixed_same"], accuracy["mixed_rand"])


def _predicted(predict: Predict, specs: scenes.Specs, size: int) -> torch.Tensor:
    parts = [slice(s, s + BATCH) for s in range(0, len(specs), BATCH)]
    return torch.cat([predict(torch.from_numpy(scenes.render(specs[part], size).images)).cpu() for part in parts])


def accuracy_row(split: str, condition: str, draw: int, right: torch.Tensor) -> dict:
    """A row of a record: the share of pictures that are classified rightly, bool [N], to six digits."""
    accuracy = round(float(right.float().mean()), 6)
    return {"split": split, "condition": condition, "draw": draw, "images": len(right), "accuracy": accuracy}
