"""What is in a scene: a label, a background, a pose, colours and attributes, drawn for each image by number.

Every quantity of image i comes from a hash of (seed, split, i, name of the quantity), never from a stream. So image i
is the same however many are asked for, in whatever order, and changing one parameter changes only what it is about:
another background correlation moves some objects to other backgrounds and leaves the objects as they were.
"""

from __future__ import annotations

import dataclasses
import zlib
from dataclasses import dataclass

import numpy as np

from gazebook.data.scenes.objects import ATTRIBUTES, CLASS_NAMES, OBJECTS, PATTERNS, World
from gazebook.errors import GazebookError, check_known

BACKGROUNDS = ("sky", "grass", "water", "sand", "forest", "road", "brick", "snow", "fabric", "night")
# The family that goes with each class when background and object are correlated.
HOME = {
    "car": "road", "bus": "brick", "plane": "sky", "boat": "water", "bird": "forest",
    "fish": "night", "cat": "fabric", "horse": "sand", "bull": "grass", "butterfly": "snow",
}  # fmt: skip
EVERYDAY = World(OBJECTS, ATTRIBUTES, PATTERNS, tuple(HOME[name] for name in CLASS_NAMES))
PATTERN_FREQUENCY = 0.05  # stripes, spots and metallic shading on classes that do not own them
OWN_FREQUENCY = 0.95  # an attribute on a class that owns it
SPLIT_SALT = {"train": 0, "test": 1}


@dataclass(frozen=True, eq=False)
class Specs:
    """A batch of scene descriptions; every array has one entry an image, so `specs[index]` is a batch again.

    labels, backgrounds: int64 [N]; attributes: bool [N, A]; centre: float [N, 2] as x, y and scale: float [N], in
    shares of the image side (scale is half the object's frame); angle: radians [N]; mirrored: bool [N]; light: float
    [N, 2]; gain: float [N], brightness of the whole image; body, accent: RGB in [0, 1] [N, 3]; shape: float [N, 4]
    in [0, 1], free proportions of the object; texture: float [N, 8] in [0, 1], the background's own randomness.
    """

    labels: np.ndarray
    backgrounds: np.ndarray
    attributes: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    angle: np.ndarray
    mirrored: np.ndarray
    light: np.ndarray
    gain: np.ndarray
    body: np.ndarray
    accent: np.ndarray
    shape: np.ndarray
    texture: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index) -> Specs:
        return Specs(**{f.name: getattr(self, f.name)[index] for f in dataclasses.fields(self)})

    def on_background(self, family: str | np.ndarray, texture: np.ndarray | None = None) -> Specs:
        """The same objects on another family (a name, or int [N]); `texture` [N, 8] also changes its drawing."""
        if isinstance(family, str):
            check_known("background", family, BACKGROUNDS)
            family = np.full(len(self), BACKGROUNDS.index(family))
        return dataclasses.replace(self, backgrounds=family, texture=self.texture if texture is None else texture)

    def without(self, *names: str, world: World = EVERYDAY) -> Specs:
        """The same scenes without these attributes."""
        attributes = self.attributes.copy()
        attributes[:, [world.column(name) for name in names]] = False
        return dataclasses.replace(self, attributes=attributes)


