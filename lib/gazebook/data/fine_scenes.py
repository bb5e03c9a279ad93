"""Fine-grained scenes: nine kinds of one bird, which differ in three small parts alone. Truth is known.

Crest, tail and belly come in three forms each. Kind c has the forms c // 3, c % 3 and their sum modulo 3 (an orthogonal
array): each form is shared by three kinds, so no single part tells a kind, and *any two of the three do*. A classifier may
rely on two parts and never learn the third, which is what distraction should prevent.
"""

from pathlib import Path

import numpy as np
import torch

from gazebook.data.image_set import ImageSet
from gazebook.data.scenes import DEFAULT_IMAGES, first, image_set
from gazebook.data.scenes.drawing import Drawing
from gazebook.data.scenes.objects import DARK, ORANGE, VIVID, YELLOW, Object, World
from gazebook.data.scenes.painter import Painter
from gazebook.data.scenes.specs import BACKGROUNDS
from gazebook.errors import check_known

PARTS = ("crest", "tail", "belly")
FORMS = {"crest": ("spike", "tuft", "comb"), "tail": ("fork", "fan", "streamer"), "belly": ("bar", "spot", "triangle")}
ATTRIBUTES = tuple(f"{part}: {form}" for part in PARTS for form in FORMS[part])
CODE = tuple((c // 3, c % 3, (c // 3 + c % 3) % 3) for c in range(9))  # the form of each part of each kind
CLASS_NAMES = tuple("-".join(FORMS[part][form] for part, form in zip(PARTS, code, strict=True)) for code in CODE)
FREQUENCY = 0.9  # with which each part of a bird is there
AREA = (0.22, 0.36)  # the bird's share of the image: it nearly fills it, as in fine-grained data sets
INK = {"crest": (0.86, 0.10, 0.12), "tail": (0.96, 0.95, 0.92), "belly": DARK}


def bird(p: Painter) -> None:
    """Paint all forms of all parts; an image shows those that are present in it."""
    _tail(p)
    for x in (-0.2, 0.06):
        p.paint(p.line(x, 0.45, x + 0.03, 0.88, 0.06), ORANGE)
    _crest(p)
    p.paint(p.polygon((0.74, -0.36), (0.99, -0.22), (0.72, -0.12)), YELLOW)
    p.paint(p.ellipse(-0.08, 0.16, 0.6, 0.42), p.body)
    p.paint(p.ellipse(0.46, -0.26, 0.33, 0.31), p.body)
    p.paint(p.ellipse(0.56, -0.32, 0.07, 0.07), DARK, flat=True)
    _belly(p)


def _crest(p: Painter) -> None:
    ink = INK["crest"]
    p.paint(p.polygon((0.3, -0.5), (0.14, -0.98), (0.5, -0.54)), ink, "crest: spike", flat=True)
    p.paint(p.ellipse(0.4, -0.7, 0.24, 0.2), ink, "crest: tuft", flat=True)
    for x in (0.24, 0.44, 0.64):
        p.paint(p.line(x, -0.48, x, -0.84, 0.055), ink, "crest: comb", flat=True)


def _tail(p: Painter) -> None:
    ink = INK["tail"]
    p.paint(p.line(-0.52, 0.12, -0.97, -0.28, 0.075), ink, "tail: fork", flat=True)
    p.paint(p.line(-0.52, 0.2, -0.97, 0.5, 0.075), ink, "tail: fork", flat=True)
    p.paint(p.polygon((-0.5, 0.15), (-0.92, -0.12), (-0.92, 0.45)), ink, "tail: fan", flat=True)
    p.paint(p.line(-0.5, 0.16, -1.0, 0.14, 0.085), ink, "tail: streamer", flat=True)


def _belly(p: Painter) -> None:
    ink = INK["belly"]
    p.paint(p.box(-0.1, 0.22, 0.3, 0.075, 0.03), ink, "belly: bar", flat=True)
    p.paint(p.ellipse(-0.1, 0.22, 0.17, 0.17), ink, "belly: spot", flat=True)
    p.paint(p.polygon((-0.34, 0.06), (0.14, 0.06), (-0.1, 0.42)), ink, "belly: triangle", flat=True)


def _kind(c: int) -> Object:
    owned = tuple(f"{part}: {FORMS[part][form]}" for part, form in zip(PARTS, CODE[c], strict=True))
    return Object(CLASS_NAMES[c], bird, owned, area=0.305, reach=1.0, turn=15, body=VIVID, accent=VIVID)


WORLD = World(tuple(map(_kind, range(len(CODE)))), ATTRIBUTES, (), BACKGROUNDS[: len(CODE)])


def load(
    split: str, root: str | Path | None = None, *, size: int = 32, images: int | None = None, seed: int = 0, **parameters
) -> ImageSet:
    """An ImageSet with masks, boxes and a mask for each form of each part; `root` is not needed.

    `images` defaults to 5000 for train and 1000 for test; further parameters are those of `described`.
    """
    drawing = described(first(images, split), split, size, seed=seed, **parameters)
    return image_set("fine_scenes", "procedural scenes (fine-grained)", drawing, drawing())


def described(
    numbers: np.ndarray, split: str, size: int = 32, *, seed: int = 0, frequency: float = FREQUENCY,
    area: tuple[float, float] = AREA, background_correlation: float = 0.0,
) -> Drawing:  # fmt: skip
    """The scenes with these numbers, int [N]; `frequency` is that with which each part of a bird is there."""
    parameters = {"seed": seed, "background_correlation": background_correlation, "area": area, "world": WORLD}
    return Drawing(numbers, split, size, {**parameters, "attribute_frequencies": dict.fromkeys(ATTRIBUTES, frequency)})


def forms(*parts: str) -> tuple[str, ...]:
    """The attributes that are forms of these parts."""
    for part in parts:
        check_known("part", part, PARTS)
    return tuple(f"{part}: {form}" for part in parts for form in FORMS[part])


def part_masks(images: ImageSet) -> torch.Tensor:
    """What is visible of each part, bool [N, 3, H, W]."""
    return images.attributes.unflatten(1, (len(PARTS), 3)).any(dim=2)


def training_size(*, images: int | None = None, **_) -> int:
    """How many training scenes there are."""
    return images or DEFAULT_IMAGES["train"]
