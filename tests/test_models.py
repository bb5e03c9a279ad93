"""The mathematics of implicit background and LSE pooling (paper 1, section 2.1), checked against definitions."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gazebook.errors import GazebookError
from gazebook.explain import attention_map
from gazebook.models import build, implicit_background, lse_pool
from gazebook.models.heads import ScribeHead

maps = hnp.arrays("float64", (2, 3, 4, 5), elements=st.floats(-40, 40)).map(torch.from_numpy)


@settings(max_examples=80, deadline=None)
@given(maps, st.sampled_from([0.01, 0.5, 1.0, 5.0, 50.0]))
def test_lse_lies_between_mean_and_maximum_and_near_the_maximum(v, r):
    s, mean, top = lse_pool(v, r), v.mean((2, 3)), v.amax((2, 3))
    assert torch.all(s >= mean - 1e-9) and torch.all(s <= top + 1e-9)
    assert torch.all(top - s <= math.log(20) / r + 1e-9)  # at most log(hw) / r below


def test_lse_limits():
    v = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    assert torch.allclose(lse_pool(v, 1e-6), v.mean((2, 3)), atol=1e-5)
    assert torch.allclose(lse_pool(v, 1e4), v.amax((2, 3)), atol=1e-3)
    assert torch.allclose(lse_pool(v, 0.5), 2 * torch.log(torch.exp(0.5 * v).mean((2, 3))))
    with pytest.raises(ValueError, match="r > 0"):
        lse_pool(v, 0.0)


def test_lse_of_a_small_object_follows_the_area_law():
    v = torch.full((1, 1, 10, 10), -200.0, dtype=torch.float64)
    v[..., :13] = -200
    v.view(-1)[:13] = 4.1
    assert abs(float(lse_pool(v, 0.5)) - (4.1 + 2 * math.log(0.13))) < 1e-9


@pytest.mark.parametrize("height", [200.0, 1e4])
def test_no_overflow_in_float32_or_bf16(height):
    v = torch.zeros(1, 2, 8, 8)
    v[0, 0, 0, 0] = height
    for dtype in (torch.float32, torch.bfloat16):
        s = lse_pool(v.to(dtype))
        assert s.dtype == torch.float32 and torch.isfinite(s).all()
        assert float(s[0, 0]) == pytest.approx(height - 2 * math.log(64), rel=0.01)
        assert torch.isfinite(implicit_background(v.to(dtype))).all()
        assert torch.isfinite(attention_map(v.to(dtype), 16)).all()


def test_the_gradient_of_lse_is_a_softmax_over_places():
    v = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(lse_pool(v, 0.7).sum(), v)
    assert torch.allclose(gradient, (0.7 * v).flatten(2).softmax(2).view_as(v))
    assert torch.allclose(gradient.sum((2, 3)), torch.ones(2, 3, dtype=torch.float64))


def test_background_probability_and_its_gradient():
    v = torch.randn(1, 6, 1, 1, dtype=torch.float64, requires_grad=True)
    logit = implicit_background(v)
    assert torch.allclose(torch.sigmoid(logit), 1 / (1 + v.exp().sum(1)))
    loss = F.softplus(-logit).sum()  # -log p of the background
    assert torch.allclose(loss, F.softplus(torch.logsumexp(v, 1)).sum())
    (gradient,) = torch.autograd.grad(loss, v)
    paper = -v.exp() / (1 + v.exp().sum(1, keepdim=True))
    assert torch.allclose(gradient, -paper), "the paper's background line is minus the gradient of the loss"


def test_foreground_line_of_the_paper_is_the_gradient_of_the_loss():
    v = torch.randn(6, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(-F.logsigmoid(v[2]), v)
    assert torch.allclose(gradient[2], -(1 - torch.sigmoid(v[2])))


def test_the_boundary_of_the_background_is_the_same_in_both_readings():
    """Lehman et al. 2019 append the background to a softmax: p = sigmoid(-2L). Both put one half at L = 0."""
    v = torch.randn(1000, 5, 1, 1, dtype=torch.float64) - 2
    total = torch.logsumexp(v, 1)
    appended = torch.cat([-total[:, None], v], 1).softmax(1)[:, 0]
    assert torch.allclose(appended, torch.sigmoid(-2 * total))
    assert torch.equal(appended > 0.5, torch.sigmoid(implicit_background(v)) > 0.5)


@pytest.mark.parametrize("n", [2, 10, 1000])
def test_a_model_that_knows_only_the_prior_attends_everywhere(n):
    v = torch.full((1, n, 8, 8), -math.log(n - 1), dtype=torch.float32)  # sigmoid(v) = 1/n
    a = attention_map(v, 32)
    assert torch.allclose(a, torch.full_like(a, n / (2 * n - 1)), atol=1e-6)
    assert bool((a > 0.5).all())


def test_the_scribe_loss_is_the_mean_binary_cross_entropy():
    head = ScribeHead(4, 3)
    s = torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 3.0]])
    y = torch.tensor([0, 2])
    by_hand = 0.0
    for row, label in zip(s.tolist(), y.tolist(), strict=True):
        for n, value in enumerate(row):
            by_hand += math.log1p(math.exp(-value)) if n == label else math.log1p(math.exp(value))
    assert float(head.loss(s, y)) == pytest.approx(by_hand / 6, rel=1e-6)


def test_the_pooled_loss_has_the_gradient_of_its_formula():
    torch.manual_seed(0)
    v = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 2])
    assert torch.autograd.gradcheck(lambda v: ScribeHead(4, 3).loss(lse_pool(v), y), v)


@pytest.mark.parametrize("head", ["softmax", "scribe"])
@pytest.mark.parametrize(
    ("name", "options", "size", "side"),
    [
        ("resnet8", {}, 32, 8),
        ("resnet8", {"widths": (8, 8, 16)}, 64, 16),
        ("resnet18", {"stem": "upsampled"}, 32, 8),
        ("resnet18", {"stem": "plain"}, 32, 4),
    ],
)
def test_every_trunk_and_head_gives_maps_and_logits(name, options, size, side, head):
    model = build(name, 10, head, **options).eval()
    x = torch.rand(2, 3, size, size)
    with torch.no_grad():
        v, s = model.cam(x), model(x)
    assert v.shape == (2, 10, side, side) and s.shape == (2, 10)
    assert torch.allclose(s, model.head.pool(v), atol=1e-6)


def test_the_softmax_head_is_global_average_pooling_and_a_linear_layer():
    model = build("resnet8", 10, "softmax").eval()
    x = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        features = model.trunk((x - model.mean) / model.std).mean((2, 3))
        expected = features @ model.head.maps.weight[:, :, 0, 0].T + model.head.maps.bias
        assert torch.allclose(model(x), expected, atol=1e-5)


def test_resnet18_has_the_study_size_and_stem():
    model = build("resnet18", 10, "scribe")
    assert model.trunk.conv.kernel_size == (3, 3) and model.trunk.conv.stride == (1, 1) and model.trunk.conv.bias is not None
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(11.17e6, rel=0.002)


def test_pooling_is_float32_under_autocast():
    model = build("resnet8", 10, "scribe")
    with torch.autocast("cpu", torch.bfloat16):
        assert model.cam(torch.rand(2, 3, 32, 32)).dtype == torch.bfloat16
        assert model(torch.rand(2, 3, 32, 32)).dtype == torch.float32


def test_unknown_names_and_options_are_answered():
    with pytest.raises(GazebookError, match="unknown trunk 'vgg'; choose from resnet8, resnet18"):
        build("vgg", 10)
    with pytest.raises(GazebookError, match="unknown head"):
        build("resnet8", 10, "crf")
    with pytest.raises(GazebookError, match="cannot build resnet8"):
        build("resnet8", 10, depth=4)
    with pytest.raises(GazebookError, match="unknown stem"):
        build("resnet18", 10, stem="patch")
