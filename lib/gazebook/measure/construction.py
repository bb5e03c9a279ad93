"""How the variants were made, and what they leak: mask procedures compared, and classifiers that see only a box or a mask."""

import numpy as np
import torch
import torch.nn.functional as F

from gazebook import data
from gazebook.data.image_set import ImageSet
from gazebook.data.tiny_imagenet9 import SMALLEST_MASK
from gazebook.images.masks import PROCEDURES, masks
from gazebook.measure.ruler import Measured, Ruler, Trained, check_counts

SILHOUETTE = 16  # pixels of the side to which masks are shrunk for the classifier
TREES = 300
SHOWN = 9  # images whose masks are kept for a figure


def construction(trained: Trained) -> Measured:
    """Rows about the construction, with split "build" (a class each), "masks" (a procedure each), "control" (what leaks); and
    of the first images on which the procedures are compared mask_pictures uint8 [9, 3, H, W] and what each procedure
    finds, mask_examples bool [P, 9, H, W].
    """
    train, test = trained.train, trained.test
    source = data.SOURCES[test.name]
    own = {name: v for name, v in trained.run.data_options.items() if name in ("procedure", "test_images")}
    build, compared = [], test
    if hasattr(source, "candidates"):
        build = [{"split": "build", "condition": row.pop("class"), **row} for row in source.summary(**own).to_dict("records")]
        compared = source.candidates(**own)
    compared = compared.fraction(1.0, 0, min(trained.asked("construction"), len(compared)))
    found, examples = _procedures(compared, own.get("procedure", PROCEDURES[0]))
    shown = {"mask_pictures": compared.images[:SHOWN].numpy(), "mask_examples": examples}
    return Measured([*build, *found, *_controls(train, test)], shown)


CONSTRUCTION = Ruler(construction, ("construction",), check=check_counts("construction"))


def _procedures(images: ImageSet, in_use: str) -> tuple[list[dict], np.ndarray]:
    """Each procedure from scratch: the share of empty masks, and agreement (mean IoU where neither is empty) with the set's
    exact masks, or where it has none, with what the procedure in use finds.
    """
    pictures = np.ascontiguousarray(images.images.permute(0, 2, 3, 1).numpy())
    boxes = images.boxes.numpy()
    found = {name: masks(pictures, boxes, name, processes=1) for name in PROCEDURES}
    truth = found[in_use] if images.masks is None else images.masks.numpy()
    box = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / truth[0].size
    there = {name: own.mean(axis=(1, 2)) >= SMALLEST_MASK * box for name, own in found.items()}
    solid = truth.mean(axis=(1, 2)) >= SMALLEST_MASK * box
    found_rows = []
    for name, own in found.items():
        both = there[name] & solid
        union = np.maximum((own | truth).sum(axis=(1, 2)), 1)
        agreement = ((own & truth).sum(axis=(1, 2)) / union)[both]
        row = {"split": "masks", "condition": name, "images": len(own), "empty": round(float((~there[name]).mean()), 6)}
        found_rows.append(row | {"agreement": round(float(agreement.mean()), 6) if len(agreement) else None})
    return found_rows, np.stack([own[:SHOWN] for own in found.values()])


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
