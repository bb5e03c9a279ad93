"""Part 4's study: its runs, what is measured, claims that can turn round."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import classification_report as reference_report

import gazebook.execute as execution
from gazebook import data, metrics, models
from gazebook.data import fine_scenes
from gazebook.errors import GazebookError
from gazebook.evidence import Verdict, judge
from gazebook.evidence.frame import tidy
from gazebook.explain import grad_cam
from gazebook.ledger import Ledger
from gazebook.measure import Trained, measure, reliance
from gazebook.measure.erasing import LEVELS
from gazebook.papers import distraction, grid
from gazebook.papers.distraction.grid import (
    BASE,
    CONFUSABLE,
    CUTOUT,
    FINE,
    IMAGES,
    METHODS,
    PAPER,
    RANDOM,
    SHIFTED,
    STREAMS,
    TUNED,
    ZERO,
)
from gazebook.papers.distraction.results import LABELS, REPORT, fine_grained, of, paper_table, per_seed, regions
from gazebook.runs import PROFILES, Run
from gazebook.train import to_float
from tests import execute


@pytest.mark.parametrize("profile", PROFILES)
def test_grids_name_each_run_once_and_the_paper_has_its_methods(profile):
    runs = grid("distraction", profile)
    assert len(runs) == len({r.key for r in runs})
    axes = distraction.axes(profile)
    for part in fine_grained(tidy([], "distraction", sets=tuple(axes.sets))):
        assert set(PAPER) <= set(axes.sets[part].seeds) and SHIFTED in axes.sets[part].seeds
    zero = distraction.on_set(axes, FINE, ZERO, 0)
    assert zero.method_options == {"p": 0.25, "th": 0.85}
    base = distraction.on_set(axes, FINE, BASE, 0)
    assert base.replace(method="distraction", method_options=zero.method_options) == zero
    if profile != "demo":
        assert all(len(seeds) >= 3 for part in axes.sets.values() for seeds in part.seeds.values())
        assert IMAGES in axes.sets


def test_leaky_runs_are_not_trained_again():
    axes = distraction.axes("demo")
    (run,) = distraction.leaky(axes)
    assert run.training == distraction.on_set(axes, STREAMS, BASE, 0).training
    assert (
        execution.evaluation_set(run).fingerprint
        != execution.evaluation_set(distraction.on_set(axes, STREAMS, BASE, 0)).fingerprint
    )


def test_axes_refuse_what_they_do_not_know():
    with pytest.raises(GazebookError, match="unknown method 'Cutmix'; choose from baseline"):
        distraction.axes("demo", methods=["Cutmix"])
    with pytest.raises(GazebookError, match="overrides cannot set method, wings"):
        distraction.axes("demo", overrides={"method": "plain", "wings": 2})
    with pytest.raises(GazebookError, match="unknown profile"):
        distraction.axes("gpu")
    small = distraction.axes("demo", methods=[ZERO], seeds=[4], overrides={"epochs": 1, "train_images": 90})
    runs = distraction.main(small)
    assert {r.seed for r in runs} == {4} and {r.epochs for r in runs} == {1}
    assert {label["model"] for label in runs.values()} == {BASE, ZERO}
    assert all(r.train_images is None for r in runs if r.data == "photo_streams")


def test_the_papers_own_setting_is_a_list_of_runs():
    runs = distraction.fine_tuned(seeds=[0], methods=[BASE, ZERO])
    assert [r.method for r in runs] == ["plain", "distraction"] and runs[0].trunk == "pretrained/torchvision/resnet50"
    assert runs[0].lr == 5e-5 and runs[0].batch_size == 16 and runs[0].fraction == 0.75


def test_the_papers_augmentation_has_its_ranges():
    from gazebook.images import augment

    grey = torch.full((400, 3, 8, 8), 128, dtype=torch.uint8)
    shifted = augment.named("shift_channels")(grey, torch.Generator().manual_seed(0)).float() - 128
    assert shifted.abs().max() <= 30 and shifted.min() < -28 and shifted.max() > 28
    assert (shifted.flatten(2).std(dim=2) == 0).all() and (shifted[:, 0, 0, 0] != shifted[:, 1, 0, 0]).any()
    bright = augment.named("brightness")(grey, torch.Generator().manual_seed(0)).float() / 128
    assert 0.49 < bright.min() < 0.53 and 1.47 < bright.max() < 1.51
    point = torch.zeros(300, 3, 33, 33, dtype=torch.uint8)
    point[:, :, 16, 28] = 255
    turned = augment.named("rotate40")(point, torch.Generator().manual_seed(0))[:, 0]
    y, x = (turned.float().flatten(1).argmax(dim=1) // 33 - 16, turned.float().flatten(1).argmax(dim=1) % 33 - 16)
    angle = torch.rad2deg(torch.atan2(y.float(), x.float()))[turned.flatten(1).amax(dim=1) > 0]
    assert 36 < angle.abs().max() < 43


def test_the_report_is_scikit_learns():
    random = np.random.default_rng(0)
    p, y = random.dirichlet(np.ones(5), 80), random.integers(0, 4, 80)  # nothing of class 4
    ours = metrics.classification_report(p, y)
    theirs = reference_report(y, p.argmax(axis=1), labels=range(4), output_dict=True, zero_division=0)
    for average in ("macro", "weighted"):
        for name, key in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
            assert ours[f"{average}_{name}"] == pytest.approx(theirs[f"{average} avg"][key])
    assert ours["accuracy"] == pytest.approx(metrics.accuracy(p, y)) == pytest.approx(ours["weighted_recall"])
    assert ours["recall"][1] == pytest.approx(theirs["1"]["recall"]) and np.isnan(ours["recall"][4])
    with pytest.raises(ValueError, match="expected"):
        metrics.classification_report(p.argmax(axis=1), y)


def test_entropy_and_containment_by_hand():
    maps = np.zeros((4, 2, 2))
    maps[0], maps[1, 0, 0], maps[2, 0] = 0.7, 1, 0.5
    assert metrics.map_entropy(maps) == pytest.approx([1, 0, 0.5, np.nan], nan_ok=True)
    inner, outer = np.zeros((2, 2, 2), bool), np.zeros((2, 2, 2), bool)
    inner[0, 0], outer[0, :, 0] = True, True
    assert metrics.containment(inner, outer) == pytest.approx([0.5, np.nan], nan_ok=True)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Some of the demo's grid in small, with two seeds, in a ledger."""
    overrides = {"data_options": {"images": 200, "largest": 20}, "train_images": 90, "test_images": 60, "epochs": 2}
    axes = distraction.axes(
        "demo", methods=[BASE, ZERO, SHIFTED, RANDOM, CUTOUT], seeds=[0, 1], overrides=overrides | {"batch_size": 30}
    )
    ledger = Ledger(tmp_path_factory.mktemp("ledger"))
    for runs in (distraction.main(axes), distraction.sweep(axes), distraction.leaky(axes)):
        for run in runs:
            ledger.write(execute(run, weights_file=ledger.weights_file(run)))
    return ledger, axes


