"""Foreground and background surgery: the eight variants of ImageNet-9 (paper 2, as its authors' generator makes them).

What is foreground is always said by a mask, never by black pixels: the authors' generator lets truly black pixels of
an object become holes. The background of a composite is another image with its whole bounding box tiled over (Only-BG-T).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch

from gazebook.errors import GazebookError, check_known
from gazebook.images.masks import boxes_as_masks

if TYPE_CHECKING:  # data sets are cut by this module
    from gazebook.data.image_set import ImageSet

MIXED = ("mixed_same", "mixed_rand", "mixed_next")
VARIANTS = ("original", "only_bg_b", "only_bg_t", "no_fg", "only_fg", *MIXED)
NEEDS_BOX = ("only_bg_b", "only_bg_t", *MIXED)
NEEDS_MASK = ("no_fg", "only_fg", *MIXED)


def variant(image_set: ImageSet, name: str, seed: int = 0) -> ImageSet:
    """One of the eight, with the same labels; in a composite `backgrounds` is the class that the background comes from."""
    _check(image_set, name)
    if name == "original":
        return image_set
    changes: dict = {"source": f"{image_set.source}, {name}"}
    if name == "only_bg_b":
        changes["images"] = image_set.images.masked_fill(
            boxes_as_masks(image_set.boxes, image_set.images.shape[-1])[:, None], 0
        )
    elif name == "only_bg_t":
        changes["images"] = tiled(image_set.images, image_set.boxes)
    elif name == "no_fg":
        changes["images"] = image_set.images.masked_fill(image_set.masks[:, None], 0)
    elif name == "only_fg":
        changes["images"] = image_set.images.masked_fill(~image_set.masks[:, None], 0)
    else:
        partner = partners(image_set.labels, name, image_set.num_classes, seed)
        behind = tiled(image_set.images, image_set.boxes)[partner]
        changes["images"] = compose(image_set.images, image_set.masks, behind)
        changes["backgrounds"] = image_set.labels[partner]
        changes["background_names"] = image_set.class_names
    return dataclasses.replace(image_set, **changes)


def compose(images: torch.Tensor, masks: torch.Tensor, backgrounds: torch.Tensor) -> torch.Tensor:
    """Foregrounds over backgrounds: [..., 3, H, W] where masks bool [..., H, W], the backgrounds elsewhere; broadcasts."""
    return torch.where(masks.unsqueeze(-3), images, backgrounds)


def tiled(images: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Only-BG-T: uint8 [N, 3, H, W] with each box (int64 [N, 4], end exclusive) filled by repeating a strip of background.

    Of the full strips left and right of the box, and above and below it, the pair with the larger area is taken, then the
    wider of the two; repeated from the top left corner over the image it shows inside the box. A box of no area leaves
    its image as it is.
    """
    out = images.clone()
    height, width = images.shape[-2:]
    inside = boxes.clamp(min=0).minimum(torch.tensor([width, height] * 2))
    for i, (x0, y0, x1, y1) in enumerate(inside.tolist()):
        if x0 >= x1 or y0 >= y1:
            continue
        left, right, top, bottom = x0, width - x1, y0, height - y1
        if max(left, right, top, bottom) == 0:
            raise GazebookError(f"the box of image {i} covers it, so there is no background to tile; leave that image out")
        rows, columns = torch.arange(y0, y1), torch.arange(x0, x1)
        if (left + right) * height >= (top + bottom) * width:
            columns = columns % left if left >= right else x1 + columns % right
        else:
            rows = rows % top if top >= bottom else y1 + rows % bottom
        out[i, :, y0:y1, x0:x1] = images[i][:, rows[:, None], columns]
    return out


def partners(labels: torch.Tensor, name: str, num_classes: int, seed: int = 0) -> torch.Tensor:
    """Whose background each image gets, int64 [N]: never its own.

    mixed_same: a random image of the same class; mixed_rand: of a class that is uniform over all, its own included (our
    reading of "random"); mixed_next: of class (y + 1) mod C.
    """
    if name not in MIXED:
        raise GazebookError(f"{name!r} is not a composite; choose from {', '.join(MIXED)}")
    generator = np.random.default_rng([seed, MIXED.index(name)])
    y = labels.numpy()
    members = [np.flatnonzero(y == c) for c in range(num_classes)]
    wanted = {"mixed_same": y, "mixed_rand": generator.integers(num_classes, size=len(y)), "mixed_next": (y + 1) % num_classes}[
        name
    ]
    position = np.empty(len(y), np.int64)  # of each image among those of its class
    for own in members:
        position[own] = np.arange(len(own))
    choices = np.array([len(own) for own in members])[wanted] - (wanted == y)
    if (choices < 1).any():
        raise GazebookError(
            f"{name} needs two images or more of each of the {num_classes} classes; class {wanted[choices < 1][0]} has "
            f"{len(members[wanted[choices < 1][0]])}: take more pictures"
        )
    drawn = generator.integers(choices)
    drawn += (wanted == y) & (drawn >= position)  # skips the image itself
    return torch.from_numpy(np.array([members[c][k] for c, k in zip(wanted, drawn, strict=True)]))


def _check(image_set: ImageSet, name: str) -> None:
    check_known("variant", name, VARIANTS)
    for needs, what in ((NEEDS_MASK, "masks"), (NEEDS_BOX, "boxes")):
        if name in needs and getattr(image_set, what) is None:
            raise GazebookError(f"variant {name} needs {what}, and {image_set.source} has none; choose another data set")
