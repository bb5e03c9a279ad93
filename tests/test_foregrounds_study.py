"""Part 3's study: its runs, what is measured, against models whose reliance is known; claims that can turn round."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from gazebook import data
from gazebook import execute as execution
from gazebook.data import scenes
from gazebook.errors import GazebookError
from gazebook.evidence import Verdict, judge
from gazebook.evidence.frame import tidy
from gazebook.ledger import Ledger
from gazebook.measure import Trained, attributes, measure, saliency, units
from gazebook.measure.reliance import conflict
from gazebook.papers import foregrounds, grid
from gazebook.papers.foregrounds.grid import PROBED, RESNET, ROBUST, SIMCLR, VIT
from gazebook.papers.foregrounds.results import KINDS, LABELS
from gazebook.runs import PROFILES, Run
from gazebook.train import to_float
from tests import execute


@pytest.fixture(scope="module")
def test_scenes():
    return data.load("scenes", "test", images=200, background_correlation=0.5)


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


def trained(predict, test, **evaluation):
    """A stand-in for a trained model: `predict` takes images float [N, 3, H, W] and gives probabilities."""
    model = torch.nn.Module()
    model.forward = lambda images: predict(images).clamp_min(1e-9).log()
    return Trained(model, Run(study="foregrounds", head="softmax", evaluation=evaluation), test, test)


@pytest.mark.parametrize(("follow", "expected"), [("object", 1.0), ("background", -1.0)])
def test_the_truth_about_one_who_knows(monkeypatch, test_scenes, follow, expected):
    """It names each scene by what is in it: the object's class, or its background's."""
    home, drawn = scenes.home_backgrounds(), {}
    whole = type(test_scenes.drawing).specs

    def specs(drawing, **changes):
        drawn["specs"] = whole(drawing, **changes)
        return drawn["specs"]

    monkeypatch.setattr(type(test_scenes.drawing), "specs", specs)

    def predict(images):
        own = drawn["specs"]
        answer = own.labels if follow == "object" else np.argsort(home)[own.backgrounds]
        return torch.nn.functional.one_hot(torch.from_numpy(answer), 10).float()

    found = conflict(trained(predict, test_scenes))
    assert found.rows[0]["object"] - found.rows[0]["background"] == expected and len(found.arrays["conflict"]) == 200


def test_scenes_are_drawn_again_as_they_were_and_with_one_thing_changed(test_scenes):
    assert np.array_equal(test_scenes.redraw().images, test_scenes.images.numpy())
    few = test_scenes.fraction(1.0, 0, 30)
    assert np.array_equal(few.redraw().images, few.images.numpy())
    other = few.redraw(background="night")
    assert np.array_equal(other.masks, few.masks.numpy()) and (other.images != few.images.numpy()).any()
    with pytest.raises(GazebookError, match="unknown background 'moon'"):
        few.redraw(background="moon")
    with pytest.raises(GazebookError, match="only scenes can be drawn again, not photos"):
        replace(few, name="photos", drawing=None).redraw()


def test_each_way_changes_the_attribute_as_it_says(test_scenes):
    a = scenes.ATTRIBUTES.index("wheels")
    shown = (test_scenes.attributes[:, a].flatten(1).sum(dim=1) >= 4).nonzero()[:, 0]
    x, m = to_float(test_scenes.images[shown]), test_scenes.attributes[shown, a]
    removed = to_float(torch.from_numpy(test_scenes.select(shown).redraw(without=["wheels"]).images))
    made = attributes.changed(x, m, removed, 0)
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

    rows = pd.DataFrame(attributes.attributes(trained(predict, test_scenes)).rows)
    rows = rows.set_index(["attribute", "condition"])["drop"]
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
    axes = replace(axes, evaluation=axes.evaluation | {"alignment": 40}, image_evaluation=axes.evaluation)
    ledger = Ledger(folder)
    for part in foregrounds.parts(axes).values():
        for run in part:
            if run not in ledger:
                ledger.write(execute(run, weights_file=ledger.weights_file(run)))
    return ledger, axes


def test_what_is_measured_and_how_it_reads(measured):
    ledger, axes = measured
    frame = foregrounds.results(ledger, axes)
    record = ledger.read(foregrounds.on_scenes(axes, RESNET, axes.middle, 0))
    noise_rows = [r for r in record.rows if r["split"] == "noise"]
    assert record.arrays["right"].shape == (len(noise_rows), 150) and len(noise_rows) == 2 * 4 * 2
    right = record.arrays["right"][0] / 255
    assert noise_rows[0]["accuracy"] == pytest.approx(
        float(np.mean([right[record.arrays["labels"] == c].mean() for c in range(10)])), abs=1e-5
    )
    scenes_ = frame[frame["part"] == "scenes"]
    assert {"clean", "noise", "levels", "thirds", "truth", "attribute", "alignment"} <= set(scenes_["measure"])
    values = frame[frame["measure"].isin(["noise", "levels"])]
    assert values["value"].between(-1, 1).all()
    assert {"cue", "detector"} <= set(frame[frame["part"] == "cues"]["measure"])
    assert record.arrays["units"].shape == (2, len(units.WAYS), 64, len(scenes.ATTRIBUTES))
    assert record.arrays["worst_images"].shape == (10, 5, 3, 32, 32)


def test_every_claim_reads_what_is_there_and_what_is_not(measured):
    ledger, axes = measured
    assert all(f.verdict in Verdict for f in judge(foregrounds.CLAIMS, foregrounds.results(ledger, axes)))
    empty = foregrounds.results(Ledger(ledger.folder / "none"), axes)
    assert {f.verdict for f in judge(foregrounds.CLAIMS, empty)} == {Verdict.INCONCLUSIVE}


def test_saliency_of_transformers_is_that_of_their_second_run(tmp_path):
    overrides = {"data_options": {"images": 120}, "train_images": 60, "test_images": 60, "epochs": 1, "batch_size": 30}
    axes = foregrounds.axes("demo", models=[VIT], overrides=overrides)
    axes = replace(axes, evaluation={"alignment": 20, "l2": [12]}, reference_evaluation={}, cue_models=())
    first, second = foregrounds.scenes(axes)
    assert first.training == second.training and second.evaluation["layer"] == "norm1" and "layer" not in first.evaluation
    ledger = Ledger(tmp_path)
    weights = ledger.weights_file(first)
    ledger.write(execute(first, weights_file=weights))
    assert "alignment" not in set(foregrounds.results(ledger, axes)["measure"])
    ledger.write(execute(second, weights_file=weights))
    frame = foregrounds.results(ledger, axes)
    assert {"alignment", "levels"} <= set(frame["measure"]) and set(frame["key"]) == {first.key}
    assert (frame["measure"] == "clean").sum() == 2, "on scenes, and on the images of the demo, which are the same scenes"


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
        measure(Trained(torch.nn.Identity(), run, test_scenes, test_scenes), foregrounds.RULERS)


def test_images_cannot_be_drawn_again(test_scenes):
    cut = replace(test_scenes, name="rival6_tiny", drawing=None)
    run = Run(study="foregrounds", head="softmax", evaluation={"truth": True})
    with pytest.raises(GazebookError, match="leave out truth"):
        measure(Trained(torch.nn.Identity(), run, cut, cut), foregrounds.RULERS)
    with pytest.raises(GazebookError, match="has no masks"):
        measure(Trained(torch.nn.Identity(), run, test_scenes, replace(test_scenes, masks=None)), foregrounds.RULERS)


def frame_like(sign: float) -> pd.DataFrame:
    """Results in which the paper is right (+1), or the other way round (-1)."""
    rows = []
    for seed in (0, 1, 2):
        for i, model in enumerate((RESNET, PROBED, VIT, ROBUST, SIMCLR)):
            named = {"part": "scenes", "model": model, "correlation": 0.5, "seed": seed, "key": f"{model}{seed}"}
            value = 0.8 - 0.15 * i + 0.001 * seed
            rows.append(named | {"measure": "truth", "value": sign * value})
            for kind in KINDS:
                for mask, moved in (("own", 1.0), ("shuffled", 0.1)):
                    level = {"measure": "levels", "mask": mask, "condition": kind}
                    rows.append(named | level | {"value": sign * moved * value if model in (ROBUST, SIMCLR) else moved * 0.5})
                for level in (1, 2):
                    rise = sign * (0.1 + 0.001 * seed) * level * (2 if model == VIT else 1)
                    rows.append(named | {"measure": "noise", "level": level, "mask": "own", "condition": kind, "zone": "",
                                         "value": rise, "fg": 0.5, "bg": 0.6})  # fmt: skip
        named = {"part": "cues", "model": RESNET, "seed": seed, "measure": "discovery", "condition": "delta_density"}
        rows.append(named | {"level": 5, "value": 0.5 + (0.3 + 0.001 * seed) * sign, "chance": 0.5, "n": 40})
    return tidy(rows, "foregrounds", LABELS, middle=0.5, parts=("scenes",))


CLAIMS = {c.name: c for c in foregrounds.CLAIMS}


def value(name, frame):
    (found,) = judge([CLAIMS[name]], frame)
    return CLAIMS[name].signed(found.estimate).value


def test_runs_that_cannot_decide_about_the_cue_do_not_count():
    (found,) = judge([CLAIMS["6"]], frame_like(1).assign(chance=1.0))
    assert found.verdict == Verdict.INCONCLUSIVE and found.evidence == "no runs yet"


def test_all_models_are_tested_on_the_same_scenes():
    axes = foregrounds.axes("demo")
    tested = {execution.evaluation_set(run).fingerprint for run in foregrounds.scenes(axes)}
    assert len(tested) == 1


@pytest.mark.parametrize("name", ["4", "5", "6", "C1", "C2"])
def test_a_claim_turns_round_with_the_results(name):
    assert value(name, frame_like(1)) > 0 > value(name, frame_like(-1))


def test_claims_about_recipes_are_about_own_masks_minus_shuffled_ones():
    """Where both masks move by as much, nothing is said of the foreground."""
    frame = frame_like(-1)
    assert value("1", frame) > 0 and value("2", frame) > 0
    same = frame[(frame["measure"] == "levels") & (frame["mask"] == "own")].assign(mask="shuffled")
    moved = pd.concat([frame[~((frame["measure"] == "levels") & (frame["mask"] == "shuffled"))], same])
    moved.attrs = frame.attrs
    assert value("1", moved) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", ["C3", "C4", "C5", "C7"])
def test_a_seed_counts_that_all_models_have(name):
    """Ranks and means over three of five models say something else than over all of them."""
    frame = frame_like(1)
    begun = frame[(frame["seed"] == 2) & frame["model"].isin((RESNET, PROBED, ROBUST))].assign(seed=3)
    both = pd.concat([frame, begun.assign(key=begun["model"] + "3")])
    both.attrs = frame.attrs
    pd.testing.assert_frame_equal(pd.DataFrame(CLAIMS[name].effect(both)), pd.DataFrame(CLAIMS[name].effect(frame)))


def test_the_gate_asks_for_accurate_networks_on_images():
    rows = [{"part": "images", "model": RESNET, "seed": s, "measure": "clean", "value": 0.8} for s in range(3)]
    frame = tidy(rows, "foregrounds", LABELS, parts=("scenes", "images"))
    assert "right on 80% of the real images" in foregrounds.gate(frame)
    assert foregrounds.gate(frame.assign(value=0.95)) == ""


def test_the_worst_images_are_the_worst(test_scenes):
    """A map that lies on a random place: the gallery's scores are the lowest of the class."""
    torch.manual_seed(0)
    from gazebook import metrics, models

    model = models.build("resnet8", 10, "softmax", widths=(8, 8, 8))
    run = Run(study="foregrounds", head="softmax", evaluation={"examples": 3})
    arrays = saliency.worst(Trained(model, run, test_scenes, test_scenes)).arrays
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
