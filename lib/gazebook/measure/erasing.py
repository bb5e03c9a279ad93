"""Classes, erased images, hidden evidence and regions of heat maps (paper 4)."""

import numpy as np
import torch

from gazebook import metrics
from gazebook.data import fine_scenes
from gazebook.explain import class_weighted_maps
from gazebook.explain.saliency import minmax_normalize, upsample
from gazebook.images.erase import erased
from gazebook.images.masks import boxes_as_masks
from gazebook.measure.ruler import Measured, Ruler, Trained
from gazebook.models.pretrained import batch_size
from gazebook.train import to_float
from gazebook.train.distraction import Distraction, filled

LEVELS = (0.25, 0.5, 0.75)  # of a min-max normalised map: what is above counts as region


def report(trained: Trained) -> Measured:
    """Row "clean" with the classification report, and with `erased` one of test images erased at random.

    Arrays: labels, predicted, predicted_erased uint8 [N]; confidence float16 [N].
    """
    test, p = trained.test, trained.clean
    arrays = {"labels": test.labels.numpy().astype(np.uint8), "predicted": p.argmax(dim=1).numpy().astype(np.uint8)}
    arrays["confidence"] = p.amax(dim=1).numpy().astype(np.float16)
    rows = [_report("clean", p, test.labels)]
    if trained.asked("erased"):
        p = trained.probabilities(to_float(erased(test.images)[0]))
        arrays["predicted_erased"] = p.argmax(dim=1).numpy().astype(np.uint8)
        rows.append(_report("erased", p, test.labels))
    return Measured(rows, arrays)


def _report(split: str, p: torch.Tensor, labels: torch.Tensor) -> dict:
    report = metrics.classification_report(p.numpy(), labels.numpy())
    values = {name: round(value, 6) for name, value in report.items() if name != "recall"}
    return {"split": split, "images": len(labels), "confidence": round(float(p.amax(dim=1).mean()), 6), **values}


def hidden(trained: Trained) -> Measured:
    """Accuracy with a share of each image painted in the mean colour: where the model itself looks for the true class, and
    the same shape elsewhere.
    """
    test, device, size = trained.test, trained.device, batch_size(trained.model, trained.device)
    rows = []
    for share in trained.asked("hidden"):
        for place in ("highest", "shifted"):
            method = Distraction(p=1, area=share, place=place, fill="mean")
            generator = torch.Generator().manual_seed(round(1000 * share))
            right = []
            for images, labels in zip(test.images.split(size), test.labels.split(size), strict=True):
                x = to_float(images)
                where = method.hidden(trained.model, x.to(device), labels.to(device), generator).cpu()
                predicted = trained.probabilities(filled(x, where, "mean", generator)).argmax(dim=1)
                right.append(predicted == labels)
            accuracy = round(float(torch.cat(right).float().mean()), 6)
            rows.append({"split": "hidden", "condition": place, "level": share, "images": len(test), "accuracy": accuracy})
    return Measured(rows)


def regions(trained: Trained) -> Measured:
    """Arrays of the first M images of a balanced order, with Grad-CAM of the true class: maps uint8 [M, h, w], each over its
    maximum; area float16 [3, M] above LEVELS of the normalised map; regions uint8 [M]; spread float16 [M], its entropy; object
    float16 [M], the share of the mask or box above one half; part_cover float16 [3, M], of fine scenes, that of each part;
    examples uint8 [E, 3, H, W].
    """
    model, test, device = trained.model, trained.test, trained.device
    chosen = test.fraction(1.0, 0, min(trained.asked("maps"), len(test)))
    size = batch_size(model, device)
    parts = zip(chosen.images.split(size), chosen.labels.split(size), strict=True)
    raw = torch.cat([class_weighted_maps(model, to_float(x).to(device), y.to(device)).cpu() for x, y in parts]).relu()
    full = minmax_normalize(upsample(raw, chosen.images.shape[-2:])).numpy()
    arrays = {
        "maps": (255 * raw / raw.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)).round().to(torch.uint8).numpy(),
        "area": np.stack([(full > level).mean(axis=(1, 2)) for level in LEVELS]).astype(np.float16),
        "regions": metrics.regions_per_image(full).astype(np.uint8),
        "spread": metrics.map_entropy(full).astype(np.float16),
    }
    objects = chosen.masks
    if objects is None and chosen.boxes is not None:
        objects = boxes_as_masks(chosen.boxes, chosen.images.shape[-1])
    if objects is not None:
        arrays["object"] = metrics.containment(objects.numpy(), full > 0.5).astype(np.float16)
    if test.name == "fine_scenes":
        there = fine_scenes.part_masks(chosen).numpy()
        covered = [metrics.containment(there[:, i], full > 0.5) for i in range(there.shape[1])]
        arrays["part_cover"] = np.stack(covered).astype(np.float16)
    if trained.asked("examples"):
        arrays["examples"] = chosen.images[: trained.asked("examples")].numpy()
    return Measured(arrays=arrays)


REPORT = Ruler(report, options=("erased",))
HIDDEN = Ruler(hidden, ("hidden",))
REGIONS = Ruler(regions, ("maps",), ("examples",))
