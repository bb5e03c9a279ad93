"""Tiny-ImageNet-9: the nine superclasses of ImageNet-9 (paper 2) from Tiny ImageNet's boxes.

Kept are images whose box covers at most 90% of them and whose GrabCut mask is neither almost empty nor almost full; of
images that occur twice, one. The test split has TEST_IMAGES foregrounds of each class, drawn from Tiny ImageNet's
training and validation images together; the training split is class-balanced, as large as the smallest class allows.
"""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from gazebook.data import tiny_imagenet
from gazebook.data.image_set import ImageSet, joined
from gazebook.data.sources import cached_tensors
from gazebook.data.superclasses import NAMES, superclass_of_wnid
from gazebook.errors import GazebookError, check_known
from gazebook.images.masks import PROCEDURES, masks

CLASS_NAMES = NAMES
SIZE = tiny_imagenet.SIZE
TEST_IMAGES = 150  # foregrounds of each class in the test split
LARGEST_BOX = 0.9  # of the image (the authors' generator)
SMALLEST_MASK = 0.1  # of the box (the authors' generator)
MASK_AREA = (0.02, 0.95)  # of the image: what is left of a cut-out must be visible, and so must its background
ATTEMPTS = 1.5  # masks are made for so many times the images that the smallest class has
MADE = 1  # raise it with every change of what is made here


def load(
    split: str,
    root: str | Path | None = None,
    *,
    everything: bool = False,
    procedure: str = "ellipse",
    test_images: int = TEST_IMAGES,
) -> ImageSet:
    """A split with masks and boxes. `everything` gives as training split all images of the nine superclasses that are not
    in the test split, whatever their boxes, neither balanced nor with masks (the paper's IN-9L).

    `procedure` is one of masks.PROCEDURES; `test_images` a class. Made once and kept in the user's cache folder.
    """
    stored, about = _made(root, procedure, test_images)
    parts = [slice(*about[split])]
    if everything and split == "train":
        parts.append(slice(*about["rest"]))

    def read(name: str) -> torch.Tensor:
        return torch.cat([stored[name][part] for part in parts])

    return ImageSet(
        "tiny_imagenet9",
        split,
        read("images"),
        read("labels"),
        CLASS_NAMES,
        f"Tiny-ImageNet-9{' (all images)' if everything else ''} with masks by GrabCut ({procedure})",
        masks=None if everything and split == "train" else read("masks").bool(),
        boxes=read("boxes"),
        ids=tuple(i for part in parts for i in about["ids"][part]),
    )


def candidates(*, procedure: str = "ellipse", test_images: int = TEST_IMAGES) -> ImageSet:
    """All images with a small enough box, of either split or neither, whatever their masks are worth; without masks."""
    sets = [load(split, everything=True, procedure=procedure, test_images=test_images) for split in ("train", "test")]
    whole = joined(sets)
    return whole.select(torch.from_numpy(np.flatnonzero(_box_area(whole.boxes.numpy(), SIZE) <= LARGEST_BOX)))


def training_size(*, everything: bool = False, **_) -> int:
    """About how many training images there are, without making the set: for estimates of how long training takes."""
    return 21_700 if everything else 2_600


def prepare(root: str | Path | None = None) -> None:
    """Make sure that the set is made. Raises GazebookError."""
    _made(root, "ellipse", TEST_IMAGES)


def summary(root: str | Path | None = None, *, procedure: str = "ellipse", test_images: int = TEST_IMAGES) -> pd.DataFrame:
    """What became of the images, one row per class: images, large box, masks tried, degenerate mask, train, test."""
    return pd.DataFrame(_made(root, procedure, test_images)[1]["summary"])


def _made(root: str | Path | None, procedure: str, test_images: int) -> tuple[dict[str, torch.Tensor], dict]:
    """The tensors of the whole set and what is known about it, made if they are not there or damaged."""
    check_known("mask procedure", procedure, PROCEDURES)
    if type(test_images) is not int or test_images < 1:
        raise GazebookError(f"test_images is {test_images!r}; give a whole number of at least 1")
    place = tiny_imagenet.prepare(root)
    made_from = f"{MADE} {tiny_imagenet.fingerprint(place)} {procedure} {test_images}"
    name = hashlib.sha256(made_from.encode()).hexdigest()[:16]
    return cached_tensors("tiny_imagenet9", name, lambda: _build(root, procedure, test_images))


