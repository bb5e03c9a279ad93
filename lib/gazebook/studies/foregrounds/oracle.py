"""An oracle whose trust in foreground and background is known: what RFS says of it, by area and kind of noise."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from gazebook.errors import GazebookError

PIXELS = 3 * 32 * 32


def accuracies(trust: float, area: float, level: float, kind: str, margin: float = 1.0) -> tuple[float, float]:
    """Accuracy of a linear two-class oracle under noise in the foreground, and under noise in the background.

    Its evidence is trust * (mean over the foreground's pixels) + (1 - trust) * (mean over the background's), whose value
    without noise is `margin` times the right sign, plus its own Gaussian doubt of standard deviation 1/3. Noise of standard
    deviation `level` ("sigma"), or of L2 norm `level` ("l2"), is in one region alone; nothing is clipped. `area` is the
    foreground's share of the picture, in (0, 1).
    """
    if kind not in ("sigma", "l2"):
        raise GazebookError(f"unknown kind of noise {kind!r}; choose from sigma, l2")
    if not 0 < area < 1 or not 0 <= trust <= 1:
        raise GazebookError(f"area is {area} and trust {trust}; give an area in (0, 1) and a trust in [0, 1]")
    found = []
    for weight, share in ((trust, area), (1 - trust, 1 - area)):
        pixels = share * PIXELS
        deviation = level if kind == "sigma" else level / np.sqrt(pixels)  # of a pixel
        spread = np.hypot(1 / 3, weight * deviation / np.sqrt(pixels))  # of a mean over that many
        found.append(float(norm.cdf(margin / spread)))
    return found[0], found[1]
