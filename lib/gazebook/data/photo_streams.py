"""Photo streams: an unbalanced stand-in for egocentric images (paper 4, section 5), made from any data set.

A wearable camera takes many images of one event, which differ little. Here an *event* is an image of another set, and its
*frames* are that image moved by a few pixels, brighter or darker. Classes have a long tail of events. Events of the test
split are never seen in training; with `leaky` the test split holds further frames of training events instead, which is what
a split by images does.
"""

import dataclasses
from pathlib import Path

import torch
import torch.nn.functional as F

from gazebook import data
from gazebook.data.image_set import ImageSet
from gazebook.data.unbalanced import long_tail, oversampled
from gazebook.errors import GazebookError

LARGEST, IMBALANCE, FRAMES = 400, 20.0, 4  # defaults of the events of the largest class, and so on
SHIFT = 1 / 8  # of the side: how far a frame moves at most, in each direction
GAIN = (0.8, 1.2)  # of brightness


def load(
    split: str, root: str | Path | None = None, *, of: str = "cifar10", of_options: dict | None = None, largest: int = LARGEST,
    test_largest: int | None = None, imbalance: float = IMBALANCE, frames: int = FRAMES, oversample: bool = False,
    leaky: bool = False, seed: int = 0,
) -> ImageSet:  # fmt: skip
    """Frames of the events of a split; test events have one frame each. `ids` are event/frame.

    The largest class has `largest` events, or `test_largest` of the test split, the smallest `imbalance` times fewer.
    `oversample` repeats frames of classes smaller than the fourth largest, in training alone. `of` and `of_options` name the
    images. Raises GazebookError.
    """
    if frames < 1:
        raise GazebookError(f"{frames} frames an event were asked for; ask for at least 1")
    source = data.load(of, "train" if leaky else split, root=root, **(of_options or {}))
    count = test_largest if test_largest and split == "test" and not leaky else largest
    events = _events(source, count, imbalance, seed)
    numbers = range(frames, frames + 1) if leaky and split == "test" else range(frames if split == "train" else 1)
    made = [_frame(events.images, torch.Generator().manual_seed(seed * 1000 + k + 500 * (split == "test"))) for k in numbers]
    streams = ImageSet(
        "photo_streams", split, torch.cat(made), events.labels.repeat(len(made)), events.class_names,
        f"photo streams of {source.source}", ids=tuple(f"{i}/{k}" for k in numbers for i in events.ids),
    )  # fmt: skip
    return streams.select(oversampled(streams.labels, seed=seed)) if oversample and split == "train" else streams


def training_size(*, largest: int = LARGEST, frames: int = FRAMES, **_) -> int:
    """About how many training frames there are."""
    return 5 * largest * frames


def _events(source: ImageSet, largest: int, imbalance: float, seed: int) -> ImageSet:
    sizes = torch.from_numpy(long_tail(largest, imbalance, source.num_classes, seed))
    have = torch.bincount(source.labels, minlength=source.num_classes)
    if (sizes > have).any():
        raise GazebookError(
            f"{source.name} {source.split} has {int(have.min())} images of a class; ask for fewer than {largest}"
        )
    chosen = [(source.labels == c).nonzero()[:, 0][: int(sizes[c])] for c in range(source.num_classes)]
    events = source.select(torch.cat(chosen))
    return events if events.ids else dataclasses.replace(events, ids=tuple(map(str, torch.cat(chosen).tolist())))


def _frame(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One frame of each event: uint8 [N, 3, H, W] -> the same shape."""
    n, _, h, w = images.shape
    reach = round(SHIFT * h)
    padded = F.pad(images.float(), (reach,) * 4, mode="reflect")
    top, left = (torch.randint(2 * reach + 1, (n,), generator=generator)[:, None] for _ in range(2))
    rows, columns = top + torch.arange(h), left + torch.arange(w)
    moved = padded[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    gain = GAIN[0] + (GAIN[1] - GAIN[0]) * torch.rand(n, generator=generator)[:, None, None, None]
    return (moved * gain).round().clamp(0, 255).to(torch.uint8)
