"""The ten objects, assembled from parts. What a part shows is an attribute that can be left out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gazebook.data.scenes.painter import Painter
from gazebook.errors import check_known

ATTRIBUTES = (
    "wheels", "window", "lights", "metallic", "stripes", "spots", "wings", "tail", "beak", "fins",
    "ears", "mane", "horns", "sail", "flag", "antennae", "legs",
)  # fmt: skip
PATTERNS = ("metallic", "stripes", "spots")  # may be drawn on any class

DARK, GLASS, WHITE = (0.10, 0.10, 0.12), (0.68, 0.86, 0.95), (0.96, 0.95, 0.92)
YELLOW, ORANGE, IVORY = (0.99, 0.88, 0.35), (0.95, 0.58, 0.12), (0.93, 0.88, 0.74)
Range = tuple[tuple[float, float, float], tuple[float, float, float]]  # low and high of hue, saturation, value
VIVID: Range = ((0.0, 0.65, 0.65), (1.0, 0.95, 0.95))
FUR: Range = ((0.04, 0.25, 0.35), (0.11, 0.75, 0.85))


@dataclass(frozen=True)
class Object:
    """A class of objects: how to paint it, which attributes it owns, its colours, and its geometry in its own frame.

    `area` is the painted area over the frame's side squared (both measured: see tests), `reach` how far it extends
    from its centre in frame halves, `turn` the largest rotation in degrees.
    """

    name: str
    paint: Callable[[Painter], None]
    attributes: tuple[str, ...]
    area: float
    reach: float
    turn: float
    body: Range
    accent: Range


@dataclass(frozen=True)
class World:
    """What can be in scenes: kinds of objects, one a class; names of attributes; those that any object may carry; the
    background that goes with each class.
    """

    kinds: tuple[Object, ...]
    attributes: tuple[str, ...]
    patterns: tuple[str, ...]
    home: tuple[str, ...]

    def column(self, name: str) -> int:
        """The column of an attribute. Raises GazebookError with the list of names."""
        check_known("attribute", name, self.attributes)
        return self.attributes.index(name)


def _patterns(p: Painter, inside: np.ndarray) -> None:
    """The three patterns that any body may carry."""
    p.metal(inside)
    p.pattern(inside, 0.05 - np.abs(np.mod(p.x * 2.2 + 0.3 * p.y, 0.5) - 0.25) / 2.2, p.accent * 0.55, "stripes")
    rings = np.hypot(np.mod(p.x + 0.13, 0.36) - 0.18, np.mod(p.y + 0.07, 0.3) - 0.15) - 0.085
    p.pattern(inside, rings, np.clip(p.accent * 1.1, 0, 1), "spots")


def _legs(p: Painter, *places: float, top: float, bottom: float, colour) -> None:
    for place in places:
        p.paint(p.line(place, top, place + 0.03, bottom, 0.07), colour, "legs")


def car(p: Painter) -> None:
    roof = -0.42 - 0.12 * p.shape[0]
    p.paint(p.polygon((-0.42, roof), (0.30, roof), (0.56, -0.08), (-0.68, -0.08)), p.body * 0.92)
    hull = p.box(0, 0.08, 0.95, 0.24, 0.12)
    p.paint(hull, p.body)
    _patterns(p, hull)
    p.paint(p.polygon((-0.38, roof + 0.1), (-0.1, roof + 0.1), (-0.1, -0.1), (-0.54, -0.1)), GLASS, "window")
    p.paint(p.polygon((0.0, roof + 0.1), (0.26, roof + 0.1), (0.44, -0.1), (0.0, -0.1)), GLASS, "window")
    p.paint(p.ellipse(0.86, 0.03, 0.1, 0.09), YELLOW, "lights", flat=True)
    p.paint(p.ellipse(-0.9, 0.03, 0.06, 0.09), (0.9, 0.12, 0.1), "lights", flat=True)
    for x in (-0.52, 0.52):
        p.paint(p.ellipse(x, 0.32, 0.23, 0.23), DARK, "wheels")
        p.paint(p.ellipse(x, 0.32, 0.1, 0.1), (0.7, 0.7, 0.72), "wheels")


def bus(p: Painter) -> None:
    top = -0.55 - 0.1 * p.shape[0]
    hull = p.polygon((-0.95, top), (0.9, top), (0.97, 0.36), (-0.95, 0.36))
    p.paint(hull, p.body)
    _patterns(p, np.maximum(hull, -0.02 - p.y))
    for x in (-0.7, -0.3, 0.1, 0.5):
        p.paint(p.box(x, -0.28, 0.15, 0.17), GLASS, "window")
    p.paint(p.box(0.83, -0.22, 0.08, 0.23), GLASS, "window")
    p.paint(p.ellipse(0.9, 0.24, 0.08, 0.08), YELLOW, "lights", flat=True)
    for x in (-0.55, 0.5):
        p.paint(p.ellipse(x, 0.4, 0.21, 0.21), DARK, "wheels")
        p.paint(p.ellipse(x, 0.4, 0.09, 0.09), (0.75, 0.75, 0.78), "wheels")


def plane(p: Painter) -> None:
    span = 0.62 + 0.25 * p.shape[0]
    p.paint(p.polygon((-0.95, -0.52), (-0.72, -0.52), (-0.5, 0.0), (-0.86, 0.0)), p.accent, "tail")
    p.paint(p.polygon((-0.12, -span), (0.06, -span), (0.3, -0.02), (-0.12, -0.02)), p.body * 0.7, "wings")
    hull = p.ellipse(0, 0.02, 0.98, 0.2 + 0.04 * p.shape[1])
    p.paint(hull, p.body)
    _patterns(p, hull)
    for x in (-0.42, -0.18, 0.06, 0.3):
        p.paint(p.ellipse(x, -0.04, 0.06, 0.06), (0.25, 0.45, 0.65), "window", flat=True)
    p.paint(p.polygon((0.6, -0.13), (0.78, -0.06), (0.72, 0.02), (0.58, 0.0)), GLASS, "window")
    p.paint(p.polygon((-0.05, 0.1), (0.28, 0.1), (-0.18, span + 0.06), (-0.38, span + 0.06)), p.accent * 0.9, "wings")


def boat(p: Painter) -> None:
    mast = -0.88 - 0.08 * p.shape[0]
    p.paint(p.line(-0.02, mast, -0.02, 0.3, 0.035), (0.42, 0.28, 0.16))
    p.paint(p.polygon((0.04, -0.8), (0.72 + 0.15 * p.shape[1], 0.2), (0.04, 0.2)), WHITE, "sail")
    p.paint(p.polygon((-0.08, -0.66), (-0.08, 0.2), (-0.58, 0.2)), np.clip(p.accent * 0.6 + 0.4, 0, 1), "sail")
    p.paint(p.polygon((-0.02, mast), (-0.4, mast + 0.1), (-0.02, mast + 0.22)), (0.86, 0.16, 0.16), "flag")
    hull = p.polygon((-0.95, 0.3), (0.97, 0.3), (0.62, 0.75), (-0.62, 0.75))
    p.paint(hull, p.body)
    _patterns(p, hull)
    for x in (-0.42, 0.0, 0.42):
        p.paint(p.ellipse(x, 0.49, 0.09, 0.09), GLASS, "window", flat=True)


def bird(p: Painter) -> None:
    p.paint(p.polygon((-0.98, -0.02), (-0.5, 0.0), (-0.4, 0.3), (-0.95, 0.3)), p.body * 0.7, "tail")
    _legs(p, -0.12, 0.14, top=0.4, bottom=0.82, colour=ORANGE)
    hull = p.ellipse(-0.08, 0.12, 0.56, 0.38)
    p.paint(hull, p.body)
    _patterns(p, hull)
    p.paint(p.polygon((0.7, -0.42), (0.98, -0.27), (0.7, -0.18)), ORANGE, "beak")
    p.paint(p.ellipse(0.46, -0.32, 0.3, 0.28), p.body)
    p.paint(p.ellipse(0.54, -0.38, 0.07, 0.07), DARK, flat=True)
    lift = 0.75 * p.shape[0]
    p.paint(p.polygon((-0.5, -0.1 - lift), (0.16, 0.02), (0.08, 0.3), (-0.36, 0.24)), p.accent, "wings")


def fish(p: Painter) -> None:
    p.paint(p.polygon((-0.98, -0.42), (-0.4, 0.0), (-0.98, 0.42)), p.accent, "tail")
    p.paint(p.polygon((-0.2, -0.64), (0.28, -0.3), (-0.3, -0.25)), p.accent * 0.85, "fins")
    p.paint(p.polygon((0.12, 0.3), (-0.12, 0.66), (-0.3, 0.28)), p.accent * 0.85, "fins")
    hull = p.ellipse(0.12, 0, 0.74, 0.36 + 0.12 * p.shape[0])
    p.paint(hull, p.body)
    _patterns(p, hull)
    p.paint(p.polygon((0.0, 0.02), (0.2, 0.1), (-0.18, 0.3)), p.accent * 0.75, "fins")
    p.paint(p.ellipse(0.58, -0.1, 0.11, 0.11), WHITE, flat=True)
    p.paint(p.ellipse(0.6, -0.1, 0.06, 0.06), DARK, flat=True)


def cat(p: Painter) -> None:
    p.paint(p.line(-0.6, 0.2, -0.85, -0.5 - 0.25 * p.shape[0], 0.08), p.body * 0.85, "tail")
    _legs(p, -0.5, -0.28, 0.12, 0.34, top=0.35, bottom=0.8, colour=p.body * 0.85)
    hull = p.ellipse(-0.1, 0.2, 0.6, 0.32)
    p.paint(hull, p.body)
    _patterns(p, hull)
    p.paint(p.polygon((0.22, -0.75), (0.42, -0.42), (0.2, -0.3)), p.body * 0.9, "ears")
    p.paint(p.polygon((0.86, -0.75), (0.88, -0.3), (0.66, -0.42)), p.body * 0.9, "ears")
    p.paint(p.ellipse(0.54, -0.2, 0.38, 0.34), p.body)
    for x in (0.42, 0.68):
        p.paint(p.ellipse(x, -0.24, 0.07, 0.09), (0.35, 0.75, 0.3), flat=True)
    p.paint(p.ellipse(0.55, -0.06, 0.06, 0.04), (0.85, 0.45, 0.45), flat=True)


def horse(p: Painter) -> None:
    p.paint(p.polygon((-0.7, -0.2), (-0.6, 0.0), (-0.82, 0.52), (-0.96, 0.45)), p.accent * 0.45, "tail")
    _legs(p, -0.52, -0.34, 0.2, 0.38, top=0.2, bottom=0.88, colour=p.body * 0.75)
    hull = p.ellipse(-0.1, 0.05, 0.6, 0.28)
    p.paint(hull, p.body)
    _patterns(p, hull)
    p.paint(p.polygon((0.22, -0.02), (0.42, -0.72), (0.72, -0.6), (0.5, 0.15)), p.body)
    p.paint(p.line(0.58, -0.62, 0.9, -0.4 + 0.1 * p.shape[0], 0.13), p.body)
    p.paint(p.polygon((0.44, -0.66), (0.5, -0.95), (0.62, -0.7)), p.body * 0.85, "ears")
    p.paint(p.line(0.44, -0.72, 0.2, -0.05, 0.1), p.accent * 0.4, "mane")
    p.paint(p.ellipse(0.66, -0.6, 0.05, 0.05), DARK, flat=True)


def bull(p: Painter) -> None:
    p.paint(p.line(-0.68, -0.1, -0.9, 0.42, 0.05), p.body * 0.6, "tail")
    _legs(p, -0.5, -0.3, 0.16, 0.34, top=0.35, bottom=0.84, colour=p.body * 0.7)
    hull = p.box(-0.12, 0.1, 0.62, 0.34, 0.2)
    p.paint(hull, p.body)
    _patterns(p, hull)
    rise = 0.12 * p.shape[0]
    p.paint(p.line(0.4, -0.34, 0.22, -0.72 - rise, 0.07), IVORY, "horns")
    p.paint(p.line(0.82, -0.34, 0.96, -0.72 - rise, 0.07), IVORY, "horns")
    p.paint(p.ellipse(0.3, -0.2, 0.14, 0.08), p.body * 0.7, "ears")
    p.paint(p.ellipse(0.92, -0.2, 0.1, 0.08), p.body * 0.7, "ears")
    p.paint(p.box(0.62, -0.06, 0.26, 0.34, 0.15), p.body * 0.9)
    p.paint(p.ellipse(0.62, 0.17, 0.2, 0.13), (0.86, 0.66, 0.6))
    for x in (0.52, 0.72):
        p.paint(p.ellipse(x, -0.14, 0.05, 0.06), DARK, flat=True)


def butterfly(p: Painter) -> None:
    spread = 0.5 + 0.08 * p.shape[0]
    hull = np.minimum(
        np.minimum(p.ellipse(-spread, -0.28, 0.44, 0.44), p.ellipse(spread, -0.28, 0.44, 0.44)),
        np.minimum(p.ellipse(-0.42, 0.4, 0.33, 0.36), p.ellipse(0.42, 0.4, 0.33, 0.36)),
    )
    p.paint(hull, p.body, "wings")
    winged = np.where(p.present[:, p.names.index("wings"), None, None], hull, 1.0)  # no wings, no pattern on them
    _patterns(p, winged)
    for side in (-1, 1):
        p.paint(p.line(side * 0.04, -0.5, side * 0.28, -0.92, 0.045), DARK, "antennae", flat=True)
    p.paint(p.ellipse(0, 0.02, 0.12, 0.6), (0.2, 0.15, 0.14))


OBJECTS = (
    Object("car", car, ("wheels", "window", "lights", "metallic"), 0.34, 1.0, 12, VIVID, VIVID),
    Object("bus", bus, ("wheels", "window", "lights", "stripes"), 0.495, 1.02, 8, VIVID, VIVID),
    Object("plane", plane, ("wings", "window", "tail", "metallic"), 0.267, 1.0, 30, ((0, 0.0, 0.8), (1, 0.25, 1)), VIVID),
    Object("boat", boat, ("sail", "flag", "window"), 0.355, 1.0, 10, VIVID, VIVID),
    Object("bird", bird, ("wings", "tail", "beak", "legs"), 0.297, 1.0, 18, VIVID, VIVID),
    Object("fish", fish, ("fins", "tail", "spots"), 0.317, 1.0, 20, VIVID, VIVID),
    Object("cat", cat, ("ears", "tail", "stripes", "legs"), 0.347, 0.97, 10, FUR, ((0.03, 0.3, 0.25), (0.1, 0.7, 0.6))),
    Object("horse", horse, ("ears", "tail", "mane", "legs"), 0.345, 1.0, 10, FUR, ((0.05, 0.1, 0.3), (0.12, 0.6, 0.9))),
    Object("bull", bull, ("ears", "tail", "horns", "spots", "legs"), 0.387, 1.0, 8, FUR, ((0, 0.0, 0.8), (0.1, 0.15, 1))),
    Object("butterfly", butterfly, ("wings", "spots", "antennae"), 0.554, 1.0, 35, VIVID, VIVID),
)
CLASS_NAMES = tuple(o.name for o in OBJECTS)
