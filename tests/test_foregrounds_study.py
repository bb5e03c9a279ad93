"""Part 3's study: its runs, what is measured, against models whose reliance is known; claims that can turn round."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from gazebook import data
from gazebook.data import scenes
from gazebook.errors import GazebookError
from gazebook.ledger import Ledger
from gazebook.runs import PROFILES, Run
from gazebook.studies import execution, foregrounds, grid
from gazebook.studies.foregrounds import attributes, claims, saliency, tables, tidy, truth, units
from gazebook.studies.foregrounds.runs import PROBED, RESNET, ROBUST, SIMCLR, VIT
from gazebook.studies.verdicts import Verdict
from gazebook.train import to_float


@pytest.fixture(scope="module")
def test_scenes():
    return data.load("scenes", "test", images=200, background_correlation=0.5)


OPTIONS = {"images": 200, "background_correlation": 0.5}


@pytest.mark.parametrize("profile", PROFILES)
def test_grids_name_each_run_once_and_train_probes_on_shared_weights(profile):
    runs = grid("foregrounds", profile)
    assert len(runs) == len({r.key for r in runs})
    axes = foregrounds.axes(profile)
    plain, probe = (foregrounds.on_scenes(axes, name, axes.middle, 0) for name in (RESNET, PROBED))
    assert plain.training == probe.training and plain != probe
    assert foregrounds.on_scenes(axes, ROBUST, axes.middle, 0).method_options["epsilon"] == pytest.approx(3 / 7, abs=1e-4)
    assert foregrounds.on_scenes(axes, SIMCLR, axes.middle, 0).probe


def test_at_least_twenty_models_are_ranked_against_the_truth():
    for profile in ("cpu", "paper"):
        assert len(foregrounds.scenes(foregrounds.axes(profile))) >= 20


def test_axes_refuse_what_they_do_not_know():
    with pytest.raises(GazebookError, match="choose from ResNet"):
        foregrounds.axes("demo", models=["AlexNet"])
    with pytest.raises(GazebookError, match="overrides cannot set method, wings"):
        foregrounds.axes("demo", overrides={"method": "plain", "wings": 2})
    with pytest.raises(GazebookError, match="unknown profile"):
        foregrounds.axes("gpu")
    small = foregrounds.axes("demo", models=[RESNET], seeds=[4], overrides={"epochs": 1})
    assert {r.epochs for r in foregrounds.scenes(small)} == {1} and {r.seed for r in foregrounds.scenes(small)} == {4}


class Knows:
    """Names each scene by what is in it: the object's class, or its background's."""

    def __init__(self, follow: str):
        self.follow = follow
        self.home = scenes.home_backgrounds()

    def rows(self, monkeypatch, test, arrays):
        shown = {}

        def drawn(specs, like):
            shown["specs"] = specs
            return torch.zeros(len(specs), 3, 32, 32)

        def predict(_images):
            specs = shown["specs"]
            answer = specs.labels if self.follow == "object" else np.argsort(self.home)[specs.backgrounds]
            return torch.nn.functional.one_hot(torch.from_numpy(answer), 10).float()

        monkeypatch.setattr(truth, "drawn", drawn)
        return truth.rows(predict, test, OPTIONS, arrays)


@pytest.mark.parametrize(("follow", "expected"), [("object", 1.0), ("background", -1.0)])
def test_the_truth_about_one_who_knows(monkeypatch, test_scenes, follow, expected):
    arrays = {}
    (row,) = Knows(follow).rows(monkeypatch, test_scenes, arrays)
    assert row["object"] - row["background"] == expected and len(arrays["conflict"]) == 200


def test_scenes_are_described_again_as_they_were(test_scenes):
    specs = scenes.describe(test_scenes, OPTIONS)
    assert np.array_equal(scenes.render(specs).images, test_scenes.images.numpy())
    few = test_scenes.fraction(1.0, 0, 30)
    assert np.array_equal(scenes.render(scenes.describe(few, OPTIONS)).images, few.images.numpy())


def test_each_way_changes_the_attribute_as_it_says(test_scenes):
    a = scenes.ATTRIBUTES.index("wheels")
    shown = (test_scenes.attributes[:, a].flatten(1).sum(dim=1) >= 4).nonzero()[:, 0]
    x, m = to_float(test_scenes.images[shown]), test_scenes.attributes[shown, a]
    specs = scenes.describe(test_scenes, OPTIONS)[shown.numpy()]
    made = attributes.changed(x, m, truth.drawn(specs.without("wheels"), test_scenes), 0)
    assert tuple(made) == attributes.WAYS
    inside = m[:, None].expand_as(x)
    assert (made["grey"][inside] == 0.5).all()
    for way in ("grey", "sigma", "l2"):
        assert torch.equal(made[way][~inside], x[~inside])
    assert float((made["removed"] - x).abs()[~inside].mean()) < 0.02 < float((made["removed"] - x).abs()[inside].mean())
    assert (made["grey elsewhere"] == 0.5).sum() >= inside.sum()


def test_an_attribute_that_decides_is_found_by_removal(test_scenes):
    """A classifier that is sure where it sees wheels, and only then, is hurt by their removal and by nothing else's."""
    wheels = test_scenes.attributes[:, scenes.ATTRIBUTES.index("wheels")].flatten(1).any(dim=1)
    known = {v.numpy().tobytes() for v in to_float(test_scenes.images[wheels])}

    def predict(images):
        sees = torch.tensor([v.numpy().tobytes() in known for v in images])
        p = torch.full((len(images), 10), 0.1)
        p[sees] = 0.05
        p[sees, :2] = 0.3  # cars and buses
        return p

    rows = pd.DataFrame(attributes.rows(predict, test_scenes, OPTIONS)).set_index(["attribute", "condition"])["drop"]
    assert rows["wheels", "removed"] == pytest.approx(0.2) and rows["legs", "removed"] == pytest.approx(0)


