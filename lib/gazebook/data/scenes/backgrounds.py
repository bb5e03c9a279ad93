"""Ten families of textured backgrounds. Each: (x, y in [0, 1] [N, H, W], texture [N, 8] in [0, 1]) -> RGB [N, 3, H, W]."""

from functools import cache

import numpy as np
import scipy

Array = np.ndarray
TILE = 256  # pixels of a noise tile's side; it repeats without a seam


@cache
def _tile(smoothness: float, across: float = 1.0) -> Array:
    """A seamless noise tile, float32 [TILE, TILE] uniform in [0, 1]; `across` stretches it vertically against horizontally."""
    noise = np.random.default_rng(12345).standard_normal((TILE, TILE))
    smooth = scipy.ndimage.gaussian_filter(noise, (smoothness * across, smoothness), mode="wrap") if smoothness else noise
    ranks = smooth.ravel().argsort().argsort().reshape(smooth.shape)
    return (ranks / (TILE * TILE - 1)).astype(np.float32)


def _noise(x: Array, y: Array, t: Array, zoom: float, smoothness: float, across: float = 1.0) -> Array:
    """A window of a tile at a place that `t` [N, >= 2] chooses; `zoom` tile pixels over the picture's side."""
    column = (x * zoom + t[:, 0, None, None] * TILE).astype(np.int32) % TILE
    row = (y * zoom + t[:, 1, None, None] * TILE).astype(np.int32) % TILE
    return _tile(smoothness, across)[row, column]


def _mix(low: tuple, high: tuple, amount: Array) -> Array:
    """Colours between two RGB triples: amount [N, H, W] in [0, 1] -> [N, 3, H, W]."""
    low, high = (np.asarray(c, np.float32)[:, None, None] for c in (low, high))
    return low + (high - low) * np.clip(amount, 0, 1)[:, None]


def _over(base: Array, colour: tuple, cover: Array) -> Array:
    """`colour` laid over `base` where cover [N, H, W] in [0, 1]."""
    return base + np.clip(cover, 0, 1)[:, None] * (np.asarray(colour, np.float32)[:, None, None] - base)


def sky(x: Array, y: Array, t: Array) -> Array:
    base = _mix((0.25, 0.52, 0.88), (0.74, 0.88, 0.97), y + 0.4 * t[:, 2, None, None] - 0.2)
    clouds = _noise(x, y * 1.6, t, 96, 10)
    return _over(base, (0.97, 0.98, 1.0), (clouds - 0.75 + 0.35 * t[:, 3, None, None]) * 3)


def grass(x: Array, y: Array, t: Array) -> Array:
    blades = _noise(x, y, t, 64, 1, 4)
    patches = _noise(x, y, t[:, 2:], 48, 12)
    return _mix((0.13, 0.36, 0.10), (0.52, 0.74, 0.28), 0.55 * blades + 0.35 * patches + 0.2 * t[:, 4, None, None])


def water(x: Array, y: Array, t: Array) -> Array:
    bend = _noise(x, y, t, 64, 8)
    waves = np.sin((y * (9 + 6 * t[:, 2, None, None]) + bend * 1.3 + t[:, 3, None, None]) * 2 * np.pi)
    base = _mix((0.03, 0.27, 0.42), (0.20, 0.62, 0.72), 0.5 + 0.3 * waves + 0.3 * (bend - 0.5))
    return _over(base, (0.85, 0.96, 0.97), (waves * bend - 0.72) * 4)


def sand(x: Array, y: Array, t: Array) -> Array:
    dunes = np.sin((y * 3 + 0.8 * x * (t[:, 2, None, None] - 0.5) + 0.7 * _noise(x, y, t, 48, 14)) * 2 * np.pi)
    grain = _noise(x, y, t[:, 3:], 90, 0)
    return _mix((0.66, 0.50, 0.30), (0.95, 0.84, 0.62), 0.5 + 0.25 * dunes + 0.35 * (grain - 0.5))


