"""A ruler measures something of a trained model; `measure` applies those that a run asks for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from gazebook.data.image_set import ImageSet
from gazebook.errors import GazebookError
from gazebook.models.pretrained import batch_size
from gazebook.runs import Run


@dataclass
class Trained:
    """A trained model in evaluation mode with the images of its run; `train` is None for a pretrained model as it is."""

    model: nn.Module
    run: Run
    train: ImageSet | None
    test: ImageSet
    device: torch.device | str = "cpu"

    def asked(self, name: str, default: Any = None) -> Any:
        """What the run's evaluation says of `name`."""
        return self.run.evaluation.get(name, default)

    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """Images float [N, 3, H, W] in [0, 1] -> probabilities float [N, C] on the CPU, in batches."""
        return probabilities(self.model, images, self.device)

    @cached_property
    def clean(self) -> torch.Tensor:
        """Probabilities of the test images, float [N, C]."""
        from gazebook.train import to_float

        return self.probabilities(to_float(self.test.images))


@dataclass
class Measured:
    """What a ruler gives: rows of a record, arrays for figures, and facts for the provenance, such as speeds."""

    rows: list[dict] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ruler:
    """A measurement by the keys of `Run.evaluation` that ask for it: any of `keys`; without keys it is always taken.

    `options` are further keys that it reads. `check(run, test)` raises GazebookError for values that make no sense, and
    `prepare(run, test, processes, deadline)` makes beforehand what all models share.
    """

    measure: Callable[[Trained], Measured]
    keys: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    check: Callable[[Run, ImageSet], None] | None = None
    prepare: Callable[..., None] | None = None

    def is_asked(self, run: Run) -> bool:
        """Whether the run asks for it."""
        return not self.keys or any(run.evaluation.get(key) for key in self.keys)


def checked(run: Run, test: ImageSet, rulers: Sequence[Ruler]) -> list[Ruler]:
    """The rulers that a run asks for. Raises GazebookError for keys of its evaluation that no ruler knows."""
    known = {name for ruler in rulers for name in (*ruler.keys, *ruler.options)} | {"data"}
    if unknown := sorted(set(run.evaluation) - known):
        raise GazebookError(f"evaluation has unknown {', '.join(unknown)}; choose from {', '.join(sorted(known))}")
    for ruler in rulers:
        if ruler.check and (not ruler.keys or set(ruler.keys) & set(run.evaluation)):
            ruler.check(run, test)
    return [ruler for ruler in rulers if ruler.is_asked(run)]


def measure(trained: Trained, rulers: Sequence[Ruler]) -> Measured:
    """What all rulers that the run asks for give; arrays of one name are joined along their first axis."""
    trained.model.eval()
    whole = Measured()
    for ruler in checked(trained.run, trained.test, rulers):
        part = ruler.measure(trained)
        whole.rows += part.rows
        whole.facts |= part.facts
        for name, array in part.arrays.items():
            there = whole.arrays.get(name)
            whole.arrays[name] = array if there is None else np.concatenate([there, array])
    return whole


def check_counts(*names: str) -> Callable[[Run, ImageSet], None]:
    """A check that these keys of an evaluation are whole numbers."""

    def check(run: Run, test: ImageSet) -> None:
        for name in names:
            value = run.evaluation.get(name, 0)
            if type(value) is not int or value < 0:
                raise GazebookError(f"evaluation has {name}: {value!r}; give a whole number of images or draws")

    return check


def check_redrawn(*names: str) -> Callable[[Run, ImageSet], None]:
    """A check that the test images can be drawn again, as these keys of an evaluation need."""

    def check(run: Run, test: ImageSet) -> None:
        if test.drawing is None:
            raise GazebookError(f"only scenes can be drawn again, not {test.name}; leave out {', '.join(names)}")

    return check


@torch.no_grad()
def probabilities(model: nn.Module, images: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """Images float [N, 3, H, W] in [0, 1] -> probabilities float [N, C] on the CPU, in batches."""
    size = batch_size(model, device)
    return torch.cat([model(part.to(device)).float().softmax(dim=1).cpu() for part in images.split(size)])


def accuracy_row(split: str, condition: str, draw: int, right: torch.Tensor) -> dict:
    """A row of a record: the share of images that are classified rightly, bool [N], to six digits."""
    accuracy = round(float(right.float().mean()), 6)
    return {"split": split, "condition": condition, "draw": draw, "images": len(right), "accuracy": accuracy}
