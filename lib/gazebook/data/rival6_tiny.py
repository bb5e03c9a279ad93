"""RIVAL6-tiny: the six classes of RIVAL10 (paper 3) that Tiny ImageNet has, at 64 by 64 pixels, with boxes and GrabCut masks.

Nine of RIVAL10's twenty synsets are in Tiny ImageNet; planes, ships, equines and birds are not. The validation images are
too few to be tested on (50 a synset), so HELD_OUT training images of each synset join them. Images that the object
fills are not tested on: they have no background that could be disturbed.
"""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import torch

from gazebook.data import tiny_imagenet
from gazebook.data.image_set import ImageSet, joined
from gazebook.data.rival10 import SYNSETS
from gazebook.data.sources import cached_tensors
from gazebook.images import masks

WNIDS = {
    "truck": ("n03796401",),
    "car": ("n02814533", "n03100240"),
    "cat": ("n02123394", "n02124075"),
    "dog": ("n02099712", "n02099601"),
    "deer": ("n02423022",),
    "frog": ("n01644900",),
}
CLASS_NAMES = tuple(WNIDS)
SIZE = tiny_imagenet.SIZE
HELD_OUT = 100  # training images of each synset that are tested on
SOLID = (0.1, 0.9)  # of the box: a GrabCut mask that keeps less or more of it is replaced by the box
LARGEST_BOX = 0.9  # of the image, as in ImageNet-9
MASK_AREA = (0.02, 0.95)  # of the image
MADE = 2  # raise it with every change of what is made here

assert all(set(own) <= set(SYNSETS[name]) for name, own in WNIDS.items())


def load(split: str, root: str | Path | None = None) -> ImageSet:
    """A split with boxes; the test split has masks, by GrabCut inside the box, or the box where GrabCut fails.

    Made once and kept in the user's cache folder. Raises GazebookError.
    """
    stored, about = _made(root)
    # copies: what is read is mapped into memory, and must not change with the file
    found = {name: stored[f"{split}.{name}"].clone() for name in ("images", "labels", "boxes")}
    if split == "test":
        found["masks"] = stored["test.masks"].bool()
    notes = f", {about['replaced']:.1%} of masks are boxes, {about['left_out']} images without background left out"
    return ImageSet(
        "rival6_tiny",
        split,
        found["images"],
        found["labels"],
        CLASS_NAMES,
        f"RIVAL6-tiny (Tiny ImageNet{notes if split == 'test' else ''})",
        masks=found.get("masks"),
        boxes=found["boxes"],
        ids=tuple(about[split]),
    )


def training_size(**_) -> int:
    """About how many training images there are."""
    return 3600


def prepare(root: str | Path | None = None) -> None:
    """Make sure that the set is made. Raises GazebookError."""
    _made(root)


def _made(root: str | Path | None) -> tuple[dict[str, torch.Tensor], dict]:
    place = tiny_imagenet.prepare(root)
    made_from = hashlib.sha256(f"{MADE} {tiny_imagenet.fingerprint(place)}".encode()).hexdigest()[:16]
    return cached_tensors("rival6_tiny", made_from, lambda: _build(root))


def _build(root: str | Path | None) -> tuple[dict[str, torch.Tensor], dict]:
    label = {wnid: i for i, own in enumerate(WNIDS.values()) for wnid in own}
    first, second = tiny_imagenet.pools(root, label, CLASS_NAMES)
    wnids = np.array([i.split("/")[1] for i in first.ids])
    held = np.concatenate([np.flatnonzero(wnids == own)[:HELD_OUT] for own in sorted(label)])
    kept = np.setdiff1d(np.arange(len(first)), held)
    test = joined([first.select(torch.from_numpy(held)), second])
    found, replaced = _masks(test.images, test.boxes)
    area, box = found.mean(axis=(1, 2)), masks.boxes_as_masks(test.boxes, SIZE).float().mean(dim=(1, 2)).numpy()
    usable = (area >= MASK_AREA[0]) & (area <= MASK_AREA[1]) & (box <= LARGEST_BOX)
    tested = dataclasses.replace(test, masks=torch.from_numpy(found)).select(torch.from_numpy(np.flatnonzero(usable)))
    sets = {"train": first.select(torch.from_numpy(kept)), "test": tested}
    tensors = {f"{split}.{name}": getattr(s, name) for split, s in sets.items() for name in ("images", "labels", "boxes")}
    tensors["test.masks"] = tested.masks.to(torch.uint8)
    about = {split: s.ids for split, s in sets.items()}
    return tensors, about | {"replaced": float(replaced[usable].mean()), "left_out": int((~usable).sum())}


def _masks(images: torch.Tensor, boxes: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """GrabCut masks bool [N, H, W], boxes where they keep too little or too much; and where that is, bool [N]."""
    found = masks.masks(np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy()), boxes.numpy())
    whole = masks.boxes_as_masks(boxes, SIZE).numpy()
    share = (found & whole).sum(axis=(1, 2)) / np.maximum(whole.sum(axis=(1, 2)), 1)
    replaced = (share < SOLID[0]) | (share > SOLID[1])
    return np.where(replaced[:, None, None], whole, found), replaced
