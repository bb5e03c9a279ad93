"""How a model of paper 2 is measured: accuracy on the eight variants, adversarial backgrounds, saliency, examples."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from gazebook import data, metrics
from gazebook.data import composite, superclasses
from gazebook.data.image_set import ImageSet
from gazebook.errors import GazebookError
from gazebook.explain import grad_cam, input_gradient
from gazebook.models import pretrained
from gazebook.runs import Run
from gazebook.studies.backgrounds import adversarial, construction, truth
from gazebook.train import to_float

BATCH = {"cpu": 250, "cuda": 2000}
PRETRAINED_BATCH = {"cpu": 32, "cuda": 256}  # at the size that such a network wants
# keys of Run.evaluation: numbers of background draws; of foregrounds to attack, to measure every background's strength on, to
# measure saliency on; of examples to keep; of pictures on which mask procedures are compared; whether scenes are drawn again
COUNTS = ("draws", "adversarial", "strength", "saliency", "examples", "category_examples", "construction")
KEYS = (*COUNTS, "rendered", "data")
MAPS = 9  # pictures whose saliency maps are kept, one of each class
NONE = 255  # in the arrays: a class that is none of the set's
STRONGEST, FOOLED = 5, 3  # backgrounds shown, and foregrounds before each of them


def evaluate(
    model: nn.Module, run: Run, train: ImageSet | None, test: ImageSet, device: torch.device | str = "cpu"
) -> tuple[list[dict], dict[str, np.ndarray], dict]:
    """Rows, arrays and speeds of what `run.evaluation` asks for.

    Rows: split "test", one for each variant and draw of backgrounds; "train"; "adversarial"; "truth"; those of
    `construction`. Arrays: labels uint8 [N] and predictions uint8 [V, N] of the V test rows, 255 for none of the classes;
    tries int32 [F]; strength float16 [B]; saliency float16 [3, S]: the mask's share of the picture, and the share of
    Grad-CAM's and of the input gradient's saliency in it; and pictures for figures.
    """
    asked = _checked(run)
    model.eval()
    predict = Predictor(model, test, device)
    rows, predictions = _on_variants(predict, test, asked.get("draws", 1))
    arrays = {"labels": test.labels.numpy().astype(np.uint8), "predictions": predictions}
    speeds: dict = {}
    if train is not None:
        rows.append(truth.accuracy_row("train", run.variant, 0, predict(train.images).cpu() == train.labels))
    if asked.get("adversarial"):
        rows += _adversarial(predict, test, asked["adversarial"], arrays, speeds)
    if asked.get("strength"):
        _strongest(predict, test, asked["strength"], arrays)
    if asked.get("saliency"):
        _saliency(model, test, asked["saliency"], device, arrays)
    if asked.get("rendered"):
        rows += truth.rendered_rows(predict, run.data_options | asked.get("data", {}), test, asked.get("draws", 1))
    if asked.get("construction"):
        found, more = construction.rows(train, test, asked["construction"], run.data_options)
        rows, arrays = rows + found, arrays | more
    if asked.get("examples"):
        arrays |= _examples(test, asked["examples"])
    if asked.get("category_examples"):
        arrays |= _category_examples(test, rows, predictions, asked["category_examples"])
    return rows, arrays, speeds


class Predictor:
    """Predicted labels of pictures: uint8 [N, 3, H, W] -> int64 [N] on the device.

    For a model of ImageNet's 1000 classes the prediction is the superclass of the most probable of all 1000, and -1, always
    wrong, where that has none (the authors' rule).
    """

    def __init__(self, model: nn.Module, test: ImageSet, device: torch.device | str):
        self.model, self.device = model, torch.device(device)
        self.superclass = None
        sizes = BATCH
        if isinstance(model, pretrained.Pretrained):
            if test.class_names != superclasses.NAMES:
                raise GazebookError(
                    f"a model of ImageNet's 1000 classes is judged on the nine superclasses, not on {test.name}"
                )
            self.superclass = torch.from_numpy(superclasses.to_superclass().copy()).to(self.device)
            sizes = PRETRAINED_BATCH
        self.batch = sizes.get(self.device.type, 250)

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        found = [self.labels(self.model(to_float(part.to(self.device)))) for part in images.split(self.batch)]
        return torch.cat(found)

    def labels(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits [N, C] or [N, 1000] -> labels int64 [N]."""
        top = logits.argmax(dim=1)
        return top if self.superclass is None else self.superclass[top]


def variant_sets(test: ImageSet, draws: int) -> Iterator[tuple[str, int, ImageSet]]:
    """(variant, draw, pictures): every variant once, composites with `draws` different draws of backgrounds.

    The released ImageNet-9 comes with its variants, of one draw.
    """
    for name in composite.VARIANTS:
        if test.name == "imagenet9":
            yield name, 0, test if name == "original" else _released(test, name)
        else:
            for draw in range(draws if name in composite.MIXED else 1):
                yield name, draw, composite.variant(test, name, seed=draw)


def _released(test: ImageSet, variant: str) -> ImageSet:
    """A variant of the released ImageNet-9, the same pictures as `test`. Raises GazebookError where they do not correspond."""
    there = data.load("imagenet9", "test", variant=variant)
    there = there if len(there) == len(test) else there.fraction(1.0, 0, len(test))
    if not torch.equal(there.labels, test.labels):
        raise GazebookError(f"variant {variant} of imagenet9 has other pictures than original; unpack the archive again")
    return there


def _on_variants(predict: Predictor, test: ImageSet, draws: int) -> tuple[list[dict], np.ndarray]:
    rows, predictions = [], []
    for name, draw, pictures in variant_sets(test, draws):
        found = predict(pictures.images).cpu()
        rows.append(truth.accuracy_row("test", name, draw, found == pictures.labels))
        predictions.append(torch.where(found < 0, NONE, found).numpy().astype(np.uint8))
    return rows, np.stack(predictions)


def _backgrounds(test: ImageSet) -> torch.Tensor:
    """Only-BG-T of all test pictures, uint8 [N, 3, H, W]."""
    if test.name == "imagenet9":
        return _released(test, "only_bg_t").images
    return composite.tiled(test.images, test.boxes)


def _adversarial(predict: Predictor, test: ImageSet, count: int, arrays: dict, speeds: dict) -> list[dict]:
    """A row whose accuracy is the challenge's: the share of foregrounds that no background fools."""
    chosen = test.fraction(1.0, 0, min(count, len(test)))
    started = time.monotonic()
    found = adversarial.search(predict, chosen, _backgrounds(test), batch=predict.batch, device=predict.device)
    speeds["composites_per_second"] = round(found.composites / (time.monotonic() - started), 1)
    arrays["tries"] = found.tries.numpy().astype(np.int32)
    row = truth.accuracy_row("adversarial", "any background", 0, found.tries == 0)
    return [row | {"backgrounds": len(test), "composites": found.composites}]


def _strongest(predict: Predictor, test: ImageSet, count: int, arrays: dict) -> None:
    """Every background's strength; pictures of the strongest, each with foregrounds that it turns into its own class."""
    chosen = test.fraction(1.0, 0, min(count, len(test)))
    backgrounds = _backgrounds(test)
    power = adversarial.strength(predict, chosen, backgrounds, test.labels, batch=predict.batch, device=predict.device)
    best = power.argsort(descending=True, stable=True)[:STRONGEST]
    shown = []
    for b in best.tolist():
        made = composite.compose(chosen.images, chosen.masks, backgrounds[b])
        fooled = (predict(made).cpu() == test.labels[b]) & (chosen.labels != test.labels[b])
        first = fooled.nonzero()[:FOOLED, 0]
        blank = torch.zeros(FOOLED - len(first), *made.shape[1:], dtype=torch.uint8)
        shown.append(torch.cat([backgrounds[b][None], made[first], blank]))
    arrays["strength"] = power.numpy().astype(np.float16)
    arrays["strongest"] = torch.stack(shown).numpy()
    arrays["strongest_labels"] = test.labels[best].numpy().astype(np.uint8)


def _saliency(model: nn.Module, test: ImageSet, count: int, device, arrays: dict) -> None:
    """Where the saliency of the label's logit lies on Original, for the first pictures of a balanced order."""
    chosen = test.fraction(1.0, 0, min(count, len(test)))
    cams, gradients = [], []
    for part in torch.arange(len(chosen)).split(100):
        x, y = to_float(chosen.images[part].to(device)), chosen.labels[part].to(device)
        cams.append(grad_cam(model, x, y, scale=False).cpu())
        gradients.append(input_gradient(model, x, y).cpu())
    cam, gradient, masks = torch.cat(cams).numpy(), torch.cat(gradients).numpy(), chosen.masks.numpy()
    shares = np.stack([masks.mean(axis=(1, 2)), metrics.saliency_share(cam, masks), metrics.saliency_share(gradient, masks)])
    arrays["saliency"] = shares.astype(np.float16)
    for name, maps in (("cam_maps", cam[:MAPS]), ("gradient_maps", gradient[:MAPS])):
        top = maps.max(axis=(1, 2), keepdims=True)
        arrays[name] = (255 * maps / np.maximum(top, 1e-12)).round().astype(np.uint8)


def _examples(test: ImageSet, count: int) -> dict[str, np.ndarray]:
    """examples uint8 [8, E, 3, H, W], the variants of the first pictures of a balanced order; their masks bool and labels."""
    order = test.balanced_order(0)[:count]
    sets = [pictures.images[order] for _, draw, pictures in variant_sets(test, 1) if draw == 0]
    return {
        "examples": torch.stack(sets).numpy(),
        "example_masks": test.masks[order].numpy(),
        "example_labels": test.labels[order].numpy().astype(np.uint8),
    }


def _category_examples(test: ImageSet, rows: list[dict], predictions: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """category_examples uint8 [6, K, 3, 3, H, W]: of each category K pictures as Original, Mixed-Rand and Only-BG-T; black
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
    """The category of each test picture, int [N], see metrics.CATEGORIES; Mixed-Rand counts as right when more than half of
    its draws are.
    """
    right = correctness(rows, predictions, labels)
    return metrics.background_categories(right["original"] > 0.5, right["mixed_rand"] > 0.5, right["only_bg_t"] > 0.5)


def correctness(rows: list[dict], predictions: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """For each variant the share of its draws in which each picture is classified rightly, float [N]."""
    names = np.array([row["condition"] for row in rows if row["split"] == "test"])
    return {name: (predictions[names == name] == labels).mean(axis=0) for name in dict.fromkeys(names.tolist())}


def _checked(run: Run) -> dict:
    """`run.evaluation` when all of its keys are known and all of its numbers are numbers."""
    if unknown := set(run.evaluation) - set(KEYS):
        raise GazebookError(f"evaluation has unknown {', '.join(sorted(unknown))}; choose from {', '.join(KEYS)}")
    for name in COUNTS:
        value = run.evaluation.get(name, 0)
        if type(value) is not int or value < 0:
            raise GazebookError(f"evaluation has {name}: {value!r}; give a whole number")
    return run.evaluation
