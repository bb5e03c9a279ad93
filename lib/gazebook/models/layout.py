"""How networks lay out their features, and how they become maps [N, K, h, w]."""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import nn

from gazebook.errors import GazebookError

PREFIXES = (0, 1, 2, 5)  # tokens before those of patches: none, class, class and distillation, class and four registers


@dataclass(frozen=True)
class Layout:
    """`channels_last` for maps [N, h, w, K]; `prefix`, how many tokens stand before those of patches, None where unknown."""

    channels_last: bool = False
    prefix: int | None = None


def layout_of(model: nn.Module) -> Layout:
    """What a network, or the one inside of it, declares: timm's `output_fmt` and `num_prefix_tokens`, torchvision's Swin."""
    trunk = getattr(model, "trunk", None)
    for net in (model, getattr(model, "network", None), trunk, getattr(trunk, "network", None), getattr(trunk, "blocks", None)):
        if "NHWC" in str(getattr(net, "output_fmt", "")) or type(net).__module__ == "torchvision.models.swin_transformer":
            return Layout(channels_last=True)
        if isinstance(tokens := getattr(net, "num_prefix_tokens", None), int):
            return Layout(prefix=tokens)
    return Layout()


def as_maps(features: torch.Tensor, size: tuple[int, int], layout: Layout | None = None) -> torch.Tensor:
    """Features of images of that height and width as maps [N, K, h, w]: maps themselves, or tokens [N, T, K] without those
    before the patches. Raises GazebookError for what fits no grid of the image.
    """
    layout = layout or Layout()
    if isinstance(features, torch.Tensor) and features.is_floating_point():
        if features.ndim == 4:
            kinds = [features.permute(0, 3, 1, 2), features] if layout.channels_last else [features]
            for maps in kinds:
                if _fits(*maps.shape[-2:], size):
                    return maps
        if features.ndim == 3:
            for prefix in PREFIXES if layout.prefix is None else (layout.prefix,):
                if grid := _grid(features.shape[1] - prefix, size):
                    return features[:, prefix:].transpose(1, 2).unflatten(2, grid)
    what = f"shape {list(features.shape)}" if isinstance(features, torch.Tensor) else f"type {type(features).__name__}"
    raise GazebookError(
        f"the layer's features have {what}: no maps [N, K, h, w], and no tokens of patches, of images of {size[0]} x {size[1]} "
        "pixels; give another layer, or `reshape`, a function that makes maps of them"
    )


def _fits(height: int, width: int, size: tuple[int, int]) -> bool:
    """Whether a grid has the image's aspect, but for a fraction of a cell."""
    return height > 0 and width > 0 and abs(height - width * size[0] / size[1]) < 1


def _grid(tokens: int, size: tuple[int, int]) -> tuple[int, int] | None:
    """The grid of so many patches with the image's aspect; None where there is none."""
    height = round(sqrt(max(tokens, 0) * size[0] / size[1]))
    width = tokens // height if height else 0
    return (height, width) if height * width == tokens and _fits(height, width, size) else None
