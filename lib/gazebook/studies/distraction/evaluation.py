"""How a model of paper 4 is measured: classes, erased pictures, hidden evidence, regions of heat maps, removed parts."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from torch import nn

from gazebook import metrics
from gazebook.data import fine_scenes
from gazebook.data.erasing import erased
from gazebook.data.image_set import ImageSet
from gazebook.data.masks import boxes_as_masks
from gazebook.errors import GazebookError
from gazebook.explain import class_weighted_maps
from gazebook.explain.saliency import enlarged, scaled
from gazebook.runs import Run
from gazebook.studies.predictions import Probabilities, probabilities
from gazebook.train import to_float
from gazebook.train.distraction import Distraction, filled

# keys of Run.evaluation: whether test pictures are erased at random; which shares of a picture are hidden where the model
# looks; of how many pictures heat maps are kept; whether parts are removed; how many pictures are kept; options of the test set
KEYS = ("erased", "hidden", "maps", "parts", "examples", "data")
LEVELS = (0.25, 0.5, 0.75)  # of a scaled map: what is above counts as region
# which parts are removed from complete birds, in the order of array `parts`
REMOVED = tuple(c for n in range(len(fine_scenes.PARTS) + 1) for c in combinations(fine_scenes.PARTS, n))


def evaluate(
    model: nn.Module, run: Run, train: ImageSet, test: ImageSet, device: torch.device | str = "cpu"
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Rows and arrays of what `run.evaluation` asks for.

    Rows: split "clean" and "erased" with the classification report, "hidden" and "part" with accuracies. Arrays: labels,
    predicted, predicted_erased uint8 [N]; confidence float16 [N]; those of `_regions` and `_parts`; examples uint8
    [E, 3, H, W], the first pictures of which maps are kept.
    """
    if unknown := set(run.evaluation) - set(KEYS):
        raise GazebookError(f"evaluation has unknown {', '.join(sorted(unknown))}; choose from {', '.join(KEYS)}")
    asked = run.evaluation
    if asked.get("parts") and test.name != "fine_scenes":
        raise GazebookError(f"only fine_scenes can be drawn without parts, not {test.name}; leave out parts")
    model.eval()
    predict = probabilities(model, device)
    p = predict(to_float(test.images))
    arrays = {"labels": test.labels.numpy().astype(np.uint8), "predicted": p.argmax(dim=1).numpy().astype(np.uint8)}
    arrays["confidence"] = p.amax(dim=1).numpy().astype(np.float16)
    rows = [_report("clean", p, test.labels)]
    if asked.get("erased"):
        p = predict(to_float(erased(test.images)[0]))
        arrays["predicted_erased"] = p.argmax(dim=1).numpy().astype(np.uint8)
        rows.append(_report("erased", p, test.labels))
    if asked.get("hidden"):
        rows += _hidden(model, predict, test, asked["hidden"], device)
    if asked.get("maps"):
        _regions(model, test, asked["maps"], asked.get("examples", 0), device, arrays)
    if asked.get("parts"):
        rows += _parts(predict, test, run.data_options, arrays)
    return rows, arrays


def _report(split: str, p: torch.Tensor, labels: torch.Tensor) -> dict:
    report = metrics.classification_report(p.numpy(), labels.numpy())
    values = {name: round(value, 6) for name, value in report.items() if name != "recall"}
    return {"split": split, "images": len(labels), "confidence": round(float(p.amax(dim=1).mean()), 6), **values}


def _hidden(model: nn.Module, predict: Probabilities, test: ImageSet, shares: list[float], device) -> list[dict]:
    """Accuracy with a share of each picture painted in the mean colour: where the model itself looks for the true class, and
    the same shape elsewhere.
    """
    rows = []
    for share in shares:
        for place in ("highest", "shifted"):
            method = Distraction(p=1, area=share, place=place, fill="mean")
            generator = torch.Generator().manual_seed(round(1000 * share))
            right = []
            for images, labels in zip(test.images.split(250), test.labels.split(250), strict=True):
                x = to_float(images)
                hidden = method.hidden(model, x.to(device), labels.to(device), generator).cpu()
                right.append(predict(filled(x, hidden, "mean", generator)).argmax(dim=1) == labels)
            accuracy = round(float(torch.cat(right).float().mean()), 6)
            rows.append({"split": "hidden", "condition": place, "level": share, "images": len(test), "accuracy": accuracy})
    return rows


def _regions(model: nn.Module, test: ImageSet, count: int, examples: int, device, arrays: dict) -> None:
    """Arrays of the first M pictures of a balanced order, with Grad-CAM of the true class: maps uint8 [M, h, w], each over its
    maximum; area float16 [3, M] above LEVELS of the scaled map; regions uint8 [M]; spread float16 [M], its entropy; object
    float16 [M], the share of the mask or box above one half; part_cover float16 [3, M], of fine scenes, that of each part.
    """
    chosen = test.fraction(1.0, 0, min(count, len(test)))
    parts = zip(chosen.images.split(250), chosen.labels.split(250), strict=True)
    raw = torch.cat([class_weighted_maps(model, to_float(x).to(device), y.to(device)).cpu() for x, y in parts]).relu()
    arrays["maps"] = (255 * raw / raw.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)).round().to(torch.uint8).numpy()
    full = scaled(enlarged(raw, chosen.images.shape[-2:])).numpy()
    arrays["area"] = np.stack([(full > level).mean(axis=(1, 2)) for level in LEVELS]).astype(np.float16)
    arrays["regions"] = metrics.regions_per_image(full).astype(np.uint8)
    arrays["spread"] = metrics.map_entropy(full).astype(np.float16)
    objects = chosen.masks if chosen.masks is not None else None
    if objects is None and chosen.boxes is not None:
        objects = boxes_as_masks(chosen.boxes, chosen.images.shape[-1])
    if objects is not None:
        arrays["object"] = metrics.containment(objects.numpy(), full > 0.5).astype(np.float16)
    if test.name == "fine_scenes":
        there = fine_scenes.part_masks(chosen).numpy()
        covered = [metrics.containment(there[:, i], full > 0.5) for i in range(there.shape[1])]
        arrays["part_cover"] = np.stack(covered).astype(np.float16)
    if examples:
        arrays["examples"] = chosen.images[:examples].numpy()


def _parts(predict: Probabilities, test: ImageSet, options: dict, arrays: dict) -> list[dict]:
    """Accuracy on the test birds drawn with all of their parts, and without some. Array parts uint8 [R, N]: right or not, in
    the order of REMOVED.
    """
    kept = {k: v for k, v in options.items() if k not in ("size", "images", "frequency")}
    specs = fine_scenes.describe(np.array([int(i) for i in test.ids]), test.split, frequency=1.0, **kept)
    rows, right = [], []
    for removed in REMOVED:
        images = torch.from_numpy(fine_scenes.drawn(fine_scenes.without(specs, *removed), test.images.shape[-1]).images)
        right.append((predict(to_float(images)).argmax(dim=1) == test.labels).numpy())
        name = " and ".join(removed) or "nothing"
        rows.append({"split": "part", "condition": name, "images": len(test), "accuracy": round(float(right[-1].mean()), 6)})
    arrays["parts"] = np.stack(right).astype(np.uint8)
    return rows
