"""Checks of a lab: each task answers with a sentence, never with a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from gazebook import data, models
from gazebook.errors import first_line
from gazebook.models import Classifier
from gazebook.train import to_float
from gazebook.train.fit import Recipe, fit

SMALL = {"widths": [16, 32, 64], "strides": [2, 2, 1]}  # trains in a second or two on a laptop
torch.set_num_threads(1)  # quickest for networks as small as these, and kind to other notebooks
results: dict[str, bool] = {}


class NotYetError(AssertionError):
    """An answer that is missing or wrong; the text says what to do."""


@contextmanager
def task(name: str) -> Iterator[None]:
    """What stands in a `with` block checks one task; whatever goes wrong there becomes a sentence."""
    results[name] = False
    try:
        yield
    except NotYetError as error:
        print(f"✗ {name}: not yet: {error}")
    except Exception as error:  # noqa: BLE001 (students' code may raise anything)
        print(f"✗ {name}: not yet: your code stops with {type(error).__name__}: {first_line(error)}")
    else:
        results[name] = True
        print(f"✓ {name}: done.")


def expect(condition: object, hint: str) -> None:
    """Raises NotYetError with the hint unless the condition holds."""
    if condition is Ellipsis or condition is None or not bool(condition):
        raise NotYetError(hint)


def equal(found: object, wanted: object, what: str, tolerance: float = 1e-4) -> None:
    """Raises NotYetError unless two numbers, arrays or tensors are the same up to the tolerance, in shape too."""
    if found is None or found is Ellipsis:
        raise NotYetError(f"{what} is still missing: fill in the gap.")
    found, wanted = (np.asarray(x.detach() if isinstance(x, torch.Tensor) else x, dtype=float) for x in (found, wanted))
    expect(found.shape == wanted.shape, f"{what} has the shape {found.shape}, not {wanted.shape}.")
    expect(np.isfinite(found).all(), f"{what} has values that are not finite.")
    worst = float(np.abs(found - wanted).max(initial=0))
    shown = f"{float(found):.4g}" if found.ndim == 0 else f"off by up to {worst:.3g}"
    expect(worst <= tolerance, f"{what} is {shown}; look at the formula again.")


def score() -> None:
    """How many of the tasks are done."""
    print(f"{sum(results.values())} of {len(results)} tasks done")


def train(images, head: str = "softmax", seed: int = 0, intervene=None, **recipe) -> Classifier:
    """A small network trained on an ImageSet; `recipe` are fields of `Recipe`, eight epochs if it says nothing."""
    torch.manual_seed(seed)
    model = models.build("resnet8", images.num_classes, head, **SMALL)
    options = {"epochs": 8, "batch_size": 50, "lr": 0.1 if head == "softmax" else 0.05, "augmentation": "flip", "seed": seed}
    fit(model, images, Recipe(**(options | recipe)), intervene=intervene, progress=False)
    return model.eval()


@torch.no_grad()
def predict(model: Classifier, images: torch.Tensor) -> torch.Tensor:
    """The predicted classes int64 [N] of images uint8, or float in [0, 1], [N, 3, H, W]."""
    return model(to_float(images) if images.dtype == torch.uint8 else images).argmax(dim=1)


def scenes(split: str, images: int, **options):
    """Drawn scenes: an ImageSet with `.images` uint8 [N, 3, 32, 32], `.labels`, `.masks` (the object) and `.redraw`."""
    return data.load("scenes", split, images=images, **options)
