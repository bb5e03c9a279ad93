"""The eight variants of ImageNet-9 (paper 2): accuracy on each, categories of images, saliency inside the mask, examples."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gazebook import data, metrics
from gazebook.data import superclasses
from gazebook.data.class_map import imagenet_names
from gazebook.data.image_set import ImageSet
from gazebook.errors import GazebookError
from gazebook.explain import grad_cam, input_gradient
from gazebook.images import composite
from gazebook.measure.ruler import Measured, Ruler, Trained, accuracy_row, check_counts
from gazebook.models import pretrained
from gazebook.models.pretrained import batch_size
from gazebook.train import to_float

MAPS = 9  # images whose saliency maps are kept, one of each class
THUMBNAIL = 128  # pixels of the side of a picture that is published
NONE = 255  # in the arrays: a class that is none of the set's


def variants(trained: Trained) -> Measured:
    """Rows: split "test", one for each variant and draw of backgrounds, and "train". Arrays: labels uint8 [N] and predictions
    uint8 [V, N] of the V test rows, 255 for none of the classes; with `examples` and `category_examples` images for figures.
    """
    test, train = trained.test, trained.train
    predict = Predictor(trained.model, test, trained.device)
    rows, predictions = _on_variants(predict, test, trained.asked("draws", 1))
    arrays = {"labels": test.labels.numpy().astype(np.uint8), "predictions": predictions}
    if trained.asked("examples"):
        arrays |= _examples(test, trained.asked("examples"))
    if trained.asked("category_examples"):
        arrays |= _category_examples(test, rows, predictions, trained.asked("category_examples"))
    if train is not None:
        rows.append(accuracy_row("train", trained.run.variant, 0, predict(train.images).cpu() == train.labels))
    return Measured(rows, arrays)


def saliency_inside(trained: Trained) -> Measured:
    """Where the saliency of the label's logit lies on Original, for the first images of a balanced order.

    Array saliency float16 [3, S]: the mask's share of the image, and the share of Grad-CAM's and of the input gradient's
    saliency in it; cam_maps, gradient_maps uint8 [9, H, W].
    """
    model, device = trained.model, trained.device
    chosen = trained.test.fraction(1.0, 0, min(trained.asked("saliency"), len(trained.test)))
    cams, gradients = [], []
    for part in torch.arange(len(chosen)).split(100):
        x, y = to_float(chosen.images[part].to(device)), chosen.labels[part].to(device)
        cams.append(grad_cam(model, x, y, scale=False).cpu())
        gradients.append(input_gradient(model, x, y).cpu())
    cam, gradient, masks = torch.cat(cams).numpy(), torch.cat(gradients).numpy(), chosen.masks.numpy()
    shares = np.stack([masks.mean(axis=(1, 2)), metrics.saliency_share(cam, masks), metrics.saliency_share(gradient, masks)])
    arrays = {"saliency": shares.astype(np.float16)}
    for name, maps in (("cam_maps", cam[:MAPS]), ("gradient_maps", gradient[:MAPS])):
        top = maps.max(axis=(1, 2), keepdims=True)
        arrays[name] = (255 * maps / np.maximum(top, 1e-12)).round().astype(np.uint8)
    return Measured(arrays=arrays)


def picture(trained: Trained) -> Measured:
    """One test image, by its place in a balanced order: rows "picture" with what the model says of each variant, and how sure
    it is. Array picture uint8 [8, 3, H, W], at most THUMBNAIL pixels wide.
    """
    test = trained.test
    place = test.balanced_order(0)[[trained.asked("picture")]]
    chosen = test.select(place)
    predict = Predictor(trained.model, test, trained.device)
    names = imagenet_names(1000) if predict.superclass is not None else test.class_names
    rows, shown = [], []
    for name in composite.VARIANTS:
        made = composite.variant(test, name).select(place) if name in composite.MIXED else composite.variant(chosen, name)
        p = trained.probabilities(to_float(made.images))
        right = bool(predict.labels(p).item() == chosen.labels.item())
        row = {"split": "picture", "condition": name, "images": 1, "says": names[int(p.argmax())], "right": right}
        rows.append(row | {"probability": round(float(p.amax()), 4)})
        small = min(THUMBNAIL, made.images.shape[-1])
        shown.append(
            F.interpolate(made.images.float(), (small, small), mode="bilinear", antialias=True).round().to(torch.uint8)
        )
    return Measured(rows, {"picture": torch.cat(shown).round().to(torch.uint8).numpy()})


OPTIONS = ("draws", "examples", "category_examples")
VARIANTS = Ruler(variants, options=OPTIONS, check=check_counts(*OPTIONS))
PICTURE = Ruler(picture, ("picture",), check=check_counts("picture"))
SALIENCY = Ruler(saliency_inside, ("saliency",), check=check_counts("saliency"))


class Predictor:
    """Predicted labels of images: uint8 [N, 3, H, W] -> int64 [N] on the device.

    For a model of ImageNet's 1000 classes the prediction is the superclass of the most probable of all 1000, and -1, always
    wrong, where that has none (the authors' rule).
    """

    def __init__(self, model: nn.Module, test: ImageSet, device: torch.device | str):
        self.model, self.device = model, torch.device(device)
        self.superclass = None
        if isinstance(model, pretrained.Pretrained):
            if test.class_names != superclasses.NAMES:
                raise GazebookError(
                    f"a model of ImageNet's 1000 classes is judged on the nine superclasses, not on {test.name}"
                )
            self.superclass = torch.from_numpy(superclasses.to_superclass().copy()).to(self.device)
        self.batch = batch_size(model, device)

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        found = [self.labels(self.model(to_float(part.to(self.device)))) for part in images.split(self.batch)]
        return torch.cat(found)

    def labels(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits [N, C] or [N, 1000] -> labels int64 [N]."""
        top = logits.argmax(dim=1)
        return top if self.superclass is None else self.superclass[top]


def variant_sets(test: ImageSet, draws: int) -> Iterator[tuple[str, int, ImageSet]]:
    """(variant, draw, images): every variant once, composites with `draws` different draws of backgrounds.

    The released ImageNet-9 comes with its variants, of one draw.
    """
    for name in composite.VARIANTS:
        if test.name == "imagenet9":
            yield name, 0, test if name == "original" else released(test, name)
        else:
            for draw in range(draws if name in composite.MIXED else 1):
                yield name, draw, composite.variant(test, name, seed=draw)


def released(test: ImageSet, variant: str) -> ImageSet:
    """A variant of the released ImageNet-9, the same images as `test`. Raises GazebookError where they do not correspond."""
    there = data.load("imagenet9", "test", variant=variant)
    there = there if len(there) == len(test) else there.fraction(1.0, 0, len(test))
    if not torch.equal(there.labels, test.labels):
        raise GazebookError(f"variant {variant} of imagenet9 has other images than original; unpack the archive again")
    return there


def _on_variants(predict: Predictor, test: ImageSet, draws: int) -> tuple[list[dict], np.ndarray]:
    rows, predictions = [], []
    for name, draw, pictures in variant_sets(test, draws):
        found = predict(pictures.images).cpu()
        rows.append(accuracy_row("test", name, draw, found == pictures.labels))
        predictions.append(torch.where(found < 0, NONE, found).numpy().astype(np.uint8))
    return rows, np.stack(predictions)


def _examples(test: ImageSet, count: int) -> dict[str, np.ndarray]:
    """examples uint8 [8, E, 3, H, W], the variants of the first images of a balanced order; their masks bool and labels."""
    order = test.balanced_order(0)[:count]
    sets = [pictures.images[order] for _, draw, pictures in variant_sets(test, 1) if draw == 0]
    return {
        "examples": torch.stack(sets).numpy(),
        "example_masks": test.masks[order].numpy(),
        "example_labels": test.labels[order].numpy().astype(np.uint8),
    }


def _category_examples(test: ImageSet, rows: list[dict], predictions: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """category_examples uint8 [6, K, 3, 3, H, W]: of each category K images as Original, Mixed-Rand and Only-BG-T; black
    where a category has fewer.
    """
    place = categories(rows, predictions, test.labels.numpy())
    draws = [i for i, row in enumerate(r for r in rows if r["split"] == "test") if row["condition"] == "mixed_rand"]
    mixed = [composite.variant(test, "mixed_rand", seed=draw).images for draw in range(len(draws))]
    alone = composite.variant(test, "only_bg_t").images
    out = np.zeros((len(metrics.CATEGORIES), count, 3, *test.images.shape[1:]), np.uint8)
    for category, (_, foreground, _) in enumerate(metrics.CATEGORIES.values()):
        for k, index in enumerate(np.flatnonzero(place == category)[:count]):
            right = predictions[draws, index] == test.labels[index].item()
            draw = int(np.flatnonzero(right == foreground)[0])  # one that shows what the category says
            out[category, k] = [test.images[index].numpy(), mixed[draw][index].numpy(), alone[index].numpy()]
    return {"category_examples": out}


def categories(rows: list[dict], predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The category of each test image, int [N], see metrics.CATEGORIES; Mixed-Rand counts as right when more than half of
    its draws are.
    """
    right = correctness(rows, predictions, labels)
    return metrics.background_categories(right["original"] > 0.5, right["mixed_rand"] > 0.5, right["only_bg_t"] > 0.5)


def correctness(rows: list[dict], predictions: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """For each variant the share of its draws in which each image is classified rightly, float [N]."""
    names = np.array([row["condition"] for row in rows if row["split"] == "test"])
    return {name: (predictions[names == name] == labels).mean(axis=0) for name in dict.fromkeys(names.tolist())}