def forest(x: Array, y: Array, t: Array) -> Array:
    leaves = _noise(x, y, t, 72, 2.5)
    base = _mix((0.02, 0.12, 0.05), (0.24, 0.46, 0.16), leaves * (1.1 - 0.5 * y))
    trunks = np.cos((x * (3 + 2 * t[:, 2, None, None]) + t[:, 3, None, None] + 0.06 * leaves) * 2 * np.pi)
    return _over(base, (0.27, 0.17, 0.10), (trunks - 0.72) * 6)


def road(x: Array, y: Array, t: Array) -> Array:
    base = _mix(
        (0.26, 0.26, 0.28), (0.52, 0.52, 0.53), 0.3 + 0.5 * _noise(x, y, t, 90, 0.6) + 0.3 * (t[:, 2, None, None] - 0.5)
    )
    slope = 0.5 * (t[:, 3, None, None] - 0.5)
    lane = np.abs(y + slope * x - 0.25 - 0.5 * t[:, 4, None, None])
    dash = np.sin((x * 2.5 + t[:, 5, None, None]) * 2 * np.pi)
    return _over(base, (0.95, 0.85, 0.45), np.where(dash > -0.2, (0.035 - lane) * 40, 0))


def brick(x: Array, y: Array, t: Array) -> Array:
    rows = y * (6 + 3 * t[:, 2, None, None]) + t[:, 3, None, None]
    columns = x * (3 + 1.5 * t[:, 2, None, None]) + 0.5 * (np.floor(rows) % 2) + t[:, 4, None, None]
    tone = np.sin(np.floor(rows) * 12.9 + np.floor(columns) * 78.2) * 0.5 + 0.5
    base = _mix((0.46, 0.16, 0.12), (0.77, 0.40, 0.30), 0.6 * tone + 0.4 * _noise(x, y, t, 80, 0.8))
    joint = np.minimum(np.minimum(rows % 1, 1 - rows % 1) * 0.5, np.minimum(columns % 1, 1 - columns % 1))
    return _over(base, (0.80, 0.76, 0.70), (0.075 - joint) * 22)


def snow(x: Array, y: Array, t: Array) -> Array:
    drifts = _noise(x, y, t, 48, 14)
    base = _mix((0.70, 0.78, 0.90), (0.98, 0.99, 1.0), 0.15 + drifts + 0.2 * (y - 0.5))
    return _over(base, (1.0, 1.0, 1.0), (_noise(x, y, t[:, 2:], 60, 1.0) - 0.93) * 16)


def fabric(x: Array, y: Array, t: Array) -> Array:
    count = 3 + 3 * t[:, 2, None, None]
    warp = np.sin((x * count + t[:, 3, None, None]) * 2 * np.pi) > 0.1
    weft = np.sin((y * count + t[:, 4, None, None]) * 2 * np.pi) > 0.1
    hue = t[:, 5, None, None, None] + np.array([0, 1 / 3, 2 / 3], np.float32)[None, :, None, None]
    cloth = (0.55 + 0.25 * np.cos(2 * np.pi * hue)) * np.ones_like(x)[:, None]
    weave = 0.62 + 0.2 * warp + 0.2 * weft + 0.12 * (_noise(x, y, t, 120, 0.5) - 0.5)
    return cloth * weave[:, None]


def night(x: Array, y: Array, t: Array) -> Array:
    base = _mix((0.02, 0.03, 0.10), (0.13, 0.12, 0.30), y + 0.4 * (_noise(x, y, t, 48, 12) - 0.5))
    lit = _noise(x, y, t[:, 2:], 56, 1.1)
    base = _over(base, (0.99, 0.93, 0.70), (lit - 0.965) * 28)
    return _over(base, (0.55, 0.75, 1.0), (0.03 - lit) * 28)


FAMILIES = {f.__name__: f for f in (sky, grass, water, sand, forest, road, brick, snow, fabric, night)}
