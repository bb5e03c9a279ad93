"""How a model of paper 1 is measured: one row a condition, and the small arrays that figures need.

A condition is the clean test set, or a corruption at a severity under a protocol. Pictures stream through the device in
large batches; what is measured for each picture stays there until the condition is done.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from gazebook import metrics
from gazebook.data import corrupt
from gazebook.data.image_set import ImageSet
from gazebook.errors import GazebookError
from gazebook.explain import resize_maps
from gazebook.models import Classifier, implicit_background
from gazebook.runs import Run
from gazebook.train import to_float

BATCH = {"cpu": 500, "cuda": 2500}
EXAMPLES = 10  # test images whose pictures, attention and winning classes are kept: one of each class
COMPARED = 200  # test images whose attention is kept at every second pixel, to compare models; the examples first
LEVELS = 31  # of the attention that is kept for comparison: adds 1e-4 to an MSE, halves the file
TRAIN_SAMPLE = 2000  # training images on which the training accuracy is measured
FIGURE_SEVERITY = 3  # the paper's figure 3
NOISE = ("gaussian_noise", "impulse_noise")  # for which the way of shrinking matters


@dataclass(frozen=True)
class Measured:
    """One model on one set of pictures: a row of metrics, probabilities [N, C], attention [N, H, W] on the device,
    and class_counts int [3, C]: predictions of each class, pixels of it in the region, pictures with a pixel of it.
    """

    row: dict
    probabilities: np.ndarray
    attention: torch.Tensor
    class_counts: np.ndarray


def conditions(evaluation: dict) -> dict[str, list[tuple[str, int]]]:
    """What `Run.evaluation` asks for: by protocol its (corruption, severity), all of them but for shrinking by area."""
    names = {p: NOISE if p == "upsampled_area" else corrupt.CORRUPTIONS for p in corrupt.PROTOCOLS if p in evaluation}
    if unknown := set(evaluation) - set(corrupt.PROTOCOLS) - {"examples"}:
        raise GazebookError(
            f"evaluation has unknown {', '.join(sorted(unknown))}; give numbers of images for {', '.join(corrupt.PROTOCOLS)}, "
            "and examples"
        )
    for name, count in evaluation.items():
        if type(count) is not int or count < 1:
            raise GazebookError(f"evaluation has {name}: {count!r}; give a number of images")
    return {p: [(name, severity) for name in chosen for severity in corrupt.SEVERITIES] for p, chosen in names.items()}


def prepare(run: Run, test: ImageSet, processes: int | None = None, deadline: float | None = None) -> None:
    """Make the corrupted pictures that the evaluation of a run needs; see `corrupt.prepare`."""
    for protocol, pairs in conditions(run.evaluation).items():
        corrupt.prepare(_subset(test, run.evaluation[protocol]), protocol, pairs, processes=processes, deadline=deadline)


@torch.no_grad()
def evaluate(
    model: Classifier, run: Run, train: ImageSet, test: ImageSet, device: torch.device | str = "cpu"
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Rows for the test set, for a sample of the training set, and for each condition of `run.evaluation`; arrays.

    Arrays: reliability [15, 3]; examples uint8 [10, 3, H, W], the first images of a fixed balanced order of the test
    set, with attention uint8 and winners uint8 [10, H, W]; compared uint8 [200, H/2, W/2], attention times 31 at every
    second pixel; class_counts int32 [rows, 3, C]; and with `examples` pictures of corrupted images, see `_corrupted_examples`.
    """
    model.eval()
    order = test.balanced_order(seed=0)
    whole = measure(model, test.images, test.labels, device, regions=True)
    sample = train.select(torch.arange(min(TRAIN_SAMPLE, len(train))))
    fitted = measure(model, sample.images, sample.labels, device, regions=True)
    parts = [({"condition": "clean", "split": split}, m) for split, m in (("test", whole), ("train", fitted))]
    rows = [{**named, **m.row} for named, m in parts]
    counts = [m.class_counts for _, m in parts]
    for named, m in _corrupted_conditions(model, run, test, device):
        rows.append({**named, "split": "test", **m.row})
        counts.append(m.class_counts)
    attention = whole.attention[order[:COMPARED].to(whole.attention.device)]
    shown = test.images[order[:EXAMPLES]]
    arrays = {
        "reliability": metrics.reliability_bins(whole.probabilities, test.labels),
        "attention": _as_bytes(attention[:EXAMPLES]),
        "compared": _as_bytes(attention[:, ::2, ::2], LEVELS),
        "examples": shown.numpy(),
        "winners": _winners(model, shown, device),
        "class_counts": np.stack(counts).astype(np.int32),
        **_corrupted_examples(model, run, test, device),
    }
    return rows, arrays


