"""Does saliency point at the object, and does its failing point at what else a model uses?"""

import numpy as np
import torch
from torch import nn

from gazebook import metrics, models
from gazebook.data import scenes
from gazebook.explain import grad_cam
from gazebook.images import noise
from gazebook.measure.ruler import Measured, Ruler, Trained, check_counts, check_redrawn
from gazebook.models.pretrained import batch_size
from gazebook.train import to_float

GALLERY = "delta_density"  # the score whose worst images are shown, as in the authors' code


def alignment(trained: Trained) -> Measured:
    """Rows of the five scores, means over images, for Grad-CAM of the predicted class and three controls.

    Array alignment float16 [5, A]: the model's own scores of the first images of a balanced order.
    """
    model, run, test, device = trained.model, trained.run, trained.test, trained.device
    chosen = test.fraction(1.0, 0, min(trained.asked("alignment"), len(test)))
    masks, size = chosen.masks.numpy(), chosen.images.shape[-1]
    own, _ = maps(model, chosen.images, device)
    gaussian = np.broadcast_to(metrics.centred_gaussian(size), own.shape)
    shown = {"own": (own, masks), "shuffled masks": (own, noise.shuffled(chosen.masks).numpy())}
    if not run.trunk.startswith(models.PRETRAINED):
        other = models.initial_model(run, chosen.num_classes, run.seed + 1_000_000)  # than training began with
        shown["random weights"] = (maps(other.to(device), chosen.images, device)[0], masks)
    shown["centred Gaussian"] = (gaussian, masks)
    scores = {name: metrics.saliency_alignment(*pair) for name, pair in shown.items()}
    rows = [
        {"split": "alignment", "condition": control, "images": len(chosen)}
        | {score: round(float(np.nanmean(values)), 6) for score, values in found.items()}
        for control, found in scores.items()
    ]
    return Measured(rows, {"alignment": np.stack([scores["own"][name] for name in metrics.SCORES]).astype(np.float16)})


def worst(trained: Trained) -> Measured:
    """Of each predicted class the images whose saliency is aligned worst: worst_images uint8 [C, W, 3, H, W], worst_maps
    uint8 [C, W, H, W], worst_labels uint8 [C, W]; 255 as label where a class has fewer.
    """
    test, count = trained.test, trained.asked("examples")
    found, predicted = maps(trained.model, test.images, trained.device)
    score = metrics.saliency_alignment(found, test.masks.numpy())[GALLERY]
    classes, shape = test.num_classes, test.images.shape[-2:]
    images = np.zeros((classes, count, 3, *shape), np.uint8)
    shown, labels = np.zeros((classes, count, *shape), np.uint8), np.full((classes, count), 255, np.uint8)
    for c in range(classes):
        own = np.flatnonzero((predicted == c) & np.isfinite(score))
        for k, i in enumerate(own[np.argsort(score[own])][:count]):
            images[c, k], labels[c, k] = test.images[i].numpy(), test.labels[i]
            shown[c, k] = np.round(255 * found[i] / max(found[i].max(), 1e-12))
    return Measured(arrays={"worst_images": images, "worst_maps": shown, "worst_labels": labels})


def cue(trained: Trained) -> Measured:
    """How much the model needs the planted mark, and the scores of the images that it takes for the planted class.

    Rows: accuracy on that class with the mark and without. Arrays: cue_scores float16 [5, M], cue_present bool [M],
    cue_share float16 [M], the share of saliency on the mark; and of the five worst images cue_images, cue_maps.
    """
    test = trained.test
    planted = scenes.CLASS_NAMES.index(trained.run.data_options["cue"]["planted_class"])
    found, predicted = maps(trained.model, test.images, trained.device)
    mark = test.attributes[:, -1].numpy()
    present, own = mark.any(axis=(1, 2)), test.labels.numpy() == planted
    right = predicted == planted
    named = np.flatnonzero(right)
    scores = metrics.saliency_alignment(found[named], test.masks[torch.from_numpy(named)].numpy())
    shown = named[np.argsort(scores[GALLERY])][:5]
    top = np.maximum(found[shown].max(axis=(1, 2), keepdims=True), 1e-12)
    arrays = {
        "cue_scores": np.stack([scores[name] for name in metrics.SCORES]).astype(np.float16),
        "cue_present": present[named],
        "cue_share": metrics.saliency_share(found[named], mark[named]).astype(np.float16),
        "cue_images": test.images[torch.from_numpy(shown)].numpy(),
        "cue_maps": np.round(255 * found[shown] / top).astype(np.uint8),
    }
    rows = []
    for name, there in (("with", own & present), ("without", own & ~present)):
        accuracy = round(float(right[there].mean()), 6) if there.any() else None
        rows.append({"split": "cue", "condition": name, "images": int(there.sum()), "accuracy": accuracy})
    return Measured(rows, arrays)


def maps(model: nn.Module, images: torch.Tensor, device) -> tuple[np.ndarray, np.ndarray]:
    """Grad-CAM of the predicted class, unscaled, float32 [N, H, W], and the predictions int64 [N]."""
    found, predicted = [], []
    for part in images.split(batch_size(model, device)):
        x = to_float(part.to(device))
        with torch.no_grad():
            predicted.append(model.eval()(x).argmax(dim=1))
        found.append(grad_cam(model, x, predicted[-1], scale=False).cpu())
    return torch.cat(found).numpy(), torch.cat(predicted).cpu().numpy()


# `layer` marks records whose Grad-CAM of transformers was taken at `ViT.cam_layer`, as all are taken now
ALIGNMENT = Ruler(alignment, ("alignment",), ("layer",), check=check_counts("alignment"))
WORST = Ruler(worst, ("examples",), check=check_counts("examples"))
CUE = Ruler(cue, ("cue",), check=check_redrawn("cue"))
