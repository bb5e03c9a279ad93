"""Noise in a region of images, and its controls (paper 3; its released code).

Images are float [N, 3, H, W] in [0, 1], regions bool or float in [0, 1] [N, H, W].
"""

import torch

from gazebook.errors import GazebookError, check_known

KINDS = ("sigma", "l2")
SIDE = 224  # pixels of the side for which the paper gives its L2 norms
GREY = 0.5


def add(
    images: torch.Tensor, regions: torch.Tensor, level: float, kind: str, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gaussian noise in the regions, clipped to [0, 1]; and the L2 norm of what was really added, float [N].

    "sigma": independent noise of that standard deviation (the authors' L-inf variant). "l2": the noise in the region is
    scaled to that L2 norm before clipping, whatever the region's area. An empty region stays as it is.
    """
    check_known("kind of noise", kind, KINDS)
    if not level >= 0:
        raise GazebookError(f"the noise level is {level}; give a number of at least 0")
    drawn = torch.randn(images.shape, generator=generator, device=generator.device).to(images.device)
    drawn = drawn * regions[:, None].to(images.dtype)
    if kind == "l2":
        drawn = drawn / drawn.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None, None]
    noisy = (images + level * drawn).clamp(0, 1)
    return noisy, (noisy - images).flatten(1).norm(dim=1)


def scaled_norm(norm: float, side: int) -> float:
    """The paper's L2 norm at 224 px, for images of another side: of the same root mean square over the image."""
    return norm * side / SIDE


def ablate(images: torch.Tensor, regions: torch.Tensor, value: float = GREY) -> torch.Tensor:
    """The regions replaced by grey: x (1 - m) + value m."""
    m = regions[:, None].to(images.dtype)
    return images * (1 - m) + value * m


def centred(regions: torch.Tensor) -> torch.Tensor:
    """A disc in the middle for each region, bool [N, H, W], of as many pixels: a mask that knows the object's size alone."""
    height, width = regions.shape[-2:]
    y, x = torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2
    rank = (y[:, None] ** 2 + x**2).flatten().argsort(stable=True).argsort().view(height, width).to(regions.device)
    return rank < regions.flatten(1).sum(dim=1)[:, None, None]


def shuffled(regions: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Each image gets the region of another one: the same areas and shapes, in places that mean nothing."""
    order = torch.randperm(len(regions), generator=torch.Generator().manual_seed(seed))
    other = torch.empty_like(order)
    other[order] = order.roll(1)  # one cycle through all: none keeps its own
    return regions[other]
