"""Attention of an implicit-background model (paper 1, section 2.2): sparsity, classes and regions, accuracy and calibration.

Images stream through the device in large batches; what is measured for each image stays there until all are done.
"""

from dataclasses import dataclass

import numpy as np
import torch

from gazebook import metrics
from gazebook.explain import resize_maps
from gazebook.measure.ruler import Measured, Ruler, Trained
from gazebook.models import Classifier, implicit_background
from gazebook.train import to_float

BATCH = {"cpu": 500, "cuda": 2500}
EXAMPLES = 10  # test images that are kept with attention and winning classes: one of each class
COMPARED = 200  # test images whose attention is kept at every second pixel, to compare models; the examples first
LEVELS = 31  # of the attention that is kept for comparison: adds 1e-4 to an MSE, halves the file
TRAIN_SAMPLE = 2000  # training images on which the training accuracy is measured


@dataclass(frozen=True)
class Seen:
    """One model on one set of images: a row of metrics, probabilities [N, C], attention [N, H, W] on the device,
    and class_counts int [3, C]: predictions of each class, pixels of it in the region, images with a pixel of it.
    """

    row: dict
    probabilities: np.ndarray
    attention: torch.Tensor
    class_counts: np.ndarray


@torch.no_grad()
def attention(trained: Trained) -> Measured:
    """Rows for the test set and for a sample of the training set.

    Arrays: reliability [15, 3]; examples uint8 [10, 3, H, W], the first images of a fixed balanced order of the test
    set, with attention uint8 and winners uint8 [10, H, W]; compared uint8 [200, H/2, W/2], attention times 31 at every
    second pixel; class_counts int32 [rows, 3, C].
    """
    model, test, train, device = trained.model, trained.test, trained.train, trained.device
    order = test.balanced_order(seed=0)
    whole = see(model, test.images, test.labels, device, regions=True)
    sample = train.select(torch.arange(min(TRAIN_SAMPLE, len(train))))
    fitted = see(model, sample.images, sample.labels, device, regions=True)
    kept = whole.attention[order[:COMPARED].to(whole.attention.device)]
    shown = test.images[order[:EXAMPLES]]
    arrays = {
        "reliability": metrics.reliability_bins(whole.probabilities, test.labels),
        "attention": as_bytes(kept[:EXAMPLES]),
        "compared": as_bytes(kept[:, ::2, ::2], LEVELS),
        "examples": shown.numpy(),
        "winners": winners(model, shown, device),
        "class_counts": np.stack([whole.class_counts, fitted.class_counts]).astype(np.int32),
    }
    rows = [{"condition": "clean", "split": split, **m.row} for split, m in (("test", whole), ("train", fitted))]
    return Measured(rows, arrays)


ATTENTION = Ruler(attention)


def see(
    model: Classifier,
    images: torch.Tensor,
    labels: torch.Tensor,
    device: torch.device | str,
    *,
    regions: bool = False,
    clean: torch.Tensor | None = None,
) -> Seen:
    """A model on images uint8 [N, 3, H, W] with labels int64 [N]. `regions` counts connected regions, on the CPU.

    `clean` is the model's attention [N, H, W] to the same images without corruption: the row gets `mse_clean`.
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
    a = whole.pop("a")
    found = {name: values.double().cpu().numpy() for name, values in whole.items()}
    p, y = found.pop("p"), labels.numpy()
    if regions:
        found["regions"] = metrics.regions_per_image(a.cpu().numpy())
    predictions = np.bincount(p.argmax(axis=1), minlength=p.shape[1])
    return Seen(_row(p, y, found), p, a, np.stack([predictions, *counts.cpu().numpy()]))


def read_attention(
    maps: torch.Tensor, size: tuple[int, int], clean: torch.Tensor | None = None
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Label-free measures of class maps [N, C, h, w] at the images' size (paper 1, section 2.2), on their device.

    Returns the attention `a` [N, H, W] and measures of each image [N], and counts int64 [2, C]: pixels of each class in
    the region A > 1/2, and images with such a pixel.
    """
    large = resize_maps(maps, size)
    a = torch.sigmoid(-implicit_background(large))
    winners, region = large.argmax(dim=1), a > 0.5
    present = torch.stack([(region & (winners == c)).flatten(1).any(dim=1) for c in range(maps.shape[1])], dim=1)
    read = {
        "a": a,
        "sparsity": metrics.sparsity_per_image(a),
        "sparsity_30": metrics.sparsity_per_image(a, 0.3),
        "sparsity_70": metrics.sparsity_per_image(a, 0.7),
        "attention": a.flatten(1).mean(dim=1),
        "soft_share": metrics.soft_share(a),
        "classes": present.sum(dim=1),
    }
    if clean is not None:
        read["mse_clean"] = (a - clean).square().mean(dim=(1, 2))
    pixels = torch.bincount(winners[region], minlength=maps.shape[1])
    return read, torch.stack([pixels, present.sum(dim=0)])


def _row(p: np.ndarray, y: np.ndarray, per_image: dict[str, np.ndarray]) -> dict:
    """A condition's row: means over its images, to six digits."""
    right = p.argmax(axis=1) == y
    row = {
        "accuracy": metrics.accuracy(p, y),
        "confidence": float(p.max(axis=1).mean()),
        "ece_15": metrics.expected_calibration_error(p, y, 15),
        "ece_10": metrics.expected_calibration_error(p, y, 10),
        **{name: float(values.mean()) for name, values in per_image.items()},
        "sparsity_right": _mean_or_none(per_image["sparsity"][right]),
        "sparsity_wrong": _mean_or_none(per_image["sparsity"][~right]),
    }
    return {"images": len(y)} | {name: None if v is None else round(v, 6) for name, v in row.items()}


def winners(model: Classifier, images: torch.Tensor, device) -> np.ndarray:
    """The winning class of each pixel, uint8 [N, H, W]."""
    maps = model.cam(to_float(images.to(device)))
    return resize_maps(maps, images.shape[-2:]).argmax(dim=1).to(torch.uint8).cpu().numpy()


def as_bytes(attention: torch.Tensor, levels: int = 255) -> np.ndarray:
    """Attention in [0, 1] as whole numbers up to `levels`."""
    return (attention * levels).round().to(torch.uint8).cpu().numpy()


def _mean_or_none(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
