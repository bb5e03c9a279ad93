"""The seven augmentations of paper 1, batched on the device, with parameters drawn for each sample.

Each is a function `f(images, generator)` from uint8 [N, C, H, W] to the same shape, C 3 or 1. The distributions are those of
the torchvision transforms that the study used, with its magnitudes: zero padding 8, rotation by up to 15 degrees
(nearest pixel, zero fill), the perspective defaults (distortion .5, probability .5, bilinear, zero fill), jitter of
brightness, contrast, saturation and hue by .3, .3, .3 and .1 in random order; combined applies them in this order.
Parameters are drawn, and lists of indices made, on the generator's device: with a CPU generator a seed gives the same
images for any image device, and no step waits for a GPU.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F

from gazebook.errors import GazebookError

Augmentation = Callable[[torch.Tensor, torch.Generator], torch.Tensor]

PADDING = 8
DEGREES = 15.0
DISTORTION = 0.5
PERSPECTIVE_PROBABILITY = 0.5
BRIGHTNESS = CONTRAST = SATURATION = 0.3
HUE = 0.1
CROP_AREA = (0.3, 1.0)  # of the image: SimCLR's .08 leaves too little of 32 pixels
CROP_ASPECT = math.log(4 / 3)
GREY_PROBABILITY = 0.2
CHANNEL_SHIFT = 30.0  # of 255
BRIGHTNESS_RANGE = (0.5, 1.5)
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as in torchvision and Pillow


def none(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The images as they are."""
    return images


