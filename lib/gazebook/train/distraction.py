"""Playing to distraction (Morales et al. 2021): hide what the model looks at, and train it on what is left."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from gazebook.errors import GazebookError, check_known
from gazebook.explain.saliency import class_weighted_maps, minmax_normalize, upsample

FILLS = ("zero", "one", "random", "mean")
PLACES = ("highest", "lowest", "shifted", "box", "cutout")
INPUT = "input"


@dataclass(frozen=True)
class Distraction:
    """The paper's algorithm 1 as an intervention for `fit`, and its controls.

    With probability `p`, drawn once a batch, every image of it is explained with the current weights (Grad-CAM of the true
    class, as in evaluation), the map upsampled to the image, then min-max normalised, and pixels above `th` are hidden. `fill`
    says by what, in [0, 1] before normalisation: black, white, uniform noise for each pixel and channel, or the batch's mean
    colour.

    `place` "highest" is the paper's. The others hide the same number of pixels elsewhere: "lowest" where the map before its
    ReLU is lowest, "shifted" the same shape moved around the picture's borders by a random amount, "box" a square at a random
    place. With `area` that share of each image is hidden instead of what is above `th`; "cutout" (DeVries & Taylor 2017) needs
    it: a square of that share of the image around a pixel drawn evenly, so that part of it may lie outside.

    `at` names a module of the model, such as "trunk.blocks.1": its features are explained and hidden instead of the picture's
    pixels (the paper's outlook, section 6), by zeros.
    """

    p: float = 0.25
    th: float = 0.85
    fill: str = "zero"
    place: str = "highest"
    area: float | None = None
    at: str = INPUT

    def __post_init__(self):
        for name, value, known in (("fill", self.fill, FILLS), ("place", self.place, PLACES)):
            check_known(name, value, known)
        for name, value in (("p", self.p), ("th", self.th), ("area", 0 if self.area is None else self.area)):
            if not 0 <= value <= 1:
                raise GazebookError(f"{name} is {value}; give a number in [0, 1]")
        if self.place == "cutout" and (self.area is None or self.at != INPUT):
            raise GazebookError("cutout hides a share of the image, not features; give area, and leave out at")
        if self.at != INPUT and self.fill != "zero":
            raise GazebookError(f"features of {self.at} can be hidden by zeros alone, not {self.fill}; set fill to zero")

    def __call__(
        self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """float [N, 3, H, W] in [0, 1], int64 [N] -> images of that shape, hidden in part or as they are, and the labels."""
        if not torch.rand((), generator=generator) < self.p:
            return images, labels
        hidden = self.hidden(model, images, labels, generator)
        if self.at == INPUT:
            return filled(images, hidden, self.fill, generator), labels
        _hide_once(_layer(model, self.at), hidden)
        return images, labels

    def hidden(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """What is hidden of images float [N, 3, H, W]: bool [N, H, W], or of the features of `at`, bool [N, h, w]."""
        if self.place == "cutout":
            return _cutout(round((self.area * images[0, 0].numel()) ** 0.5), images[:, 0], generator)
        if self.place == "box" and self.area is not None and self.at == INPUT:  # needs no explanation
            return _boxes(self._count(images[:, 0]), images.shape[-2:], generator)
        layer = None if self.at == INPUT else _layer(model, self.at)
        maps = class_weighted_maps(model, images, labels, layer)
        size = images.shape[-2:] if self.at == INPUT else maps.shape[-2:]
        signed = upsample(maps, size)
        chosen = (
            minmax_normalize(upsample(F.relu(maps), size)) > self.th if self.area is None else _top(signed, self._count(signed))
        )
        if self.place == "highest":
            return chosen
        if self.place == "shifted":
            return _shifted(chosen, generator)
        count = chosen.flatten(1).sum(dim=1)
        return _top(-signed, count) if self.place == "lowest" else _boxes(count, size, generator)

    def _count(self, maps: torch.Tensor) -> torch.Tensor:
        """Pixels to hide of maps [N, H, W], int64 [N]."""
        return torch.full((len(maps),), round(self.area * maps[0].numel()), device=maps.device)


def filled(images: torch.Tensor, hidden: torch.Tensor, fill: str, generator: torch.Generator) -> torch.Tensor:
    """Pictures float [N, 3, H, W] with the pixels of `hidden`, bool [N, H, W], replaced."""
    if fill == "random":
        new = torch.rand(images.shape, generator=generator, device=generator.device).to(images.device)
    else:
        new = {"zero": images.new_zeros(1), "one": images.new_ones(1)}.get(fill)
        new = images.mean(dim=(0, 2, 3), keepdim=True) if new is None else new
    return torch.where(hidden[:, None], new, images).contiguous(memory_format=torch.channels_last)


def _top(values: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """The `count` int64 [N] highest of values [N, H, W]: bool [N, H, W]; of equal ones the first."""
    order = values.flatten(1).argsort(dim=1, descending=True, stable=True)
    first = torch.arange(order.shape[1], device=order.device) < count[:, None]
    return torch.zeros_like(first).scatter(1, order, first).view(values.shape)


def _shifted(hidden: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each mask of [N, H, W] moved by its own amount; what leaves the image comes in on the other side."""
    n, h, w = hidden.shape
    y, x = (torch.arange(side) - torch.randint(side, (n, 1), generator=generator) for side in (h, w))
    y, x = (y % h).to(hidden.device), (x % w).to(hidden.device)
    return hidden[torch.arange(n, device=hidden.device)[:, None, None], y[:, :, None], x[:, None, :]]


def _boxes(count: torch.Tensor, size: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """A square at a random place for each count int64 [N], its last row shorter, so that the number of pixels is exact."""
    h, w = size
    side = count.double().sqrt().ceil().long().clamp(max=min(h, w))
    spare = torch.rand((2, len(count)), generator=generator).to(count.device)
    top, left = ((spare[i] * (length - side + 1)).long()[:, None, None] for i, length in enumerate((h, w)))
    y, x = torch.arange(h, device=count.device)[:, None] - top, torch.arange(w, device=count.device) - left
    side = side[:, None, None]
    return (y >= 0) & (x >= 0) & (y < side) & (x < side) & (y * side + x < count[:, None, None])


def _cutout(side: int, like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A square around a random pixel of each of [N, H, W], as far as it lies in the image: bool like it."""
    n, *size = like.shape
    starts = [torch.randint(length, (n, 1), generator=generator) - side // 2 for length in size]
    y, x = ((torch.arange(length) >= at) & (torch.arange(length) < at + side) for length, at in zip(size, starts, strict=True))
    return (y[:, :, None] & x[:, None, :]).to(like.device)


def _layer(model: nn.Module, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError as error:
        raise GazebookError(f"the model has no module {name!r}; give {INPUT}, or a name such as trunk.blocks.1") from error


def _hide_once(layer: nn.Module, hidden: torch.Tensor) -> None:
    """The layer's next output loses the places of `hidden`, bool [N, h, w]."""

    def hide(_module, _inputs, output):
        handle.remove()
        return output.masked_fill(hidden[:, None], 0)

    handle = layer.register_forward_hook(hide)