def draw(
    numbers: np.ndarray,
    *,
    seed: int = 0,
    split: str = "train",
    background_correlation: float = 0.5,
    area: tuple[float, float] = (0.10, 0.28),
    attribute_frequencies: dict[str, float] | None = None,
    world: World = EVERYDAY,
) -> Specs:
    """The scenes with these numbers, int [N].

    `background_correlation` is the probability that the background is the class's own; otherwise it is uniform over
    the ten families. `area` is the range of the object's share of the image. `attribute_frequencies` sets the
    probability of an attribute wherever a class owns it (and of stripes, spots, metallic on all classes). `world` says what
    classes and attributes there are.
    """
    _check(background_correlation, area, attribute_frequencies, world)
    uniform = Uniform(seed, split, numbers)
    labels = (uniform("label") * len(world.kinds)).astype(np.int64)
    home = np.array([BACKGROUNDS.index(name) for name in world.home])[labels]
    other = (uniform("background") * len(BACKGROUNDS)).astype(np.int64)
    share = area[0] + (area[1] - area[0]) * uniform("area")
    scale = np.sqrt(share / np.array([o.area for o in world.kinds])[labels]) / 2  # half the frame's side
    reach = np.minimum(np.array([o.reach for o in world.kinds])[labels] * scale, 0.5)
    centre = reach[:, None] + (1 - 2 * reach[:, None]) * uniform("centre", 2)
    turn = np.array([o.turn for o in world.kinds])[labels]
    return Specs(
        labels=labels,
        backgrounds=np.where(uniform("correlated") < background_correlation, home, other),
        attributes=_attributes(uniform, labels, attribute_frequencies or {}, world),
        centre=centre,
        scale=scale,
        angle=np.deg2rad(turn) * (2 * uniform("angle") - 1),
        mirrored=uniform("mirror") < 0.5,
        light=np.stack([np.sin(a := 2 * np.pi * uniform("light")), np.cos(a)], axis=1),
        gain=0.75 + 0.4 * uniform("gain"),
        body=_colours(uniform, "body", labels, world),
        accent=_colours(uniform, "accent", labels, world),
        shape=uniform("shape", 4),
        texture=uniform("texture", 8),
    )


def _attributes(uniform: Uniform, labels: np.ndarray, frequencies: dict[str, float], world: World) -> np.ndarray:
    owns = np.array([[name in o.attributes for name in world.attributes] for o in world.kinds])[labels]
    pattern = np.array([name in world.patterns for name in world.attributes])
    chance = np.where(owns, OWN_FREQUENCY, np.where(pattern, PATTERN_FREQUENCY, 0.0))
    for name, frequency in frequencies.items():
        column = world.column(name)
        chance[:, column] = np.where(owns[:, column] | pattern[column], frequency, 0.0)
    return np.stack([uniform(f"attribute {name}") for name in world.attributes], axis=1) < chance


def _colours(uniform: Uniform, name: str, labels: np.ndarray, world: World) -> np.ndarray:
    """RGB [N, 3] inside the class's ranges of hue, saturation and value."""
    low, high = (np.array([getattr(o, name)[i] for o in world.kinds])[labels] for i in (0, 1))
    hue, saturation, value = (low + (high - low) * uniform(f"{name} colour", 3)).T
    k = (np.array([5.0, 3.0, 1.0]) + 6 * hue[:, None]) % 6
    return (value[:, None] * (1 - saturation[:, None] * np.clip(np.minimum(k, 4 - k), 0, 1))).astype(np.float32)


def _check(
    background_correlation: float, area: tuple[float, float], frequencies: dict[str, float] | None, world: World
) -> None:
    if not 0 <= background_correlation <= 1:
        raise GazebookError(f"background_correlation is {background_correlation}; give a probability in [0, 1]")
    if len(area) != 2 or not 0 < area[0] <= area[1] <= 0.6:
        raise GazebookError(f"area is {area}; give a range of shares of the image in (0, 0.6]")
    for name, frequency in (frequencies or {}).items():
        world.column(name)
        if not 0 <= frequency <= 1:
            raise GazebookError(f"the frequency of {name} is {frequency}; give a probability in [0, 1]")


class Uniform:
    """Uniform numbers in [0, 1) by name: SplitMix64's finaliser (Steele et al. 2014) over image number, seed and name."""

    def __init__(self, seed: int, split: str, numbers: np.ndarray):
        base = np.array([(seed * 2 + SPLIT_SALT[split]) % 2**64], np.uint64)
        self.images = _mix(np.asarray(numbers, np.uint64) + _mix(base))

    def __call__(self, name: str, width: int | None = None) -> np.ndarray:
        columns = [_mix(self.images ^ np.uint64(zlib.crc32(f"{name} {j}".encode()) * 0x9E3779B1)) for j in range(width or 1)]
        values = np.stack(columns, axis=1) / 2.0**64
        return (values if width else values[:, 0]) * (1 - 2**-53)


def _mix(x: np.ndarray) -> np.ndarray:
    x = x + np.uint64(0x9E3779B97F4A7C15)  # wraps around, as intended
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
