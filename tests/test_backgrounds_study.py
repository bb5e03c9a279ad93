"""Part 2's runs and how a trained model is measured, on a few scenes."""

import numpy as np
import pytest
import torch

import gazebook.execute as execution
from gazebook import data, models
from gazebook.errors import GazebookError
from gazebook.images import composite
from gazebook.ledger import Ledger
from gazebook.measure import Trained, measure
from gazebook.measure.backgrounds import correctness
from gazebook.papers import backgrounds, grid
from gazebook.papers.backgrounds.results import tested as rows_of
from gazebook.runs import Run
from gazebook.train import to_float
from tests import execute

EVALUATION = {
    "draws": 2, "adversarial": 12, "strength": 6, "saliency": 20, "examples": 9, "category_examples": 2, "construction": 12,
}  # fmt: skip


@pytest.fixture(scope="module")
def run():
    return Run(
        study="backgrounds", data_options={"images": 150, "background_correlation": 0.8}, train_images=100, test_images=60,
        variant="mixed_rand", head="softmax", epochs=1, batch_size=25, lr=0.05, augmentation="crop+flip",
        trunk_options={"widths": [8, 8, 16]}, evaluation=EVALUATION,
    )  # fmt: skip


@pytest.fixture(scope="module")
def record(run, tmp_path_factory):
    return execute(run, weights_file=tmp_path_factory.mktemp("w") / "w.safetensors")


def test_the_training_pictures_are_the_variant_of_the_chosen_share(run):
    found = execution.training_set(run)
    whole = data.load("scenes", "train", **run.data_options).fraction(1.0, run.seed, 100)
    assert torch.equal(found.images, composite.variant(whole, "mixed_rand", seed=run.seed).images)
    assert torch.equal(execution.training_set(run.replace(variant="original")).images, whole.images)
    assert execution.training_set(run.replace(epochs=None, updates=0, head="imagenet")) is None


def test_the_test_pictures_may_have_options_of_their_own(run):
    other = run.replace(evaluation={"data": {"background_correlation": 1.0}})
    found = execution.evaluation_set(other)
    home = torch.tensor([data.scenes.BACKGROUNDS.index(data.scenes.HOME[name]) for name in data.scenes.CLASS_NAMES])
    assert torch.equal(found.backgrounds, home[found.labels]) and other.training == run.training


def test_rows_and_predictions_are_those_of_the_model(run, record):
    again = execute(run)
    assert again.rows == record.rows, "the same seed gives the same record"
    assert all(np.array_equal(again.arrays[k], v) for k, v in record.arrays.items())
    rows = [row for row in record.rows if row["split"] == "test"]
    assert [(r["condition"], r["draw"]) for r in rows][5:] == [(n, d) for n in composite.MIXED for d in (0, 1)]
    right = record.arrays["predictions"] == record.arrays["labels"]
    assert [r["accuracy"] for r in rows] == pytest.approx(right.mean(axis=1), abs=1e-6)
    assert right.shape == (11, 60)


def test_what_was_asked_for_is_there(run, record):
    splits = {row["split"] for row in record.rows}
    assert splits == {"test", "train", "adversarial", "masks", "control"}
    shapes = {name: array.shape for name, array in record.arrays.items()}
    assert shapes["tries"] == (12,) and shapes["strength"] == (60,) and shapes["saliency"] == (3, 20)
    assert shapes["examples"] == (8, 9, 3, 32, 32) and shapes["category_examples"] == (6, 2, 3, 3, 32, 32)
    assert shapes["strongest"] == (5, 4, 3, 32, 32) and shapes["mask_examples"] == (3, 9, 32, 32)
    (row,) = (row for row in record.rows if row["split"] == "adversarial")
    assert row["accuracy"] == pytest.approx((record.arrays["tries"] == 0).mean())
    assert record.provenance["composites_per_second"] > 0


def test_nothing_is_measured_that_was_not_asked_for(run):
    record = execute(run.replace(evaluation={}))
    assert set(record.arrays) == {"labels", "predictions"} and {r["split"] for r in record.rows} == {"test", "train"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"draw": 2}, "unknown draw; choose from "), ({"draws": -1}, "has draws: -1; give a whole number")],
)
def test_evaluations_are_checked(run, wrong, message):
    with pytest.raises(GazebookError, match=message):
        execute(run.replace(evaluation=wrong))


class Sees(torch.nn.Module):
    """A model of known reliance: it names the class whose home the corner's colour looks like, or the object's own."""

    def __init__(self, answers):
        super().__init__()
        self.answers = answers

    def forward(self, x):
        key = [int(v) for v in (x * 255).round().long().flatten(1).sum(dim=1)]
        return torch.nn.functional.one_hot(torch.tensor([self.answers.get(k, 0) for k in key]), 10).float()


def test_scenes_are_drawn_again_on_their_home_and_on_random_backgrounds(run):
    options = {"images": 80, "background_correlation": 1.0}
    test = data.load("scenes", "test", **options)
    answers = dict(zip(test.images.long().flatten(1).sum(dim=1).tolist(), test.labels.tolist(), strict=True))
    asked = run.replace(evaluation={"rendered": True, "draws": 3}, data_options=options)
    rows = measure(Trained(Sees(answers), asked, None, test), backgrounds.RULERS).rows
    truth = [row for row in rows if row["split"] == "truth"]
    assert [row["condition"] for row in truth] == ["rendered_home"] + ["rendered_random"] * 3
    assert truth[0]["accuracy"] == 1, "drawn again at home, the scene is the same to the last bit"
    assert all(row["accuracy"] < 0.4 and row["changed"] > 0.6 for row in truth[1:]), "elsewhere it is another picture"
    with pytest.raises(GazebookError, match="only scenes can be drawn again"):
        cut = data.ImageSet("cut", "test", test.images, test.labels, test.class_names, "cut", test.masks, test.boxes)
        measure(Trained(Sees(answers), asked, None, cut), backgrounds.RULERS)


