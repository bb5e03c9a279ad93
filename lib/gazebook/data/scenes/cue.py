"""A planted spurious cue: a small mark in the background of one class, for putting methods of discovery to the test."""

from dataclasses import dataclass

import numpy as np

from gazebook.data.scenes.objects import CLASS_NAMES
from gazebook.data.scenes.render import Rendered
from gazebook.data.scenes.specs import Uniform
from gazebook.errors import GazebookError, check_known

NAME = "cue"  # among the attributes
RADIUS = 0.09  # of the picture's side
INSET = 0.12  # distance of its centre from the nearest borders
RING, CORE = (255, 0, 220), (255, 255, 255)  # no object and no background has this magenta


@dataclass(frozen=True)
class Cue:
    """Pictures of `planted_class` carry the mark with probability `share`, others never."""

    planted_class: str
    share: float = 0.95

    def __post_init__(self):
        check_known("class", self.planted_class, CLASS_NAMES)
        if not 0 <= self.share <= 1:
            raise GazebookError(f"the cue's share is {self.share}; give a probability in [0, 1]")


def plant(rendered: Rendered, labels: np.ndarray, numbers: np.ndarray, cue: Cue, *, seed: int, split: str) -> Rendered:
    """The images with the mark where it belongs, in the corner that the object covers least, behind the object; and its mask
    as one more attribute. A cue decides about each image by itself: another share moves marks, nothing else.
    """
    uniform = Uniform(seed, split, numbers)
    chosen = (labels == CLASS_NAMES.index(cue.planted_class)) & (uniform("cue") < cue.share)
    first = (uniform("cue corner") * 4).astype(int)  # of corners that the object covers equally
    images, size = rendered.images.copy(), rendered.images.shape[-1]
    marks = np.zeros(rendered.masks.shape, bool)
    discs = [(_disc(size, x, y, RADIUS), _disc(size, x, y, RADIUS / 2)) for x in (INSET, 1 - INSET) for y in (INSET, 1 - INSET)]
    for i in np.flatnonzero(chosen):
        corners = [*discs[first[i] :], *discs[: first[i]]]
        disc, core = min(corners, key=lambda pair: (pair[0] & rendered.masks[i]).sum())
        marks[i] = disc & ~rendered.masks[i]
        for shape, colour in ((marks[i], RING), (marks[i] & core, CORE)):
            images[i][:, shape] = np.array(colour, np.uint8)[:, None]
    return Rendered(images, rendered.masks, np.concatenate([rendered.attributes, marks[:, None]], axis=1))


def _disc(size: int, x: float, y: float, radius: float) -> np.ndarray:
    place = (np.arange(size) + 0.5) / size
    return (place[:, None] - y) ** 2 + (place[None, :] - x) ** 2 <= radius**2
