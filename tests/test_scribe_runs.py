"""Paper 1's grids: any-time, complete, and what a user may replace."""

import itertools

import pytest

from gazebook.errors import GazebookError
from gazebook.ledger import Ledger, Record
from gazebook.papers.scribe.grid import (
    AXES,
    axes,
    checkpoints,
    control,
    grid,
    heads,
    parts,
    published,
    scales,
    shown,
    single,
    sizes,
    sweeps,
)
from gazebook.papers.scribe.results import TITLES


@pytest.mark.parametrize("profile", list(AXES))
def test_grids_are_any_time_and_complete(profile):
    runs = list(dict.fromkeys(grid(profile)))
    own = AXES[profile]
    assert {r.augmentation for r in runs} == set(TITLES)
    assert {run for scale in scales(own).values() for part in parts(scale).values() for run in part} == set(runs)
    first = runs[: 2 * len(TITLES)]
    assert {(r.augmentation, r.fraction) for r in first} == set(itertools.product(TITLES, (0.1, 1.0)))
    assert all(r.head == "scribe" and r.seed == own.seeds[0] for r in first)
    next_seven = runs[len(first) : len(first) + len(TITLES)]
    assert all(r.head == "softmax" and r.fraction == 1 and r.lr == 0.05 for r in next_seven), "Table 3's models, matched"


def test_the_paper_s_grid_is_there_in_full():
    own = AXES["paper"]
    shares = {round(0.1 * i, 1) for i in range(1, 11)}
    for runs in (sizes(own), published(own)):
        assert {(r.augmentation, r.fraction) for r in runs} == set(itertools.product(TITLES, shares)) and len(runs) == 70
        assert all(r.epochs == 30 and r.batch_size == 128 and r.trunk == "resnet18" for r in runs)


def test_the_cpu_grid_is_the_paper_s_regime_with_smaller_scales():
    own = AXES["cpu"]
    assert list(scales(own)) == [50_000, 20_000, 4000]
    run = single(own, "crop", 0)
    assert (run.epochs, run.batch_size, run.lr, run.train_images) == (30, 128, 0.05, None)
    assert run.trunk_options == {"widths": [32, 64, 128]}
    by_seed = {seed: {r.fraction for r in sizes(own) if r.seed == seed} for seed in own.seeds}
    assert [len(f) for f in by_seed.values()] == [10, 3, 3] and by_seed[1] <= by_seed[0]
    assert {r.lr for runs in sweeps(own).values() for r in runs} == {0.02, 0.1}


def test_the_pilot_s_weights_belong_to_the_grid():
    """Keys of networks that were trained before the grid was written down."""
    own = {run.training.key for run in sizes(AXES["cpu"])}
    assert {"629e14d420009adc", "589cae7cb4be1c43", "831e7e1c09bdd39d", "1d0e9fb47f007bf8"} <= own


def test_the_scale_that_is_shown_is_the_largest_that_is_far_enough(tmp_path):
    own = AXES["cpu"]
    ledger = Ledger(tmp_path)
    assert shown(own, ledger) == own
    for scale in (own.others[1], own):
        for run in sizes(scale, (0,), scale.fractions[:5]):
            ledger.write(Record(run, []))
        assert shown(own, ledger).scale == scale.scale and shown(own, ledger).others == ()


def test_a_sweep_changes_one_thing():
    own = axes("demo")
    base = {r.training.key for r in sizes(own)}
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
    runs = sizes(own) + control(own)
    assert [(r.augmentation, r.fraction, r.seed) for r in runs] == [("none", 0.5, 4)] * 2
    assert (runs[0].epochs, runs[1].epochs, runs[1].updates) == (2, None, 3)
    with pytest.raises(GazebookError, match="unknown augmentation 'blur'; choose from none"):
        axes("demo", augmentations=["blur"])
    with pytest.raises(GazebookError, match="unknown profile"):
        axes("huge")


def test_overrides_are_fields_of_run_that_the_axes_do_not_vary():
    run = sizes(axes("demo", overrides={"lr": 0.1, "head_options": {"r": 5.0}}))[0]
    assert run.lr == 0.1 and run.head_options == {"r": 5.0}
    assert heads(axes("demo", overrides={"head_options": {"r": 5.0}}))[0].head_options == {}
    for wrong in ("fraction", "head", "seed", "learning_rate"):
        with pytest.raises(GazebookError, match=f"overrides cannot set {wrong}; give fields of Run other than"):
            axes("demo", overrides={wrong: 1})


def test_a_page_of_one_augmentation_has_its_control_and_its_run():
    own = axes("demo", augmentations=["crop"], fractions=[0.2, 0.6])
    assert {r.augmentation for r in control(own)} == {"crop"} and single(own, "crop", 5).seed == 5
    with pytest.raises(GazebookError, match="unknown augmentation 'none'; choose from crop"):
        single(own, "none", 0)