def test_one_picture_is_cut_eight_ways_and_each_is_named(run):
    test = execution.evaluation_set(run)
    place = test.balanced_order(0)[3]

    class Sure(torch.nn.Module):
        """Names the class of the picture where it sees it whole, else class 9, ninety times as likely as any other."""

        def forward(self, x):
            whole = (x[0] * 255).round().to(torch.uint8).equal(test.images[place])
            return torch.log(torch.eye(10)[[int(test.labels[place]) if whole else 9]] * 0.89 + 0.01).expand(len(x), -1)

    asked = run.replace(evaluation={"picture": 3})
    found = measure(Trained(Sure(), asked, None, test), backgrounds.RULERS)
    rows = [row for row in found.rows if row["split"] == "picture"]
    assert [row["condition"] for row in rows] == list(composite.VARIANTS)
    assert rows[0]["says"] == test.class_names[test.labels[place]] and rows[0]["right"]
    assert {row["says"] for row in rows[1:]} == {test.class_names[9]} and rows[1]["probability"] == pytest.approx(
        0.9 / 0.99, abs=1e-4
    )
    assert found.arrays["picture"].shape == (8, 3, 32, 32) and (found.arrays["picture"][0] == test.images[place].numpy()).all()
    mixed = composite.variant(test, "mixed_rand").images[place]
    assert (found.arrays["picture"][6] == mixed.numpy()).all()


def test_saliency_shares_are_those_of_the_maps(run, record, tmp_path):
    weights = tmp_path / "w.safetensors"
    execute(run, weights_file=weights)
    model = models.initial_model(run, 10)
    from gazebook.explain import grad_cam
    from gazebook.train import checkpoint

    checkpoint.restore(weights, model)
    chosen = execution.evaluation_set(run).fraction(1.0, 0, 20)
    maps = grad_cam(model.eval(), to_float(chosen.images), chosen.labels, scale=False).numpy()
    inside = (maps * chosen.masks.numpy()).sum(axis=(1, 2)) / maps.sum(axis=(1, 2))
    assert np.allclose(record.arrays["saliency"][1], inside, atol=2e-3)
    assert np.allclose(record.arrays["saliency"][0], chosen.masks.float().mean(dim=(1, 2)), atol=1e-3)


# the grid


@pytest.mark.parametrize("profile", ["demo", "cpu", "paper"])
def test_a_prefix_of_the_grid_is_the_whole_cross_table(profile):
    axes = backgrounds.AXES[profile]
    runs = grid("backgrounds", profile)
    assert runs[:9] == backgrounds.sets(axes, axes.seeds[:1])
    assert set(runs) == {run for part in backgrounds.parts(axes).values() for run in part}
    assert len({run.key for run in runs}) == len(runs)
    assert backgrounds.reference(axes).evaluation["examples"] and len(runs[0].evaluation) > len(runs[1].evaluation)


def test_axes_are_replaced_and_checked():
    axes = backgrounds.axes("demo", training_sets=["original", "large"], seeds=[3], correlations=[0.5], overrides={"epochs": 2})
    runs = backgrounds.sets(axes) + backgrounds.scenes(axes)
    assert [run.epochs for run in runs] == [2, 2, 2] and {run.seed for run in runs} == {3}
    assert runs[2].data_options == {"background_correlation": 0.5}
    for wrong, message in (
        ({"training_sets": ["mixed"]}, "unknown training set 'mixed'; choose from original"),
        ({"overrides": {"variant": "no_fg"}}, "overrides cannot set variant"),
        ({"overrides": {"wings": 2}}, "overrides cannot set wings"),
    ):
        with pytest.raises(GazebookError, match=message):
            backgrounds.axes("demo", **wrong)
    cut = backgrounds.axes("cpu", overrides={"data_options": {"procedure": "rectangle"}})
    assert backgrounds.trained_on(cut, "large", 0).data_options == {"procedure": "rectangle", "everything": True}
    assert "procedure" not in backgrounds.scenes(cut)[0].data_options
    assert backgrounds.pretrained(cut)[0].data_options == {"procedure": "rectangle"}
    with pytest.raises(GazebookError, match="unknown profile 'gpu'"):
        backgrounds.axes("gpu")


def test_the_tidy_table_reads_a_real_record(run, record, tmp_path):
    ledger = Ledger(tmp_path)
    axes = backgrounds.axes("demo", training_sets=["mixed_rand"], overrides={"epochs": 1})
    own = backgrounds.trained_on(axes, "mixed_rand", 0)
    ledger.write(type(record)(own, record.rows, record.arrays, record.history, record.provenance))
    frame = backgrounds.results(ledger, axes)
    means = correctness(record.rows, record.arrays["predictions"], record.arrays["labels"])
    row = rows_of(frame, "mixed_next").iloc[0]
    assert row["value"] == pytest.approx(means["mixed_next"].mean()) and row["model"] == "Mixed-Rand"
    assert rows_of(frame, "any", measure="fooled")["value"].iloc[0] == (record.arrays["tries"] > 0).mean()