def _build(root: str | Path | None, procedure: str, test_images: int) -> tuple[dict[str, torch.Tensor], dict]:
    pool = _pool(root)
    rows, order = _usable_first(pool)
    pictures = np.ascontiguousarray(pool.images[order].permute(0, 2, 3, 1).numpy())
    found = masks(pictures, pool.boxes[order].numpy(), procedure)
    good = _good(found, pool.boxes[order].numpy())
    chosen = {label: np.flatnonzero(good & (pool.labels[order] == label).numpy()) for label in range(len(CLASS_NAMES))}
    balanced = min(len(own) for own in chosen.values()) - test_images
    if balanced < 1:
        name = CLASS_NAMES[min(chosen, key=lambda label: len(chosen[label]))]
        raise GazebookError(
            f"Tiny ImageNet gives {balanced + test_images} usable images of {name}, no more than the {test_images} to be "
            "tested on; complete it, or give a smaller test_images"
        )
    test = np.concatenate([own[:test_images] for own in chosen.values()])
    train = np.concatenate([own[test_images : test_images + balanced] for own in chosen.values()])
    rest = np.setdiff1d(np.arange(len(pool.ids)), order[np.concatenate([train, test])])
    for label, row in enumerate(rows):
        tried = (pool.labels[order] == label).numpy()
        row |= {
            "masks tried": int(tried.sum()),
            "degenerate mask": int((tried & ~good).sum()),
            "train": balanced,
            "test": test_images,
        }
    index = torch.from_numpy(np.concatenate([order[train], order[test], rest]))
    about = {
        "train": [0, len(train)],
        "test": [len(train), len(train) + len(test)],
        "rest": [len(train) + len(test), len(index)],
        "ids": [pool.ids[i] for i in index.tolist()],
        "summary": rows,
    }
    tensors = {n: getattr(pool, n)[index] for n in ("images", "labels", "boxes")}
    tensors["masks"] = torch.from_numpy(found[np.concatenate([train, test])].astype(np.uint8))
    return tensors, about


def _pool(root: str | Path | None) -> ImageSet:
    """Every different image of the nine superclasses, training and validation images together, in a seeded order."""
    whole = joined(tiny_imagenet.pools(root, superclass_of_wnid(), CLASS_NAMES))
    if missing := sorted(set(range(len(CLASS_NAMES))) - set(whole.labels.tolist())):
        raise GazebookError(f"Tiny ImageNet lacks all classes of {', '.join(CLASS_NAMES[i] for i in missing)}; complete it")
    seen: dict[bytes, int] = {}
    for i, picture in enumerate(whole.images.numpy()):
        seen.setdefault(hashlib.sha256(picture.tobytes()).digest(), i)
    return whole.select(torch.from_numpy(np.random.default_rng(0).permutation(sorted(seen.values()))))


def _usable_first(pool: ImageSet) -> tuple[list[dict], np.ndarray]:
    """Counts by class, and the images for which a mask is made: those with a small enough box, as many of each class as
    ATTEMPTS allows.
    """
    small = _box_area(pool.boxes.numpy(), SIZE) <= LARGEST_BOX
    labels = pool.labels.numpy()
    own = [np.flatnonzero(small & (labels == label)) for label in range(len(CLASS_NAMES))]
    limit = round(ATTEMPTS * min(map(len, own)))
    rows = [
        {"class": name, "pictures": int((labels == label).sum()), "large box": int((~small & (labels == label)).sum())}
        for label, name in enumerate(CLASS_NAMES)
    ]
    return rows, np.sort(np.concatenate([o[:limit] for o in own]))


def _good(found: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Which masks, bool [N, H, W], are neither almost empty nor almost full: bool [N]."""
    area = found.mean(axis=(1, 2))
    enough = area >= SMALLEST_MASK * _box_area(boxes, SIZE)
    return (area >= MASK_AREA[0]) & (area <= MASK_AREA[1]) & enough


def _box_area(boxes: np.ndarray, size: int) -> np.ndarray:
    """Shares of a square image of that size that boxes cover, float [N]."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / size**2
