"""Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) with label smoothing, as DeiT is trained (Touvron et al. 2021)."""

import torch
import torch.nn.functional as F
from torch import nn


class Mixing:
    """Intervention for `fit`: with equal chance all images of a batch are blended with others, or get a box of others.

    The share of the first image is Beta(.8, .8) for Mixup and uniform for CutMix (DeiT's settings); targets are shares of
    the classes, smoothed.
    """

    def __init__(self, mixup: float = 0.8, cutmix: float = 1.0, smoothing: float = 0.1):
        self.mixup, self.cutmix, self.smoothing = mixup, cutmix, smoothing

    def __call__(
        self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """float [N, 3, H, W], int64 [N] -> mixed images, and shares of each class float [N, C]."""
        other = torch.randperm(len(images), generator=generator).to(images.device)
        cut = bool(torch.rand((), generator=generator) < 0.5)
        share = _beta(self.cutmix if cut else self.mixup, generator)
        if cut:
            box = _box(share, images.shape[-2:], generator)
            mixed = images.clone(memory_format=torch.preserve_format)
            mixed[..., box[0], box[1]] = images[other][..., box[0], box[1]]
            height, width = images.shape[-2:]
            share = 1 - (box[0].stop - box[0].start) * (box[1].stop - box[1].start) / (height * width)
        else:
            mixed = share * images + (1 - share) * images[other]
        classes = model.head.maps.out_channels
        one_hot = F.one_hot(labels, classes) * (1 - self.smoothing) + self.smoothing / classes
        return mixed, share * one_hot + (1 - share) * one_hot[other]


def _beta(concentration: float, generator: torch.Generator) -> float:
    """One number of Beta(a, a), by Johnk's method: torch's own takes no generator."""
    while True:
        x, y = (torch.rand(2, generator=generator, dtype=torch.float64) ** (1 / concentration)).tolist()
        if 0 < x + y <= 1:
            return x / (x + y)


def _box(share: float, size: tuple[int, int], generator: torch.Generator) -> tuple[slice, slice]:
    """Rows and columns of a box that leaves `share` of the image, about a uniform centre, cut at the border."""
    slices = []
    for side in size:
        half = side * (1 - share) ** 0.5 / 2
        centre = float(torch.rand((), generator=generator)) * side
        slices.append(slice(round(max(0, centre - half)), round(min(side, centre + half))))
    return tuple(slices)
