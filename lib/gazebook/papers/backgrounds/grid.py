"""Which runs paper 2 needs, for each profile."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gazebook.errors import check_known
from gazebook.images.composite import VARIANTS
from gazebook.measure.adversarial_backgrounds import ADVERSARIAL, STRENGTH
from gazebook.measure.backgrounds import PICTURE, SALIENCY
from gazebook.measure.backgrounds import VARIANTS as ON_VARIANTS
from gazebook.measure.construction import CONSTRUCTION
from gazebook.measure.reliance import RENDERED
from gazebook.models import IMAGENET
from gazebook.models.pretrained import TFLITE
from gazebook.runs import Run, check_overrides

LARGE = "large"  # the ninth training set: all images of the classes, the paper's IN-9L
TRAINING_SETS = (*VARIANTS, LARGE)
LR = 0.05
# fields that the axes vary
VARIED = {"study", "variant", "seed", "evaluation", "head"}


@dataclass(frozen=True)
class Axes:
    """A profile of paper 2: the fields that all runs share, and the axes of its grid.

    `large` are the fields of the ninth training set. `evaluation` holds for all of the nine, with `reference_evaluation`
    added for the first seed's model of Original. `correlations` are those of background and class in the scenes on which
    BG-gap is put to the test, with fields and evaluation of their own. `family` are changes of the model of Original, by
    name, for the chapter on progress. `pretrained` are names of ImageNet classifiers that are measured as they are on the same
    images as these, `samples` those that are measured on photographs at full size. `picture` is the place of the image that
    opens the book, in a balanced order of the photographs, or without those, of the test images.
    """

    fields: dict[str, Any]
    seeds: tuple[int, ...]
    large: dict[str, Any]
    evaluation: dict[str, Any]
    reference_evaluation: dict[str, Any]
    correlations: tuple[float, ...]
    scene_fields: dict[str, Any]
    scene_evaluation: dict[str, Any]
    family: dict[str, dict[str, Any]] = field(default_factory=dict)
    family_evaluation: dict[str, Any] = field(default_factory=lambda: {"draws": 3})
    pretrained: tuple[str, ...] = ()
    pretrained_evaluation: dict[str, Any] = field(default_factory=dict)
    samples: tuple[str, ...] = ()
    samples_evaluation: dict[str, Any] = field(default_factory=lambda: {"draws": 20})
    picture: int = 1
    training_sets: tuple[str, ...] = TRAINING_SETS


SCENES = {"data": "scenes", "head": "softmax", "lr": LR, "batch_size": 32, "augmentation": "flip"}
TINY = {"data": "tiny_imagenet9", "head": "softmax", "lr": LR, "augmentation": "crop+flip"}
SAMPLES = (
    f"{TFLITE}mobilenet_v1_0.25_128_quant",
    f"{TFLITE}mobilenet_v1_0.5_160_quant",
    f"{TFLITE}mobilenet_v1_0.75_192_quant",
    f"{TFLITE}mobilenet_v2_1.0_224_quant",
    f"{TFLITE}tf2_mobilenet_v2_1.0_224_ptq",
    "efficientnet-lite0",
    "efficientnet-lite1",
    "efficientnet-lite2",
)
TRUTH = {"data": {"background_correlation": 1.0}, "draws": 3, "rendered": True}
# what the models of this paper are measured with
RULERS = (ON_VARIANTS, PICTURE, ADVERSARIAL, STRENGTH, SALIENCY, RENDERED, CONSTRUCTION)
AXES = {
    "demo": Axes(
        fields=SCENES
        | {"data_options": {"background_correlation": 0.5}, "train_images": 800, "test_images": 200, "epochs": 10},
        seeds=(0,),
        large={"train_images": 3000, "epochs": 4},
        evaluation={"draws": 2, "adversarial": 50, "saliency": 100},
        reference_evaluation={"strength": 20, "examples": 10, "category_examples": 3, "construction": 60},
        correlations=(0.0, 0.5, 1.0),
        scene_fields=SCENES | {"train_images": 800, "test_images": 200, "epochs": 10},
        scene_evaluation=TRUTH,
        family={"4 epochs": {"epochs": 4}, "2 epochs": {"epochs": 2}, "narrow": {"trunk_options": {"widths": [8, 16, 32]}}},
        family_evaluation={"draws": 2},
    ),
    "cpu": Axes(
        fields=TINY | {"trunk_options": {"widths": [24, 48, 96], "strides": [2, 2, 1]}, "epochs": 30, "batch_size": 32},
        seeds=(0, 1, 2),
        large={"data_options": {"everything": True}, "epochs": 8},
        evaluation={"draws": 5, "adversarial": 450, "saliency": 450},
        reference_evaluation={"strength": 90, "examples": 9, "category_examples": 3, "construction": 180},
        correlations=(0.0, 0.25, 0.5, 0.75, 1.0),
        scene_fields=SCENES | {"train_images": 4000, "epochs": 15},
        scene_evaluation=TRUTH,
        family={
            "3 epochs": {"epochs": 3},
            "8 epochs": {"epochs": 8},
            "15 epochs": {"epochs": 15},
            "widths 8": {"trunk_options": {"widths": [8, 16, 32], "strides": [2, 2, 1]}},
            "widths 16": {"trunk_options": {"widths": [16, 32, 64], "strides": [2, 2, 1]}},
            "widths 32": {"trunk_options": {"widths": [32, 64, 128], "strides": [2, 2, 1]}},
            "10% of the pictures": {"fraction": 0.1},
            "25% of the pictures": {"fraction": 0.25},
            "50% of the pictures": {"fraction": 0.5},
            "no augmentation": {"augmentation": "none"},
            "all augmentations": {"augmentation": "combined"},
        },
        pretrained=("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"),
        pretrained_evaluation={"draws": 1},
        samples=SAMPLES,
        picture=21,
    ),
    # the paper trains ResNet-50 at 224 px; this is its question at the size of the images that we can cut ourselves
    "paper": Axes(
        fields=TINY
        | {
            "trunk": "resnet18",
            "trunk_options": {"stem": "plain"},
            "epochs": 150,
            "milestones": (1 / 3, 2 / 3),
            "batch_size": 64,
        },
        seeds=(0, 1, 2),
        large={"data_options": {"everything": True}, "epochs": 50},
        evaluation={"draws": 5, "adversarial": 1350, "saliency": 450},
        reference_evaluation={"strength": 450, "examples": 9, "category_examples": 3, "construction": 180},
        correlations=(0.0, 0.25, 0.5, 0.75, 0.9, 1.0),
        scene_fields=SCENES | {"train_images": 5000, "epochs": 30, "trunk": "resnet18", "trunk_options": {"stem": "plain"}},
        scene_evaluation=TRUTH,
        family={
            "5 epochs": {"epochs": 5},
            "15 epochs": {"epochs": 15},
            "50 epochs": {"epochs": 50},
            "resnet8": {"trunk": "resnet8", "trunk_options": {"widths": [32, 64, 128], "strides": [2, 2, 1]}},
            "10% of the pictures": {"fraction": 0.1},
            "25% of the pictures": {"fraction": 0.25},
            "50% of the pictures": {"fraction": 0.5},
            "no augmentation": {"augmentation": "none"},
            "all augmentations": {"augmentation": "combined"},
        },
        pretrained=("resnet18.a1_in1k", "resnet50.a1_in1k", "resnet152.a1_in1k", "vgg16_bn.tv_in1k", "efficientnet_b0.ra_in1k"),
        pretrained_evaluation={"draws": 3},
    ),
}


def axes(
    profile: str,
    *,
    training_sets: Sequence[str] = (),
    seeds: Sequence[int] = (),
    correlations: Sequence[float] = (),
    overrides: dict[str, Any] | None = None,
) -> Axes:
    """The axes of a profile with some of them replaced (empty: the profile's own); `overrides` are fields of Run, for the
    models of the variants and of the scenes alike.
    """
    check_known("profile", profile, AXES)
    for name in training_sets:
        check_known("training set", name, TRAINING_SETS)
    changes = overrides or {}
    check_overrides(changes, VARIED)
    own = AXES[profile]
    large = {k: v for k, v in own.large.items() if k not in changes}
    if "data" not in changes and "data_options" in own.large:
        large["data_options"] = changes.get("data_options", {}) | own.large["data_options"]
    of_scenes = own.fields["data"] == own.scene_fields["data"] and "data" not in changes
    scene_changes = {k: v for k, v in changes.items() if k != "data" and (of_scenes or k != "data_options")}
    return replace(
        own,
        fields=own.fields | changes,
        scene_fields=own.scene_fields | scene_changes,
        large=large,
        training_sets=tuple(training_sets) or own.training_sets,
        seeds=tuple(seeds) or own.seeds,
        correlations=tuple(correlations) or own.correlations,
    )


def trained_on(axes: Axes, training_set: str, seed: int) -> Run:
    """The model of one of the nine training sets."""
    evaluation = axes.evaluation
    if training_set == "original" and seed == axes.seeds[0]:
        evaluation = evaluation | axes.reference_evaluation
    if training_set == LARGE:
        large = axes.fields | axes.large
        return Run(study="backgrounds", seed=seed, evaluation=evaluation, **large)
    return Run(study="backgrounds", variant=training_set, seed=seed, evaluation=evaluation, **axes.fields)


def reference(axes: Axes) -> Run:
    """The model that carries the examples: trained on Original with the first seed."""
    return trained_on(axes, "original", axes.seeds[0])


def sets(axes: Axes, seeds: Sequence[int] = (), names: Sequence[str] = ()) -> list[Run]:
    """The models of all training sets, or of those of `names` that the axes have."""
    wanted = [name for name in names or axes.training_sets if name in axes.training_sets]
    return [trained_on(axes, name, seed) for seed in seeds or axes.seeds for name in wanted]


def scenes(axes: Axes, seeds: Sequence[int] = ()) -> list[Run]:
    """Models of scenes in which background and class go together with a known correlation."""
    runs = []
    for seed in seeds or axes.seeds:
        for rho in axes.correlations:
            options = axes.scene_fields.get("data_options", {}) | {"background_correlation": rho}
            fields = axes.scene_fields | {"data_options": options, "evaluation": axes.scene_evaluation}
            runs.append(Run(study="backgrounds", seed=seed, **fields))
    return runs


def family(axes: Axes) -> dict[str, Run]:
    """Models of Original that are better and worse, by what is changed; first seed."""
    own = reference(axes).replace(evaluation=axes.family_evaluation)
    return {name: own.replace(**changes) for name, changes in axes.family.items()}


def pretrained(axes: Axes) -> list[Run]:
    """ImageNet classifiers as they are, on the test images of the variants."""
    kept = {k: v for k, v in axes.fields.items() if k in ("data", "data_options", "test_images")}
    as_it_is = {"head": IMAGENET, "epochs": None, "updates": 0, "evaluation": axes.pretrained_evaluation}
    return [Run(study="backgrounds", trunk=name, **as_it_is, **kept) for name in axes.pretrained]


def samples(axes: Axes) -> list[Run]:
    """ImageNet classifiers as they are, on ImageNet-Samples-9: photographs at 256 pixels."""
    as_it_is = {"head": IMAGENET, "epochs": None, "updates": 0, "evaluation": axes.samples_evaluation}
    return [Run(study="backgrounds", data="imagenet_samples9", trunk=name, **as_it_is) for name in axes.samples]


def picture(axes: Axes) -> Run:
    """One image cut eight ways before one model: a network of ImageNet where there are photographs, else the reference."""
    networks = [run for run in samples(axes) if run.trunk == "efficientnet-lite0"]
    return (networks or [reference(axes)])[0].replace(evaluation={"picture": axes.picture})


def released(names: Sequence[str]) -> list[Run]:
    """ImageNet classifiers on the released ImageNet-9, for who has it; in no profile's grid."""
    as_it_is = {"head": IMAGENET, "epochs": None, "updates": 0}
    return [Run(study="backgrounds", data="imagenet9", trunk=name, **as_it_is) for name in names]


def parts(axes: Axes) -> dict[str, list[Run]]:
    """All runs of the part by what they are for."""
    return {
        "sets": sets(axes),
        "scenes": scenes(axes),
        "family": list(family(axes).values()),
        "pretrained": pretrained(axes),
        "samples": samples(axes),
        "picture": [picture(axes)],
    }


def checkpoints(axes: Axes) -> list[Run]:
    """The models whose weights are published, to be measured like anybody's: scenes whose backgrounds say nothing, and all."""
    own = scenes(axes, axes.seeds[:1])
    return [own[0], own[-1]]


def grid(profile: str) -> list[Run]:
    """All runs of the part, any-time: the nine training sets and the scenes of the first seed, the photographs, a pretrained
    model, the family, then the other seeds and models.
    """
    own = AXES[profile]
    first = own.seeds[:1]
    runs = [*sets(own, first), *scenes(own, first), picture(own), *samples(own), *pretrained(own)[:1], *family(own).values()]
    for seed in own.seeds[1:]:
        runs += [*sets(own, (seed,)), *scenes(own, (seed,))]
    return [*runs, *pretrained(own)]
