"""What rulers for any classifier are made of: images to measure on, a model's answers to them, and what is read off those."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import torch

from gazebook.data.class_folders import ClassFolder
from gazebook.data.image_set import ImageSet, balanced_order
from gazebook.measure.opened import Opened
from gazebook.models.heads import SoftmaxHead
from gazebook.train import to_float


@dataclass(frozen=True, eq=False)
class Source:
    """Images to measure on. `cuttable` bool [N]: those whose object can be cut out; None without masks."""

    images: ImageSet | ClassFolder
    cuttable: torch.Tensor | None

    @property
    def labelled(self) -> bool:
        """Whether the images have labels."""
        return bool(self.images.class_names)

    @cached_property
    def order(self) -> torch.Tensor:
        """All images, int64 [N], the classes by turns: a report that shows the first few shows several kinds."""
        if not self.labelled:
            return torch.arange(len(self.images))
        return balanced_order(self.images.labels, len(self.images.class_names))

    @cached_property
    def cut(self) -> torch.Tensor:
        """Those whose object can be cut out, in that order."""
        return self.order[self.cuttable[self.order]]

    @classmethod
    def of(cls, images: ImageSet | ClassFolder, limit: int | None = None) -> Source:
        """A source of at most `limit` images."""
        if isinstance(images, ClassFolder):
            return cls(images, images.cuttable)
        if limit is not None and limit < len(images):
            images = images.fraction(1.0, 0, limit)
        if images.masks is None or images.boxes is None:
            return cls(images, None)
        side = images.images.shape[-1]
        widths = images.boxes[:, 2:] - images.boxes[:, :2]
        usable = images.masks.flatten(1).any(dim=1) & (widths > 0).all(dim=1) & (widths < side).any(dim=1)
        return cls(images, usable)


@dataclass
class Answers:
    """What a model says of N images: predicted int64, confidence float, and probability float of the label, NaN without labels.

    With labels `predicted` is one of the set's, or class_map.NONE where the most probable class is none of its.
    """

    predicted: np.ndarray
    confidence: np.ndarray
    probability: np.ndarray

    @classmethod
    def joined(cls, parts: list[Answers]) -> Answers:
        """The answers to batches as one."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    def taken(self, index: torch.Tensor) -> Answers:
        """Those to some of the images."""
        return Answers(*(getattr(self, f.name)[index.numpy()] for f in fields(self)))


def answer(model: Opened, images: torch.Tensor, labels: torch.Tensor, to_label: torch.Tensor | None, device: str) -> Answers:
    """A model's answers to images [N, 3, H, W], uint8 or float in [0, 1]; `to_label` as of `class_map`, None without labels."""
    x = to_float(images) if images.dtype == torch.uint8 else images
    p = model.probabilities(x.to(device))
    top, confidence = p.argmax(dim=1), p.amax(dim=1)
    if to_label is None:
        return Answers(top.numpy(), confidence.numpy(), np.full(len(p), np.nan))
    predicted, of_label = to_label[top], torch.zeros(len(p))
    for c in labels.unique().tolist():
        own = labels == c
        of_label[own] = p[own][:, to_label == c].sum(dim=1)
    for c in predicted.unique().tolist():  # how sure it is of the label that it names
        own = predicted == c
        confidence[own] = p[own][:, to_label == c].sum(dim=1) if c >= 0 else confidence[own]
    return Answers(predicted.numpy(), confidence.clamp_max(1).numpy(), of_label.clamp_max(1).numpy())


@dataclass
class Row:
    """A measure by condition and level: values float [N], a number an image, of which the mean counts, NaN where it does not
    apply; or [N, K], of whose K means `statistic` is taken. `share`: each value is 0 or 1, or the mean of such; `least`: what
    it cannot be below.
    """

    measure: str
    values: np.ndarray
    condition: str = ""
    level: float = float("nan")
    statistic: Callable[[np.ndarray], float] | None = None
    share: bool = False
    least: float = -np.inf


@dataclass
class Looked:
    """The images that a ruler looked at, int64 [N], their labels, a model's answers by key, and those to the images."""

    index: np.ndarray
    labels: np.ndarray
    answers: dict[tuple, Answers]
    clean: Answers
    source: Source

    def right(self, *key) -> np.ndarray:
        """Whether the answers to made images are right, float [N]."""
        return (self.answers[key].predicted == self.labels).astype(float)


Make = Callable[[Source, torch.Tensor, torch.Tensor], Iterator[tuple[tuple, torch.Tensor]]]


@dataclass(frozen=True)
class Ruler:
    """`make(source, index, part)` yields what is done to the images index[part], by key; `read` says what the answers tell.

    `inside(model, source, index, part, device)` instead looks into a model: values [N] by (measure, condition), and images for
    the report. `needs`: labels, masks, attributes, gradients, maps. `title` names those keys of which the report shows images.
    """

    name: str
    question: str
    needs: frozenset[str] = frozenset()
    make: Make | None = None
    read: Callable[[Looked], list[Row]] | None = None
    inside: Callable | None = None
    title: Callable[..., str | None] = lambda *key: ", ".join(map(str, key))


def missing_needs(ruler: Ruler, model: Opened, source: Source) -> str:
    """Why a ruler cannot be used; "" where it can."""
    network = model.network.network
    cam = callable(getattr(network, "cam", None)) and not isinstance(getattr(network, "head", None), SoftmaxHead)
    masked = source.cuttable is not None and len(source.cut) > 1
    there = {
        "labels": (source.labelled, "the images have no labels"),
        "masks": (masked, "the images have no masks of their objects"),
        "attributes": (getattr(source.images, "attributes", None) is not None, "the images' attributes are not known"),
        "gradients": (model.explainable, "a black box, of which no layer can be looked into"),
        "maps": (cam, "there are no class maps with a background (a method .cam)"),
    }
    return next((reason for need, (ok, reason) in there.items() if need in ruler.needs and not ok), "")
