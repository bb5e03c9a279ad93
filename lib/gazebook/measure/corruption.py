"""Accuracy, calibration and attention on corrupted images (paper 1, section 3.5): twelve corruptions at five severities."""

from collections.abc import Iterator

import numpy as np
import torch

from gazebook.data.image_set import ImageSet
from gazebook.errors import GazebookError
from gazebook.images import corrupt
from gazebook.measure.attention import Seen, as_bytes, see, winners
from gazebook.measure.ruler import Measured, Ruler, Trained
from gazebook.runs import Run

FIGURE_SEVERITY = 3  # the paper's figure 3
NOISE = ("gaussian_noise", "impulse_noise")  # for which the way of shrinking matters


@torch.no_grad()
def corruption(trained: Trained) -> Measured:
    """A row for the uncorrupted images of each protocol, then one for each of its conditions; class_counts as in `attention`;
    and with `examples` corrupted images, see `_examples`.
    """
    found = [(named, seen.row, seen.class_counts) for named, seen in _seen(trained)]
    rows = [{**named, "split": "test", **row} for named, row, _ in found]
    counts = np.stack([count for *_, count in found]).astype(np.int32)
    return Measured(rows, {"class_counts": counts, **_examples(trained)})


def conditions(evaluation: dict) -> dict[str, list[tuple[str, int]]]:
    """What `Run.evaluation` asks for: by protocol its (corruption, severity), all of them but for shrinking by area."""
    names = {p: NOISE if p == "upsampled_area" else corrupt.CORRUPTIONS for p in corrupt.PROTOCOLS if p in evaluation}
    return {p: [(name, severity) for name in chosen for severity in corrupt.SEVERITIES] for p, chosen in names.items()}


def _check(run: Run, test: ImageSet) -> None:
    for name in (*corrupt.PROTOCOLS, "examples"):
        count = run.evaluation.get(name, 1)
        if type(count) is not int or count < 1:
            raise GazebookError(f"evaluation has {name}: {count!r}; give a number of images")


def _prepare(run: Run, test: ImageSet, processes: int | None = None, deadline: float | None = None) -> None:
    """Make the corrupted images that the evaluation of a run needs; see `corrupt.prepare`."""
    for protocol, pairs in conditions(run.evaluation).items():
        corrupt.prepare(_subset(test, run.evaluation[protocol]), protocol, pairs, processes=processes, deadline=deadline)


CORRUPTION = Ruler(corruption, corrupt.PROTOCOLS, ("examples",), check=_check, prepare=_prepare)


def _seen(trained: Trained) -> Iterator[tuple[dict, Seen]]:
    """(names of the row, what was seen) for the uncorrupted images of each protocol, then for each condition."""
    model, device = trained.model, trained.device
    for protocol, pairs in conditions(trained.run.evaluation).items():
        subset = _subset(trained.test, trained.run.evaluation[protocol])
        clean = see(model, subset.images, subset.labels, device)
        yield {"condition": "clean", "severity": 0, "pipeline": protocol}, clean
        for name, severity in pairs:
            images = corrupt.corrupted(subset, name, severity, protocol=protocol)
            m = see(model, images, subset.labels, device, clean=clean.attention)
            yield {"condition": name, "severity": severity, "pipeline": protocol}, m


def _examples(trained: Trained) -> dict[str, np.ndarray]:
    """The first E images of the protocol with most images, under each of K corruptions at severity 3: uint8
    corrupted_examples [K, E, 3, H, W], corrupted_attention and corrupted_winners [K, E, H, W]. Empty without `examples`.
    """
    evaluation, count = trained.run.evaluation, trained.asked("examples")
    if not count:
        return {}
    protocol = max(conditions(evaluation), key=evaluation.get)
    subset = _subset(trained.test, evaluation[protocol])
    images = torch.stack(
        [corrupt.corrupted(subset, n, FIGURE_SEVERITY, protocol=protocol)[:count] for n in corrupt.CORRUPTIONS]
    )
    attention = [see(trained.model, part, subset.labels[:count], trained.device).attention for part in images]
    return {
        "corrupted_examples": images.numpy(),
        "corrupted_attention": np.stack([as_bytes(a) for a in attention]),
        "corrupted_winners": np.stack([winners(trained.model, part, trained.device) for part in images]),
    }


def _subset(test: ImageSet, count: int) -> ImageSet:
    """The first images of a fixed balanced order, the same for all models."""
    return test.fraction(1.0, 0, count)
