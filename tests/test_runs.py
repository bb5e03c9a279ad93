"""A run's key depends on what determines the result, and on nothing else."""

import dataclasses
import json

import numpy as np
import pytest

from gazebook.errors import GazebookError
from gazebook.runs import NAMES, Run


def test_a_published_key_never_changes():
    # If this fails, all published results are orphaned: raise FORMAT knowingly, or restore what changed.
    run = Run(study="scribe", data="cifar10", train_images=20_000, fraction=0.1, batch_size=64, lr=0.05, head="scribe", seed=0)
    assert run.canonical() == {
        "study": "scribe",
        "data": "cifar10",
        "train_images": 20_000,
        "fraction": 0.1,
        "batch_size": 64,
    }
    assert run.key == "eccda500a5160cf5"


def test_every_field_changes_the_key():
    base = Run(study="scribe")
    other = {
        "study": "x", "data": "cifar10", "data_options": {"size": 64}, "train_images": 5, "test_images": 5, "fraction": 0.5,
        "variant": "no_fg",
        "augmentation": "crop", "trunk": "resnet18", "trunk_options": {"stem": "plain"}, "head": "softmax",
        "head_options": {"r": 5.0}, "epochs": 3, "batch_size": 32, "lr": 0.1, "momentum": 0.0, "weight_decay": 0.0,
        "milestones": (0.5,), "gamma": 0.5, "precision": "fp32", "method": "mixing", "method_options": {"smoothing": 0.0},
        "probe": True, "optimizer": "adamw", "epsilon": 7e-7, "schedule": "cosine", "evaluation": {"direct": 5}, "seed": 1,
    }  # fmt: skip
    keys = {base.key} | {base.replace(**{name: value}).key for name, value in other.items()}
    keys.add(base.replace(epochs=None, updates=7).key)
    assert {f.name for f in dataclasses.fields(Run)} == set(other) | {"updates"}
    assert len(keys) == len(other) + 2


def test_the_order_of_options_and_the_way_of_writing_do_not_change_the_key():
    a = Run(study="s", data_options={"size": 64, "seed": 1})
    b = Run(study="s", data_options={"seed": 1, "size": 64}, seed=0, milestones=[2 / 3, 5 / 6])
    assert a.key == b.key and hash(a) == hash(b)


def test_round_trip_through_json():
    run = Run(study="s", epochs=None, updates=5, head_options={"r": 2.0})
    again = Run.from_dict(json.loads(json.dumps(run.to_dict())))
    assert again == run and again.key == run.key
    with pytest.raises(GazebookError, match="unknown fields wings"):
        Run.from_dict({"study": "s", "wings": 2})


@pytest.mark.parametrize(
    "bad",
    [
        {"fraction": 0},
        {"fraction": 1.1},
        {"epochs": None},
        {"updates": 5},
        {"batch_size": 0},
        {"epochs": 1.5},
        {"epochs": None, "updates": -1},
        {"epochs": None, "updates": 0},
        {"precision": "fp8"},
    ],
)
def test_impossible_runs_are_refused_with_a_remedy(bad):
    with pytest.raises(GazebookError, match=r"give|set|choose"):
        Run(study="s", **bad)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": "1e-3"}, "lr is '1e-3'; give a finite number"), ({"lr": float("nan")}, "give a finite number"),
        ({"augmentation": None}, "give a name"), ({"augmentation": "crop+zoom"}, "unknown augmentation 'zoom'"),
        ({"optimizer": "Adam"}, "unknown optimizer 'Adam'; choose from sgd, adamw"), ({"head": "linear"}, "unknown head"),
        ({"method": "magic"}, "unknown method"), ({"schedule": "step"}, "unknown schedule"),
        ({"variant": "no_bg"}, "unknown variant"), ({"seed": True}, "give a whole number"),
        ({"seed": 1.0}, "give a whole number"), ({"milestones": 3}, "a list of numbers"),
        ({"milestones": ["a"]}, "a list of numbers"), ({"data_options": [1]}, "give a dict"), ({"probe": 1}, "give a bool"),
        ({"data_options": {"a": {1}}}, "give text, finite numbers"), ({"evaluation": {"a": float("inf")}}, "finite numbers"),
        ({"data_options": {1: 2}}, "give text, finite numbers"), ({"study": ""}, "give a name"),
    ],
)  # fmt: skip
def test_types_and_names_are_checked_at_once(changes, message):
    with pytest.raises(GazebookError, match=message):
        Run(**({"study": "s"} | changes))


def test_equal_numbers_give_equal_keys():
    for one, other in (
        ({"lr": 1}, {"lr": 1.0}), ({"fraction": 1}, {}), ({"milestones": [1, 0.5]}, {"milestones": (1.0, 0.5)}),
        ({"data_options": {"background_correlation": 1}}, {"data_options": {"background_correlation": 1.0}}),
        ({"trunk_options": {"widths": [8.0, 16]}}, {"trunk_options": {"widths": (8, 16)}}),
        ({"evaluation": {"sigma": [1.0, 2.5]}}, {"evaluation": {"sigma": [1, 2.5]}}), ({"seed": np.int64(3)}, {"seed": 3}),
    ):  # fmt: skip
        assert Run(study="s", **one).key == Run(study="s", **other).key and Run(study="s", **one) == Run(study="s", **other)


def test_the_names_that_a_run_may_have_are_those_that_mean_something():
    from gazebook.images import augment, composite
    from gazebook.models import HEADS, IMAGENET
    from gazebook.train import methods

    assert set(NAMES["augmentation"]) == set(augment.AUGMENTATIONS | augment.VIEWS)
    assert NAMES["variant"] == composite.VARIANTS and set(NAMES["head"]) == {*HEADS, IMAGENET}
    assert set(NAMES["method"]) == {methods.PLAIN, *methods.METHODS}
