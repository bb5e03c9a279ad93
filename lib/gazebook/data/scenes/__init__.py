"""Scenes: a procedural image set with known truth, made on the spot.

Ten classes of objects, assembled from parts that can be left out, over ten families of backgrounds. `draw` describes
scenes, `render` draws them; the same object can be drawn on another background or without one of its parts.
"""

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
    numbers = first(images, split)
    drawing = Drawing(numbers, split, size, {"seed": seed, **parameters})
    rendered = drawing()
    if cue is not None:
        rendered = plant(rendered, drawing.specs().labels, numbers, Cue(**cue), seed=seed, split=split)
    return image_set("scenes", "procedural scenes", drawing, rendered)


def training_size(*, images: int | None = None, **_) -> int:
    """How many training scenes there are."""
    return images or DEFAULT_IMAGES["train"]


def home_backgrounds() -> np.ndarray:
    """The background that goes with each class, int64 [C]."""
    return np.array([BACKGROUNDS.index(HOME[name]) for name in CLASS_NAMES])


def first(images: int | None, split: str) -> np.ndarray:
    """The numbers of so many scenes; of a split's own where that is None."""
    count = DEFAULT_IMAGES[split] if images is None else images
    if count < 1:
        raise GazebookError(f"{count} scenes were asked for; ask for at least 1")
    return np.arange(count)


def image_set(name: str, source: str, drawing: Drawing, rendered: Rendered) -> ImageSet:
    """Scenes and how they were drawn as an ImageSet."""
    specs, names = drawing.specs(), drawing.world.attributes
    return ImageSet(
        name,
        drawing.split,
        torch.from_numpy(rendered.images),
        torch.from_numpy(specs.labels),
        tuple(kind.name for kind in drawing.world.kinds),
        source,
        masks=torch.from_numpy(rendered.masks),
        boxes=torch.from_numpy(rendered.boxes),
        backgrounds=torch.from_numpy(np.asarray(specs.backgrounds, np.int64)),
        background_names=BACKGROUNDS,
        attributes=torch.from_numpy(rendered.attributes),
        attribute_names=names if rendered.attributes.shape[1] == len(names) else (*names, CUE),
        ids=tuple(map(str, range(len(specs)))),
        drawing=drawing,
    )
