"""What an attention map says: sparsity, agreement, regions. Maps a: float [N, H, W] in [0, 1], tensors or arrays."""

from __future__ import annotations

import numpy as np
import scipy
import torch

Maps = torch.Tensor | np.ndarray
SOFT = (0.1, 0.9)


def sparsity(a: Maps) -> float:
    """Share of pixels with round(a) == 0, that is a <= 0.5 (paper 1, section 2.2); in [0, 1]."""
    return float(sparsity_per_image(a).mean())


def sparsity_per_image(a: Maps, threshold: float = 0.5) -> torch.Tensor:
    """Share of pixels with a <= threshold, float32 [N]."""
    return (_maps(a).flatten(1) <= threshold).float().mean(dim=1)


def attention_mse(a: Maps, reference: Maps) -> float:
    """Mean over images of the mean squared difference (paper 1, section 3.3); both [N, H, W]."""
    a, reference = _maps(a), _maps(reference)
    if a.shape != reference.shape:
        raise ValueError(
            f"maps have shapes {tuple(a.shape)} and {tuple(reference.shape)}; they must be of the same images and size"
        )
    return float((a.double() - reference.double()).square().mean())


def soft_share(a: Maps) -> torch.Tensor:
    """Share of pixels with .1 < a < .9, where the map has not decided; float32 [N]."""
    a = _maps(a).flatten(1)
    return ((a > SOFT[0]) & (a < SOFT[1])).float().mean(dim=1)


def regions_per_image(a: Maps) -> np.ndarray:
    """Number of 4-connected regions with a > 0.5, int [N]."""
    region = (_maps(a) > 0.5).cpu().numpy()
    within_an_image = np.zeros((3, 3, 3), bool)
    within_an_image[1] = scipy.ndimage.generate_binary_structure(2, 1)
    labels, count = scipy.ndimage.label(region, within_an_image)
    image_of = np.zeros(count + 1, int)
    image_of[labels.ravel()] = np.repeat(np.arange(len(region)), region[0].size)
    return np.bincount(image_of[1:], minlength=len(region))


def _maps(a: Maps) -> torch.Tensor:
    a = torch.as_tensor(a)
    if a.ndim != 3 or not a.numel():
        raise ValueError(f"attention maps have shape {tuple(a.shape)}; expected [N, H, W] with N > 0")
    if not ((a >= 0) & (a <= 1)).all():
        raise ValueError("attention maps have values outside [0, 1], or that are no numbers; give probabilities")
    return a