def crop(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """RandomCrop(size, padding=8): a window of the zero-padded image, shifted by -8 to 8 pixels on each axis."""
    n, _, h, w = images.shape
    top = _integers(2 * PADDING + 1, n, generator).to(images.device)
    left = _integers(2 * PADDING + 1, n, generator).to(images.device)
    padded = F.pad(images, (PADDING,) * 4)
    rows = top[:, None] + torch.arange(h, device=images.device)
    columns = left[:, None] + torch.arange(w, device=images.device)
    flat = rows[:, :, None] * (w + 2 * PADDING) + columns[:, None, :]
    return _gather(padded, flat)


def flip(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """RandomHorizontalFlip(p=.5)."""
    mirrored = (_uniform(0, 1, len(images), generator) < 0.5).to(images.device)
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


def rotate(images: torch.Tensor, generator: torch.Generator, degrees: float = DEGREES) -> torch.Tensor:
    """RandomRotation(15): about the image's centre, nearest pixel, zero fill."""
    n, _, h, w = images.shape
    angle = torch.deg2rad(_uniform(-degrees, degrees, n, generator)).to(images.device)[:, None, None]
    y = torch.arange(h, device=images.device)[:, None] - (h - 1) / 2
    x = torch.arange(w, device=images.device)[None, :] - (w - 1) / 2
    source_x = torch.round(torch.cos(angle) * x - torch.sin(angle) * y + (w - 1) / 2).long()
    source_y = torch.round(torch.sin(angle) * x + torch.cos(angle) * y + (h - 1) / 2).long()
    inside = (source_x >= 0) & (source_x < w) & (source_y >= 0) & (source_y < h)
    flat = source_y.clamp(0, h - 1) * w + source_x.clamp(0, w - 1)
    return _gather(images, flat) * inside[:, None]


def perspective(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """RandomPerspective(distortion_scale=.5, p=.5): bilinear, zero fill."""
    n, _, h, w = images.shape
    chosen = _uniform(0, 1, n, generator) < PERSPECTIVE_PROBABILITY
    corners = _perspective_corners(n, h, w, generator)
    index = chosen.nonzero()[:, 0]
    if len(index) == 0:
        return images
    coefficients = _homography(corners[index], h, w).to(images.device, torch.float32)
    index = index.to(images.device)
    a, b, c, d, e, f, g, k = coefficients[:, :, None, None].unbind(1)
    y = torch.arange(h, device=images.device)[:, None] + 0.5  # coefficients act on pixel centres, as in torchvision
    x = torch.arange(w, device=images.device)[None, :] + 0.5
    depth = g * x + k * y + 1
    grid = torch.stack([(a * x + b * y + c) / depth * 2 / w - 1, (d * x + e * y + f) / depth * 2 / h - 1], dim=-1)
    inside = (grid.abs() <= 1).all(-1)[:, None]
    warped = F.grid_sample(images[index].float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return images.index_copy(0, index, (warped * inside).round_().to(torch.uint8))


def color(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """ColorJitter(.3, .3, .3, .1): the four operations in an order drawn for each sample."""
    n, device = len(images), images.device
    factors = [
        _uniform(1 - BRIGHTNESS, 1 + BRIGHTNESS, n, generator),
        _uniform(1 - CONTRAST, 1 + CONTRAST, n, generator),
        _uniform(1 - SATURATION, 1 + SATURATION, n, generator),
        _uniform(-HUE, HUE, n, generator),
    ]
    order = _uniform(0, 1, 4 * n, generator).view(n, 4).argsort(dim=1)
    pixels = images.float().div_(255)
    for step in range(4):
        for kind, operation in enumerate((_adjust_brightness, _adjust_contrast, _adjust_saturation, _adjust_hue)):
            index = (order[:, step] == kind).nonzero()[:, 0]
            if len(index):
                factor, index = factors[kind][index].to(device)[:, None, None, None], index.to(device)
                pixels[index] = operation(pixels[index], factor)
    return pixels.mul_(255).round_().to(torch.uint8)


def combined(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Crop, flip, rotation, perspective, jitter, in the study's order."""
    for augmentation in (crop, flip, rotate, perspective, color):
        images = augmentation(images, generator)
    return images


def resized_crop(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """RandomResizedCrop for contrastive views: a window of CROP_AREA of the image, aspect 3/4 to 4/3, at its size again."""
    n, device = len(images), images.device
    area = _uniform(*CROP_AREA, n, generator)
    aspect = torch.exp(_uniform(-CROP_ASPECT, CROP_ASPECT, n, generator))
    width, height = (area * aspect).sqrt().clamp_max(1), (area / aspect).sqrt().clamp_max(1)
    x, y = ((2 * _uniform(0, 1, n, generator) - 1) * (1 - side) for side in (width, height))
    zero = torch.zeros(n)
    theta = torch.stack([torch.stack([width, zero, x], 1), torch.stack([zero, height, y], 1)], 1).to(device)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    found = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return found.round_().to(torch.uint8)


def grey(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """RandomGrayscale(.2)."""
    chosen = (_uniform(0, 1, len(images), generator) < GREY_PROBABILITY).to(images.device)
    return torch.where(chosen[:, None, None, None], _grey(images.float()).round().to(torch.uint8), images)


def shift_channels(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each channel brighter or darker by up to 30 of 255 (paper 4, section 4.2)."""
    n, c = images.shape[:2]
    change = _uniform(-CHANNEL_SHIFT, CHANNEL_SHIFT, c * n, generator).view(n, c, 1, 1).to(images.device)
    return (images.float() + change).round_().clamp_(0, 255).to(torch.uint8)


def brightness(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Brightness times .5 to 1.5 (paper 4, section 4.2)."""
    factor = _uniform(*BRIGHTNESS_RANGE, len(images), generator)[:, None, None, None].to(images.device)
    return (images.float() * factor).round_().clamp_(0, 255).to(torch.uint8)


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": none,
    "crop": crop,
    "flip": flip,
    "rotate": rotate,
    "perspective": perspective,
    "color": color,
    "combined": combined,
}
# further ones: of contrastive training (part 3), and of paper 4
VIEWS: dict[str, Augmentation] = {
    "resized_crop": resized_crop,
    "grey": grey,
    "rotate40": partial(rotate, degrees=40.0),
    "shift_channels": shift_channels,
    "brightness": brightness,
}


def named(name: str) -> Augmentation:
    """One of AUGMENTATIONS or VIEWS, or several one after the other: "crop+flip". Raises GazebookError for an unknown name."""
    known, parts = AUGMENTATIONS | VIEWS, name.split("+")
    if unknown := [part for part in parts if part not in known]:
        raise GazebookError(
            f"unknown augmentation {unknown[0]!r}; choose from {', '.join(known)}, or join some of them: crop+flip"
        )

    def chain(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        for part in parts:
            images = known[part](images, generator)
        return images

    return chain


def _uniform(low: float, high: float, n: int, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(n, generator=generator, device=generator.device) * (high - low) + low


def _integers(high: int, n: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randint(high, (n,), generator=generator, device=generator.device)


def _gather(images: torch.Tensor, flat: torch.Tensor) -> torch.Tensor:
    """Pixels of images [N, C, H, W] at flat positions [N, h, w] -> [N, C, h, w]."""
    n, c = images.shape[:2]
    picked = images.flatten(2).gather(2, flat.flatten(1)[:, None].expand(n, c, -1))
    return picked.view(n, c, *flat.shape[1:])


def _perspective_corners(n: int, h: int, w: int, generator: torch.Generator) -> torch.Tensor:
    """Where the four corners go: [N, 4, 2] as x, y; clockwise from the top left, each moved inwards by up to a quarter."""
    across, down = int(DISTORTION * (w // 2)) + 1, int(DISTORTION * (h // 2)) + 1
    device = generator.device
    dx = torch.stack([_integers(across, n, generator) for _ in range(4)], dim=1)
    dy = torch.stack([_integers(down, n, generator) for _ in range(4)], dim=1)
    right = torch.tensor([0, w - 1, w - 1, 0], device=device)
    bottom = torch.tensor([0, 0, h - 1, h - 1], device=device)
    sign_x = torch.tensor([1, -1, -1, 1], device=device)
    sign_y = torch.tensor([1, 1, -1, -1], device=device)
    return torch.stack([right + sign_x * dx, bottom + sign_y * dy], dim=2)


def _homography(corners: torch.Tensor, h: int, w: int) -> torch.Tensor:
    """The eight coefficients [N, 8] that map output positions to input ones: `corners` go to the image's corners."""
    n, device = len(corners), corners.device
    start = torch.tensor([[0, 0], [w - 1, 0], [w - 1, h - 1], [0, h - 1]], dtype=torch.float64, device=device)
    x, y = corners.double().unbind(2)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    row_x = torch.stack([x, y, one, zero, zero, zero, -start[:, 0] * x, -start[:, 0] * y], dim=2)
    row_y = torch.stack([zero, zero, zero, x, y, one, -start[:, 1] * x, -start[:, 1] * y], dim=2)
    return torch.linalg.solve(torch.cat([row_x, row_y], dim=1), torch.cat([start[:, 0], start[:, 1]]).expand(n, 8))


def _grey(pixels: torch.Tensor) -> torch.Tensor:
    """Luma [N, 1, H, W] of colours [N, 3, H, W]; images of one channel are grey already."""
    if pixels.shape[1] == 1:
        return pixels
    if pixels.shape[1] != 3:
        raise ValueError(f"images have {pixels.shape[1]} channels; changes of colour need 3, or 1")
    return LUMA[0] * pixels[:, :1] + LUMA[1] * pixels[:, 1:2] + LUMA[2] * pixels[:, 2:3]


def _adjust_brightness(pixels: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return (pixels * factor).clamp_(0, 1)


def _adjust_contrast(pixels: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    mean = _grey(pixels).mean(dim=(2, 3), keepdim=True)
    return torch.lerp(mean, pixels, factor).clamp_(0, 1)


def _adjust_saturation(pixels: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return torch.lerp(_grey(pixels), pixels, factor).clamp_(0, 1)


def _adjust_hue(pixels: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Turn the hue of HSV by `shift` in [-.5, .5] of a full circle; value and saturation stay."""
    if pixels.shape[1] == 1:  # grey has no hue
        return pixels
    value, arg = pixels.max(dim=1, keepdim=True)
    chroma = value - pixels.amin(dim=1, keepdim=True)
    r, g, b = pixels[:, :1], pixels[:, 1:2], pixels[:, 2:]
    # the two channels that are not the largest, in cyclic order, give the hue's offset from the largest one
    difference = torch.where(arg == 0, g - b, torch.where(arg == 1, b - r, r - g))
    hue = difference / chroma.clamp_min(1e-12) + 2 * arg + 6 * shift
    offset = torch.tensor([5.0, 3.0, 1.0], device=pixels.device).view(1, 3, 1, 1)
    k = torch.remainder(hue + offset, 6)
    return value - chroma * torch.minimum(k, 4 - k).clamp_(0, 1)