def test_the_cue_is_planted_where_it_should_be_and_nowhere_else():
    cue = {"planted_class": "boat", "share": 0.5}
    plain = data.load("scenes", "test", images=400)
    planted = data.load("scenes", "test", images=400, cue=cue)
    mark = planted.attributes[:, -1]
    assert planted.attribute_names[-1] == scenes.CUE == "cue" and torch.equal(planted.masks, plain.masks)
    boats = planted.labels == scenes.CLASS_NAMES.index("boat")
    there = mark.flatten(1).any(dim=1)
    assert not there[~boats].any() and 0.3 < float(there[boats].float().mean()) < 0.7
    assert not (mark & planted.masks).any()
    outside = (~mark)[:, None].expand_as(planted.images)
    assert torch.equal(planted.images[outside], plain.images[outside])
    corners = {tuple((m.nonzero().float().mean(dim=0) > 16).tolist()) for m in mark[there]}
    assert len(corners) == 4
    always = data.load("scenes", "test", images=400, cue=cue | {"share": 1.0})
    assert always.attributes[:, -1].flatten(1).any(dim=1)[boats].all()
    with pytest.raises(GazebookError, match="unknown class"):
        data.load("scenes", "test", images=5, cue={"planted_class": "ship"})


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The demo's grid in small, in a ledger."""
    folder = tmp_path_factory.mktemp("ledger")
    overrides = {"data_options": {"images": 300}, "train_images": 200, "test_images": 150, "epochs": 2, "batch_size": 50}
    axes = foregrounds.axes("demo", models=[RESNET, ROBUST, PROBED, SIMCLR], overrides=overrides)
    axes = replace(axes, evaluation=axes.evaluation | {"alignment": 40}, picture_evaluation=axes.evaluation)
    ledger = Ledger(folder)
    for part in foregrounds.parts(axes).values():
        for run in part:
            if run not in ledger:
                ledger.write(execution.execute(run, weights_file=ledger.weights_file(run)))
    return ledger, axes


