"""Part 5: every ruler on every model; what agrees with the truth, by models whose rulers are known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gazebook import execute as execution
from gazebook.errors import GazebookError
from gazebook.evidence import Verdict, judge
from gazebook.evidence.frame import tidy
from gazebook.ledger import Ledger
from gazebook.measure.opened import as_model
from gazebook.measure.survey import report
from gazebook.papers import foregrounds, grid, rulers, synthesis
from gazebook.papers.synthesis.grid import ON_PHOTOGRAPHS
from gazebook.papers.synthesis.results import (
    LABELS,
    NUMBERS,
    TRUTH,
    agreement,
    numbers,
    rank_estimate,
    towards_object,
)
from tests import execute


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Two models of scenes at two correlations, measured by some rulers."""
    small = {"data_options": {"images": 300}, "train_images": 150, "test_images": 120, "epochs": 1}
    axes = synthesis.axes("demo", overrides=small)
    ledger = Ledger(tmp_path_factory.mktemp("ledger"))
    runs = [r for r, label in synthesis.family(axes).items() if label["model"] == "ResNet"][:2]
    for run in runs:
        ledger.write(execute(run, weights_file=ledger.weights_file(run)))
    return ledger, axes, runs


def test_a_record_says_what_the_command_says(measured):
    ledger, axes, runs = measured
    frame = synthesis.results(ledger, axes)
    test = execution.evaluation_set(runs[1])
    model = execution.trained_model(runs[1], ledger.weights_file(runs[1]), test.num_classes)
    opened = as_model(model, size=32, class_names=test.class_names)
    theirs = report(opened, test, ["variants", "noise"], limit=axes.images, progress=False)
    ours = frame[(frame["key"] == runs[1].key) & frame["ruler"].isin(["variants", "noise"])]
    columns = ["measure", "condition", "level", "value", "low", "high", "n"]
    pd.testing.assert_frame_equal(
        ours[columns].reset_index(drop=True), theirs[columns].reset_index(drop=True), check_dtype=False
    )
    assert set(frame.loc[frame["measure"] == TRUTH, "value"].between(-1, 1)) == {True}
    found = numbers(frame)
    assert found.loc[runs[1].key, "BG-gap"] == ours.loc[ours["measure"] == "BG-gap", "value"].item()
    assert set(NUMBERS) - set(found) == {"corruption"}, "which the demo leaves out"


def test_models_of_scenes_are_those_of_part_3_and_all_are_tested_alike():
    axes = synthesis.AXES["cpu"]
    own = synthesis.family(axes)
    theirs = {run.training for run in foregrounds.scenes(axes.scenes)}
    assert {run.training for run in own} == theirs, "so that none is trained again"
    assert {run.evaluation["data"]["background_correlation"] for run in own} == {0.5}
    assert {run.study for run in synthesis.photographs(axes)} == {"synthesis"}
    asked = {run.trunk: run.evaluation["rulers"] for run in synthesis.photographs(axes)}
    assert asked["efficientnet-lite0"] == list(ON_PHOTOGRAPHS)
    assert all("alignment" not in names for name, names in asked.items() if name.startswith("tflite/"))
    assert grid("synthesis", "cpu")[0].data == "imagenet_samples9"
    with pytest.raises(GazebookError, match="unknown profile"):
        synthesis.axes("gpu")


def test_a_ruler_that_does_not_fit_is_an_error_not_a_gap(measured):
    _, _, runs = measured
    with pytest.raises(GazebookError, match="unknown ruler 'wings'"):
        execute(runs[0].replace(evaluation={"rulers": ["wings"]}))
    few = runs[0].replace(test_images=8, evaluation={"rulers": ["variants"]})
    with pytest.raises(GazebookError, match="leave these rulers out"):
        execute(few)


