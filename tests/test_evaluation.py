"""How a model of paper 1 is measured: against the plain metrics, against other libraries, by hand."""

import numpy as np
import pytest
import torch
from torch import nn
from torchmetrics.functional.classification import multiclass_calibration_error

from gazebook import data, metrics, models
from gazebook.errors import GazebookError
from gazebook.explain import attention_map, resize_maps
from gazebook.images import corrupt
from gazebook.ledger import Ledger
from gazebook.measure import attention
from gazebook.measure.attention import see
from gazebook.papers.scribe import axes, results, single
from gazebook.papers.scribe.results import tested as rows_of
from gazebook.train import checkpoint
from tests import execute


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(corrupt, "cache_folder", lambda: tmp_path / "cache")


class Fixed(nn.Module):
    """A model whose class maps are given: image i, which has the value i everywhere, gets maps[i]."""

    def __init__(self, maps):
        super().__init__()
        self.given, self.head = maps, models.ScribeHead(1, maps.shape[1])

    def cam(self, x):
        return self.given[(x[:, 0, 0, 0] * 255).round().long()]


def numbered(count, size):
    return torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(count, 3, size, size).contiguous()


def test_a_4x4_case_by_hand():
    """Two images, three classes, maps as large as the image, so nothing is interpolated."""
    maps = torch.full((2, 3, 4, 4), -9.0)
    maps[0, 1, :2] = 9.0  # class 1 on the upper half
    maps[0, 2, 3, 0] = 9.0  # class 2 in a corner
    maps[1, 0, 0, 0] = 0.0  # A = 0.5001: the odds of one class alone are 1, the others add a little
    found = see(Fixed(maps), numbered(2, 4), torch.tensor([1, 2]), "cpu", regions=True)
    assert found.row["sparsity"] == pytest.approx((7 / 16 + 15 / 16) / 2)
    assert found.row["classes"] == 1.5 and found.row["regions"] == 1.5
    assert found.row["accuracy"] == 0.5 and found.row["images"] == 2
    assert found.class_counts.tolist() == [[1, 1, 0], [1, 8, 1], [1, 1, 1]]
    assert (found.row["sparsity_right"], found.row["sparsity_wrong"]) == (7 / 16, 15 / 16)


def test_rows_agree_with_the_plain_metrics_and_with_torchmetrics():
    generator = torch.Generator().manual_seed(0)
    maps = 3 * torch.randn(40, 5, 4, 4, generator=generator)
    labels = torch.randint(0, 5, (40,), generator=generator)
    model = Fixed(maps)
    found = see(model, numbered(40, 16), labels, "cpu", regions=True)
    a = attention_map(maps, 16).numpy()
    winners = resize_maps(maps, 16).argmax(1).numpy()
    p = model.head.pool(maps).softmax(1)
    expected = {
        "sparsity": (a <= 0.5).mean(),
        "sparsity_70": (a <= 0.7).mean(),
        "soft_share": ((a > 0.1) & (a < 0.9)).mean(),
        "classes": np.mean([len(np.unique(w[m > 0.5])) for w, m in zip(winners, a, strict=True)]),
        "regions": metrics.regions_per_image(a).mean(),
        "accuracy": metrics.accuracy(p, labels),
        "ece_15": float(multiclass_calibration_error(p, labels, 5, n_bins=15)),
        "ece_10": float(multiclass_calibration_error(p, labels, 5, n_bins=10)),
    }
    for name, value in expected.items():
        assert found.row[name] == pytest.approx(value, abs=2e-6), name
    assert found.class_counts[1].tolist() == [int(((winners == c) & (a > 0.5)).sum()) for c in range(5)]


def test_the_distance_to_the_clean_map_is_that_of_the_same_images():
    maps = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    model, images, labels = Fixed(maps), numbered(6, 8), torch.zeros(6, dtype=torch.int64)
    clean = see(model, images, labels, "cpu")
    again = see(model, images, labels, "cpu", clean=clean.attention)
    assert again.row["mse_clean"] == 0
    turned = see(model, images.flip(0), labels, "cpu", clean=clean.attention)
    assert turned.row["mse_clean"] == pytest.approx(
        metrics.attention_mse(clean.attention.flip(0).numpy(), clean.attention.numpy()), abs=1e-6
    )


def test_batches_do_not_matter(monkeypatch, tiny):
    images = data.load("scenes", "test", images=30)
    model = models.initial_model(tiny, 10).eval()
    with torch.no_grad():
        whole = see(model, images.images, images.labels, "cpu")
        monkeypatch.setitem(attention.BATCH, "cpu", 7)
        parts = see(model, images.images, images.labels, "cpu")
    assert parts.row == pytest.approx(whole.row, abs=2e-6) and np.array_equal(parts.class_counts, whole.class_counts)


