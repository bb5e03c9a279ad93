"""Where an implicit-background model looks: attention maps and segmentation masks (paper 1, section 2.2)."""

import numpy as np
import torch
import torch.nn.functional as F

from gazebook.models import implicit_background


def resize_maps(maps: torch.Tensor, size: int | tuple[int, int]) -> torch.Tensor:
    """Class maps [N, C, h, w] -> [N, C, H, W] in float32, bilinear, pixel centres aligned."""
    size = (size, size) if isinstance(size, int) else tuple(size)
    return F.interpolate(maps.float(), size, mode="bilinear", align_corners=False)


def attention_map(maps: torch.Tensor, size: int | tuple[int, int]) -> torch.Tensor:
    """Attention (paper 1, section 2.2): class maps [N, C, h, w] -> [N, H, W] in [0, 1].

    sigmoid(logsumexp over classes) of the resized maps: one minus the probability of the implicit background.
    """
    return torch.sigmoid(-implicit_background(resize_maps(maps, size)))


def segmentation_mask(images: torch.Tensor, maps: torch.Tensor) -> np.ndarray:
    """Segmentation masks (paper 1, figures 1 and 3): uint8 [N, 3, H, W], class maps [N, C, h, w] -> uint8 [N, H, W, 3].

    HSV colouring: hue = winning class, saturation = attention, value = grey image stretched to its full range.
    """
    size = tuple(images.shape[-2:])
    maps = maps.detach().cpu()
    winners = resize_maps(maps, size).argmax(dim=1)
    return colour_mask(images.cpu().numpy(), attention_map(maps, size).numpy(), winners.numpy(), maps.shape[1])


def colour_mask(images: np.ndarray, attention: np.ndarray, winners: np.ndarray, num_classes: int) -> np.ndarray:
    """The same from stored arrays: images uint8 [N, 3, H, W], attention [N, H, W] in [0, 1], winners int [N, H, W]."""
    from matplotlib.colors import hsv_to_rgb  # takes half a second, and what measures without drawing does not need it

    grey = images.astype(np.float32).mean(axis=1)
    low, high = grey.min(axis=(1, 2), keepdims=True), grey.max(axis=(1, 2), keepdims=True)
    value = (grey - low) / np.maximum(high - low, 1)
    hsv = np.stack([class_hues(num_classes)[winners], attention, value], axis=-1)
    return (hsv_to_rgb(hsv) * 255).round().astype(np.uint8)


def class_hues(num_classes: int) -> np.ndarray:
    """The hue of each class, float [C] in (0, 1): (class + 1/2) / C, as in the study's figures."""
    return (np.arange(num_classes) + 0.5) / num_classes
