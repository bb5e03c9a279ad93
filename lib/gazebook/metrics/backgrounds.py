"""How much a classifier depends on backgrounds (paper 2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gazebook.metrics.checks import flags, magnitudes

# by correctness on Original (o), Mixed-Rand (f, the foreground alone decides) and Only-BG-T (b, the background alone decides)
CATEGORIES = {
    "either suffices": (True, True, True),
    "foreground suffices": (True, True, False),
    "background needed": (True, False, True),
    "both together": (True, False, False),
    "misled": (False, True, None),
    "wrong anyway": (False, False, None),
}


def saliency_share(s: ArrayLike, mask: ArrayLike) -> np.ndarray:
    """Share of saliency s >= 0, float [N, H, W], inside mask, bool [N, H, W]: float [N] in [0, 1]; NaN where s is all 0.

    To be compared with the mask's share of the image, which is what a map that is the same everywhere gives.
    """
    s, mask = magnitudes(s, "saliency"), flags(mask, "mask")
    if s.shape != mask.shape or s.ndim != 3:
        raise ValueError(f"saliency has shape {s.shape} and masks {mask.shape}; expected the same [N, H, W]")
    total = s.sum(axis=(1, 2))
    return np.divide((s * mask).sum(axis=(1, 2)), total, out=np.full(len(s), np.nan), where=total > 0)


def background_categories(original: ArrayLike, foreground: ArrayLike, background: ArrayLike) -> np.ndarray:
    """Which of CATEGORIES each image is in, int [N], from correctness bool [N] on Original, Mixed-Rand and Only-BG-T."""
    o, f, b = (flags(v, "correctness") for v in (original, foreground, background))
    if not o.shape == f.shape == b.shape or o.ndim != 1:
        raise ValueError(f"correctness has shapes {o.shape}, {f.shape} and {b.shape}; expected the same [N]")
    place = np.full(len(o), -1)
    for i, (own_o, own_f, own_b) in enumerate(CATEGORIES.values()):
        place[(o == own_o) & (f == own_f) & (True if own_b is None else b == own_b)] = i
    return place