def test_what_is_measured_is_what_a_model_says(measured):
    ledger, axes = measured
    run = distraction.on_set(axes, FINE, ZERO, 0)
    record = ledger.read(run)
    test = execution.evaluation_set(run)
    model = execution.trained_model(run, ledger.weights_file(run), test.num_classes)
    with torch.no_grad():
        predicted = model(to_float(test.images)).argmax(dim=1)
    assert np.array_equal(record.arrays["predicted"], predicted.numpy())
    clean = next(r for r in record.rows if r["split"] == "clean")
    assert clean["accuracy"] == pytest.approx(float((predicted == test.labels).float().mean()), abs=1e-5)
    chosen = test.fraction(1.0, 0, 60)
    heat = grad_cam(model, to_float(chosen.images), chosen.labels)
    shown = (heat.flatten(1).amax(dim=1) > 0).numpy()
    area = np.stack([(heat > level).float().mean(dim=(1, 2)).numpy() for level in LEVELS])
    assert np.allclose(record.arrays["area"].astype(float), area, atol=2e-3)
    inside = metrics.containment(chosen.masks.numpy(), heat.numpy() > 0.5)
    assert np.allclose(record.arrays["object"].astype(float)[shown], inside[shown], atol=2e-3)
    assert np.abs(regions(record)[shown].mean(axis=(1, 2)) - area[1][shown]).mean() < 0.02
    assert record.arrays["parts"].shape == (8, 60)
    assert reliance.REMOVED[0] == () and reliance.REMOVED[4] == ("crest", "tail")


