"""Which runs part 5 needs: every model of two families measured by every ruler that fits.

The networks of ImageNet on photographs are part 2's family; the networks of scenes are part 3's, trained for that part, so
that their weights are not trained again, and measured anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gazebook.errors import check_known
from gazebook.measure.reliance import CONFLICT
from gazebook.measure.survey import SURVEY
from gazebook.models import IMAGENET, pretrained
from gazebook.papers import backgrounds, foregrounds
from gazebook.runs import Run

ON_PHOTOGRAPHS = ("accuracy", "variants", "adversarial", "noise", "alignment", "erasing", "corruption")
ON_SCENES = (*ON_PHOTOGRAPHS[:5], "attributes", *ON_PHOTOGRAPHS[5:])  # whose attributes are known


@dataclass(frozen=True)
class Axes:
    """A profile of part 5: part 3's axes, whose models of scenes are measured; names of networks of ImageNet; `images` is the
    number of scenes that are measured on, by the rulers `on_scenes`.
    """

    scenes: foregrounds.Axes
    networks: tuple[str, ...]
    images: int
    on_scenes: tuple[str, ...] = ON_SCENES


# what the models of this part are measured with
RULERS = (SURVEY, CONFLICT)
AXES = {
    # corruptions take longest, and adversarial training
    "demo": Axes(
        foregrounds.axes("demo", models=[foregrounds.RESNET, foregrounds.PROBED, foregrounds.VIT, foregrounds.SIMCLR]), (), 100,
        tuple(name for name in ON_SCENES if name != "corruption"),
    ),
    "cpu": Axes(foregrounds.AXES["cpu"], backgrounds.AXES["cpu"].samples, 500),
    "paper": Axes(foregrounds.AXES["paper"], backgrounds.AXES["paper"].samples, 1000),
}  # fmt: skip


def axes(profile: str, *, seeds: Sequence[int] = (), overrides: dict[str, Any] | None = None) -> Axes:
    """The axes of a profile with other seeds of its models of scenes, or other fields of Run for them."""
    check_known("profile", profile, AXES)
    own = AXES[profile]
    return replace(own, scenes=foregrounds.axes(profile, models=list(own.scenes.models), seeds=seeds, overrides=overrides))


def family(axes: Axes, seeds: Sequence[int] = ()) -> dict[Run, dict[str, Any]]:
    """The models of scenes, each with its name, the correlation of background and class in its training, and seed."""
    tested = {"data": {"background_correlation": axes.scenes.middle}}
    evaluation = {"rulers": list(axes.on_scenes), "images": axes.images, "truth": True, **tested}
    own = foregrounds.scenes(axes.scenes, seeds).items()
    return {run.replace(evaluation=evaluation): label for run, label in own if "layer" not in run.evaluation}


def photographs(axes: Axes) -> dict[Run, dict[str, Any]]:
    """ImageNet classifiers as they are, on ImageNet-Samples-9; of a black box Grad-CAM cannot be had."""
    as_it_is = {"data": "imagenet_samples9", "head": IMAGENET, "epochs": None, "updates": 0}
    found = {}
    for name in axes.networks:
        names = [r for r in ON_PHOTOGRAPHS if r != "alignment" or not name.startswith(pretrained.TFLITE)]
        found[Run(study="synthesis", trunk=name, evaluation={"rulers": names}, **as_it_is)] = {"model": name}
    return found


def everything(axes: Axes) -> list[Run]:
    """All runs of the part, which its pages show, any-time: the photographs, then all scenes of one seed before the next."""
    return [*photographs(axes), *family(axes)]


def checkpoints(axes: Axes) -> list[Run]:
    """No weights are published."""
    return []


def grid(profile: str) -> list[Run]:
    """All runs of the part in a profile, in the order of `everything`."""
    return everything(AXES[profile])
