"""Signed distances to simple shapes, and a painter that fills them, for a batch of images at once.

Coordinates are the object's: x to the right, y down, the object within [-1, 1]. A signed distance is negative inside.
One pixel of blending at the border gives smooth edges without supersampling.
"""

import numpy as np

Array = np.ndarray


class Painter:
    """Paints parts over one another in `pixels`, and remembers which part is on top.

    x, y: object coordinates of the pixel centres [N, H, W]; scale: pixels in one unit of them [N]; body, accent:
    RGB [N, 3]; shape: free proportions [N, 4] in [0, 1], given as [N, 1, 1] arrays; present: bool [N, A].
    """

    def __init__(self, pixels: Array, x: Array, y: Array, scale: Array, light: Array, body, accent, shape, present, names):
        self.pixels, self.x, self.y = pixels, x, y
        self.scale = scale[:, None, None]
        self.body, self.accent = body, accent
        self.shape = [shape[:, j, None, None] for j in range(shape.shape[1])]
        self.present, self.names = present, names
        self.owner = np.full(x.shape, -1, np.int8)  # -1 background, A the body, else the attribute on top
        self.light = 1 + 0.22 * (x * light[:, 0, None, None] + y * light[:, 1, None, None])

    def paint(self, distance: Array, colour: Array, attribute: str | None = None, flat: bool = False) -> None:
        """Fill where `distance` [N, H, W] < 0 with RGB [N, 3] or [3]; an attribute is painted where it is present."""
        cover = np.clip(0.5 - distance * self.scale, 0, 1)
        part = len(self.names)
        if attribute is not None:
            part = self.names.index(attribute)
            cover *= self.present[:, part, None, None]
        shade = self.light if flat else self.light * np.clip(0.78 - 1.3 * distance, 0.78, 1)
        for channel in range(3):
            tone = np.broadcast_to(np.asarray(colour, np.float32)[..., channel], len(self.scale))[:, None, None]
            layer = self.pixels[:, channel]
            layer += cover * (tone * shade - layer)
        np.copyto(self.owner, part, where=cover > 0.5)

    def pattern(self, inside: Array, distance: Array, colour: Array, attribute: str) -> None:
        """Paint a pattern that shows only on the part with signed distance `inside`."""
        self.paint(np.maximum(inside, distance), colour, attribute)

    def metal(self, inside: Array) -> None:
        """Metallic shading of a part: a bright and a dark band that follow the light."""
        along = np.sin(5.5 * (self.y + 0.35 * self.x))
        steel = np.clip(self.body * 0.45 + 0.42, 0, 1)
        self.paint(inside, steel, "metallic", flat=True)
        self.paint(np.maximum(inside, 0.55 - along), np.minimum(steel + 0.28, 1), "metallic", flat=True)
        self.paint(np.maximum(inside, 0.75 + along), steel * 0.62, "metallic", flat=True)

    def ellipse(self, cx, cy, rx, ry) -> Array:
        """An axis-parallel ellipse."""
        return (np.sqrt(((self.x - cx) / rx) ** 2 + ((self.y - cy) / ry) ** 2) - 1) * np.minimum(rx, ry)

    def box(self, cx, cy, half_width, half_height, rounding=0.05) -> Array:
        """A rectangle with softened corners."""
        dx = np.abs(self.x - cx) - (half_width - rounding)
        dy = np.abs(self.y - cy) - (half_height - rounding)
        return np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0) - rounding

    def line(self, x0, y0, x1, y1, width) -> Array:
        """A straight stroke with round ends, `width` its half-thickness."""
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((self.x - x0) * dx + (self.y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
        return np.hypot(self.x - x0 - along * dx, self.y - y0 - along * dy) - width

    def polygon(self, *corners: tuple) -> Array:
        """A convex polygon, its corners in either direction; numbers or [N, 1, 1] arrays."""
        edges = list(zip(corners, (*corners[1:], corners[0]), strict=True))
        turn = np.sign(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in edges))
        distance = np.float32(-np.inf)
        for (x0, y0), (x1, y1) in edges:
            dx, dy = x1 - x0, y1 - y0
            side = turn * ((self.x - x0) * dy - (self.y - y0) * dx) / np.hypot(dx, dy)
            distance = np.maximum(distance, side)
        return distance