def test_a_reader_of_two_parts_is_found_out():
    """One who knows crest and belly alone: nothing is lost without the tail, two thirds without either of them."""
    test = data.load("fine_scenes", "test", images=90)
    labels, complete = test.labels.numpy(), {"attribute_frequencies": dict.fromkeys(fine_scenes.ATTRIBUTES, 1.0)}
    known = {}
    for removed in reliance.REMOVED:
        images = to_float(torch.from_numpy(test.redraw(without=fine_scenes.forms(*removed), **complete).images))
        for image, label in zip(images, labels, strict=True):
            known[image.numpy().tobytes()] = (removed, int(label))

    def predict(images):
        p = torch.zeros(len(images), 9)
        for i, image in enumerate(images):
            removed, label = known[image.numpy().tobytes()]
            sure = 0 if "crest" in removed or "belly" in removed else label
            p[i, sure] = 1
        return p

    model = torch.nn.Module()
    model.forward = lambda images: predict(images).clamp_min(1e-9).log()
    found = reliance.parts(Trained(model, Run(study="distraction", head="softmax"), None, test))
    rows = {r["condition"]: r["accuracy"] for r in found.rows}
    assert rows["nothing"] == rows["tail"] == 1 and rows["crest"] == rows["belly"] == pytest.approx(
        (labels == 0).mean(), abs=1e-5
    )


def test_differences_are_of_the_same_seed_and_regions_compared_with_other_seeds(measured):
    ledger, axes = measured
    frame = distraction.results(ledger, axes)
    a, b = (ledger.read(distraction.on_set(axes, FINE, m, 1)).arrays for m in (ZERO, SHIFTED))
    right = [(x["predicted"] == x["labels"]).astype(float) for x in (a, b)]
    found = per_seed(frame, FINE, "clean", "accuracy", ZERO, SHIFTED)
    assert list(found.index) == [0, 1] and found[1] == pytest.approx((right[0] - right[1]).mean(), abs=2e-6)
    own = [ledger.read(distraction.on_set(axes, FINE, BASE, seed)) for seed in (0, 1)]
    expected = [np.nanmean(metrics.containment(regions(own[i]), regions(own[1 - i]))) for i in (0, 1)]
    others = of(frame, "containment", data=FINE, model=BASE, condition="other seeds")["value"]
    assert sorted(others) == pytest.approx(sorted(expected))
    (same,) = of(frame, "containment", data=FINE, model=ZERO, seed=1, condition="same seed")["value"]
    zero = ledger.read(distraction.on_set(axes, FINE, ZERO, 1))
    assert same == pytest.approx(np.nanmean(metrics.containment(regions(own[1]), regions(zero))))
    assert set(frame.loc[frame["part"] == "sweep", "p"].dropna()) == {0.25, 0.5}
    assert set(of(frame, "recall", data=STREAMS)["condition"]) <= set(range(10))


def test_what_is_known_of_each_image_is_averaged(measured):
    ledger, axes = measured
    frame = distraction.results(ledger, axes)
    arrays = ledger.read(distraction.on_set(axes, FINE, CUTOUT, 0)).arrays
    right, erased = (arrays[k] == arrays["labels"] for k in ("predicted", "predicted_erased"))
    single = arrays["parts"][1:4].astype(int)
    expected = {
        "drop": right.mean() - erased.mean(), "one part removed": single.mean(),
        "least of one removed": single.mean(axis=1).min(), "area 0.5": arrays["area"][1].astype(float).mean(),
        "regions": arrays["regions"].astype(float).mean(),
    }  # fmt: skip
    found = of(frame, "region", data=FINE, model=CUTOUT, seed=0).set_index("condition")["value"]
    assert found[list(expected)].to_dict() == pytest.approx(expected, abs=1e-6)


def test_hidden_and_erased_pictures_are_those_that_they_say(measured):
    from gazebook.images.erase import erased

    ledger, axes = measured
    run = distraction.on_set(axes, FINE, BASE, 0)
    record, test = ledger.read(run), execution.evaluation_set(run)
    model = execution.trained_model(run, ledger.weights_file(run), test.num_classes)
    with torch.no_grad():
        predicted = model(to_float(erased(test.images)[0])).argmax(dim=1).numpy()
    assert np.array_equal(record.arrays["predicted_erased"], predicted)
    x, y = to_float(test.images), test.labels
    heat = grad_cam(model, x, y).flatten(1)
    painted = x.clone().flatten(2)
    for i, own in enumerate(heat):
        top = own.argsort(descending=True, stable=True)[:102]  # a tenth of 1024
        painted[i][:, top] = x.mean(dim=(0, 2, 3))[:, None]
    with torch.no_grad():
        accuracy = float((model(painted.view_as(x)).argmax(dim=1) == y).float().mean())
    rows = {r["condition"]: r["accuracy"] for r in record.rows if r["split"] == "hidden" and r["level"] == 0.1}
    assert rows["highest"] == pytest.approx(accuracy, abs=0.06)  # ties where the map is zero are broken otherwise


