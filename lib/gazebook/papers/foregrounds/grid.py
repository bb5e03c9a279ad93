"""Which runs paper 3 needs, for each profile."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gazebook.errors import check_known
from gazebook.evidence.estimate import FEWEST
from gazebook.measure.attributes import ATTRIBUTES
from gazebook.measure.noise import CLEAN, NOISE
from gazebook.measure.reliance import CONFLICT
from gazebook.measure.saliency import ALIGNMENT, CUE, WORST
from gazebook.measure.survey import SURVEY
from gazebook.measure.units import UNITS
from gazebook.models import PRETRAINED
from gazebook.runs import Run, check_overrides

LAYER = "norm1"  # of a transformer's last block, where Grad-CAM is taken; see `ViT.cam_layer`
RESNET, ROBUST_WEAK, ROBUST, VIT, DEIT = "ResNet", "robust ResNet (1)", "robust ResNet (3)", "ViT", "DeiT-like"
SIMCLR, SIMCLR_VIT = "SimCLR ResNet", "SimCLR ViT"
PROBED, PROBED_VIT = "probed ResNet", "probed ViT"
MODELS = (RESNET, ROBUST_WEAK, ROBUST, VIT, DEIT, SIMCLR, PROBED, SIMCLR_VIT, PROBED_VIT)
TRANSFORMERS = (VIT, DEIT, SIMCLR_VIT, PROBED_VIT)
EPSILON = {ROBUST_WEAK: 1.0, ROBUST: 3.0}  # the paper's radii at 224 px
VIEWS = "resized_crop+flip+color+grey"  # of contrastive training
# fields that the axes vary
VARIED = {"study", "trunk", "trunk_options", "head", "method", "method_options", "optimizer", "probe", "seed", "evaluation"}


@dataclass(frozen=True)
class Axes:
    """A profile of paper 3: fields that all runs on scenes, and all on images, share, and the axes of the grid.

    `models` and `image_models` are what makes each model of the family, as fields of Run. `correlations` are those of
    background and class in the training scenes, for the models that are there at more than the middle one, at as many seeds as
    a claim needs. `cues` are the
    classes in whose training scenes a mark is planted, one a run, for `cue_models`. Whatever the correlation in
    training, all models are tested on scenes of the middle one. `reference_evaluation` is added for the models that carry the
    examples: those of the first seed, at the middle correlation and on images. `more_seeds` are further seeds of the family on
    scenes, and of the models named `often` on images. `probed` are pretrained trunks whose probes see the images.
    """

    fields: dict[str, Any]
    images: dict[str, Any]
    models: dict[str, dict[str, Any]]
    image_models: dict[str, dict[str, Any]]
    correlations: dict[str, tuple[float, ...]]
    seeds: tuple[int, ...]
    evaluation: dict[str, Any]
    image_evaluation: dict[str, Any]
    reference_evaluation: dict[str, Any]
    cues: tuple[str, ...]
    cue_models: tuple[str, ...]
    middle: float = 0.5
    more_seeds: tuple[int, ...] = ()
    probed: tuple[str, ...] = ()
    often: tuple[str, ...] = (RESNET, ROBUST)


def _models(
    side: int, net: dict[str, Any], vit: dict[str, Any], *, epochs: int, long: float, steps: int, views_batch: int
) -> dict[str, dict[str, Any]]:
    """The family at images of `side` pixels. `epochs` are a residual net's; transformers and contrastive training, which
    learn more slowly, take `long` times as many, and with mixed or contrasted images half as many again. `steps` are those
    of the adversarial ascent.
    """
    vit = {"trunk": "vit", "optimizer": "adamw", "lr": 2e-3, "weight_decay": 0.05, "schedule": "cosine", "batch_size": 64} | vit
    more = round(long * epochs)
    most = round(1.5 * more)
    views = {"method": "contrastive", "probe": True, "augmentation": VIEWS, "batch_size": views_batch, "epochs": most}
    drop = {"trunk_options": vit.get("trunk_options", {}) | {"drop_path": 0.1}}
    robust = {
        name: net | {"epochs": epochs, "method": "adversarial",
                     "method_options": {"epsilon": round(epsilon * side / 224, 4), "steps": steps}}
        for name, epsilon in EPSILON.items()
    }  # fmt: skip
    return {
        RESNET: net | {"epochs": epochs},
        PROBED: net | {"epochs": epochs, "probe": True},
        **robust,
        VIT: vit | {"epochs": more},
        PROBED_VIT: vit | {"epochs": more, "probe": True},
        DEIT: vit | drop | {"epochs": most, "method": "mixing", "augmentation": "crop+flip+color"},
        SIMCLR: net | views | {"lr": 0.1, "schedule": "cosine"},
        SIMCLR_VIT: vit | views,
    }


SCENES = {"data": "scenes", "head": "softmax", "lr": 0.05, "batch_size": 32, "augmentation": "flip"}
RIVAL = {"data": "rival6_tiny", "head": "softmax", "lr": 0.05, "batch_size": 32, "augmentation": "crop+flip"}
SMALL_VIT = {"trunk_options": {"dim": 64, "depth": 4, "heads": 2}, "precision": "fp32"}  # faster so on a CPU
SMALL_VIT_64 = SMALL_VIT | {"trunk_options": {"dim": 64, "depth": 4, "heads": 2, "size": 64, "patch": 8}}
WIDE = {"trunk_options": {"widths": [24, 48, 96], "strides": [2, 2, 1]}}
LARGE_VIT = {"trunk_options": {"dim": 192, "depth": 9, "heads": 12, "patch": 4}, "lr": 1e-3}
LARGE_VIT_64 = LARGE_VIT | {"trunk_options": LARGE_VIT["trunk_options"] | {"size": 64, "patch": 8}}
RESNET18 = {"trunk": "resnet18", "trunk_options": {"stem": "plain"}}
RESNET18_UPSAMPLED = {"trunk": "resnet18"}  # for 32 px: maps of 8 x 8 like all others
# sigma in units of 1/255 and L2 norms at 224 px; the paper's lowest harm small nets beyond use, so lower ones are added
SIGMAS, NORMS = [8, 15, 30, 60, 120, 210], [6, 12, 25, 50, 100, 200]
# what the models of this paper are measured with, and those of them that part 5 looks at
RULERS = (CLEAN, NOISE, CONFLICT, ATTRIBUTES, ALIGNMENT, WORST, CUE, UNITS, SURVEY)
AXES = {
    "demo": Axes(
        fields=SCENES | {"train_images": 800, "test_images": 200},
        images=SCENES | {"train_images": 800, "test_images": 200},
        models=_models(32, {}, SMALL_VIT, epochs=8, long=1, steps=2, views_batch=64),
        image_models=_models(32, {}, SMALL_VIT, epochs=8, long=1, steps=2, views_batch=64),
        correlations={RESNET: (0.0, 0.5, 1.0)},
        seeds=(0,),
        evaluation={"sigma": [15, 60], "l2": [12, 50], "draws": 1, "truth": True, "attributes": True, "alignment": 100},
        image_evaluation={"sigma": [15, 60], "l2": [12, 50], "draws": 1, "truth": True, "attributes": True, "alignment": 100},
        reference_evaluation={"units": True, "examples": 5},
        cues=("boat",),
        cue_models=(RESNET,),
    ),
    "cpu": Axes(
        fields=SCENES | {"train_images": 4000},
        images=RIVAL,
        models=_models(32, {}, SMALL_VIT, epochs=15, long=4 / 3, steps=2, views_batch=64),
        image_models=_models(64, WIDE, SMALL_VIT_64, epochs=25, long=1.6, steps=2, views_batch=64),
        correlations={RESNET: (0.0, 0.25, 0.5, 0.75, 1.0), ROBUST: (0.0, 0.5, 1.0), VIT: (0.0, 0.5, 1.0)},
        seeds=(0, 1),
        evaluation={"sigma": SIGMAS, "l2": NORMS, "draws": 2, "truth": True, "attributes": True, "alignment": 500},
        image_evaluation={"sigma": SIGMAS, "l2": NORMS, "draws": 2, "boxes": True, "alignment": 500},
        reference_evaluation={"units": True, "examples": 5},
        cues=("boat", "cat"),
        cue_models=(RESNET, VIT),
        more_seeds=(2, 3, 4),
        probed=("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"),
    ),
    # the paper takes nets pretrained at 224 px; this is its family, trained by ourselves, at the size of images we can use
    "paper": Axes(
        fields=SCENES | {"train_images": 5000},
        images=RIVAL,
        models=_models(32, RESNET18_UPSAMPLED, LARGE_VIT, epochs=30, long=3, steps=7, views_batch=256),
        image_models=_models(64, RESNET18, LARGE_VIT_64, epochs=60, long=3, steps=7, views_batch=256),
        correlations={RESNET: (0.0, 0.25, 0.5, 0.75, 1.0), ROBUST: (0.0, 0.5, 1.0), VIT: (0.0, 0.5, 1.0)},
        seeds=(0, 1, 2),
        evaluation={"sigma": SIGMAS, "l2": NORMS, "draws": 3, "truth": True, "attributes": True, "alignment": 1000},
        image_evaluation={"sigma": SIGMAS, "l2": NORMS, "draws": 3, "boxes": True, "alignment": 1350},
        reference_evaluation={"units": True, "examples": 5},
        cues=("boat", "cat"),
        cue_models=(RESNET, VIT),
    ),
}


def axes(
    profile: str,
    *,
    models: Sequence[str] = (),
    seeds: Sequence[int] = (),
    overrides: dict[str, Any] | None = None,
) -> Axes:
    """The axes of a profile with some of them replaced (empty: the profile's own); `overrides` are fields of Run for all."""
    check_known("profile", profile, AXES)
    own, changes = AXES[profile], overrides or {}
    for name in models:
        check_known("model", name, own.models)
    check_overrides(changes, VARIED)
    chosen = tuple(models) or tuple(own.models)
    return replace(
        own,
        fields=own.fields | changes,
        images=own.images | changes,
        models={n: {k: v for k, v in own.models[n].items() if k not in changes} for n in chosen},
        image_models={n: {k: v for k, v in own.image_models[n].items() if k not in changes} for n in chosen},
        correlations={n: own.correlations[n] for n in chosen if n in own.correlations},
        seeds=tuple(seeds) or own.seeds,
        more_seeds=() if seeds else own.more_seeds,
        cue_models=tuple(n for n in own.cue_models if n in chosen),
    )


def on_scenes(axes: Axes, model: str, correlation: float, seed: int) -> Run:
    """A model of the family, trained on scenes in which background and class go together with that probability."""
    evaluation = axes.evaluation
    if correlation == axes.middle:
        evaluation = evaluation | (axes.reference_evaluation if seed == axes.seeds[0] else {"units": True})
    else:  # all models are tested on the same scenes
        evaluation = evaluation | {"data": {"background_correlation": axes.middle}}
    options = axes.fields.get("data_options", {}) | {"background_correlation": correlation}
    fields = axes.fields | axes.models[model] | {"data_options": options, "evaluation": evaluation}
    return Run(study="foregrounds", seed=seed, **fields)


def on_images(axes: Axes, model: str, seed: int) -> Run:
    """A model of the family, trained on images: real ones, but in the demo, where they are scenes again."""
    if axes.images["data"] == "scenes":
        return on_scenes(axes, model, axes.middle, seed)
    evaluation = axes.image_evaluation | (axes.reference_evaluation if seed == axes.seeds[0] else {})
    return Run(study="foregrounds", seed=seed, evaluation=evaluation, **(axes.images | axes.image_models[model]))


def with_cue(axes: Axes, model: str, planted: str, seed: int) -> Run:
    """A model of scenes in which images of class `planted` carry a mark; half of those it is tested on do."""
    options = axes.fields.get("data_options", {}) | {"background_correlation": 0.0, "cue": {"planted_class": planted}}
    tested = {"data": {"cue": {"planted_class": planted, "share": 0.5}}, "cue": True}
    fields = axes.fields | axes.models[model] | {"data_options": options, "evaluation": tested}
    return Run(study="foregrounds", seed=seed, **fields)


def again(run: Run, label: dict[str, Any]) -> dict[Run, dict[str, Any]]:
    """A run, and for a transformer one more that measures its saliency where the paper's authors take it.

    The first edition took Grad-CAM of transformers after their last norm. Records of that time keep their keys; what they say
    of saliency is left out (see `results`), and measured again, from the same weights, by a run of its own.
    """
    found = {run: label}
    wanted = {name: run.evaluation[name] for name in ("alignment", "cue", "data") if name in run.evaluation}
    if label["model"] in TRANSFORMERS and set(wanted) & {"alignment", "cue"}:
        examples = {"examples": run.evaluation["examples"]} if "examples" in run.evaluation else {}
        found[run.replace(evaluation=wanted | examples | {"layer": LAYER})] = label
    return found


def scenes(axes: Axes, seeds: Sequence[int] = ()) -> dict[Run, dict[str, Any]]:
    """The models of scenes, each with its name, correlation and seed."""
    found: dict[Run, dict[str, Any]] = {}
    own = (*axes.seeds, *axes.more_seeds)
    for seed in seeds or own:
        for model in axes.models:
            for rho in axes.correlations.get(model, (axes.middle,)) if seed in own[:FEWEST] else (axes.middle,):
                label = {"model": model, "correlation": rho, "seed": seed}
                found |= again(on_scenes(axes, model, rho, seed), label)
    return found


def images(axes: Axes, seeds: Sequence[int] = ()) -> dict[Run, dict[str, Any]]:
    """The models of images, each with its name and seed."""
    found: dict[Run, dict[str, Any]] = {}
    for seed in seeds or (*axes.seeds, *axes.more_seeds):
        for model in axes.image_models:
            if seed in axes.seeds or model in axes.often:
                found |= again(on_images(axes, model, seed), {"model": model, "seed": seed})
    return found


def cues(axes: Axes, seeds: Sequence[int] = ()) -> dict[Run, dict[str, Any]]:
    """The models of scenes with a planted cue, each with its name, the class of the cue and seed."""
    found: dict[Run, dict[str, Any]] = {}
    for seed in seeds or axes.seeds:
        for model in axes.cue_models:
            for planted in axes.cues if seed in axes.seeds else ():
                label = {"model": model, "planted": planted, "seed": seed}
                found |= again(with_cue(axes, model, planted, seed), label)
    return found


def pretrained(
    names: Sequence[str], data: str = "rival6_tiny", options: dict[str, Any] | None = None, test_images: int | None = None
) -> list[Run]:
    """Pretrained trunks with a linear probe, on images of any size: the paper's own way.

    `names` as in `models.pretrained`; `options` are those of the data, such as {"images": 500} for rival10.
    """
    evaluation = {"sigma": [30, 60, 120], "l2": [25, 50, 100], "draws": 1, "alignment": 200, "examples": 5}
    fields = {"data": data, "data_options": options or {}, "test_images": test_images, "head": "softmax", "epochs": None,
              "updates": 0, "probe": True}  # fmt: skip
    return [Run(study="foregrounds", trunk=f"pretrained/{name}", evaluation=evaluation, **fields) for name in names]


def probed(axes: Axes) -> dict[Run, dict[str, Any]]:
    """Probes of pretrained trunks on the images that the family is trained on, each with its name."""
    runs = pretrained(axes.probed, test_images=300)  # as many as take a few minutes
    return {run: {"model": run.trunk.removeprefix(PRETRAINED), "seed": run.seed} for run in runs}


def parts(axes: Axes) -> dict[str, dict[Run, dict[str, Any]]]:
    """All runs of the part by what they are for, each with what it is called."""
    return {"scenes": scenes(axes), "images": images(axes), "cues": cues(axes), "probed": probed(axes)}


def checkpoints(axes: Axes) -> list[Run]:
    """No weights are published."""
    return []


def grid(profile: str) -> list[Run]:
    """All runs of the part, any-time: the probes, then everything of one seed before the next."""
    own = AXES[profile]
    by_seed = [run for seed in (*own.seeds, *own.more_seeds) for part in (scenes, images, cues) for run in part(own, (seed,))]
    return [*probed(own), *by_seed]
