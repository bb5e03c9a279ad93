"""What a model of scenes really relies on, by intervention: the same objects drawn again on other backgrounds."""

from itertools import combinations

import numpy as np
import torch

from gazebook.data import fine_scenes, scenes
from gazebook.data.image_set import ImageSet
from gazebook.errors import GazebookError
from gazebook.measure.backgrounds import Predictor
from gazebook.measure.ruler import Measured, Ruler, Trained, accuracy_row, check_redrawn
from gazebook.runs import Run
from gazebook.train import to_float

OTHER, OBJECT, BACKGROUND = 0, 1, 2  # what a prediction follows where object and background disagree
# which parts are removed from complete birds, in the order of array `parts`
REMOVED = tuple(c for n in range(len(fine_scenes.PARTS) + 1) for c in combinations(fine_scenes.PARTS, n))


def rendered(trained: Trained) -> Measured:
    """Accuracy on the test scenes drawn again: each object on its own class's background, and on a random one of the ten.

    No mask and no tiling is involved. The difference is what the model relies on the background for, without BG-gap's
    artefacts; `changed` is the share of predictions that differ between the two.
    """
    test = trained.test
    predict = Predictor(trained.model, test, trained.device)

    def predicted(background: np.ndarray) -> torch.Tensor:
        return predict(torch.from_numpy(test.redraw(background=background).images)).cpu()

    own = predicted(scenes.home_backgrounds()[test.labels.numpy()])
    rows = [accuracy_row("truth", "rendered_home", 0, own == test.labels)]
    for draw in range(trained.asked("draws", 1)):
        other = predicted(np.random.default_rng([draw, 1]).integers(len(scenes.BACKGROUNDS), size=len(test)))
        changed = round(float((other != own).float().mean()), 6)
        rows.append(accuracy_row("truth", "rendered_random", draw, other == test.labels) | {"changed": changed})
    return Measured(rows)


def conflict(trained: Trained) -> Measured:
    """Each test object before the background of another class, drawn at random: the shares of predictions that name the object
    and the background's class. Array conflict uint8 [N]: see above.

    The difference of the shares, in [-1, 1], is the truth about a model that RFS is to rank: no noise and no mask is in it.
    """
    test, labels = trained.test, trained.test.labels.numpy()
    classes = len(scenes.CLASS_NAMES)
    other = (labels + np.random.default_rng(3).integers(1, classes, len(test))) % classes
    images = test.redraw(background=scenes.home_backgrounds()[other]).images
    found = trained.probabilities(to_float(torch.from_numpy(images))).argmax(dim=1).numpy()
    follows = np.where(found == labels, OBJECT, np.where(found == other, BACKGROUND, OTHER)).astype(np.uint8)
    shares = {"object": (follows == OBJECT).mean(), "background": (follows == BACKGROUND).mean()}
    row = {"split": "truth", "images": len(test)} | {name: round(float(v), 6) for name, v in shares.items()}
    return Measured([row], {"conflict": follows})


def parts(trained: Trained) -> Measured:
    """Accuracy on the test birds drawn with all of their parts, and without some. Array parts uint8 [R, N]: right or not, in
    the order of REMOVED.
    """
    test = trained.test
    complete = {"attribute_frequencies": dict.fromkeys(fine_scenes.ATTRIBUTES, 1.0)}
    rows, right = [], []
    for removed in REMOVED:
        images = torch.from_numpy(test.redraw(without=fine_scenes.forms(*removed), **complete).images)
        right.append((trained.probabilities(to_float(images)).argmax(dim=1) == test.labels).numpy())
        name = " and ".join(removed) or "nothing"
        rows.append({"split": "part", "condition": name, "images": len(test), "accuracy": round(float(right[-1].mean()), 6)})
    return Measured(rows, {"parts": np.stack(right).astype(np.uint8)})


def _check_birds(run: Run, test: ImageSet) -> None:
    if test.name != "fine_scenes":
        raise GazebookError(f"only fine_scenes can be drawn without parts, not {test.name}; leave out parts")


RENDERED = Ruler(rendered, ("rendered",), ("draws",), check=check_redrawn("rendered"))
CONFLICT = Ruler(conflict, ("truth",), check=check_redrawn("truth"))
PARTS = Ruler(parts, ("parts",), check=_check_birds)
