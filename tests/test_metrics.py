"""Metrics against independent implementations, hand-computed cases and properties."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from skimage.measure import label as skimage_label
from sklearn.metrics import accuracy_score
from torchmetrics.functional.classification import multiclass_calibration_error

from gazebook import metrics
from gazebook.metrics import regions_per_image


def probabilities(n=500, c=10, seed=0, sharp=2.0):
    generator = np.random.default_rng(seed)
    p = np.exp(sharp * generator.standard_normal((n, c)))
    return p / p.sum(1, keepdims=True), generator.integers(0, c, n)


@pytest.mark.parametrize("bins", [10, 15])
@pytest.mark.parametrize("sharp", [0.5, 2.0, 6.0])
def test_ece_equals_torchmetrics(bins, sharp):
    p, y = probabilities(sharp=sharp)
    peer = multiclass_calibration_error(torch.from_numpy(p), torch.from_numpy(y), num_classes=10, n_bins=bins, norm="l1")
    assert metrics.expected_calibration_error(p, y, bins) == pytest.approx(float(peer), abs=1e-6)


def test_accuracy_equals_scikit_learn():
    p, y = probabilities()
    assert metrics.accuracy(p, y) == pytest.approx(accuracy_score(y, p.argmax(1)))


def test_ece_by_hand():
    # four images, two bins of .5: (.6 wrong, .9 right) -> |.5 - .75| ; (.5 right, .4 wrong) -> |.5 - .45|
    p = np.array([[0.6, 0.4, 0.0], [0.05, 0.9, 0.05], [0.5, 0.3, 0.2], [0.4, 0.3, 0.3]])
    y = np.array([1, 1, 0, 2])
    assert metrics.expected_calibration_error(p, y, bins=2) == pytest.approx((2 * 0.25 + 2 * 0.05) / 4)
    table = metrics.reliability_bins(p, y, bins=2)
    assert table.tolist() == [[2, pytest.approx(0.9), 1], [2, pytest.approx(1.5), 1]]


def test_bin_edges_belong_to_the_lower_bin():
    p = np.array([[0.2, 0.2, 0.2, 0.2, 0.2], [1.0, 0, 0, 0, 0]])
    assert metrics.reliability_bins(p, np.zeros(2, int), bins=5)[:, 0].tolist() == [1, 0, 0, 0, 1]


@settings(max_examples=60, deadline=None)
@given(hnp.arrays("float64", (30, 4), elements=st.floats(0.01, 1)), st.integers(1, 20), st.integers(0, 99))
def test_calibration_properties(raw, bins, seed):
    p = raw / raw.sum(1, keepdims=True)
    y = np.random.default_rng(seed).integers(0, 4, 30)
    ece = metrics.expected_calibration_error(p, y, bins)
    assert abs(p.max(axis=1).mean() - metrics.accuracy(p, y)) - 1e-12 <= ece <= 1
    order = np.random.default_rng(seed).permutation(30)
    assert metrics.expected_calibration_error(p[order], y[order], bins) == pytest.approx(ece)


def test_tensors_are_as_good_as_arrays_and_empty_input_is_refused():
    p, y = probabilities(20)
    assert metrics.accuracy(torch.from_numpy(p), torch.from_numpy(y)) == metrics.accuracy(p, y)
    for wrong in ((p, y[:3]), (p[:0], y[:0]), (p[0], y)):
        with pytest.raises(ValueError, match="expected"):
            metrics.accuracy(*wrong)


def test_sparsity_by_hand():
    a = np.array([[[0.0, 0.5], [0.51, 1.0]], [[0.2, 0.3], [0.4, 0.9]]])
    assert metrics.sparsity(a) == pytest.approx((0.5 + 0.75) / 2)  # one half rounds to zero
    assert metrics.sparsity(a) == pytest.approx(np.mean(np.round(a) == 0))
    assert metrics.sparsity_per_image(a, 0.3).tolist() == [0.25, 0.5]
    assert metrics.sparsity(torch.from_numpy(a)) == metrics.sparsity(a)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays("float64", (3, 5, 5), elements=st.floats(0, 1)))
def test_attention_properties(a):
    assert metrics.sparsity(a) == pytest.approx(float(np.mean(np.round(a) == 0)))
    assert metrics.attention_mse(a, a) == 0
    assert 0 <= metrics.attention_mse(a, 1 - a) <= 1
    assert (metrics.sparsity_per_image(a, 0.3) <= metrics.sparsity_per_image(a, 0.7)).all()
    assert ((metrics.soft_share(a) >= 0) & (metrics.soft_share(a) <= 1)).all()


@settings(max_examples=60, deadline=None)
@given(hnp.arrays("bool", (4, 6, 7)))
def test_regions_equal_scikit_image_one_picture_at_a_time(mask):
    expected = [skimage_label(m, connectivity=1).max() for m in mask]
    assert regions_per_image(mask.astype(float)).tolist() == expected


def test_regions_do_not_join_across_pictures_or_corners():
    a = np.zeros((2, 3, 3))
    a[:, 0, 0] = a[:, 1, 1] = 1
    assert regions_per_image(a).tolist() == [2, 2]


def test_attention_mse_by_hand_and_shape_check():
    assert metrics.attention_mse(np.zeros((1, 2, 2)), np.array([[[1.0, 0], [0, 0.5]]])) == pytest.approx(1.25 / 4)
    with pytest.raises(ValueError, match="same images"):
        metrics.attention_mse(np.zeros((1, 2, 2)), np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="expected"):
        metrics.sparsity(np.zeros((2, 2)))


def test_the_interval_of_a_mean_equals_scipy():
    values = [0.1, 0.4, 0.3]
    expected = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert metrics.mean_interval(values) == pytest.approx(expected)
    assert np.isnan(metrics.mean_interval([1.0])).all()


def test_rank_correlation_by_hand():
    assert metrics.rank_correlation([1, 2, 3, 4], [10, 20, 30, 40]) == 1
    assert metrics.rank_correlation([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(0.8)
    assert np.isnan(metrics.rank_correlation([1, 2, 3], [5, 5, 5])) and np.isnan(metrics.rank_correlation([1, 2], [1, 2]))


def test_a_mean_of_means_counts_groups_the_same_and_is_welchs():
    a, b = np.array([1.0, 2.0, 4.0, 5.0]), np.array([10.0, 12.0])
    mean, low, high = metrics.mean_of_means_interval([a, b])
    assert mean == pytest.approx((3 + 11) / 2)
    welch = stats.ttest_ind(a, -b, equal_var=False).confidence_interval()  # of the sum of both means
    assert (low, high) == pytest.approx((welch.low / 2, welch.high / 2))
    assert np.isnan(metrics.mean_of_means_interval([a, [1.0]])[1])
    assert metrics.mean_of_means_interval([a]) == pytest.approx((3, *metrics.mean_interval(a)))
    assert metrics.mean_of_means_interval([[1.0, 1.0], [2.0, 2.0]]) == (1.5, 1.5, 1.5)


NAN = float("nan")
GOOD = np.array([[0.2, 0.8], [0.9, 0.1]])


@pytest.mark.parametrize("score", [metrics.accuracy, metrics.expected_calibration_error, metrics.classification_report])
@pytest.mark.parametrize(
    ("p", "y"),
    [
        ([[20.0, 80.0], [90.0, 10.0]], [1, 0]), ([[-3.0, 4.0], [1.0, 0.0]], [1, 0]), ([[NAN, NAN], [0.5, 0.5]], [1, 0]),
        (GOOD, [-1, 0]), (GOOD, [1, 2]), (GOOD, [0.5, 1.0]), (GOOD, [1]), (np.zeros((0, 2)), []),
    ],
)  # fmt: skip
def test_what_is_no_probability_or_no_label_is_refused(score, p, y):
    with pytest.raises(ValueError, match=r"probabilities|labels"):
        score(p, y)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_probabilities_of_any_precision_are_taken(kind):
    p, y = torch.tensor(GOOD).to(kind), torch.tensor([1, 1])
    assert metrics.accuracy(p, y) == 0.5
    assert metrics.expected_calibration_error(p, y) == pytest.approx(
        metrics.expected_calibration_error(p.double().numpy(), [1, 1])
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda: metrics.relative_foreground_sensitivity(NAN, 0.5),
        lambda: metrics.relative_foreground_sensitivity([0.2, 1.5], [0.5, 0.5]),
        lambda: metrics.macro_accuracy([NAN, 1.0], [0, 1]),
        lambda: metrics.warning_zone(NAN, 0.5, 0.1),
        lambda: metrics.sparsity(torch.full((2, 4, 4), NAN)),
        lambda: metrics.soft_share(torch.full((2, 4, 4), 3.0)),
        lambda: metrics.regions_per_image(np.full((2, 4, 4), np.inf)),
        lambda: metrics.attention_mse(torch.full((2, 4, 4), NAN), torch.zeros(2, 4, 4)),
        lambda: metrics.saliency_share(np.full((1, 2, 2), NAN), np.ones((1, 2, 2), bool)),
        lambda: metrics.saliency_alignment(np.full((1, 2, 2), NAN), np.ones((1, 2, 2), bool)),
        lambda: metrics.map_entropy(np.full((1, 2, 2), NAN)),
        lambda: metrics.containment(np.full((1, 2, 2), NAN), np.ones((1, 2, 2), bool)),
        lambda: metrics.background_categories([NAN], [1.0], [0.0]),
    ],
)
def test_a_nan_never_becomes_a_number(call):
    with pytest.raises(ValueError, match=r"finite|numbers|\[0, 1\]|0 and 1"):
        call()
