"""Which runs paper 1 needs, for each profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from dataclasses import fields as dataclass_fields
from typing import Any

from gazebook.data.augment import AUGMENTATIONS
from gazebook.errors import GazebookError
from gazebook.runs import Run

# Learning rates of the released notebooks; both heads get SCrIBE's in a matched comparison.
LR = 0.05
# fields that the axes vary
VARIED = {"study", "head", "augmentation", "fraction", "seed"}


@dataclass(frozen=True)
class Axes:
    """A profile of paper 1: the fields that all runs share, and the axes of its grid.

    `fractions` are ordered so that a prefix is a coarse version of the axis. `control_updates` is the length that the
    equal-updates control holds constant.
    """

    fields: dict[str, Any]
    fractions: tuple[float, ...]
    seeds: tuple[int, ...]
    head_seeds: tuple[int, ...]
    control_updates: int
    control_fractions: tuple[float, ...]
    control_augmentations: tuple[str, ...]
    augmentations: tuple[str, ...] = field(default=tuple(AUGMENTATIONS))


AXES = {
    # minutes on two cores, no network: trends, not accuracies
    "demo": Axes(
        fields={"data": "scenes", "train_images": 3000, "test_images": 500, "epochs": 12, "batch_size": 32},
        fractions=(0.1, 1.0, 0.4),
        seeds=(0,),
        head_seeds=(0,),
        control_updates=456,  # those of 12 epochs of 40% of the images
        control_fractions=(0.1, 0.4, 1.0),
        control_augmentations=("none", "combined"),
    ),
    # real images on two cores: 0.4 of the training set at half the study's batch, so that a run has 80% of its updates
    "cpu": Axes(
        fields={"data": "cifar10", "train_images": 20_000, "batch_size": 64},
        fractions=(0.1, 1.0, 0.3, 0.2, 0.5),
        seeds=(0, 1),
        head_seeds=(0, 1),
        control_updates=4695,  # half of those of a run on all images
        control_fractions=(0.1, 1.0, 0.3, 0.2, 0.5),
        control_augmentations=("none", "combined"),
    ),
    # the study's own settings on one GPU
    "paper": Axes(
        fields={"data": "cifar10", "train_images": 50_000, "trunk": "resnet18"},
        fractions=(0.1, 1.0, 0.5, 0.3, 0.7, 0.2, 0.9, 0.4, 0.6, 0.8),
        seeds=(0,),
        head_seeds=(0,),
        control_updates=5865,
        control_fractions=(0.1, 1.0, 0.5),
        control_augmentations=("none", "crop", "combined"),
    ),
}


def axes(
    profile: str,
    *,
    augmentations: Sequence[str] = (),
    fractions: Sequence[float] = (),
    seeds: Sequence[int] = (),
    control_updates: int = 0,
    overrides: dict[str, Any] | None = None,
) -> Axes:
    """The axes of a profile with some of them replaced (empty or 0: the profile's own); `overrides` are fields of Run."""
    if profile not in AXES:
        raise GazebookError(f"unknown profile {profile!r}; choose from {', '.join(AXES)}")
    if unknown := set(augmentations) - set(AUGMENTATIONS):
        raise GazebookError(f"unknown augmentation {', '.join(sorted(unknown))}; choose from {', '.join(AUGMENTATIONS)}")
    if unknown := set(overrides or {}) - {f.name for f in dataclass_fields(Run)} | set(overrides or {}) & VARIED:
        raise GazebookError(
            f"overrides cannot set {', '.join(sorted(unknown))}; give fields of Run other than {', '.join(sorted(VARIED))}"
        )
    own = AXES[profile]
    return replace(
        own,
        fields=own.fields | (overrides or {}),
        augmentations=tuple(augmentations) or own.augmentations,
        control_augmentations=tuple(a for a in own.control_augmentations if not augmentations or a in augmentations)
        or tuple(augmentations),
        fractions=tuple(fractions) or own.fractions,
        control_fractions=tuple(fractions) or own.control_fractions,
        seeds=tuple(seeds) or own.seeds,
        head_seeds=tuple(s for s in own.head_seeds if not seeds or s in seeds),
        control_updates=control_updates or own.control_updates,
    )


def table1(axes: Axes, seeds: tuple[int, ...] | None = None, fractions: tuple[float, ...] | None = None) -> list[Run]:
    """SCrIBE runs of Table 1: augmentation by training fraction by seed; fractions vary slowest."""
    return [
        Run(study="scribe", head="scribe", fraction=f, augmentation=a, seed=s, **({"lr": LR} | axes.fields))
        for f in fractions or axes.fractions
        for s in seeds or axes.seeds
        for a in axes.augmentations
    ]


def single(axes: Axes, augmentation: str, seed: int, fraction: float = 1.0) -> Run:
    """One SCrIBE run. Raises GazebookError for an unknown augmentation."""
    for run in table1(axes, (seed,), (fraction,)):
        if run.augmentation == augmentation:
            return run
    raise GazebookError(f"unknown augmentation {augmentation!r}; choose from {', '.join(axes.augmentations)}")


def heads(axes: Axes, seeds: tuple[int, ...] | None = None) -> list[Run]:
    """The softmax twins of the SCrIBE runs at 100%: same trunk, same learning rate, same everything."""
    return [run.replace(head="softmax", head_options={}) for run in table1(axes, seeds or axes.head_seeds, (1.0,))]


def control(axes: Axes, seeds: tuple[int, ...] | None = None) -> list[Run]:
    """The equal-updates control: every fraction is trained for the same number of updates."""
    return [
        run.replace(epochs=None, updates=axes.control_updates)
        for run in table1(axes, seeds, axes.control_fractions)
        if run.augmentation in axes.control_augmentations
    ]


def grid(profile: str) -> list[Run]:
    """All runs of the part: the ends of Table 1, its twins, the control, then the middle; the first seed before others."""
    own = AXES[profile]
    runs: list[Run] = []
    for seed in own.seeds:
        runs += table1(own, (seed,), own.fractions[:2])
        runs += heads(own, (seed,)) if seed in own.head_seeds else []
        runs += table1(own, (seed,), own.fractions[2:3])
        runs += control(own, (seed,))
        runs += table1(own, (seed,))
    return runs
