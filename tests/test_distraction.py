"""Distraction: what is hidden and where, that nothing else changes; Grad-CAM against another implementation."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from gazebook import data, models
from gazebook.errors import GazebookError
from gazebook.explain import class_weighted_maps, grad_cam
from gazebook.explain.saliency import minmax_normalize, upsample
from gazebook.runs import Run
from gazebook.train import Recipe, fit, methods, to_float
from gazebook.train.distraction import FILLS, PLACES, Distraction, filled
from tests import execute


def net(trunk="resnet8", seed=0, head="softmax", **options):
    torch.manual_seed(seed)
    return models.build(trunk, 10, head, **({"widths": (8, 16, 16)} if trunk == "resnet8" else options))


@pytest.fixture(scope="module")
def trained(scenes):
    model = net()
    fit(model, scenes, Recipe(epochs=6, batch_size=20), progress=False)
    return model


@pytest.fixture
def batch(scenes):
    return to_float(scenes.images[:24]), scenes.labels[:24]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


FROM_MAPS = tuple(p for p in PLACES if p != "cutout")  # places that an explanation tells, or its size


class Peak(torch.nn.Module):
    """A model whose map is known: one feature, the picture's red channel at a quarter of its size, weighed by the class."""

    def __init__(self, weights=(1.0, -1.0)):
        super().__init__()
        self.trunk = torch.nn.Sequential(torch.nn.AvgPool2d(4))
        self.weights = torch.tensor(weights)

    def forward(self, x):
        return self.trunk(x)[:, 0].mean(dim=(1, 2))[:, None] * self.weights


def bright(row, column, side=16):
    """A black image with one bright cell of 4 x 4 pixels."""
    x = torch.zeros(1, 3, side, side)
    x[:, 0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 1
    return x


def test_what_is_hidden_is_what_a_hand_computation_hides():
    """One bright cell in the middle of a 4 x 4 map: bilinear weights of the upsample map are products of (1 - distance) along
    the axes, at pixel centres (-1.5, -.5, .5, 1.5) / 4 of the cell; above .85 of the maximum .875^2 are the four with both
    distances 1/8.
    """
    x = bright(1, 2)
    hidden = Distraction(p=1).hidden(Peak(), x, torch.tensor([0]), generator())
    expected = torch.zeros(1, 16, 16, dtype=torch.bool)
    expected[:, 5:7, 9:11] = True
    assert torch.equal(hidden, expected)
    low = Distraction(p=1, th=0.5).hidden(Peak(), x, torch.tensor([0]), generator())
    steps = np.abs(np.arange(-3.5, 4) / 4)  # distances of pixel centres from the cell's, in cells
    weight = np.outer(1 - steps, 1 - steps) / 0.875**2
    assert int(low.sum()) == int((weight > 0.5).sum()) and low[0, 4:8, 8:12].all()


def test_a_map_of_zeros_hides_nothing():
    x = bright(1, 2)
    for place in FROM_MAPS:
        hidden = Distraction(p=1, place=place).hidden(Peak(), x, torch.tensor([1]), generator())  # the class weighs it -1
        assert not hidden.any()
    made, _ = Distraction(p=1)(Peak(), x, torch.tensor([1]), generator())
    assert torch.equal(made, x)


def test_scaling_after_enlarging_always_hides_the_peak(trained, batch):
    hidden = Distraction(p=1, th=0.99).hidden(trained, *batch, generator())
    positive = grad_cam(trained, *batch).flatten(1).amax(dim=1) > 0
    assert hidden.flatten(1).any(dim=1)[positive].all()


@pytest.mark.parametrize("place", FROM_MAPS[1:])
@pytest.mark.parametrize("th", [0.3, 0.85])
def test_controls_hide_as_many_pixels_of_each_picture(trained, batch, place, th):
    own = Distraction(p=1, th=th).hidden(trained, *batch, generator())
    other = Distraction(p=1, th=th, place=place).hidden(trained, *batch, generator())
    assert torch.equal(own.flatten(1).sum(dim=1), other.flatten(1).sum(dim=1)) and not torch.equal(own, other)


def test_controls_hide_where_they_say(trained, batch):
    x, y = batch
    raw = upsample(class_weighted_maps(trained, x, y), x.shape[-2:])
    lowest = Distraction(p=1, th=0.5, place="lowest").hidden(trained, x, y, generator())
    for values, mask in zip(raw, lowest, strict=True):
        assert not mask.any() or values[mask].max() <= values[~mask].min()
    box = Distraction(p=1, th=0.5, place="box").hidden(trained, x, y, generator())
    for mask in box:
        if mask.any():
            rows, columns = mask.any(dim=1).nonzero()[:, 0], mask.any(dim=0).nonzero()[:, 0]
            side = math.ceil(math.sqrt(int(mask.sum())))
            assert columns[-1] - columns[0] + 1 == side and side - 1 <= rows[-1] - rows[0] + 1 <= side
    own = Distraction(p=1, th=0.5).hidden(trained, x, y, generator())
    shifted = Distraction(p=1, th=0.5, place="shifted").hidden(trained, x, y, generator())
    shifts = {(a, b) for a in range(32) for b in range(32)}
    for one, other in zip(own, shifted, strict=True):
        assert any(torch.equal(one.roll(s, dims=(0, 1)), other) for s in shifts)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 32 * 32), st.integers(0, 1000))
