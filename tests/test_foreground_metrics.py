"""RFS, noise and saliency alignment against identities, hand cases and scikit-learn."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from gazebook import metrics
from gazebook.errors import GazebookError
from gazebook.images import noise

rfs = metrics.relative_foreground_sensitivity
SHARE = st.floats(0, 1)


@pytest.mark.parametrize(
    ("fg", "bg", "value"),
    [(0, 0, 0), (1, 1, 0), (0.7, 0.7, 0), (0.9, 1, 1), (1, 0.9, -1), (0, 0.3, 1), (0.90, 0.96, 0.06 / 0.14), (0.2, 0.3, 0.2)],
)
def test_rfs_of_hand_cases(fg, bg, value):
    assert rfs(fg, bg) == pytest.approx(value)


@given(SHARE, SHARE)
def test_rfs_is_a_contrast_of_errors_above_and_of_accuracies_below(fg, bg):
    value, mean = rfs(fg, bg), (fg + bg) / 2
    assert -1 <= value <= 1 and rfs(bg, fg) == pytest.approx(-value)
    if 0.5 <= mean < 1 - 1e-6:
        assert value == pytest.approx(((1 - fg) - (1 - bg)) / ((1 - fg) + (1 - bg)), abs=1e-6)
    if 1e-6 < mean <= 0.5:
        assert value == pytest.approx((bg - fg) / (bg + fg), abs=1e-6)


@given(SHARE, SHARE)
def test_rfs_is_the_distance_from_the_diagonal_over_the_largest_at_that_mean(fg, bg):
    mean = (fg + bg) / 2
    farthest = (0, 2 * mean) if mean <= 0.5 else (2 * mean - 1, 1)
    largest = (farthest[1] - farthest[0]) / np.sqrt(2)
    if largest > 1e-6:
        assert rfs(fg, bg) == pytest.approx((bg - fg) / np.sqrt(2) / largest, abs=1e-6)


def test_rfs_takes_arrays_and_refuses_percent():
    assert rfs([0.5, 0.9], [0.7, 1.0]).tolist() == pytest.approx([0.25, 1.0])
    with pytest.raises(ValueError, match="give shares"):
        rfs(50, 70)


@pytest.mark.parametrize(
    ("fg", "bg", "zone"),
    [(0.985, 0.99, "both right"), (0.97, 0.99, ""), (0.12, 0.14, "near chance"), (0.12, 0.16, ""), (0.5, 0.7, "")],
)
def test_zones_in_which_rfs_says_little(fg, bg, zone):
    assert metrics.warning_zone(fg, bg, chance=0.1) == zone


@pytest.fixture(scope="module")
def pictures():
    generator = torch.Generator().manual_seed(0)
    images = 0.5 + 0.1 * torch.rand(4, 3, 16, 16, generator=generator)
    masks = torch.zeros(4, 16, 16, dtype=torch.bool)
    for i in range(4):
        masks[i, i : i + 5, 2 : 6 + 2 * i] = True
    return images, masks


@pytest.mark.parametrize(("kind", "level"), [("sigma", 0.1), ("l2", 1.5)])
def test_noise_touches_the_region_alone_and_reports_its_norm(pictures, kind, level):
    images, masks = pictures
    noisy, norm = noise.add(images, masks, level, kind, torch.Generator().manual_seed(1))
    assert torch.equal(noisy[~masks[:, None].expand_as(noisy)], images[~masks[:, None].expand_as(images)])
    assert torch.allclose(norm, (noisy - images).flatten(1).norm(dim=1)) and float(noisy.min()) >= 0 and float(noisy.max()) <= 1


def test_l2_noise_has_the_norm_that_was_asked_for_where_nothing_is_clipped(pictures):
    images, masks = pictures
    for regions in (masks, ~masks):  # whatever the area
        _, norm = noise.add(images, regions, 0.4, "l2", torch.Generator().manual_seed(1))
        assert torch.allclose(norm, torch.full((4,), 0.4), atol=1e-5)
    _, clipped = noise.add(torch.ones_like(images), masks, 0.4, "l2", torch.Generator().manual_seed(1))
    assert (clipped < 0.4).all()


def test_sigma_noise_has_that_deviation(pictures):
    images, masks = pictures
    noisy, _ = noise.add(images, ~masks, 0.05, "sigma", torch.Generator().manual_seed(1))
    inside = (~masks)[:, None].expand_as(noisy)
    assert float((noisy - images)[inside].std()) == pytest.approx(0.05, rel=0.05)


def test_noise_is_seeded_and_an_empty_region_stays(pictures):
    images, masks = pictures
    one, two = (noise.add(images, masks, 0.1, "sigma", torch.Generator().manual_seed(5))[0] for _ in range(2))
    assert torch.equal(one, two)
    same, norm = noise.add(images, torch.zeros_like(masks), 3.0, "l2", torch.Generator())
    assert torch.equal(same, images) and not norm.any()
    with pytest.raises(GazebookError, match="choose from sigma, l2"):
        noise.add(images, masks, 0.1, "salt", torch.Generator())


def test_grey_replaces_the_region_alone(pictures):
    images, masks = pictures
    made = noise.ablate(images, masks)
    inside = masks[:, None].expand_as(made)
    assert (made[inside] == 0.5).all() and torch.equal(made[~inside], images[~inside])


def test_centred_masks_are_discs_in_the_middle_of_the_same_area():
    own = torch.zeros(3, 9, 9, dtype=torch.bool)
    own[0, 0, :5], own[1] = True, True
    found = noise.centred(own)
    assert found.flatten(1).sum(dim=1).tolist() == [5, 81, 0]
    assert found[0].nonzero().tolist() == [[3, 4], [4, 3], [4, 4], [4, 5], [5, 4]]  # a plus, the smallest disc of five


@given(st.integers(2, 40), st.integers(0, 5))
def test_shuffled_masks_are_all_masks_of_others(n, seed):
    own = torch.arange(n)[:, None, None].expand(n, 2, 2)
    other = noise.shuffled(own, seed)[:, 0, 0]
    assert sorted(other.tolist()) == list(range(n)) and not (other == torch.arange(n)).any()


def test_norms_scale_with_the_side():
    assert noise.scaled_norm(100, 32) == pytest.approx(100 / 7)


def hand_maps():
    s = np.zeros((3, 4, 4))
    mask = np.zeros((3, 4, 4), bool)
    mask[:, :2, :2] = True
    s[0, :2, :2] = 1  # all of the object, nothing else
    s[1, 2:, 2:] = 1  # all beside it
    s[2, :2, :] = 1  # the object and as much again
    return s, mask


def test_alignment_of_hand_made_maps():
    found = metrics.saliency_alignment(*hand_maps())
    assert found["iou"].tolist() == [1, 0, 0.5]
    assert found["delta_density"].tolist() == pytest.approx([1, -1 / 3, 1 - 4 / 12])
    assert found["precision"].tolist() == [1, 0, 0.5]


def test_average_precision_is_scikit_learns_ties_included():
    random = np.random.default_rng(0)
    s = np.round(random.random((12, 8, 8)), 1)  # many ties
    mask = random.random((12, 8, 8)) < 0.3
    ours = metrics.saliency_alignment(s, mask)["average_precision"]
    theirs = [average_precision_score(m.ravel(), v.ravel()) for v, m in zip(s, mask, strict=True)]
    assert ours == pytest.approx(theirs)


def test_recall_counts_the_mask_above_the_quarter_of_the_mass():
    s = np.array([[[1.0, 1.0], [2.0, 4.0]]])  # sorted mass 1, 2, 4, 8: a quarter is reached at the second 1
    mask = np.array([[[True, False], [True, True]]])
    assert metrics.saliency_alignment(s, mask)["recall"] == pytest.approx([2 / 3])


def test_a_flat_map_a_black_map_and_useless_masks():
    flat, black = np.ones((1, 4, 4)), np.zeros((1, 4, 4))
    mask = np.zeros((1, 4, 4), bool)
    mask[0, 0, 0] = True
    assert metrics.saliency_alignment(flat, mask)["delta_density"] == [0]
    assert metrics.saliency_alignment(flat, mask)["average_precision"] == pytest.approx([1 / 16])
    found = metrics.saliency_alignment(black, mask)
    assert np.isnan(found["precision"][0]) and found["iou"] == [0]
    for useless in (np.zeros((1, 4, 4), bool), np.ones((1, 4, 4), bool)):
        assert all(np.isnan(v).all() for v in metrics.saliency_alignment(flat, useless).values())
    with pytest.raises(ValueError, match="below 0"):
        metrics.saliency_alignment(-flat, mask)
    assert all(v.shape == (0,) for v in metrics.saliency_alignment(np.ones((0, 4, 4)), np.ones((0, 4, 4), bool)).values())


def test_the_gaussian_looks_at_the_middle():
    g = metrics.centred_gaussian(8)
    assert np.allclose(g, g[::-1]) and np.allclose(g, g.T) and g[3, 3] == g.max()
