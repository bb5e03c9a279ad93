"""`ImageSet`: images, labels and everything known about them, as tensors."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from gazebook.errors import GazebookError


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A split of a data set, held in memory.

    images: uint8 [N, 3, H, W]; labels: int64 [N]; masks: bool [N, H, W], the foreground; boxes: int64 [N, 4] as x0, y0, x1,
    y1 in pixels, end exclusive; backgrounds: int64 [N], index into background_names; attributes: bool [N, A, H, W], one mask
    for each of attribute_names; ids: N names of images; drawing: how scenes were drawn, so that they can be drawn again.
    `source` says in words where the images came from; it goes into every record.
    """

    name: str
    split: str
    images: torch.Tensor
    labels: torch.Tensor
    class_names: tuple[str, ...]
    source: str
    masks: torch.Tensor | None = None
    boxes: torch.Tensor | None = None
    backgrounds: torch.Tensor | None = None
    background_names: tuple[str, ...] = ()
    attributes: torch.Tensor | None = None
    attribute_names: tuple[str, ...] = ()
    ids: tuple[str, ...] | None = None
    drawing: Any = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of shape, labels and images, 64 hexadecimal digits."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        digest.update(self.labels.numpy().tobytes())
        digest.update(self.images.contiguous().numpy().data)
        return digest.hexdigest()

    def select(self, indices: torch.Tensor) -> ImageSet:
        """The images at `indices` (int64 [M]), in that order, with all that is known about them."""
        per_image = ("images", "labels", "masks", "boxes", "backgrounds", "attributes")
        chosen = {n: getattr(self, n)[indices] for n in per_image if getattr(self, n) is not None}
        if self.ids is not None:
            chosen["ids"] = tuple(self.ids[i] for i in indices.tolist())
        if self.drawing is not None:
            chosen["drawing"] = self.drawing[indices.numpy()]
        return dataclasses.replace(self, **chosen)

    def redraw(self, **changes):
        """The same scenes drawn with changes, such as `background="sky"` or `without=["wheels"]`; see `scenes.Drawing`.

        Raises GazebookError for images that were not drawn.
        """
        if self.drawing is None:
            raise GazebookError(f"only scenes can be drawn again, not {self.name}; use scenes or fine_scenes")
        return self.drawing(**changes)

    def balanced_order(self, seed: int = 0) -> torch.Tensor:
        """`balanced_order` of this set's labels."""
        return balanced_order(self.labels, self.num_classes, seed)

    def fraction(self, share: float, seed: int = 0, of: int | None = None) -> ImageSet:
        """The class-balanced, nested, seeded share in (0, 1] of this set, or of its first `of` balanced images."""
        total = len(self) if of is None else of
        if total > len(self):
            raise GazebookError(f"{self.name} {self.split} has {len(self)} images, {total} were asked for; ask for fewer")
        count = round(share * total)
        if not 0 < share <= 1 or count < 1:
            raise GazebookError(f"a share of {share} of {total} images is empty or too large; give a share in (0, 1]")
        return self.select(self.balanced_order(seed)[:count])


def joined(sets: Sequence[ImageSet]) -> ImageSet:
    """Images, labels, boxes and ids of sets of the same classes, one set after the other."""
    whole = {n: torch.cat([getattr(s, n) for s in sets]) for n in ("images", "labels", "boxes")}
    return dataclasses.replace(sets[0], ids=tuple(i for s in sets for i in s.ids), **whole)


def balanced_order(labels: torch.Tensor, num_classes: int, seed: int = 0) -> torch.Tensor:
    """A seeded order of all indices, int64 [N], in which every prefix is as class-balanced as it can be.

    The classes take turns; each class's own order is a seeded permutation. Prefixes are nested by construction.
    """
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(labels), generator=generator)
    labels = labels[shuffled]
    turn = torch.empty_like(labels)
    for c in range(num_classes):
        members = labels == c
        turn[members] = torch.arange(int(members.sum()))
    return shuffled[torch.argsort(turn * num_classes + labels, stable=True)]