def test_what_is_measured_and_how_it_reads(measured):
    ledger, axes = measured
    frame = tidy.results(ledger, axes)
    record = ledger.read(foregrounds.on_scenes(axes, RESNET, axes.middle, 0))
    noise_rows = [r for r in record.rows if r["split"] == "noise"]
    assert record.arrays["right"].shape == (len(noise_rows), 150) and len(noise_rows) == 2 * 4 * 2
    right = record.arrays["right"][0] / 255
    assert noise_rows[0]["accuracy"] == pytest.approx(
        float(np.mean([right[record.arrays["labels"] == c].mean() for c in range(10)])), abs=1e-5
    )
    assert {"clean", "noise", "levels", "thirds", "truth", "attribute", "alignment"} <= set(
        frame[frame["part"] == "scenes"]["split"]
    )
    values = frame[frame["split"].isin(["noise", "levels"])]
    assert values["value"].between(-1, 1).all() and (values["low"] <= values["high"]).all()
    assert set(frame[frame["split"] == "pairs"]["model"]) >= {f"{ROBUST} - {RESNET}", f"{SIMCLR} - {PROBED}"}
    assert "cue" in set(frame[frame["part"] == "cues"]["split"])
    assert record.arrays["units"].shape == (2, len(units.WAYS), 64, len(scenes.ATTRIBUTES))
    assert record.arrays["worst_images"].shape == (10, 5, 3, 32, 32)


def test_every_table_and_claim_reads_what_is_there_and_what_is_not(measured):
    ledger, axes = measured
    empty = tidy.results(Ledger(ledger.folder / "none"), axes)
    for frame in (tidy.results(ledger, axes), empty):
        for make in (tables.ruler_table, tables.attribute_table, tables.proxy_table, tables.score_table, tables.unit_table,
                     tables.discovery_table, tables.norm_table):  # fmt: skip
            assert isinstance(make(frame), pd.DataFrame)
        for claim in claims.CLAIMS:
            assert claim.check(frame).verdict in Verdict
    assert all(claim.check(empty).verdict == Verdict.UNDECIDED for claim in claims.CLAIMS)


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        ({"sigma": 30}, "give a list of levels"),
        ({"l2": [0]}, "give a list of levels"),
        ({"wings": True}, "unknown wings"),
    ],
)
def test_evaluation_refuses_what_it_does_not_know(test_scenes, evaluation, message):
    run = Run(study="foregrounds", head="softmax", evaluation=evaluation)
    with pytest.raises(GazebookError, match=message):
        foregrounds.evaluate(torch.nn.Identity(), run, test_scenes, test_scenes)


def test_pictures_cannot_be_drawn_again(test_scenes):
    pictures = replace(test_scenes, name="rival6_tiny")
    run = Run(study="foregrounds", head="softmax", evaluation={"truth": True})
    with pytest.raises(GazebookError, match="leave out truth"):
        foregrounds.evaluate(torch.nn.Identity(), run, pictures, pictures)
    with pytest.raises(GazebookError, match="has no masks"):
        foregrounds.evaluate(torch.nn.Identity(), run, test_scenes, replace(test_scenes, masks=None))