def test_boxes_and_tops_have_the_size_that_is_asked_for(count, seed):
    from gazebook.train.distraction import _boxes, _top

    counts = torch.tensor([count, 0, 1])
    assert _boxes(counts, (32, 32), generator(seed)).flatten(1).sum(dim=1).tolist() == [count, 0, 1]
    assert _top(torch.rand(3, 32, 32, generator=generator(seed)).round(decimals=1), counts).flatten(1).sum(dim=1).tolist() == [
        count, 0, 1,
    ]  # fmt: skip


def test_places_are_random_and_uniform(trained, batch):
    x, y = batch
    centres = []
    for seed in range(40):
        hidden = Distraction(p=1, area=1 / 64, place="box").hidden(trained, x, y, generator(seed))
        centres += [m.nonzero().float().mean(dim=0) for m in hidden]
    spread = torch.stack(centres)
    assert (spread.mean(dim=0) - 15.5).abs().max() < 1 and spread.min() < 3 and spread.max() > 28


def test_an_area_is_what_is_hidden(trained, batch):
    for place in FROM_MAPS:
        hidden = Distraction(p=1, area=0.25, place=place).hidden(trained, *batch, generator())
        assert (hidden.flatten(1).sum(dim=1) == 256).all()


def test_cutout_is_a_square_around_a_pixel_that_may_leave_the_image(batch):
    """As published: the centre is uniform over the image. Of a square of 8 in 16 pixels, 7 by 7 lie inside on average."""
    x = torch.zeros(20_000, 3, 16, 16)
    hidden = Distraction(p=1, place="cutout", area=0.25).hidden(torch.nn.Identity(), x, torch.zeros(20_000), generator())
    rows, columns = hidden.any(dim=2), hidden.any(dim=1)
    assert torch.equal(hidden, rows[:, :, None] & columns[:, None, :])  # a rectangle, in one piece
    assert (rows.int().diff(dim=1).abs().sum(dim=1) <= 2).all() and rows.sum(dim=1).min() == 4 and rows.sum(dim=1).max() == 8
    # centre c covers c - 4 to c + 3: of 16 centres those near the ends lose 4, 3, 2, 1 and 1, 2, 3 pixels, 16 in all
    assert hidden.float().mean() == pytest.approx((7 / 16) ** 2, abs=0.002)
    assert rows.sum(dim=1).float().mean() == pytest.approx(7, abs=0.03)


@pytest.mark.parametrize("fill", FILLS)
def test_fills_replace_hidden_pixels_and_no_others(batch, fill):
    x, _ = batch
    hidden = torch.zeros(len(x), 32, 32, dtype=torch.bool)
    hidden[:, 3:9, 20:30] = True
    made = filled(x, hidden, fill, generator())
    where = hidden[:, None].expand_as(x)
    assert torch.equal(made[~where], x[~where])
    inside = made[where]
    if fill == "zero":
        assert (inside == 0).all()
    if fill == "one":
        assert (inside == 1).all()
    if fill == "mean":
        assert torch.allclose(made[0, :, 5, 25], x.mean(dim=(0, 2, 3)))
    if fill == "random":
        assert (
            inside.min() >= 0 and inside.max() < 1 and abs(float(inside.mean()) - 0.5) < 0.02 and inside.unique().numel() > 4000
        )