def frame_like(values: dict[str, dict[int, list[float]]], part="scenes") -> pd.DataFrame:
    """A frame in which these are the numbers of rulers, by seed a value a model."""
    rows = []
    for name, seeds in values.items():
        ruler, measure, condition, _ = NUMBERS.get(name, (TRUTH, TRUTH, "", 1))
        for seed, own in seeds.items():
            rows += [
                {"part": part, "model": f"m{i}", "seed": seed, "key": f"{seed} {i}", "ruler": ruler, "measure": measure,
                 "condition": condition, "value": v}
                for i, v in enumerate(own)
            ]  # fmt: skip
    return tidy(rows, "synthesis", LABELS)


def test_agreement_is_spearmans_with_signs_that_grow_with_reliance_on_objects():
    truth = {0: [0.1, 0.5, 0.9, 0.3], 1: [0.2, 0.1, 0.9, 0.4]}
    gap = {0: [0.4, 0.2, 0.0, 0.3], 1: [0.1, 0.2, 0.3, 0.4]}
    found = agreement(frame_like({"BG-gap": gap, "truth": truth}))
    assert found.loc[0, ("BG-gap", TRUTH)] == pytest.approx(1)
    assert found.loc[1, ("BG-gap", TRUTH)] == pytest.approx(-stats.spearmanr(gap[1], truth[1])[0])
    table = towards_object(numbers(frame_like({"BG-gap": gap, "truth": truth})))
    assert list(table) == ["BG-gap", TRUTH] and table["BG-gap"].max() == 0


def test_agreement_is_over_the_same_networks_in_every_seed():
    frame = frame_like(
        {"BG-gap": {s: [0.4, 0.2, 0.0, 0.3] for s in (0, 1)}, "truth": {s: [0.1, 0.5, 0.9, 0.3] for s in (0, 1)}}
    )
    frame["correlation"] = [0.0, 1.0, 0.5, 0.5] * 4
    frame["model"] = ["m0", "m0", "m0", "m1"] * 4
    assert list(agreement(frame).index) == [0, 1]
    without = (frame["seed"] == 1) & (frame["correlation"] == 0)
    assert list(agreement(frame[~without]).index) == [0], "the family alone is ranked otherwise than networks of all scenes"


@pytest.mark.parametrize(("sign", "verdict"), [(1, Verdict.SUPPORTED), (-1, Verdict.CONTRADICTED)])
def test_claims_turn_round_with_the_results(sign, verdict):
    random = np.random.default_rng(0)
    truth = {seed: random.permutation(9) / 10 for seed in range(5)}
    steps = {name: {s: sign * NUMBERS[name][3] * (t + 0.001 * random.normal(size=9)) for s, t in truth.items()}
             for name in NUMBERS}  # fmt: skip
    found = {f.claim.name: f for f in judge(synthesis.CLAIMS, frame_like(steps | {"truth": truth}))}
    assert all(found[f"S{i}"].verdict == verdict for i in range(1, 10))
    assert found["S10"].verdict == Verdict.SUPPORTED  # they agree with one another either way


def test_intervals_of_a_rank_correlation_are_fishers():
    a, b = pd.Series([1.0, 2, 3, 4, 5, 6, 7, 8]), pd.Series([2.0, 1, 4, 3, 6, 5, 8, 7])
    e = rank_estimate(a, b)
    rho = stats.spearmanr(a, b)[0]
    half = 1.96 * np.sqrt((1 + rho**2 / 2) / 5)
    assert (e.value, e.n, e.unit) == (pytest.approx(rho), 8, "model")
    assert (e.low, e.high) == pytest.approx((np.tanh(np.arctanh(rho) - half), np.tanh(np.arctanh(rho) + half)))
    assert np.isnan(rank_estimate(a[:3], b[:3]).low)


def test_without_runs_nothing_is_decided(tmp_path):
    empty = synthesis.results(Ledger(tmp_path), "cpu")
    assert empty.empty and {f.verdict for f in judge(synthesis.CLAIMS, empty)} == {Verdict.INCONCLUSIVE}
    assert rulers(next(iter(synthesis.photographs(synthesis.AXES["cpu"]))))