def test_every_claim_reads_what_is_there_and_what_is_not(measured):
    ledger, axes = measured
    assert all(f.verdict in Verdict for f in judge(distraction.CLAIMS, distraction.results(ledger, axes)))
    empty = distraction.results(Ledger(ledger.folder / "none"), axes)
    assert empty.empty and {f.verdict for f in judge(distraction.CLAIMS, empty)} == {Verdict.INCONCLUSIVE}


def test_the_papers_tables_are_its_own():
    table = paper_table(1).set_index(["dataset", "metric"])
    assert table.loc[("stanford_cars", "accuracy"), ZERO] == 0.875 and table.loc[("fgvc_aircraft", "f1"), BASE] == 0.733
    own = paper_table(3)
    assert (own[ZERO] > own[BASE]).iloc[:15].sum() == 7 and (own[ZERO] < own[BASE]).iloc[:15].sum() == 5
    wrong = paper_table(4).set_index("metric")
    assert wrong.loc["Weighted Recall", ZERO] - wrong.loc["Accuracy", ZERO] == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evaluation": {"wings": True}}, "unknown wings"),
        ({"evaluation": {"parts": True}, "data": "scenes"}, "leave out parts"),
    ],
)
def test_evaluation_refuses_what_it_does_not_know(change, message):
    run = Run(study="distraction", head="softmax", **({"data": "fine_scenes"} | change))
    test = data.load(run.data, "test", images=20)
    with pytest.raises(GazebookError, match=message):
        measure(Trained(torch.nn.Identity(), run, test, test), distraction.RULERS)


def test_weights_that_are_not_there_are_asked_for(tmp_path):
    run = distraction.on_set(distraction.axes("demo"), FINE, BASE, 0)
    with pytest.raises(GazebookError, match="gazebook grid distraction"):
        execution.trained_model(run, tmp_path / "none.safetensors", 9)


GOOD = {ZERO: 0.03, "1-occlusion": 0.027, RANDOM: 0.018, SHIFTED: 0.0, "box of equal area": 0.001, "lowest values": -0.002,
        CUTOUT: 0.05, "hidden features (last)": 0.04, BASE: 0.0}  # fmt: skip

SETS = (FINE, CONFUSABLE, IMAGES, TUNED, STREAMS)


def frame_like(sign: float) -> pd.DataFrame:
    """Results in which the paper, and every hope for its method, is right (+1), or the other way round (-1)."""
    rows = []
    for data_set in SETS:
        for seed in range(3):
            for method, gain in GOOD.items():
                value = sign * gain + 0.0005 * (-1) ** seed * (method != BASE)
                named = {"part": "main", "data": data_set, "seed": seed, "model": method, "p": 0.25, "th": 0.85}
                report = dict.fromkeys(REPORT, 0.7 + value) | {"confidence": 0.9 - sign * 0.02 * (method == RANDOM)}
                if data_set == STREAMS and method == ZERO:
                    report |= dict.fromkeys(("macro_precision", "macro_f1"), 0.7 + (0.001 if sign > 0 else 0.1))
                    report |= {"macro_recall": 0.7 - sign * (0.01 + 0.0001 * seed)}
                for split, scores in (("clean", report), ("erased", dict.fromkeys(REPORT, 0.6 + value))):
                    rows += [named | {"measure": split, "condition": n, "value": v} for n, v in scores.items()]
                rows += [named | {"measure": "recall", "condition": c, "value": 0.6 + 2 * value} for c in range(4)]
                rows.append(named | {"measure": "train", "condition": "accuracy", "value": 0.97})
                speed = 1000 - (1 - sign) * 200 * (method != BASE) + seed
                rows.append(named | {"measure": "speed", "condition": "images a second", "value": speed})
                loss = 0.2 - sign * 0.05 * (method != BASE)
                rows += [named | {"measure": "hidden", "condition": c, "level": 0.1, "value": v}
                         for c, v in (("shifted", 0.6), ("highest", 0.6 - loss))]  # fmt: skip
                share = (0.95 if sign > 0 else 0.5) + 0.001 * seed if method != BASE else 0.7
                own = {"other seeds": share} if method == BASE else {"same seed": share, "other seeds": share}
                rows += [named | {"measure": "containment", "condition": c, "value": v} for c, v in own.items()]
                seen = {f"area {level:g}": 0.3 + value for level in LEVELS}
                seen |= {"drop": 0.1 - value, "regions": 2 + value, "spread": 0.8 + value, "object": 0.5 + value}
                seen |= {"least of one removed": 0.5 + value}
                rows += [named | {"measure": "region", "condition": c, "value": v} for c, v in seen.items()]
    clean = {"measure": "clean", "condition": "accuracy"}
    for seed in range(3):
        leaky = {"part": "leaky", "data": STREAMS, "model": BASE, "value": 0.7 + sign * 0.1 + 0.001 * seed}
        swept = {"part": "sweep", "data": FINE, "model": ZERO, "th": 0.85, "value": 0.7 + sign * 0.02}
        rows += [clean | leaky | {"seed": seed}, *(clean | swept | {"seed": seed, "p": p} for p in (0.1, 0.5))]
    return tidy(rows, "distraction", LABELS, sets=SETS, stream_classes=tuple("abcd"))


