"""What a model of scenes really relies on: objects drawn again on the backgrounds of other classes."""

from __future__ import annotations

import numpy as np
import torch

from gazebook.data import scenes
from gazebook.data.image_set import ImageSet
from gazebook.train import to_float

OTHER, OBJECT, BACKGROUND = 0, 1, 2  # what a prediction follows where object and background disagree


def rows(predict, test: ImageSet, options: dict, arrays: dict) -> list[dict]:
    """Each test object before the background of another class, drawn at random: the shares of predictions that name the object
    and the background's class. Array conflict uint8 [N]: see above.

    The difference of the shares, in [-1, 1], is the truth about a model that RFS is to rank: no noise and no mask is in it.
    """
    specs = scenes.describe(test, options)
    classes = len(scenes.CLASS_NAMES)
    other = (specs.labels + np.random.default_rng(3).integers(1, classes, len(specs))) % classes
    found = predict(drawn(specs.on_background(scenes.home_backgrounds()[other]), test)).argmax(dim=1).numpy()
    follows = np.where(found == specs.labels, OBJECT, np.where(found == other, BACKGROUND, OTHER)).astype(np.uint8)
    arrays["conflict"] = follows
    shares = {"object": (follows == OBJECT).mean(), "background": (follows == BACKGROUND).mean()}
    return [{"split": "truth", "images": len(specs)} | {name: round(float(v), 6) for name, v in shares.items()}]


def drawn(specs: scenes.Specs, like: ImageSet) -> torch.Tensor:
    """Scenes as pictures of the size of another set, float [N, 3, S, S] in [0, 1]."""
    return to_float(torch.from_numpy(scenes.render(specs, like.images.shape[-1]).images))
