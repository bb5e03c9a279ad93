"""Random erasing (Zhong et al. 2020) of test images: a box of noise at a random place, the same for every model."""

import numpy as np
import torch

from gazebook.errors import GazebookError

AREA, ASPECT = (0.02, 0.4), (0.3, 1 / 0.3)  # the authors' defaults: share of the image, height over width
ATTEMPTS = 100


def erased(
    images: torch.Tensor, area: tuple[float, float] = AREA, aspect: tuple[float, float] = ASPECT, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 [N, 3, H, W] -> the images, each with one box of uniform noise, and the boxes bool [N, H, W].

    Area is uniform in its range, the aspect too, as the authors write it; a box that does not fit is drawn again. Image i has
    the same box and noise whatever the model. Raises GazebookError for ranges from which no box fits.
    """
    if not 0 < area[0] <= area[1] < 1 or not 0 < aspect[0] <= aspect[1]:
        raise GazebookError(f"area is {area} and aspect {aspect}; give ranges of shares in (0, 1) and of ratios above 0")
    random, (n, _, h, w) = np.random.default_rng(seed), images.shape
    share, ratio = (low + (high - low) * random.random((n, ATTEMPTS)) for low, high in (area, aspect))
    height, width = np.round(np.sqrt(share * h * w * ratio)).astype(int), np.round(np.sqrt(share * h * w / ratio)).astype(int)
    fits = (height < h) & (width < w) & (height > 0) & (width > 0)
    if not fits.any(axis=1).all():
        raise GazebookError(f"boxes of area {area} and aspect {aspect} do not fit into {w} x {h} pixels; narrow the ranges")
    first = fits.argmax(axis=1)
    height, width = height[np.arange(n), first], width[np.arange(n), first]
    top, left = ((random.random(n) * (side - length + 1)).astype(int) for side, length in ((h, height), (w, width)))
    y, x = np.arange(h)[None, :, None] - top[:, None, None], np.arange(w)[None, None, :] - left[:, None, None]
    boxes = torch.from_numpy((y >= 0) & (y < height[:, None, None]) & (x >= 0) & (x < width[:, None, None]))
    noise = torch.from_numpy(random.integers(0, 256, images.shape, dtype=np.uint8))
    return torch.where(boxes[:, None], noise, images), boxes
