"""Grad-CAM and input gradients against closed forms and finite differences; the model is left as it was."""

import numpy as np
import pytest
import torch
from torch import nn

from gazebook import metrics, models
from gazebook.errors import GazebookError
from gazebook.explain import grad_cam, input_gradient


@pytest.fixture
def model():
    torch.manual_seed(0)
    return models.build("resnet8", 5, "softmax", widths=(8, 8, 16)).eval()


@pytest.fixture
def images():
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_with_mean_pooling_and_a_linear_layer_grad_cam_is_the_class_activation_map(model, images):
    classes = torch.tensor([0, 3, 1, 4])
    with torch.no_grad():
        bias = model.head.maps.bias[classes][:, None, None]
        cam = (model.cam(images)[torch.arange(4), classes] - bias).clamp_min(0)
    cam = nn.functional.interpolate(cam[:, None], (32, 32), mode="bilinear", align_corners=False)[:, 0]
    low, high = cam.amin(dim=(1, 2), keepdim=True), cam.amax(dim=(1, 2), keepdim=True)
    assert torch.allclose(grad_cam(model, images, classes), (cam - low) / (high - low), atol=1e-5)


def test_the_input_gradient_is_a_finite_difference(images):
    torch.manual_seed(2)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 30 * 30, 5)).double()
    images = images[:1].double()
    found = input_gradient(net, images, torch.tensor([2]))
    for y, x in ((3, 5), (16, 16), (30, 1)):
        steps = []
        for c in range(3):
            moved = images.repeat(2, 1, 1, 1)
            moved[0, c, y, x] += 1e-5
            moved[1, c, y, x] -= 1e-5
            with torch.no_grad():
                up, down = net(moved)[:, 2]
            steps.append(abs(float(up - down)) / 2e-5)
        assert found[0, y, x] == pytest.approx(max(steps), rel=1e-4)


@pytest.mark.parametrize("saliency", [grad_cam, input_gradient])
def test_the_model_is_left_as_it_was(model, images, saliency):
    model.train()
    model.trunk.blocks[1].eval()  # modes may differ
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    model.head.maps.bias.grad = torch.ones(5)
    found = saliency(model, images, torch.tensor([0, 1, 2, 3]))
    assert not found.requires_grad and found.shape == (4, 32, 32) and found.dtype == torch.float32
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(before[n], v) for n, v in model.state_dict().items()), "BatchNorm statistics"
    assert torch.equal(model.head.maps.bias.grad, torch.ones(5))
    assert all(p.grad is None for n, p in model.named_parameters() if n != "head.maps.bias")
    with torch.no_grad():
        assert torch.equal(saliency(model, images, torch.tensor([0, 1, 2, 3])), found), "under no_grad too"


def test_each_image_stands_for_itself_and_a_constant_map_is_zero(model, images):
    classes = torch.tensor([0, 1, 2, 3])
    whole = grad_cam(model, images, classes)
    assert torch.allclose(grad_cam(model, images[1:2], classes[1:2])[0], whole[1], atol=1e-5)
    nn.init.zeros_(model.head.maps.weight)
    assert (grad_cam(model, images, classes) == 0).all()


def test_a_model_without_a_trunk_needs_a_layer(images):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(GazebookError, match="Sequential has no trunk; give the layer"):
        grad_cam(net, images, torch.zeros(4, dtype=torch.int64))
    assert grad_cam(net, images, torch.zeros(4, dtype=torch.int64), net[0]).shape == (4, 32, 32)


# the measures of part 2


def test_saliency_share_by_hand():
    s = np.zeros((3, 2, 2))
    s[0] = [[1, 2], [3, 4]]
    s[1] = 1
    mask = np.array([[True, False], [False, True]])[None].repeat(3, axis=0)
    assert metrics.saliency_share(s, mask)[:2].tolist() == [0.5, 0.5]
    assert np.isnan(metrics.saliency_share(s, mask)[2]), "no saliency at all"
    with pytest.raises(ValueError, match="below 0"):
        metrics.saliency_share(-s, mask)
    with pytest.raises(ValueError, match="expected the same"):
        metrics.saliency_share(s, mask[:2])


def test_a_flat_map_has_the_masks_share_inside():
    masks = np.random.default_rng(0).random((20, 8, 8)) < 0.3
    assert np.allclose(metrics.saliency_share(np.ones((20, 8, 8)), masks), masks.mean(axis=(1, 2)))


def test_every_kind_of_picture_is_in_one_category():
    o, f, b = (np.array(v, bool) for v in zip(*np.ndindex(2, 2, 2), strict=True))
    names = np.array(list(metrics.CATEGORIES))[metrics.background_categories(o, f, b)]
    assert names.tolist() == [
        "wrong anyway", "wrong anyway", "misled", "misled",
        "both together", "background needed", "foreground suffices", "either suffices",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="expected the same"):
        metrics.background_categories(o, f, b[:3])