@pytest.fixture
def corrupted_run(tiny):
    return tiny.replace(evaluation={"direct": 6, "upsampled_area": 3, "examples": 2})


@pytest.fixture
def record(corrupted_run):
    return execute(corrupted_run)


def test_a_record_has_a_row_for_every_condition(record):
    rows = record.rows
    assert len(rows) == 2 + (1 + 12 * 5) + (1 + 2 * 5)
    assert [r["split"] for r in rows[:2]] == ["test", "train"] and "pipeline" not in rows[0]
    direct = [r for r in rows if r.get("pipeline") == "direct"]
    assert {(r["condition"], r["severity"]) for r in direct[1:]} == {
        (c, s) for c in corrupt.CORRUPTIONS for s in corrupt.SEVERITIES
    }
    assert all(r["images"] == 6 for r in direct) and (direct[0]["condition"], direct[0]["severity"]) == ("clean", 0)
    area = {r["condition"] for r in rows if r.get("pipeline") == "upsampled_area"}
    assert area == {"clean", "gaussian_noise", "impulse_noise"}


def test_a_record_has_the_arrays_that_figures_need(record):
    shapes = {name: array.shape for name, array in record.arrays.items()}
    assert shapes["class_counts"] == (len(record.rows), 3, 10)
    assert shapes["corrupted_examples"] == (12, 2, 3, 32, 32) and shapes["corrupted_winners"] == (12, 2, 32, 32)
    assert shapes["compared"] == (60, 16, 16) and record.arrays["compared"].max() <= attention.LEVELS
    for row, (predicted, pixels, present) in zip(record.rows, record.arrays["class_counts"], strict=True):
        assert predicted.sum() == row["images"] and pixels.sum() <= row["images"] * 32 * 32 and (present <= row["images"]).all()


def test_attention_kept_for_comparison_stands_for_the_whole(record):
    full = record.arrays["attention"] / 255
    kept = record.arrays["compared"][: len(full)] / attention.LEVELS
    assert np.abs(kept - full[:, ::2, ::2]).max() < 1 / 50
    shuffled = np.roll(full, 1, axis=0)
    exact = metrics.attention_mse(full, shuffled)
    assert metrics.attention_mse(kept, np.roll(kept, 1, axis=0)) == pytest.approx(exact, rel=0.15, abs=2e-4)


def test_an_evaluation_of_something_unknown_is_refused(tiny):
    with pytest.raises(GazebookError, match="evaluation has unknown blurred"):
        execute(tiny.replace(evaluation={"blurred": 3}))
    for wrong in ({"direct": "all"}, {"direct": 0}, {"direct": 4, "examples": "2"}):
        with pytest.raises(GazebookError, match="give a number of images"):
            execute(tiny.replace(evaluation=wrong))
    with pytest.raises(GazebookError, match="60 images, 500 were asked for"):
        execute(tiny.replace(data_options={"images": 60}, train_images=60, evaluation={"direct": 500}))


def test_another_evaluation_trains_nothing_and_keeps_the_clean_rows(tmp_path, tiny, corrupted_run, record):
    file = tmp_path / "weights.safetensors"
    plain = execute(tiny, weights_file=file)
    written = file.stat().st_mtime_ns
    epochs = []
    again = execute(corrupted_run, weights_file=file, report=epochs.append)
    assert epochs == [] and file.stat().st_mtime_ns == written
    assert again.rows[:2] == plain.rows == record.rows[:2] and again.history == plain.history
    assert "run" in checkpoint.read_metadata(file)


def test_the_table_has_class_shares_and_distances(tmp_path, tiny, corrupted_run):
    fields = {
        k: v for k, v in tiny.to_dict().items() if k not in ("study", "head", "augmentation", "fraction", "seed", "evaluation")
    }
    fields |= {"epochs": 4}  # after one epoch two nets' attention may agree in all of its 32 levels
    own = axes("demo", augmentations=["none", "crop"], fractions=[1.0], evaluation={"direct": 4}, overrides=fields)
    ledger = Ledger(tmp_path)
    for name in ("none", "crop"):
        ledger.write(execute(single(own, name, 0)))
    frame = results(ledger, own, "size")
    mse = rows_of(frame, "mse").set_index("augmentation")["value"]
    assert sorted(mse)[0] == 0 < sorted(mse)[1], "one of the two is the reference"
    shares = frame[frame["measure"].str.startswith("predicted:")].groupby(["key", "split", "pipeline", "condition", "level"])
    assert np.allclose(shares["value"].sum(), 1) and (shares.size() == 10).all()
    assert set(frame["pipeline"]) == {"none", "direct"} and frame["level"].max() == 5
