"""Which runs paper 4 needs, for each profile."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gazebook.data.superclasses import NAMES
from gazebook.errors import GazebookError, check_known
from gazebook.measure.erasing import HIDDEN, REGIONS, REPORT
from gazebook.measure.reliance import PARTS as REMOVED_PARTS
from gazebook.runs import Run, check_overrides

BASE, ZERO, ONE, RANDOM, MEAN = "baseline", "0-occlusion", "1-occlusion", "R-occlusion", "mean-occlusion"
SHIFTED, BOX, LOWEST = "same shape elsewhere", "box of equal area", "lowest values"
CUTOUT, EARLY, LATE = "Cutout", "hidden features (middle)", "hidden features (last)"
P, TH = 0.25, 0.85  # the paper's (section 4.2)
# how each differs from plain training, as options of train.distraction
METHODS: dict[str, dict[str, Any] | None] = {
    BASE: None,
    ZERO: {"p": P, "th": TH},
    RANDOM: {"p": P, "th": TH, "fill": "random"},
    ONE: {"p": P, "th": TH, "fill": "one"},
    SHIFTED: {"p": P, "th": TH, "place": "shifted"},
    BOX: {"p": P, "th": TH, "place": "box"},
    LOWEST: {"p": P, "th": TH, "place": "lowest"},
    MEAN: {"p": P, "th": TH, "fill": "mean"},
    CUTOUT: {"p": 1.0, "place": "cutout", "area": 0.25, "fill": "mean"},  # of its size for CIFAR-10
    EARLY: {"p": P, "th": TH, "at": "middle"},  # the modules of Setting.layers
    LATE: {"p": P, "th": TH, "at": "last"},
}
PAPER = (BASE, ZERO, RANDOM, ONE)  # the columns of Table 1
CONTROLS = (SHIFTED, BOX, LOWEST)
FINE, IMAGES, TUNED, CONFUSABLE, STREAMS = "fine", "images", "tuned", "confusable", "streams"
TITLES = {
    FINE: "fine-grained scenes", IMAGES: "Tiny ImageNet, 42 classes", TUNED: "Tiny ImageNet, fine-tuned",
    CONFUSABLE: "CIFAR-10, six confusable classes", STREAMS: "photo streams",
}  # fmt: skip
# fields that the axes vary
VARIED = {"study", "data", "head", "method", "method_options", "seed", "evaluation"}


@dataclass(frozen=True)
class Setting:
    """One data set of a profile: fields of Run, what is measured, which methods are trained with which seeds, and the modules
    whose features are hidden.
    """

    fields: dict[str, Any]
    evaluation: dict[str, Any]
    seeds: dict[str, tuple[int, ...]]
    layers: tuple[str, str] = ("trunk.blocks.1", "trunk.blocks.2")


@dataclass(frozen=True)
class Axes:
    """A profile of paper 4: its data sets; and of one of them the values of p and th that are tried, with their seeds. Models
    of seed `first` carry examples.
    """

    sets: dict[str, Setting]
    p: tuple[float, ...] = ()
    th: tuple[float, ...] = ()
    sweep_set: str = FINE
    sweep_seeds: tuple[int, ...] = ()
    leaky_seeds: tuple[int, ...] = ()
    first: int = 0


def _seeds(few: int, more: int, often: Sequence[str] = (BASE, ZERO, SHIFTED), methods: Sequence[str] = tuple(METHODS)):
    return {name: tuple(range(more if name in often else few)) for name in methods}


MAPS = {"erased": True, "hidden": [0.1, 0.2]}
SMALL = {"head": "softmax", "lr": 0.05, "batch_size": 32, "augmentation": "flip"}
GROUPS = {"classes": ["automobile", "truck", "cat", "dog", "deer", "horse"]}
SYNSETS = {"superclasses": list(NAMES)}
WIDE = {"trunk_options": {"widths": [24, 48, 96], "strides": [2, 2, 1]}}
# how the paper trains (section 4.2)
AS_PAPER = {
    "head": "softmax", "optimizer": "adamw", "lr": 5e-5, "epsilon": 7e-7, "weight_decay": 0.0, "milestones": (),
    "batch_size": 16,
}  # fmt: skip
RESNET18_LAYERS = ("trunk.layers.2", "trunk.layers.3")
STREAM_OPTIONS = ("of", "of_options", "largest", "test_largest", "imbalance", "frames", "oversample")
STREAM_METHODS = (BASE, ZERO, SHIFTED)
# what the models of this paper are measured with
RULERS = (REPORT, HIDDEN, REGIONS, REMOVED_PARTS)
AXES = {
    "demo": Axes(
        sets={
            FINE: Setting(
                SMALL | {"data": "fine_scenes", "train_images": 1500, "test_images": 300, "epochs": 12, "augmentation": "none"},
                MAPS | {"maps": 100, "parts": True},
                _seeds(1, 1, methods=(*PAPER, *CONTROLS, CUTOUT, LATE)),
            ),
            STREAMS: Setting(
                SMALL | {"data": "photo_streams", "epochs": 4,
                         "data_options": {"of": "scenes", "of_options": {"images": 2000}, "largest": 80, "oversample": True}},
                {"erased": True, "maps": 100},
                _seeds(1, 1, methods=STREAM_METHODS),
            ),
        },
        p=(0.5,), th=(0.5,), sweep_seeds=(0,), leaky_seeds=(0,),
    ),
    "cpu": Axes(
        sets={
            FINE: Setting(
                SMALL | {"data": "fine_scenes", "train_images": 3000, "epochs": 25, "augmentation": "none"},
                MAPS | {"maps": 300, "parts": True},
                _seeds(3, 6),
            ),
            CONFUSABLE: Setting(
                SMALL | {"data": "cifar10", "data_options": GROUPS, "train_images": 6000, "epochs": 20},
                MAPS | {"maps": 300},
                _seeds(3, 4, methods=(*PAPER, *CONTROLS, CUTOUT)),
            ),
            IMAGES: Setting(
                SMALL | WIDE | {"data": "tiny_imagenet", "data_options": SYNSETS, "train_images": 8400, "epochs": 15,
                                "augmentation": "crop+flip"},
                MAPS | {"maps": 300},
                _seeds(3, 3, methods=(*PAPER, SHIFTED, BOX)),
            ),
            # 100 images a class, and a rate at which it learns them by heart
            TUNED: Setting(
                AS_PAPER | {"data": "tiny_imagenet", "data_options": SYNSETS, "train_images": 4200, "epochs": 11, "lr": 3e-4,
                            "milestones": (2 / 3,), "trunk": "pretrained/efficientnet-lite0", "trunk_options": {"size": 112},
                            "augmentation": "flip", "precision": "fp32"},
                MAPS | {"maps": 300},
                _seeds(3, 5, often=(BASE, ZERO, SHIFTED, BOX), methods=(BASE, ZERO, SHIFTED, BOX, RANDOM, ONE)),
            ),
            STREAMS: Setting(
                SMALL | {"data": "photo_streams", "epochs": 12,
                         "data_options": {"largest": 400, "test_largest": 1000, "oversample": True}},
                {"erased": True, "maps": 300},
                _seeds(5, 5, methods=STREAM_METHODS),
            ),
        },
        p=(0.1, 0.5, 1.0), th=(0.5, 0.7), sweep_seeds=(0, 1, 2), leaky_seeds=(0, 1, 2),
    ),
    "paper": Axes(
        sets={
            FINE: Setting(
                SMALL | {"data": "fine_scenes", "trunk": "resnet18", "epochs": 30, "batch_size": 64, "augmentation": "none"},
                MAPS | {"maps": 500, "parts": True},
                _seeds(3, 6),
                RESNET18_LAYERS,
            ),
            CONFUSABLE: Setting(
                SMALL | {"data": "cifar10", "data_options": GROUPS, "trunk": "resnet18", "epochs": 30, "batch_size": 128,
                         "augmentation": "crop+flip"},
                MAPS | {"maps": 500},
                _seeds(3, 3, methods=(*PAPER, *CONTROLS, CUTOUT)),
            ),
            IMAGES: Setting(
                SMALL | {"data": "tiny_imagenet", "data_options": SYNSETS, "trunk": "resnet18", "batch_size": 128,
                         "trunk_options": {"stem": "plain"}, "epochs": 60, "augmentation": "crop+flip"},
                MAPS | {"maps": 500},
                _seeds(3, 3, methods=(*PAPER, *CONTROLS, CUTOUT)),
            ),
            STREAMS: Setting(
                SMALL | {"data": "photo_streams", "trunk": "resnet18", "epochs": 30, "batch_size": 128,
                         "data_options": {"largest": 1000, "oversample": True}},
                {"erased": True, "maps": 500},
                _seeds(5, 5, methods=STREAM_METHODS),
            ),
        },
        p=(0.1, 0.5, 1.0), th=(0.5, 0.7, 0.95), sweep_seeds=(0, 1, 2), leaky_seeds=(0, 1, 2),
    ),
}  # fmt: skip


def axes(
    profile: str, *, methods: Sequence[str] = (), seeds: Sequence[int] = (), overrides: dict[str, Any] | None = None
) -> Axes:
    """The axes of a profile with some of them replaced (empty: the profile's own); `overrides` are fields of Run for all;
    of its `data_options` those of photo streams go to them, others to all other data sets.
    """
    check_known("profile", profile, AXES)
    own, changes = AXES[profile], overrides or {}
    for name in methods:
        check_known("method", name, METHODS)
    check_overrides(changes, VARIED)
    if unknown := [name for name in methods if not any(name in own_set.seeds for own_set in own.sets.values())]:
        raise GazebookError(f"profile {profile} does not train {unknown[0]!r}; choose another profile or method")
    sets = {name: _changed(setting, methods, seeds, changes) for name, setting in own.sets.items()}
    swept = tuple(seeds) or own.sweep_seeds
    return replace(own, sets=sets, sweep_seeds=swept, leaky_seeds=tuple(seeds) or own.leaky_seeds)


def _changed(setting: Setting, methods: Sequence[str], seeds: Sequence[int], changes: dict[str, Any]) -> Setting:
    fields = setting.fields | changes
    streams = setting.fields["data"] == "photo_streams"
    options = {k: v for k, v in changes.get("data_options", {}).items() if (k in STREAM_OPTIONS) == streams}
    if streams:  # its classes are unbalanced: a balanced share would undo that
        fields.pop("train_images", None)
    if "data_options" in fields:
        fields["data_options"] = setting.fields.get("data_options", {}) | options
    chosen = {n: tuple(seeds) or s for n, s in setting.seeds.items() if not methods or n in methods or n == BASE}
    return replace(setting, fields=fields, seeds=chosen)


def on_set(axes: Axes, name: str, method: str, seed: int) -> Run:
    """One model of a data set; those of the first seed carry examples."""
    own = axes.sets[name]
    evaluation = own.evaluation | ({"examples": 6} if seed == axes.first else {})
    return Run(study="distraction", seed=seed, evaluation=evaluation, **own.fields, **_method(METHODS[method], own.layers))


def swept(axes: Axes, method: str, seed: int, **options: float) -> Run:
    """A model of the data set that is swept, with another p or th."""
    own = axes.sets[axes.sweep_set]
    evaluation = {k: v for k, v in own.evaluation.items() if k in ("erased", "parts")}
    changed = METHODS[method] | options
    return Run(study="distraction", seed=seed, evaluation=evaluation, **own.fields, **_method(changed))


def _method(options: dict[str, Any] | None, layers: tuple[str, str] = ("", "")) -> dict[str, Any]:
    if options is None:
        return {}
    if "at" in options:
        options = options | {"at": layers[options["at"] == "last"]}
    return {"method": "distraction", "method_options": options}


def main(axes: Axes, seeds: Sequence[int] = ()) -> dict[Run, dict[str, Any]]:
    """All models of all data sets, each with its data set, method and seed."""
    return {
        on_set(axes, name, method, seed): {"data": name, "model": method, "seed": seed, "p": P, "th": TH}
        for name, own in axes.sets.items()
        for method, there in own.seeds.items()
        for seed in there
        if not seeds or seed in seeds
    }


def sweep(axes: Axes, seeds: Sequence[int] = ()) -> dict[Run, dict[str, Any]]:
    """Guided hiding and the same shapes elsewhere with other p and th, each with what it is called."""
    if axes.sweep_set not in axes.sets:
        return {}
    cases = [{"p": p, "th": TH} for p in axes.p] + [{"p": P, "th": th} for th in axes.th]
    return {
        swept(axes, method, seed, **case): {"data": axes.sweep_set, "model": method, "seed": seed, **case}
        for seed in axes.sweep_seeds
        if not seeds or seed in seeds
        for method in (ZERO, SHIFTED)
        if method in axes.sets[axes.sweep_set].seeds
        for case in cases
    }


def leaky(axes: Axes, seeds: Sequence[int] = ()) -> dict[Run, dict[str, Any]]:
    """The baseline of the streams tested on further frames of its training events."""
    if STREAMS not in axes.sets:
        return {}
    found = {}
    for seed in axes.leaky_seeds:
        if not seeds or seed in seeds:
            run = on_set(axes, STREAMS, BASE, seed)
            found[run.replace(evaluation={"data": {"leaky": True}})] = {"data": STREAMS, "model": BASE, "seed": seed}
    return found


def fine_tuned(
    trunk: str = "torchvision/resnet50", data: str = "fgvc_aircraft", options: dict[str, Any] | None = None,
    methods: Sequence[str] = PAPER, seeds: Sequence[int] = (0, 1, 2), epochs: int = 30,
) -> list[Run]:  # fmt: skip
    """The paper's setting (section 4.2), as far as it is told: a net pretrained on ImageNet, fine-tuned by Adam at 5e-5 with
    batches of 16, on three quarters of the training images, drawn for each seed (of EgoFoodPlaces on its training split).
    `trunk` as in `models.pretrained`. In no profile's grid; wants a GPU and images at 224 px.
    """
    size = (options or {}).get("size", 250 if data == "egofoodplaces" else 224)
    fields = AS_PAPER | {
        "data": data, "data_options": options or {}, "fraction": 1.0 if data == "egofoodplaces" else 0.75,
        "trunk_options": {"size": size}, "trunk": f"pretrained/{trunk}", "epochs": epochs,
        "augmentation": "flip+rotate40+shift_channels+brightness", "evaluation": {"erased": True, "maps": 500},
    }  # fmt: skip
    return [Run(study="distraction", seed=seed, **fields, **_method(METHODS[name])) for seed in seeds for name in methods]


def checkpoints(axes: Axes) -> list[Run]:
    """The baseline of the first seed on the first data set, whose weights are published for the live example."""
    return [on_set(axes, next(iter(axes.sets)), BASE, axes.first)]


def grid(profile: str) -> list[Run]:
    """All runs of the part, any-time: everything of one seed before the next."""
    own = AXES[profile]
    seeds = sorted({seed for setting in own.sets.values() for there in setting.seeds.values() for seed in there})
    return [run for seed in seeds for runs in (main, sweep, leaky) for run in runs(own, (seed,))]
