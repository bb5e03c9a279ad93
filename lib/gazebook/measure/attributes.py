"""How much a model needs an attribute: drawn again without it (the truth), made grey, disturbed by noise."""

import torch

from gazebook.data import scenes
from gazebook.images import noise
from gazebook.measure.ruler import Measured, Ruler, Trained, check_redrawn
from gazebook.train import to_float

LEAST = 4  # pixels of an attribute that count as seen
FEW = 15  # images below which nothing is said of an attribute
SIGMA, NORM = 60, 12  # noise in attributes: 1/255, and L2 norm at 224 px
WAYS = ("removed", "grey", "sigma", "l2", "grey elsewhere")


def attributes(trained: Trained) -> Measured:
    """A row for each attribute and way: mean loss of the true class's probability (`drop`) and of accuracy, on the test
    images that show it. "grey elsewhere" is the control: a grey patch of the attribute's shape, moved by half the image.
    """
    test = trained.test
    images, labels = to_float(test.images), test.labels
    found = []
    for a, name in enumerate(scenes.ATTRIBUTES):
        shown = (test.attributes[:, a].flatten(1).sum(dim=1) >= LEAST).nonzero()[:, 0]
        if len(shown) < FEW:
            continue
        removed = to_float(torch.from_numpy(test.select(shown).redraw(without=[name]).images))
        for way, made in changed(images[shown], test.attributes[shown, a], removed, a).items():
            row = {"split": "attribute", "condition": way, "attribute": name, "images": len(shown)}
            found.append(row | _loss(trained.clean[shown], trained.probabilities(made), labels[shown]))
    return Measured(found)


def changed(images: torch.Tensor, masks: torch.Tensor, removed: torch.Tensor, seed: int) -> dict[str, torch.Tensor]:
    """Images float [N, 3, H, W] whose attribute, bool [N, H, W], is changed in each of WAYS; `removed` is the first."""
    side = images.shape[-1]
    generator = torch.Generator().manual_seed(seed)
    made = (
        removed,
        noise.ablate(images, masks),
        noise.add(images, masks, SIGMA / 255, "sigma", generator)[0],
        noise.add(images, masks, noise.scaled_norm(NORM, side), "l2", generator)[0],
        noise.ablate(images, masks.roll((side // 2, side // 2), dims=(1, 2))),
    )
    return dict(zip(WAYS, made, strict=True))


def _loss(before: torch.Tensor, after: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    probability = [p.gather(1, labels[:, None]).mean() for p in (before, after)]
    accuracy = [(p.argmax(dim=1) == labels).float().mean() for p in (before, after)]
    return {
        "drop": round(float(probability[0] - probability[1]), 6),
        "accuracy_drop": round(float(accuracy[0] - accuracy[1]), 6),
    }


ATTRIBUTES = Ruler(attributes, ("attributes",), check=check_redrawn("attributes"))