def test_all_of_a_batch_or_none_with_the_probability_that_is_asked_for(trained, batch):
    x, y = batch
    random, changed = generator(), 0
    for _ in range(200):
        made, labels = Distraction(p=0.25, area=0.1, place="box")(trained, x[:4], y[:4], random)
        different = (made != x[:4]).flatten(1).any(dim=1)
        assert labels is y[:4] or torch.equal(labels, y[:4])
        assert different.all() or not different.any()
        changed += bool(different.all())
    assert 30 <= changed <= 70


def test_without_distraction_training_is_the_same_bit_for_bit(scenes):
    recipe = Recipe(epochs=2, batch_size=20, augmentation="combined", seed=3)
    plain, never, always = net(), net(), net()
    fit(plain, scenes, recipe, progress=False)
    fit(never, scenes, recipe, intervene=Distraction(p=0), progress=False)
    fit(always, scenes, recipe, intervene=Distraction(p=1), progress=False)
    pairs = list(zip(plain.state_dict().values(), never.state_dict().values(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(plain.head.maps.weight, always.head.maps.weight)


def test_an_explanation_leaves_no_trace(trained, batch):
    before = {n: v.clone() for n, v in trained.state_dict().items()}
    trained.train().zero_grad(set_to_none=True)
    for at in ("input", "trunk.blocks.1"):
        Distraction(p=1, at=at).hidden(trained, *batch, generator())
    assert trained.training and all(p.requires_grad and p.grad is None for p in trained.parameters())
    assert all(torch.equal(before[n], v) for n, v in trained.state_dict().items())
    assert not any(m._forward_hooks for m in trained.modules())


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(scenes, tmp_path):
    recipe, file = Recipe(epochs=3, batch_size=20), tmp_path / "c.safetensors"
    whole, broken = net(), net()
    fit(whole, scenes, recipe, intervene=Distraction(p=0.5), progress=False)

    class StopError(Exception):
        pass

    def stop(epoch):
        if epoch["epoch"] == 2:
            raise StopError

    with pytest.raises(StopError):
        fit(broken, scenes, recipe, intervene=Distraction(p=0.5), checkpoint_file=file, report=stop, progress=False)
    again = net(seed=9)
    fit(again, scenes, recipe, intervene=Distraction(p=0.5), checkpoint_file=file, progress=False)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True))


def test_features_are_hidden_once_where_the_map_at_that_depth_is_highest(trained, batch):
    x, y = batch
    method = Distraction(p=1, at="trunk.blocks.1")
    hidden = method.hidden(trained, x, y, generator())
    raw = class_weighted_maps(trained, x, y, trained.trunk.blocks[1])
    assert torch.equal(hidden, minmax_normalize(F.relu(raw)) > 0.85) and hidden.shape == (24, 8, 8)
    seen = []
    trained.eval()
    made, _ = method(trained, x, y, generator())
    assert torch.equal(made, x)
    hook = trained.trunk.blocks[2].register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        trained(x), trained(x)
    hook.remove()
    where = hidden[:, None].expand_as(seen[0])
    assert (seen[0][where] == 0).all() and torch.equal(seen[0][~where], seen[1][~where]) and (seen[1][where] != 0).any()


@pytest.mark.parametrize(
    ("trunk", "options"), [("resnet8", {}), ("resnet18", {}), ("vit", {"dim": 32, "depth": 2, "heads": 2})]
)
def test_the_shortcut_is_the_gradient(batch, trunk, options):
    x, y = batch
    model = net(trunk, **options)
    fast = class_weighted_maps(model, x[:6], y[:6], model.trunk)
    model.trunk.register_module("same", torch.nn.Identity())
    plain = model.trunk.forward
    model.trunk.forward = lambda v: model.trunk.same(plain(v))
    slow = class_weighted_maps(model, x[:6], y[:6], model.trunk.same)
    assert torch.allclose(fast, slow, rtol=1e-4, atol=1e-6 * float(slow.abs().max()) + 1e-9)


@pytest.mark.parametrize("head", ["softmax", "scribe"])
def test_grad_cam_of_a_residual_net_is_that_of_pytorch_grad_cam(batch, head):
    x, y = batch
    model = net(head=head).eval()
    with GradCAM(model=model, target_layers=[model.trunk]) as cam:
        theirs = cam(input_tensor=x, targets=[ClassifierOutputTarget(int(c)) for c in y])
    ours = grad_cam(model, x, y).numpy()
    # theirs scales before enlarging, and enlarges with other corners: compare what is upsample
    raw = F.relu(class_weighted_maps(model, x, y))
    small = minmax_normalize(raw).numpy()
    inner = theirs.reshape(len(x), 8, 4, 8, 4)[:, :, 1:3, :, 1:3].mean(axis=(2, 4))
    assert np.corrcoef(inner.ravel(), small.ravel())[0, 1] > 0.98
    assert np.corrcoef(theirs.ravel(), ours.ravel())[0, 1] > 0.99
    one = torch.cat([grad_cam(model, x[i : i + 1], y[i : i + 1]) for i in range(len(x))])
    assert torch.allclose(one, grad_cam(model, x, y), atol=1e-4)


def test_grad_cam_of_a_transformers_tokens_is_that_of_pytorch_grad_cam(batch):
    x, y = batch
    model = net("vit", dim=32, depth=2, heads=2).eval()
    layer = model.trunk.blocks.blocks[-1].norm1

    def as_map(tokens):
        return tokens.transpose(1, 2).unflatten(2, (8, 8))

    with GradCAM(model=model, target_layers=[layer], reshape_transform=as_map) as cam:
        cam(input_tensor=x, targets=[ClassifierOutputTarget(int(c)) for c in y])
        activations, gradients = cam.activations_and_grads.activations[0], cam.activations_and_grads.gradients[0]
        theirs = cam.get_cam_image(x, layer, None, activations.numpy(), gradients.numpy(), False)
    ours = class_weighted_maps(model, x, y, layer).numpy()
    assert np.allclose(ours, theirs, rtol=1e-3, atol=1e-6 * np.abs(theirs).max() + 1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"p": 1.5}, "give a number in"),
        ({"th": -0.1}, "give a number in"),
        ({"area": 2}, "give a number in"),
        ({"fill": "grey"}, "choose from zero, one, random, mean"),
        ({"place": "left"}, "choose from highest"),
        ({"place": "cutout"}, "give area"),
        ({"at": "trunk", "fill": "one"}, "set fill to zero"),
        ({"wings": 2}, "cannot train distraction"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(GazebookError, match=message):
        methods.named("distraction", options)


def test_a_module_that_is_not_there_is_named(trained, batch):
    with pytest.raises(GazebookError, match=r"no module 'trunk\.wings'; give input, or a name such as"):
        Distraction(p=1, at="trunk.wings")(trained, *batch, generator())


def test_a_run_is_trained_with_it_and_says_so():
    run = Run(study="distraction", data="fine_scenes", head="softmax", train_images=60, test_images=40, epochs=1, batch_size=20,
              data_options={"images": 90}, method="distraction", method_options={"p": 0.5})  # fmt: skip
    other = run.replace(method="plain", method_options={})
    assert run.key != other.key and run.training.key != other.training.key
    losses = [execute(r).history[0]["loss"] for r in (run, other, run.replace(method_options={"p": 0}))]
    assert losses[1] == losses[2] != losses[0]


def test_a_trunk_that_others_trained_can_be_fine_tuned():
    """EfficientNet-Lite comes as a package: one update with holes, its explanation in closed form."""
    pytest.importorskip("efficientnet_lite_pytorch")
    torch.manual_seed(0)
    model = models.build("pretrained/efficientnet-lite0", 10, "softmax")
    images = data.load("scenes", "train", images=4)
    before = model.head.maps.weight.clone()
    fit(model, images, Recipe(epochs=None, updates=1, batch_size=4, optimizer="adamw", lr=5e-5, precision="fp32"),
        intervene=Distraction(p=1), progress=False)  # fmt: skip
    assert not torch.equal(before, model.head.maps.weight)
    assert grad_cam(model, to_float(images.images), images.labels).shape == (4, 32, 32)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_a_net_of_torchvision_gives_its_last_features(name):
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None).eval()
    trunk = models.pretrained.Trunk(models.pretrained.Pretrained(network, (64, 64), (0.5,) * 3, (0.2,) * 3)).eval()
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        features = trunk(x)
        last = network.fc if name == "resnet18" else network.classifier
        assert torch.allclose(last(features.mean(dim=(2, 3))), network(x), atol=1e-5)
    assert trunk.channels == features.shape[1]
