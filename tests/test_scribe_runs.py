"""Paper 1's grids: any-time, complete, and what a user may replace."""

import itertools

import pytest

from gazebook.errors import GazebookError
from gazebook.studies.scribe.runs import (
    AXES,
    axes,
    checkpoints,
    control,
    grid,
    heads,
    parts,
    published,
    reference,
    single,
    sweeps,
    table1,
)
from gazebook.studies.scribe.tidy import TITLES


@pytest.mark.parametrize("profile", list(AXES))
def test_grids_are_any_time_and_complete(profile):
    runs = list(dict.fromkeys(grid(profile)))
    own = AXES[profile]
    assert {r.augmentation for r in runs} == set(TITLES)
    assert {run for part in parts(own).values() for run in part} == set(runs)
    first = runs[: 2 * len(TITLES)]
    assert {(r.augmentation, r.fraction) for r in first} == set(itertools.product(TITLES, (0.1, 1.0)))
    assert all(r.head == "scribe" and r.seed == own.seeds[0] for r in first)
    next_seven = runs[len(first) : len(first) + len(TITLES)]
    assert all(r.head == "softmax" and r.fraction == 1 and r.lr == 0.1 for r in next_seven), "Table 3's models, as published"


def test_the_paper_s_grid_is_there_in_full():
    own = AXES["paper"]
    shares = {round(0.1 * i, 1) for i in range(1, 11)}
    for runs in (table1(own), published(own)):
        assert {(r.augmentation, r.fraction) for r in runs} == set(itertools.product(TITLES, shares)) and len(runs) == 70
        assert all(r.epochs == 30 and r.batch_size == 128 and r.trunk == "resnet18" for r in runs)


def test_the_cpu_grid_has_ten_fractions_for_one_seed_and_four_for_three():
    runs = table1(AXES["cpu"])
    by_seed = {seed: {r.fraction for r in runs if r.seed == seed} for seed in (0, 1, 2)}
    assert [len(f) for f in by_seed.values()] == [10, 4, 4] and by_seed[1] <= by_seed[0]
    assert all(r.evaluation["upsampled"] == 500 for r in runs + heads(AXES["cpu"]))


def test_a_sweep_changes_one_thing():
    own = axes("demo")
    base = {r.training.key for r in table1(own)}
    for name, runs in sweeps(own).items():
        for run in runs:
            plain = run.replace(head_options={}) if name.startswith("r = ") else run.replace(trunk_options={})
            assert run.training.key not in base and plain.training.key in base


def test_runs_that_differ_in_their_evaluation_share_their_training():
    run = single(axes("demo"), "none", 0)
    assert run.key != run.replace(evaluation={}).key and run.training == run.replace(evaluation={}).training
    assert run.training != run.replace(epochs=11).training


def test_the_published_checkpoints_are_of_one_recipe():
    runs = checkpoints(AXES["cpu"])
    assert len({r.augmentation for r in runs}) == 1 and {bool(r.updates) for r in runs} == {True, False}


def test_axes_can_be_replaced_and_wrong_names_are_answered():
    own = axes("demo", augmentations=["none"], fractions=[0.5], seeds=[4], control_updates=3, overrides={"epochs": 2})
    runs = table1(own) + control(own)
    assert [(r.augmentation, r.fraction, r.seed) for r in runs] == [("none", 0.5, 4)] * 2
    assert (runs[0].epochs, runs[1].epochs, runs[1].updates) == (2, None, 3)
    with pytest.raises(GazebookError, match="unknown augmentation blur; choose from none"):
        axes("demo", augmentations=["blur"])
    with pytest.raises(GazebookError, match="unknown profile"):
        axes("huge")


def test_overrides_are_fields_of_run_that_the_axes_do_not_vary():
    run = table1(axes("demo", overrides={"lr": 0.1, "head_options": {"r": 5.0}}))[0]
    assert run.lr == 0.1 and run.head_options == {"r": 5.0}
    assert heads(axes("demo", overrides={"head_options": {"r": 5.0}}))[0].head_options == {}
    for wrong in ("fraction", "head", "seed", "learning_rate"):
        with pytest.raises(GazebookError, match=f"overrides cannot set {wrong}; give fields of Run other than"):
            axes("demo", overrides={wrong: 1})


def test_the_reference_must_be_among_the_runs():
    assert reference(axes("demo"), 0) in table1(axes("demo"))
    for own in (axes("demo", augmentations=["none"]), axes("demo", fractions=[0.5])):
        with pytest.raises(GazebookError, match=r"the reference is crop at 100%; add it to augmentations and 1.0 to fractions"):
            reference(own, 0)


def test_a_page_of_one_augmentation_has_its_control_and_its_run():
    own = axes("demo", augmentations=["crop"], fractions=[0.2, 0.6])
    assert {r.augmentation for r in control(own)} == {"crop"} and single(own, "crop", 5).seed == 5
    with pytest.raises(GazebookError, match="unknown augmentation 'none'; choose from crop"):
        single(own, "none", 0)
