"""Scenes: a procedural image set with known truth, made on the spot.

Ten classes of objects, assembled from parts that can be left out, over ten families of backgrounds. `draw` describes
scenes, `render` draws them; the same object can be drawn on another background or without one of its parts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gazebook.data.image_set import ImageSet
from gazebook.data.scenes.cue import NAME as CUE
from gazebook.data.scenes.cue import Cue, plant
from gazebook.data.scenes.drawing import Drawing
from gazebook.data.scenes.objects import ATTRIBUTES, CLASS_NAMES, OBJECTS
from gazebook.data.scenes.render import SIZES, Rendered, render
from gazebook.data.scenes.specs import BACKGROUNDS, HOME, Specs, draw
from gazebook.errors import GazebookError

DEFAULT_IMAGES = {"train": 5000, "test": 1000}

__all__ = [
    "ATTRIBUTES",
    "BACKGROUNDS",
    "CLASS_NAMES",
    "CUE",
    "HOME",
    "OBJECTS",
    "SIZES",
    "Cue",
    "Drawing",
    "Rendered",
    "Specs",
    "draw",
    "home_backgrounds",
    "load",
    "render",
]


def load(
    split: str,
    root: str | Path | None = None,
    *,
    size: int = 32,
    images: int | None = None,
    seed: int = 0,
    cue: dict | None = None,
    **parameters,
) -> ImageSet:
    """An ImageSet of scenes with masks, boxes, backgrounds and attribute masks; `root` is not needed.

    `images` defaults to 5000 for train and 1000 for test; `cue` are the fields of a planted Cue, whose mask becomes one more
    attribute; further parameters are those of `draw`.
    """
    count = DEFAULT_IMAGES[split] if images is None else images
    if count < 1:
        raise GazebookError(f"{count} scenes were asked for; ask for at least 1")
    drawing = Drawing(np.arange(count), split, size, {"seed": seed, **parameters})
    rendered = drawing()
    if cue is not None:
        rendered = plant(rendered, drawing.specs().labels, np.arange(count), Cue(**cue), seed=seed, split=split)
    return image_set(split, drawing, rendered)


def training_size(*, images: int | None = None, **_) -> int:
    """How many training scenes there are."""
    return images or DEFAULT_IMAGES["train"]


def prepare(root: str | Path | None = None) -> None:
    """Scenes need no files."""


def home_backgrounds() -> np.ndarray:
    """The background that goes with each class, int64 [C]."""
    return np.array([BACKGROUNDS.index(HOME[name]) for name in CLASS_NAMES])


def image_set(split: str, drawing: Drawing, rendered: Rendered) -> ImageSet:
    """Scenes and how they were drawn as an ImageSet."""
    specs = drawing.specs()
    return ImageSet(
        "scenes",
        split,
        torch.from_numpy(rendered.images),
        torch.from_numpy(specs.labels),
        CLASS_NAMES,
        "procedural scenes",
        masks=torch.from_numpy(rendered.masks),
        boxes=torch.from_numpy(rendered.boxes),
        backgrounds=torch.from_numpy(np.asarray(specs.backgrounds, np.int64)),
        background_names=BACKGROUNDS,
        attributes=torch.from_numpy(rendered.attributes),
        attribute_names=ATTRIBUTES if rendered.attributes.shape[1] == len(ATTRIBUTES) else (*ATTRIBUTES, CUE),
        ids=tuple(map(str, range(len(specs)))),
        drawing=drawing,
    )
