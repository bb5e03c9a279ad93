"""How a model of paper 1 is measured: one row a condition, and the small arrays that figures need."""

from __future__ import annotations

import numpy as np
import torch

from gazebook import metrics
from gazebook.data.image_set import ImageSet
from gazebook.explain import attention_map, resize_maps
from gazebook.models import Classifier
from gazebook.runs import Run
from gazebook.train import to_float

BATCH = 500
EXAMPLES = 10  # test images whose pictures, attention and winning classes are kept: one of each class
KEPT_MAPS = 50  # test images whose attention maps are kept, the examples first
TRAIN_SAMPLE = 2000  # training images on which the training accuracy is measured


@torch.no_grad()
def evaluate(
    model: Classifier, run: Run, train: ImageSet, test: ImageSet, device: torch.device | str = "cpu"
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Rows for the test set and for a sample of the training set, both without augmentation, in float32; arrays.

    Arrays: reliability [15, 3]; attention uint8 [50, H, W] of the first images of a fixed balanced order of the test
    set; examples uint8 [10, 3, H, W] and winners uint8 [10, H, W] of the first ten of them.
    """
    model.eval()
    order = test.balanced_order(seed=0)
    row, p = measure(model, test, device)
    sample = train.select(torch.arange(min(TRAIN_SAMPLE, len(train))))
    train_row, _ = measure(model, sample, device)
    shown = test.select(order[:KEPT_MAPS])
    maps = model.cam(to_float(shown.images.to(device))).float().cpu()
    attention = attention_map(maps, shown.images.shape[-2:])
    winners = resize_maps(maps[:EXAMPLES], shown.images.shape[-2:]).argmax(dim=1)
    arrays = {
        "reliability": metrics.reliability_bins(p, test.labels),
        "attention": (attention * 255).round().to(torch.uint8).numpy(),
        "examples": shown.images[:EXAMPLES].numpy(),
        "winners": winners.to(torch.uint8).numpy(),
    }
    return [{"condition": "clean", "split": "test", **row}, {"condition": "clean", "split": "train", **train_row}], arrays


def measure(model: Classifier, images: ImageSet, device: torch.device | str) -> tuple[dict, np.ndarray]:
    """(row of metrics, probabilities float [N, C]) of a model on a set of images."""
    probabilities, parts = [], []
    for batch in images.images.split(BATCH):
        maps = model.cam(to_float(batch.to(device)))
        probabilities.append(model.head.pool(maps).softmax(dim=1).cpu())
        parts.append(read_attention(maps, batch.shape[-2:]))
    p = torch.cat(probabilities).double().numpy()
    per_image = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    y = images.labels.numpy()
    right = p.argmax(axis=1) == y
    row = {
        "images": len(y),
        "accuracy": metrics.accuracy(p, y),
        "confidence": metrics.confidence(p),
        "ece_15": metrics.expected_calibration_error(p, y, 15),
        "ece_10": metrics.expected_calibration_error(p, y, 10),
        **{name: float(values.mean()) for name, values in per_image.items()},
        "sparsity_right": _mean_or_none(per_image["sparsity"][right]),
        "sparsity_wrong": _mean_or_none(per_image["sparsity"][~right]),
    }
    return row, p


def read_attention(maps: torch.Tensor, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Label-free measures of class maps [N, C, h, w], each [N], at the images' size (paper 1, section 2.2)."""
    a = attention_map(maps, size).cpu().numpy()
    winners = resize_maps(maps, size).argmax(dim=1).cpu().numpy()
    return {
        "sparsity": metrics.sparsity_per_image(a),
        "sparsity_30": metrics.sparsity_per_image(a, 0.3),
        "sparsity_70": metrics.sparsity_per_image(a, 0.7),
        "attention": a.mean(axis=(1, 2)),
        "soft_share": metrics.soft_share(a),
        "classes": metrics.classes_per_image(a, winners, maps.shape[1]),
        "regions": metrics.regions_per_image(a),
    }


def _mean_or_none(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
