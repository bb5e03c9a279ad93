"""Attention maps and segmentation masks, on cases small enough to work out by hand."""

import colorsys

import numpy as np
import pytest
import torch

from gazebook.explain import attention_map, class_hues, resize_maps, segmentation_mask


def test_attention_is_one_minus_the_background_probability():
    v = torch.tensor([[[[0.0]], [[1.0]], [[-2.0]]]])
    odds = 1 + np.e + np.exp(-2)
    assert float(attention_map(v, 1)) == pytest.approx(odds / (1 + odds), rel=1e-6)


def test_maps_are_resized_before_the_sum_over_classes():
    """Resizing and logsumexp do not commute; the study resizes first."""
    torch.manual_seed(0)
    v = 4 * torch.randn(1, 3, 2, 2)
    resized = torch.nn.functional.interpolate(v, (6, 6), mode="bilinear", align_corners=False)
    assert torch.allclose(attention_map(v, 6), torch.sigmoid(torch.logsumexp(resized, 1)))
    late = torch.nn.functional.interpolate(attention_map(v, 2)[:, None], (6, 6), mode="bilinear", align_corners=False)[:, 0]
    assert not torch.allclose(attention_map(v, 6), late, atol=1e-2)


def test_resizing_keeps_constants_and_accepts_oblong_sizes():
    v = torch.full((1, 2, 3, 3), 1.5)
    assert resize_maps(v, (4, 7)).shape == (1, 2, 4, 7)
    assert torch.allclose(resize_maps(v, 5), torch.full((1, 2, 5, 5), 1.5))


def test_a_four_by_four_mask_by_hand():
    """Left half: class 0, certain. Right half: class 1, absent. Brightness runs from black to white down the image."""
    v = torch.full((1, 2, 4, 4), -30.0)
    v[0, 0, :, :2] = 30.0
    v[0, 1, :, 2:] = -20.0
    v.requires_grad_()  # as a model in training gives them
    images = torch.tensor([10, 60, 110, 210], dtype=torch.uint8)[None, None, :, None].expand(1, 3, 4, 4).contiguous()
    mask = segmentation_mask(images, v)
    assert mask.shape == (1, 4, 4, 3) and mask.dtype == np.uint8
    for row, value in enumerate((0.0, 0.25, 0.5, 1.0)):
        vivid = [round(255 * c) for c in colorsys.hsv_to_rgb(0.25, 1.0, value)]  # class 0 of 2: hue 1/4
        grey = [round(255 * value)] * 3
        assert np.abs(mask[0, row, 0].astype(int) - vivid).max() <= 1
        assert np.abs(mask[0, row, 3].astype(int) - grey).max() <= 1


def test_a_picture_of_one_colour_does_not_divide_by_zero():
    images = torch.full((1, 3, 4, 4), 77, dtype=torch.uint8)
    assert segmentation_mask(images, torch.zeros(1, 2, 2, 2)).max() == 0


def test_hues_are_those_of_the_study():
    assert class_hues(10).tolist() == pytest.approx([0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95])