def measure(
    model: Classifier,
    images: torch.Tensor,
    labels: torch.Tensor,
    device: torch.device | str,
    *,
    regions: bool = False,
    clean: torch.Tensor | None = None,
) -> Measured:
    """A model on images uint8 [N, 3, H, W] with labels int64 [N]. `regions` counts connected regions, on the CPU.

    `clean` is the model's attention [N, H, W] to the same pictures without corruption: the row gets `mse_clean`.
    """
    device = torch.device(device)
    parts: dict[str, list[torch.Tensor]] = {}
    counts = 0
    for start in range(0, len(images), BATCH.get(device.type, 500)):
        batch = slice(start, start + BATCH.get(device.type, 500))
        maps = model.cam(to_float(images[batch].to(device)))
        read, seen = read_attention(maps, images.shape[-2:], None if clean is None else clean[batch])
        read["p"] = model.head.pool(maps).softmax(dim=1)
        counts = counts + seen
        for name, values in read.items():
            parts.setdefault(name, []).append(values)
    whole = {name: torch.cat(values) for name, values in parts.items()}
    attention = whole.pop("a")
    found = {name: values.double().cpu().numpy() for name, values in whole.items()}
    p, y = found.pop("p"), labels.numpy()
    if regions:
        found["regions"] = metrics.regions_per_image(attention.cpu().numpy())
    predictions = np.bincount(p.argmax(axis=1), minlength=p.shape[1])
    return Measured(_row(p, y, found), p, attention, np.stack([predictions, *counts.cpu().numpy()]))


def read_attention(
    maps: torch.Tensor, size: tuple[int, int], clean: torch.Tensor | None = None
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Label-free measures of class maps [N, C, h, w] at the images' size (paper 1, section 2.2), on their device.

    Returns the attention `a` [N, H, W] and measures of each picture [N], and counts int64 [2, C]: pixels of each class in
    the region A > 1/2, and pictures with such a pixel.
    """
    large = resize_maps(maps, size)
    a = torch.sigmoid(-implicit_background(large))
    winners, region = large.argmax(dim=1), a > 0.5
    share = a.flatten(1)
    present = torch.stack([(region & (winners == c)).flatten(1).any(dim=1) for c in range(maps.shape[1])], dim=1)
    read = {
        "a": a,
        "sparsity": (share <= 0.5).float().mean(dim=1),
        "sparsity_30": (share <= 0.3).float().mean(dim=1),
        "sparsity_70": (share <= 0.7).float().mean(dim=1),
        "attention": share.mean(dim=1),
        "soft_share": ((share > metrics.SOFT[0]) & (share < metrics.SOFT[1])).float().mean(dim=1),
        "classes": present.sum(dim=1),
    }
    if clean is not None:
        read["mse_clean"] = (a - clean).square().mean(dim=(1, 2))
    pixels = torch.bincount(winners[region], minlength=maps.shape[1])
    return read, torch.stack([pixels, present.sum(dim=0)])


def _row(p: np.ndarray, y: np.ndarray, per_image: dict[str, np.ndarray]) -> dict:
    """A condition's row: means over its pictures, to six digits."""
    right = p.argmax(axis=1) == y
    row = {
        "accuracy": metrics.accuracy(p, y),
        "confidence": metrics.confidence(p),
        "ece_15": metrics.expected_calibration_error(p, y, 15),
        "ece_10": metrics.expected_calibration_error(p, y, 10),
        **{name: float(values.mean()) for name, values in per_image.items()},
        "sparsity_right": _mean_or_none(per_image["sparsity"][right]),
        "sparsity_wrong": _mean_or_none(per_image["sparsity"][~right]),
    }
    return {"images": len(y)} | {name: None if v is None else round(v, 6) for name, v in row.items()}


def _corrupted_conditions(model: Classifier, run: Run, test: ImageSet, device):
    """(names of the row, what was measured) for the uncorrupted pictures of each protocol, then for each condition."""
    for protocol, pairs in conditions(run.evaluation).items():
        subset = _subset(test, run.evaluation[protocol])
        clean = measure(model, subset.images, subset.labels, device)
        yield {"condition": "clean", "severity": 0, "pipeline": protocol}, clean
        for name, severity in pairs:
            images = corrupt.corrupted(subset, name, severity, protocol=protocol)
            m = measure(model, images, subset.labels, device, clean=clean.attention)
            yield {"condition": name, "severity": severity, "pipeline": protocol}, m


def _corrupted_examples(model: Classifier, run: Run, test: ImageSet, device) -> dict[str, np.ndarray]:
    """The first E pictures of the protocol with most pictures, under each of K corruptions at severity 3: uint8
    corrupted_examples [K, E, 3, H, W], corrupted_attention and corrupted_winners [K, E, H, W]. Empty without `examples`.
    """
    protocols, examples = list(conditions(run.evaluation)), run.evaluation.get("examples")
    if not examples or not protocols:
        return {}
    protocol = max(protocols, key=run.evaluation.get)
    subset = _subset(test, run.evaluation[protocol])
    pictures = torch.stack(
        [corrupt.corrupted(subset, n, FIGURE_SEVERITY, protocol=protocol)[:examples] for n in corrupt.CORRUPTIONS]
    )
    attention = [measure(model, images, subset.labels[:examples], device).attention for images in pictures]
    return {
        "corrupted_examples": pictures.numpy(),
        "corrupted_attention": np.stack([_as_bytes(a) for a in attention]),
        "corrupted_winners": np.stack([_winners(model, images, device) for images in pictures]),
    }


def _subset(test: ImageSet, count: int) -> ImageSet:
    """The first images of a fixed balanced order, the same for all models."""
    return test.fraction(1.0, 0, count)


def _winners(model: Classifier, images: torch.Tensor, device) -> np.ndarray:
    maps = model.cam(to_float(images.to(device)))
    return resize_maps(maps, images.shape[-2:]).argmax(dim=1).to(torch.uint8).cpu().numpy()


def _as_bytes(attention: torch.Tensor, levels: int = 255) -> np.ndarray:
    return (attention * levels).round().to(torch.uint8).cpu().numpy()


def _mean_or_none(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
