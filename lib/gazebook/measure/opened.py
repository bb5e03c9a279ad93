"""Classifiers from anywhere, behind one face: images in [0, 1] -> probabilities.

A name of timm or torchvision, an own module (PACKAGE.MODULE:NAME), a checkpoint of this book, or a file (see `models.formats`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from gazebook.data.class_map import imagenet_names
from gazebook.errors import GazebookError
from gazebook.models import pretrained
from gazebook.models.foreign import ForeignMaps, module_from_python, said
from gazebook.models.formats import SIZE, Preprocessing, is_file_of_a_network, open_file, plain
from gazebook.models.pretrained import Pretrained
from gazebook.runs import Run
from gazebook.train import checkpoint

BOOK_SIZE = 32  # pixels, of the image sets that this project trains on by default
NEAR_ONE = 0.01  # how far sums of probabilities may be from 1


@dataclass(frozen=True)
class Opened:
    """A classifier: `probabilities` of images float [N, 3, H, W] in [0, 1], of any size.

    `network` holds its preprocessing; `explainable` says whether gradients of its layers can be had; `class_names` are None
    where nobody knows them, `run` where this project did not train it.
    """

    name: str
    network: Pretrained
    class_names: tuple[str, ...] | None
    num_classes: int
    explainable: bool = True
    run: Run | None = None

    @cached_property
    def maps(self) -> ForeignMaps:
        """Its class maps, checked. Raises GazebookError where they are none."""
        own = self.network.network
        return own if isinstance(own, ForeignMaps) else ForeignMaps(self.name, own, self.size)

    @property
    def size(self) -> int:
        """Side of the images that it wants, in pixels."""
        return max(self.network.size)

    @torch.no_grad()
    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """float [N, 3, H, W] in [0, 1] -> float32 [N, C] on the CPU. Raises GazebookError that names the model."""
        return probabilities(self.name, self.network, images, self.num_classes)


def probabilities(name: str, network: nn.Module, images: torch.Tensor, count: int | None = None) -> torch.Tensor:
    """What a network says of images, checked: scores become shares by a softmax unless they are shares already."""
    try:
        scores = network(images)
    except GazebookError:
        raise
    except (Exception, SystemExit) as error:
        raise GazebookError(
            f"{name} failed on {len(images)} images of {images.shape[-1]} px ({said(error)}); give its --size, or correct it"
        ) from error
    if fault := _fault(scores, images, count):
        raise GazebookError(f"{name} gives {fault}; expected finite scores of classes [N, C]")
    scores = scores.detach().float().cpu()
    is_share = (scores >= 0).all() and ((scores.sum(dim=1) - 1).abs() < NEAR_ONE).all()
    return scores / scores.sum(dim=1, keepdim=True) if is_share else scores.softmax(dim=1)


def _fault(scores: object, images: torch.Tensor, count: int | None) -> str | None:
    """What is wrong with a network's output; None where nothing is."""
    if not isinstance(scores, torch.Tensor):
        return f"a {type(scores).__name__}"
    if scores.ndim != 2 or len(scores) != len(images) or scores.shape[1] < 2 or not scores.is_floating_point():
        return f"{scores.dtype} of shape {list(scores.shape)} for {len(images)} images"
    if count is not None and scores.shape[1] != count:
        return f"{scores.shape[1]} classes, and {count} for other images"
    return None if scores.isfinite().all() else "NaN or infinite values"


def open_model(
    spec: str | Path, given: Preprocessing | None = None, *, labels: tuple[str, ...] | None = None, device: str = "cpu"
) -> Opened:
    """The classifier that a text names , tried on two images. Raises GazebookError with the remedy."""
    text, given = str(spec), given or Preprocessing()
    for share in filter(None, [given.crop]):
        if not 0 < share <= 1:
            raise GazebookError(f"crop is {share}; give the middle share of each side that the model sees, in (0, 1]")
    if given.std and min(given.std) <= 0:
        raise GazebookError(f"std is {given.std}; give standard deviations above 0")
    network, names, explainable, run = _found(text, given)
    network.crop = given.crop or network.crop
    short = Path(text).stem if Path(text).suffix and ":" not in text and Path(text).is_file() else text
    return replace(_tried(text, network.to(device), labels or names, explainable), name=_title(run) if run else short, run=run)


def _title(run: Run) -> str:
    images = f"{run.fraction:.0%} of {run.train_images}" if run.train_images else f"{run.fraction:.0%}"
    length = "" if run.updates is None else f", {run.updates} updates"
    return f"{run.augmentation}, {images} images, seed {run.seed}{length}"


def as_model(
    module: nn.Module, name: str = "model", *, size: int = SIZE, mean: tuple[float, float, float] = (0.0,) * 3,
    std: tuple[float, float, float] = (1.0,) * 3, class_names: tuple[str, ...] | None = None, device: str = "cpu",
) -> Opened:  # fmt: skip
    """A torch module that gives scores [N, C] of images, which it wants at `size` pixels, normalised. Raises GazebookError."""
    return _tried(name, plain(module, Preprocessing(size, mean, std)).to(device), class_names, True)


def _tried(name: str, network: Pretrained, names: tuple[str, ...] | None, explainable: bool) -> Opened:
    """A network that was shown two images."""
    side, device = max(network.eval().size), network.mean.device
    found = probabilities(name, network, torch.linspace(0, 1, 6 * side * side, device=device).view(2, 3, side, side))
    names = names or imagenet_names(found.shape[1])
    if names is not None and len(names) != found.shape[1]:
        raise GazebookError(f"{name} has {found.shape[1]} classes, and {len(names)} labels are given; correct --labels")
    return Opened(name, network, names, found.shape[1], explainable)


def unique_names(models: Sequence) -> list:
    """Models, dataclasses with a `name`, under names that differ: where several have the same, numbers are added."""
    names = [model.name for model in models]
    return [
        replace(model, name=f"{model.name} ({names[: i + 1].count(model.name)})") if names.count(model.name) > 1 else model
        for i, model in enumerate(models)
    ]


def _found(text: str, given: Preprocessing) -> tuple[Pretrained, tuple[str, ...] | None, bool, Run | None]:
    """The network that a text names, the names of its classes, whether its layers can be looked into, and the run of this
    project that trained it.
    """
    if is_file_of_a_network(text):
        return open_file(text, given), None, False, None
    if text.endswith(".safetensors"):
        module, run, names = checkpoint.load_model(Path(text))
        return plain(module, replace(given, size=given.size or BOOK_SIZE)), names, True, run
    if ":" in text:
        module = module_from_python(text).float()
        if type(module).forward is nn.Module.forward and hasattr(module, "cam"):
            module = ForeignMaps(text, module, given.size or SIZE)
        names = getattr(module, "class_names", None)
        return plain(module, given), tuple(map(str, names)) if names else None, True, None
    own = pretrained.load(text.removeprefix("timm/"))
    mean, std = (tuple(v.flatten().tolist()) for v in (own.mean, own.std))
    size = own.size if given.size is None else (given.size, given.size)
    return Pretrained(own.network, size, given.mean or mean, given.std or std), None, True, None