def frame_like(sign: float) -> pd.DataFrame:
    """Results in which the paper is right (+1), or the other way round (-1)."""
    rows = []
    for seed in (0, 1):
        for i, model in enumerate((RESNET, PROBED, VIT, ROBUST, SIMCLR)):
            key = f"{model}{seed}"
            named = {"part": "scenes", "model": model, "correlation": 0.5, "seed": seed, "key": key}
            value = 0.8 - 0.15 * i
            rows.append(
                named | {"split": "truth", "value": sign * value, "low": sign * value - 0.01, "high": sign * value + 0.01}
            )
            for kind in claims.KINDS:
                sensitivity = {"value": value, "low": value - 0.02, "high": value + 0.02, "mask": "own", "condition": kind}
                rows.append(named | {"split": "levels"} | sensitivity)
                for level in (1, 2):
                    rise = sign * 0.1 * level * (2 if model == VIT else 1)
                    bounds = {"value": rise, "low": rise - 0.02, "high": rise + 0.02, "zone": "", "fg": 0.5, "bg": 0.6}
                    rows.append(named | {"split": "noise", "level": level, "mask": "own", "condition": kind} | bounds)
        for pair in (f"{ROBUST} - {RESNET}", f"{SIMCLR} - {PROBED}"):
            for kind in claims.KINDS:
                bounds = {"value": -0.2 * sign, "low": -0.2 * sign - 0.05, "high": -0.2 * sign + 0.05, "mask": "own"}
                rows.append(
                    {"part": "scenes", "model": pair, "correlation": 0.5, "seed": seed, "split": "pairs", "condition": kind}
                    | bounds
                )
        named = {"part": "cues", "model": RESNET, "seed": seed, "split": "discovery", "condition": "delta_density"}
        rows.append(named | {"level": 5, "value": 0.5 + 0.3 * sign, "chance": 0.5, "images": 40})
    frame = pd.DataFrame(rows)
    frame = frame.reindex(columns=[*tidy.COLUMNS, *(c for c in frame if c not in tidy.COLUMNS)])
    frame.attrs["middle"] = 0.5
    return frame


def test_runs_that_cannot_decide_about_the_cue_do_not_count():
    claim = next(c for c in claims.CLAIMS if c.name == "6")
    frame = frame_like(1).assign(chance=1.0)
    assert claim.check(frame).verdict == Verdict.UNDECIDED


def test_all_models_are_tested_on_the_same_scenes():
    axes = foregrounds.axes("demo")
    tested = {execution.evaluation_set(run).fingerprint for run in foregrounds.scenes(axes)}
    assert len(tested) == 1


@pytest.mark.parametrize("name", ["1", "2", "4", "5", "6", "C1", "C2", "C3", "C4"])
def test_a_claim_turns_round_with_the_results(name):
    claim = next(c for c in claims.CLAIMS if c.name == name)
    assert claim.check(frame_like(1)).verdict == Verdict.HOLDS, claim.check(frame_like(1))
    assert claim.check(frame_like(-1)).verdict == Verdict.FAILS, claim.check(frame_like(-1))


def test_the_worst_pictures_are_the_worst(test_scenes):
    """A map that lies on a random place: the gallery's scores are the lowest of the class."""
    torch.manual_seed(0)
    from gazebook import metrics, models

    model = models.build("resnet8", 10, "softmax", widths=(8, 8, 8))
    arrays = {}
    saliency.worst(model, test_scenes, 3, "cpu", arrays)
    found, predicted = saliency.maps(model, test_scenes.images, "cpu")
    score = metrics.saliency_alignment(found, test_scenes.masks.numpy())["delta_density"]
    c = int(np.bincount(predicted).argmax())
    lowest = np.flatnonzero(predicted == c)[np.argsort(score[predicted == c])][:3]
    assert np.array_equal(arrays["worst_images"][c], test_scenes.images[torch.from_numpy(lowest)].numpy())
    assert (arrays["worst_labels"][c] == test_scenes.labels[torch.from_numpy(lowest)].numpy()).all()


def test_auroc_and_location_of_units_by_hand():
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    strength, present = random.random((50, 3)).round(1), random.random(50) < 0.4
    assert units._auroc(strength, present) == pytest.approx([roc_auc_score(present, strength[:, k]) for k in range(3)])
    maps = torch.zeros(1, 2, 4, 4)
    maps[0, 0, :2, :2], maps[0, 1, 2:, 2:] = 3.0, 3.0
    mask = np.zeros((1, 4, 4), bool)
    mask[0, :2, :2] = True
    assert units._density(maps, mask) == pytest.approx([1.0, -1 / 3])
