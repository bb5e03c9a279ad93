"""From scene descriptions to images, foreground masks, attribute masks and boxes."""

from dataclasses import dataclass

import numpy as np

from gazebook.data.scenes.backgrounds import FAMILIES
from gazebook.data.scenes.objects import World
from gazebook.data.scenes.painter import Painter
from gazebook.data.scenes.specs import BACKGROUNDS, EVERYDAY, Specs
from gazebook.errors import GazebookError

CHUNK = 512  # images painted together: large enough to share the work, small enough for the cache
SIZES = (32, 64)


@dataclass(frozen=True, eq=False)
class Rendered:
    """images: uint8 [N, 3, S, S]; masks: bool [N, S, S]; attributes: bool [N, A, S, S], what is visible of each."""

    images: np.ndarray
    masks: np.ndarray
    attributes: np.ndarray

    @property
    def boxes(self) -> np.ndarray:
        """int64 [N, 4]: x0, y0, x1, y1 of the foreground, end exclusive; zeros where nothing is visible."""
        columns, rows = self.masks.any(axis=1), self.masks.any(axis=2)
        size = self.masks.shape[1]
        ends = (columns.argmax(1), rows.argmax(1), size - columns[:, ::-1].argmax(1), size - rows[:, ::-1].argmax(1))
        return np.stack(ends, axis=1) * columns.any(axis=1)[:, None]


def render(specs: Specs, size: int = 32, world: World = EVERYDAY) -> Rendered:
    """Draw a batch of scenes at `size` pixels. Each image depends on its own description alone."""
    if size not in SIZES:
        raise GazebookError(f"scenes of size {size}; choose from {', '.join(map(str, SIZES))}")
    n = len(specs)
    images = np.empty((n, 3, size, size), np.uint8)
    owners = np.empty((n, size, size), np.int8)
    for start in range(0, n, CHUNK):
        part = slice(start, min(start + CHUNK, n))
        pixels = _backgrounds(specs[part], size)
        owners[part] = _objects(specs[part], pixels, world)
        pixels *= 255 * specs.gain[part, None, None, None].astype(np.float32)
        images[part] = np.clip(pixels + 0.5, 0, 255).astype(np.uint8)
    attributes = owners[:, None] == np.arange(len(world.attributes), dtype=np.int8)[None, :, None, None]
    return Rendered(images, owners >= 0, attributes)


def _backgrounds(specs: Specs, size: int) -> np.ndarray:
    """The backgrounds alone, float32 [N, 3, S, S]."""
    pixels = np.empty((len(specs), 3, size, size), np.float32)
    centres = (np.arange(size, dtype=np.float32) + 0.5) / size
    y, x = np.meshgrid(centres, centres, indexing="ij")
    for number, name in enumerate(BACKGROUNDS):
        chosen = np.flatnonzero(specs.backgrounds == number)
        if len(chosen):
            shape = (len(chosen), size, size)
            pixels[chosen] = FAMILIES[name](np.broadcast_to(x, shape), np.broadcast_to(y, shape), _float(specs.texture[chosen]))
    return pixels


def _objects(specs: Specs, pixels: np.ndarray, world: World) -> np.ndarray:
    """Paint each object into `pixels`; returns who is on top, int8 [N, S, S]: -1 background, A body, else attribute."""
    size = pixels.shape[-1]
    owners = np.empty((len(specs), size, size), np.int8)
    for label, kind in enumerate(world.kinds):
        chosen = np.flatnonzero(specs.labels == label)
        if len(chosen):
            painter = _painter(specs[chosen], pixels[chosen], size, world.attributes)
            kind.paint(painter)
            pixels[chosen], owners[chosen] = painter.pixels, painter.owner
    return owners


def _painter(specs: Specs, pixels: np.ndarray, size: int, names: tuple[str, ...]) -> Painter:
    """A painter whose coordinates are those of the objects' own frames."""
    place = (np.arange(size, dtype=np.float32) + 0.5) / size
    dx = place[None, None, :] - _float(specs.centre[:, 0])[:, None, None]
    dy = place[None, :, None] - _float(specs.centre[:, 1])[:, None, None]
    scale = _float(specs.scale)[:, None, None]
    cos, sin = (_float(f(specs.angle))[:, None, None] / scale for f in (np.cos, np.sin))
    side = np.where(specs.mirrored, -1, 1).astype(np.float32)[:, None, None]
    return Painter(
        pixels,
        x=(cos * dx + sin * dy) * side,
        y=cos * dy - sin * dx,
        scale=_float(specs.scale) * size,
        light=_float(specs.light),
        body=specs.body,
        accent=specs.accent,
        shape=_float(specs.shape),
        present=specs.attributes,
        names=names,
    )


def _float(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float32)
