"""How the variants were made, and what they leak: mask procedures compared, and classifiers that see only a box or a mask."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from gazebook import data
from gazebook.data.image_set import ImageSet
from gazebook.data.masks import PROCEDURES, masks

SILHOUETTE = 16  # pixels of the side to which masks are shrunk for the classifier
TREES = 300
EMPTY = 0.1  # of the box: below it a mask counts as empty, as in the authors' generator


def rows(train: ImageSet, test: ImageSet, count: int) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Rows about the construction, with split "build" (a class each), "masks" (a procedure each), "control" (what leaks); and
    mask_examples bool [P, 9, H, W] of the first of `count` pictures on which the procedures are compared.
    """
    found, examples = _procedures(test.fraction(1.0, 0, min(count, len(test))))
    summary = getattr(data.SOURCES[test.name], "summary", None)
    build = (
        [{"split": "build", "condition": row.pop("class"), **row} for row in summary().to_dict("records")] if summary else []
    )
    return [*build, *found, *_controls(train, test)], {"mask_examples": examples}


def _procedures(images: ImageSet) -> tuple[list[dict], np.ndarray]:
    """Each procedure from scratch on the pictures of a set: the share of empty masks, areas, agreement with the set's masks.

    The pictures are those of the test set, chosen because the set's own procedure works on them; how often it fails is in the
    rows of split "build".
    """
    pictures = np.ascontiguousarray(images.images.permute(0, 2, 3, 1).numpy())
    boxes, own = images.boxes.numpy(), images.masks.numpy()
    share = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / own[0].size
    found_rows, examples = [], []
    for procedure in PROCEDURES:
        found = masks(pictures, boxes, procedure, processes=1)
        area = found.mean(axis=(1, 2))
        union = (found | own).sum(axis=(1, 2))
        agreement = (found & own).sum(axis=(1, 2)) / np.maximum(union, 1)
        kept = area >= EMPTY * share
        row = {"split": "masks", "condition": procedure, "images": len(own), "empty": round(float((~kept).mean()), 6)}
        row |= {"mask_share": round(float(area[kept].mean()), 6) if kept.any() else None}
        row |= {"agreement": round(float(agreement[kept].mean()), 6) if kept.any() else None}
        found_rows.append(row)
        examples.append(found[:9])
    return found_rows, np.stack(examples)


def _controls(train: ImageSet, test: ImageSet) -> list[dict]:
    """Accuracy of a forest that sees the box's geometry alone, and of one that sees the silhouette alone."""
    from sklearn.ensemble import RandomForestClassifier  # takes seconds, and few who import this module need it

    side = train.images.shape[-1]
    features = {"box geometry": lambda s: _geometry(s.boxes.numpy() / side), "silhouette": _silhouette}
    found = []
    for name, of in features.items():
        forest = RandomForestClassifier(TREES, min_samples_leaf=2, random_state=0).fit(of(train), train.labels.numpy())
        right = forest.predict(of(test)) == test.labels.numpy()
        found.append({"split": "control", "condition": name, "images": len(test), "accuracy": round(float(right.mean()), 6)})
    return found


def _geometry(boxes: np.ndarray) -> np.ndarray:
    """Place, size, area and aspect of boxes in shares of the side: float [N, 8]."""
    x0, y0, x1, y1 = boxes.T
    width, height = x1 - x0, y1 - y0
    aspect = width / np.maximum(height, 1e-9)
    return np.stack([(x0 + x1) / 2, (y0 + y1) / 2, x0, y0, width, height, width * height, aspect], axis=1)


def _silhouette(images: ImageSet) -> np.ndarray:
    small = F.adaptive_avg_pool2d(images.masks.to(torch.float32)[:, None], SILHOUETTE)
    return small.flatten(1).numpy()