CLAIMS = {c.name: c for c in distraction.CLAIMS}


def value(name, frame):
    (found,) = judge([CLAIMS[name]], frame)
    return CLAIMS[name].signed(found.estimate).value


@pytest.mark.parametrize("name", [n for n in CLAIMS if n not in ("6", "10", "12", "13", "16")])
def test_a_claim_turns_round_with_the_results(name):
    assert value(name, frame_like(1)) > 0 > value(name, frame_like(-1))


def test_one_seed_decides_nothing_about_means_and_arithmetic_needs_none():
    one = frame_like(1).query("seed == 0")
    one.attrs = frame_like(1).attrs
    found = {f.claim.name: f for f in judge(distraction.CLAIMS, one)}
    arithmetic = {"10", "12", "13", "16"}
    assert {n for n, f in found.items() if f.verdict != Verdict.INCONCLUSIVE} == arithmetic
    assert all(found[n].verdict == Verdict.SUPPORTED for n in arithmetic), "decided on the paper's own table"


def test_slight_and_identity_by_hand():
    frame = frame_like(1)
    assert value("6", frame) == pytest.approx(0.003)
    wrong = frame.assign(value=frame["value"] + 0.05 * (frame["condition"] == "weighted_recall"))
    assert [judge([CLAIMS["16"]], f)[0].verdict for f in (frame, wrong)] == [Verdict.SUPPORTED, Verdict.CONTRADICTED]


def test_claims_about_networks_that_underfit_are_not_judged():
    frame = frame_like(1)
    low = frame.assign(value=frame["value"].where(frame["measure"] != "train", 0.5))
    low.attrs = frame.attrs
    found = {f.claim.name: f for f in judge(distraction.CLAIMS, low)}
    assert found["1a"].verdict == Verdict.NOT_TESTABLE and "baselines reach Tiny ImageNet, fine-tuned 50% in" in found["1a"].why
    assert found["1a"].evidence.startswith("gain +3.0") and found["23"].verdict != Verdict.NOT_TESTABLE


def test_methods_are_named_without_commas():
    assert not any("," in name for name in METHODS)


def test_methods_that_differ_in_place_alone():
    own, other = METHODS[ZERO], METHODS[SHIFTED]
    assert {k: v for k, v in other.items() if k != "place"} == own and other["place"] == "shifted"


def test_choosing_seeds_and_methods_chooses_published_runs():
    whole, one = distraction.axes("cpu"), distraction.axes("cpu", seeds=[1], methods=[ZERO])
    assert set(distraction.main(one)) <= set(distraction.main(whole))
    with pytest.raises(GazebookError, match="profile demo does not train 'mean-occlusion'"):
        distraction.axes("demo", methods=["mean-occlusion"])


@pytest.mark.parametrize("profile", PROFILES)
def test_features_that_are_hidden_are_modules_of_the_net(profile):
    axes = distraction.axes(profile)
    for run in distraction.main(axes):
        if "at" in run.method_options:
            models.initial_model(run, 9).get_submodule(run.method_options["at"])


def test_options_of_streams_go_to_streams_and_others_elsewhere():
    axes = distraction.axes("demo", overrides={"data_options": {"images": 99, "largest": 33}})
    assert axes.sets[STREAMS].fields["data_options"]["largest"] == 33
    assert "images" not in axes.sets[STREAMS].fields["data_options"]
    assert axes.sets[FINE].fields["data_options"] == {"images": 99}
