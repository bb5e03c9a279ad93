"""Which runs paper 1 needs, for each profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from gazebook.data import training_size
from gazebook.errors import check_known
from gazebook.images.augment import AUGMENTATIONS
from gazebook.ledger import Ledger
from gazebook.measure.attention import ATTENTION
from gazebook.measure.corruption import CORRUPTION
from gazebook.runs import Run, check_overrides

# Learning rates of the released notebooks: SCrIBE's, which both heads get in a matched comparison, and the softmax model's
LR = 0.05
PUBLISHED_LR = 0.1
# fields that the axes vary
VARIED = {"study", "head", "augmentation", "fraction", "seed", "evaluation"}


@dataclass(frozen=True)
class Sweep:
    """What is varied one thing at a time: r of the pooling, the trunk's options by the size of its class map, and for both
    heads at 100% the learning rate.
    """

    r: tuple[float, ...]
    maps: dict[int, dict[str, Any]]
    fractions: tuple[float, ...]
    augmentations: tuple[str, ...]
    seeds: tuple[int, ...]
    rates: tuple[float, ...] = ()


@dataclass(frozen=True)
class Axes:
    """A profile of paper 1: the fields that all runs share, and the axes of its grid.

    `fractions` belong to the first seed, `more_fractions` (empty: the same) to the others; both are ordered so that a
    prefix is a coarse version of the axis. `control_updates` is the length that the equal-updates control holds constant.
    `published` are the fields of the softmax model as its authors trained it. `evaluation` holds for all runs of equal
    epochs, with `full_evaluation` added for SCrIBE at 100%. `others` are the same grid on fewer images: the smaller scales of
    the study.
    """

    fields: dict[str, Any]
    fractions: tuple[float, ...]
    seeds: tuple[int, ...]
    control_updates: int
    control_fractions: tuple[float, ...]
    control_augmentations: tuple[str, ...]
    more_fractions: tuple[float, ...] = ()
    published: dict[str, Any] = field(default_factory=dict)
    published_fractions: tuple[float, ...] = (1.0,)
    evaluation: dict[str, int] = field(default_factory=dict)
    full_evaluation: dict[str, int] = field(default_factory=dict)
    sweep: Sweep | None = None
    others: tuple[Axes, ...] = ()
    augmentations: tuple[str, ...] = field(default=tuple(AUGMENTATIONS))

    @property
    def scale(self) -> int:
        """How many training images 100% are: the scale of the study."""
        return self.fields.get("train_images") or training_size(self.fields["data"], self.fields.get("data_options", {}))


WIDE = {"widths": [32, 64, 128]}
# what the models of this paper are measured with
RULERS = (ATTENTION, CORRUPTION)
AXES = {
    # minutes on two cores, no network: trends, not accuracies
    "demo": Axes(
        fields={"data": "scenes", "train_images": 1000, "test_images": 300, "epochs": 10, "batch_size": 32},
        fractions=(0.1, 1.0, 0.4),
        seeds=(0,),
        control_updates=130,  # those of 10 epochs of 40% of the images
        control_fractions=(0.1, 0.4, 1.0),
        control_augmentations=("none",),
        published={"lr": PUBLISHED_LR, "trunk_options": {"strides": [1, 2, 2]}},
        evaluation={"direct": 24},
        full_evaluation={"upsampled": 10, "upsampled_area": 10, "examples": 2},
        sweep=Sweep((1.0, 5.0), {4: {"strides": [1, 2, 2]}}, (0.1, 0.4, 1.0), ("none",), (0,)),
    ),
    # the study's own regime but for the net, which is small, and the pixels, which are JPEG's
    "cpu": Axes(
        fields={"data": "cifar10", "trunk_options": WIDE},
        fractions=(0.1, 1.0, 0.3, 0.5, 0.2, 0.4, 0.7, 0.9, 0.6, 0.8),
        more_fractions=(0.1, 1.0, 0.5),
        seeds=(0, 1, 2),
        control_updates=5865,  # half of those of a run on all images
        control_fractions=(0.1, 1.0, 0.3),
        control_augmentations=("none", "crop", "combined"),
        published={"lr": PUBLISHED_LR, "trunk_options": WIDE | {"strides": [1, 2, 2]}},
        evaluation={"upsampled": 500},
        full_evaluation={"direct": 200, "upsampled_area": 200, "examples": 4},
        sweep=Sweep((), {}, (), ("none", "crop"), (0,), rates=(0.02, 0.1)),
        others=(
            Axes(
                fields={"data": "cifar10", "train_images": 20_000, "batch_size": 64},
                fractions=(0.1, 1.0, 0.3, 0.2, 0.5),
                seeds=(0, 1),
                control_updates=4695,
                control_fractions=(0.1, 1.0, 0.3, 0.2, 0.5),
                control_augmentations=("none", "combined"),
            ),
            Axes(
                fields={"data": "cifar10", "train_images": 4000, "epochs": 20, "batch_size": 32},
                fractions=(0.1, 1.0, 0.2, 0.5, 0.3, 0.7, 0.9, 0.4, 0.6, 0.8),
                more_fractions=(0.1, 1.0, 0.2, 0.5),
                seeds=(0, 1, 2),
                control_updates=1250,  # half of those of a run on all images
                control_fractions=(0.1, 1.0, 0.2, 0.5),
                control_augmentations=("none", "combined"),
                published={"lr": PUBLISHED_LR, "trunk_options": {"strides": [1, 2, 2]}},
                evaluation={"upsampled": 500},
                full_evaluation={"direct": 200, "upsampled_area": 200, "examples": 4},
                sweep=Sweep((1.0, 5.0), {4: {"strides": [1, 2, 2]}}, (0.1, 1.0, 0.2), ("none", "combined"), (0,)),
            ),
        ),
    ),
    # the study's own settings on one GPU
    "paper": Axes(
        fields={"data": "cifar10", "train_images": 50_000, "trunk": "resnet18"},
        fractions=(0.1, 1.0, 0.5, 0.3, 0.7, 0.2, 0.9, 0.4, 0.6, 0.8),
        seeds=(0,),
        control_updates=5865,
        control_fractions=(0.1, 1.0, 0.5),
        control_augmentations=("none", "crop", "combined"),
        published={"lr": PUBLISHED_LR, "trunk_options": {"stem": "plain"}},
        published_fractions=(1.0, 0.1, 0.5, 0.3, 0.7, 0.2, 0.9, 0.4, 0.6, 0.8),
        evaluation={"upsampled": 500},  # the images of profile cpu
        full_evaluation={"direct": 200, "upsampled_area": 200, "examples": 4},
        sweep=Sweep((1.0, 5.0), {4: {"stem": "plain"}}, (0.1, 1.0, 0.5), ("none",), (0,)),
    ),
}


def axes(
    profile: str,
    *,
    augmentations: Sequence[str] = (),
    fractions: Sequence[float] = (),
    seeds: Sequence[int] = (),
    control_updates: int = 0,
    evaluation: dict[str, int] | None = None,
    overrides: dict[str, Any] | None = None,
) -> Axes:
    """The axes of a profile with some of them replaced (empty or 0: the profile's own); `overrides` are fields of Run.

    `evaluation` replaces what all runs measure under corruption, such as {"upsampled": 500}. Where any of the fields or
    axes is replaced there are no other scales beside it.
    """
    check_known("profile", profile, AXES)
    for name in augmentations:
        check_known("augmentation", name, AUGMENTATIONS)
    check_overrides(overrides or {}, VARIED)
    own = AXES[profile]
    return replace(
        own,
        fields=own.fields | (overrides or {}),
        augmentations=tuple(augmentations) or own.augmentations,
        control_augmentations=tuple(a for a in own.control_augmentations if not augmentations or a in augmentations)
        or tuple(augmentations),
        fractions=tuple(fractions) or own.fractions,
        more_fractions=tuple(fractions) or own.more_fractions,
        control_fractions=tuple(fractions) or own.control_fractions,
        seeds=tuple(seeds) or own.seeds,
        control_updates=control_updates or own.control_updates,
        evaluation=evaluation or own.evaluation,
        full_evaluation={} if evaluation else own.full_evaluation,
        sweep=_kept(own.sweep, augmentations, fractions, seeds),
        others=() if overrides or augmentations or fractions or seeds else own.others,
    )


def _kept(sweep: Sweep | None, augmentations, fractions, seeds) -> Sweep | None:
    """A sweep on the axes that are asked for, with the first of the augmentations."""
    if sweep is None:
        return None
    return replace(
        sweep,
        augmentations=tuple(augmentations[:1]) or sweep.augmentations,
        fractions=tuple(fractions) or sweep.fractions,
        seeds=tuple(seeds) or sweep.seeds,
    )


def sizes(axes: Axes, seeds: tuple[int, ...] | None = None, fractions: tuple[float, ...] | None = None) -> list[Run]:
    """SCrIBE runs of Table 1: augmentation by training fraction by seed; fractions vary slowest."""
    first = axes.seeds[0]
    return [
        _run(axes, f, a, s)
        for f in fractions or axes.fractions
        for s in seeds or axes.seeds
        for a in axes.augmentations
        if fractions or s == first or f in (axes.more_fractions or axes.fractions)
    ]


def _run(axes: Axes, fraction: float, augmentation: str, seed: int) -> Run:
    evaluation = axes.evaluation | (axes.full_evaluation if fraction == 1 else {})
    named = {"fraction": fraction, "augmentation": augmentation, "seed": seed, "evaluation": evaluation}
    return Run(study="scribe", head="scribe", **named, **({"lr": LR} | axes.fields))


def single(axes: Axes, augmentation: str, seed: int, fraction: float = 1.0) -> Run:
    """One SCrIBE run. Raises GazebookError for an unknown augmentation."""
    check_known("augmentation", augmentation, axes.augmentations)
    return next(run for run in sizes(axes, (seed,), (fraction,)) if run.augmentation == augmentation)


def heads(axes: Axes, seeds: tuple[int, ...] | None = None) -> list[Run]:
    """The softmax twins of the SCrIBE runs at 100%: same trunk, same learning rate, same everything."""
    own = sizes(axes, seeds, (1.0,))
    return [run.replace(head="softmax", head_options={}, evaluation=axes.evaluation) for run in own]


def published(axes: Axes, seeds: tuple[int, ...] | None = None) -> list[Run]:
    """The softmax models as the study's authors trained them: a coarser class map and twice the learning rate."""
    fields = {"head": "softmax", "head_options": {}, "evaluation": {}, **axes.published}
    return [run.replace(**fields) for run in sizes(axes, seeds, axes.published_fractions)] if axes.published else []


def control(axes: Axes, seeds: tuple[int, ...] | None = None) -> list[Run]:
    """The equal-updates control: every fraction is trained for the same number of updates."""
    return [
        run.replace(epochs=None, updates=axes.control_updates, evaluation={})
        for run in sizes(axes, seeds, axes.control_fractions)
        if run.augmentation in axes.control_augmentations
    ]


def sweeps(axes: Axes) -> dict[str, list[Run]]:
    """Runs with one thing changed, by what it is: 'r = 5', 'map 4 x 4', 'rate 0.1'."""
    if axes.sweep is None:
        return {}
    own = [
        run.replace(evaluation={})
        for run in sizes(axes, axes.sweep.seeds, axes.sweep.fractions or (1.0,))
        if run.augmentation in axes.sweep.augmentations
    ]
    by_r = {f"r = {r:g}": [run.replace(head_options={"r": r}) for run in own] for r in axes.sweep.r}
    by_map = {
        f"map {size} x {size}": [run.replace(trunk_options=run.trunk_options | options) for run in own]
        for size, options in axes.sweep.maps.items()
    }
    full = [run.replace(head=head) for head in ("scribe", "softmax") for run in own if run.fraction == 1]
    by_rate = {f"rate {rate:g}": [run.replace(lr=rate) for run in full] for rate in axes.sweep.rates}
    return by_r | by_map | by_rate


def parts(axes: Axes) -> dict[str, list[Run]]:
    """The runs of one scale by what they are for: size, heads, control, published, each sweep."""
    return {
        "size": sizes(axes),
        "heads": heads(axes),
        "control": control(axes),
        "published": published(axes),
        **sweeps(axes),
    }


def scales(axes: Axes) -> dict[int, Axes]:
    """The axes by the number of training images, the largest first."""
    return {axes.scale: axes, **{other.scale: other for other in axes.others}}


def shown(axes: Axes, ledger: Ledger) -> Axes:
    """The largest scale with corrupted images of which the first seed's models of all recipes are in the ledger at five sizes,
    as far as the axis has them; the axes themselves where there is none.
    """
    for own in scales(axes).values():
        done = [f for f in own.fractions if not ledger.missing(sizes(own, own.seeds[:1], (f,)))]
        if own.evaluation and len(done) >= min(5, len(own.fractions)):
            return replace(own, others=())
    return axes


def checkpoints(axes: Axes) -> list[Run]:
    """The models whose weights are published, for the audit chapter: one recipe, with equal epochs and equal updates."""
    recipe, seed = axes.control_augmentations[0], axes.seeds[0]
    own = [single(axes, recipe, seed, fraction) for fraction in sorted(axes.control_fractions)]
    return own + [run.replace(epochs=None, updates=axes.control_updates, evaluation={}) for run in own]


def grid(profile: str) -> list[Run]:
    """All runs of the part, any-time: seed 0 first (the ends of Table 1, the matched softmax models, the control, the middle
    sizes, the softmax models as published, the sweeps), then the other seeds, the remaining sizes, the smaller scales.
    """
    own = AXES[profile]
    first, rest = own.seeds[0], own.seeds[1:]
    ends, middle = own.fractions[:2], own.fractions[2:5]
    runs = [*sizes(own, (first,), ends), *heads(own, (first,)), *control(own, (first,)), *sizes(own, (first,), middle)]
    runs += [run for run in published(own, (first,)) if run.fraction == 1]
    runs += chain.from_iterable(sweeps(own).values())
    for seed in rest:
        runs += [*sizes(own, (seed,), own.more_fractions or own.fractions), *heads(own, (seed,)), *control(own, (seed,))]
    return runs + [run for scale in scales(own).values() for part in parts(scale).values() for run in part]
