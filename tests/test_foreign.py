"""Models from outside: what they give is checked, one line says what is wrong, and other models' results are kept."""

import json

import numpy as np
import pytest
import timm
import torch
import torchvision
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from gazebook import models
from gazebook.errors import GazebookError
from gazebook.explain import class_weighted_maps, grad_cam
from gazebook.measure.opened import open_model
from gazebook.models.foreign import ForeignMaps
from gazebook.models.layout import Layout, as_maps
from gazebook.runs import Run
from gazebook.train import checkpoint
from tests.test_audit import call

GOOD = """
import sys, torch
from torch import nn

class Net(nn.Module):
    def __init__(self, change=lambda maps, x: maps):
        super().__init__()
        torch.manual_seed(0)
        self.maps, self.change, self.calls = nn.Conv2d(3, 4, 8, 8), change, 0

    def cam(self, x):
        self.calls += 1
        return self.change(self.maps(x), x)

good = Net()
half = Net().half()
double = Net().double()
pooled = Net()
pooled.head = nn.Module()
pooled.head.pool = nn.AdaptiveAvgPool2d(1)
no_class = Net(lambda m, x: m[:, :0])
no_pixel = Net(lambda m, x: m[:, :, :0])
one_less = Net(lambda m, x: m[1:])
nan = Net(lambda m, x: m * float("nan"))
infinite = Net(lambda m, x: m / 0)
whole = Net(lambda m, x: m.long())
complex_ = Net(lambda m, x: m + 0j)
last = Net(lambda m, x: m.permute(0, 2, 3, 1))
flat = Net(lambda m, x: m.flatten(1))
listed = Net(lambda m, x: [m])
grows = Net(lambda m, x: m.mean(1, keepdim=True).expand(-1, x.shape[-1], -1, -1))
elsewhere = Net(lambda m, x: m.to("meta"))
def later(m, x):
    if later.net.calls > 3:
        raise RuntimeError("tired")
    return m
late = later.net = Net(later)
def exits():
    raise SystemExit(0)
def stops():
    sys.exit(3)
"""
BAD = (
    "no_class", "no_pixel", "one_less", "nan", "infinite", "whole", "complex_", "last", "flat", "listed", "grows", "elsewhere",
    "exits", "stops",
)  # fmt: skip


@pytest.fixture
def nets(tmp_path, monkeypatch):
    (tmp_path / "outside_nets.py").write_text(GOOD, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield "outside_nets"
    __import__("sys").modules.pop("outside_nets", None)


@pytest.fixture
def photos(tmp_path):
    from PIL import Image

    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(5):
        noise = np.random.default_rng(i).integers(0, 255, (16, 16, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{i}.png")
    return folder


@pytest.mark.parametrize("name", ["good", "half", "double", "pooled"])
def test_one_foreign_model_of_any_precision_is_ranked(monkeypatch, capsys, photos, nets, name):
    code, out, err = call(monkeypatch, capsys, photos, f"{nets}:{name}", "--size", "16")
    assert code == 0 and f"{nets}:{name}" in out and not err


@pytest.mark.parametrize("name", [*BAD, "late", "sys:exit"])
def test_what_a_foreign_model_gets_wrong_is_one_line_and_the_others_are_kept(monkeypatch, capsys, photos, nets, name):
    bad = name if ":" in name else f"{nets}:{name}"
    code, out, err = call(monkeypatch, capsys, photos, f"{nets}:good", bad, "--size", "16")
    assert code == 2 and len(err.splitlines()) == 1 and "1 of 2 models could not be measured" in err and bad in err
    assert f"{nets}:good 1" in " ".join(out.split())
    code, out, err = call(monkeypatch, capsys, photos, bad, "--size", "16")
    assert code == 2 and not out and len(err.splitlines()) == 1


def test_maps_do_not_change_their_classes_between_batches():
    class Fickle(nn.Module):
        def cam(self, x):
            return torch.zeros(len(x), 3 + (len(x) > 2), 4, 4)

    with pytest.raises(GazebookError, match="4 classes, and 3 for other images"):
        ForeignMaps("fickle", Fickle(), 8).cam(torch.zeros(5, 3, 8, 8))


def write(file, run: dict, model: nn.Module):
    checkpoint.save(file, model, None, [], run=run if isinstance(run, str) else json.dumps(run))
    return file


SMALL = Run(study="scribe", trunk_options={"widths": [8, 8, 16]})


@pytest.mark.parametrize(
    "changes",
    [
        {"head": ["scribe"]}, {"trunk": 5}, {"trunk_options": None}, {"head_options": "r"}, {"data": 7}, {"seed": "x"},
        {"trunk_options": {"widths": [100_000, 100_000, 100_000]}}, {"trunk_options": {"widths": [8]}},
        {"trunk_options": {"widths": [8, 8, 24]}}, {"trunk": "vit", "trunk_options": {"depth": 10**9}},
        {"trunk": "pretrained/resnet50.a1_in1k", "trunk_options": {}}, {"trunk": "resnet50.a1_in1k", "trunk_options": {}},
    ],
)  # fmt: skip
def test_a_checkpoint_gets_neither_memory_nor_a_download_for_what_it_claims(tmp_path, monkeypatch, changes):
    monkeypatch.setattr(timm, "create_model", lambda *a, **k: pytest.fail("asked for a download"))
    model = models.build("resnet8", 10, "scribe", widths=[8, 8, 16])
    file = write(tmp_path / "a.safetensors", SMALL.canonical() | changes, model)
    with pytest.raises(GazebookError, match=r"a\.safetensors"):
        open_model(file)


def test_a_checkpoint_of_deeply_nested_text_or_of_weights_that_are_no_numbers_is_refused(tmp_path):
    model = models.build("resnet8", 10, "scribe", widths=[8, 8, 16])
    assert open_model(write(tmp_path / "good.safetensors", SMALL.canonical(), model)).class_names
    with pytest.raises(GazebookError, match="not a checkpoint"):
        open_model(write(tmp_path / "deep.safetensors", "[" * 100_000, model))
    model.head.maps.weight.data[0, 0] = float("nan")
    with pytest.raises(GazebookError, match="damaged"):
        open_model(write(tmp_path / "nan.safetensors", SMALL.canonical(), model))


X, Y = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0)), torch.tensor([1, 7])


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256", "sequencer2d_s"])
def test_channels_last_networks_are_read_as_they_declare(name):
    model = timm.create_model(name, pretrained=False).eval()
    x = torch.nn.functional.interpolate(X, model.pretrained_cfg["input_size"][1:])
    maps = class_weighted_maps(model, x, Y, model.norm)
    assert maps.shape[1] == maps.shape[2] in (7, 8, 16)
    with GradCAM(model, [model.norm], reshape_transform=lambda t: t.permute(0, 3, 1, 2)) as reference:
        theirs = reference(x, [ClassifierOutputTarget(int(y)) for y in Y])
    assert np.allclose(grad_cam(model, x, Y, model.norm).numpy(), theirs, atol=2e-2)


def test_torchvision_s_swin_and_a_caller_s_own_reshape_agree():
    torch.manual_seed(0)
    model = torchvision.models.swin_t().eval()
    declared = class_weighted_maps(model, X, Y, model.features[-1])
    own = class_weighted_maps(model, X, Y, model.features[-1], reshape=lambda t: t.permute(0, 3, 1, 2))
    assert declared.shape == (2, 7, 7) and torch.equal(declared, own)


def test_a_layout_that_fits_no_grid_is_refused():
    for shape in ((2, 7, 7, 768), (2, 200, 16), (2, 48), (2, 8, 14, 28)):
        with pytest.raises(GazebookError, match="give another layer, or `reshape`"):
            as_maps(torch.zeros(shape), (224, 224))
    with pytest.raises(GazebookError, match="list"):
        as_maps([torch.zeros(2, 8, 7, 7)], (224, 224))
    for tokens, prefix in ((196, 0), (197, 1), (198, 2), (201, 5)):
        assert as_maps(torch.zeros(2, tokens, 16), (224, 224)).shape == (2, 16, 14, 14)
        assert as_maps(torch.zeros(2, tokens, 16), (224, 224), Layout(prefix=prefix)).shape == (2, 16, 14, 14)
    assert as_maps(torch.zeros(2, 8 * 16, 16), (128, 256)).shape == (2, 16, 8, 16)


def test_after_a_vit_s_last_attention_the_map_is_refused_and_before_it_taken():
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False).eval()
    with pytest.raises(GazebookError, match="norm1"):
        class_weighted_maps(model, X, Y, model.blocks[-1])
    assert class_weighted_maps(model, X, Y, model.blocks[-1].norm1).abs().max() > 0


def test_a_layer_before_an_operation_in_place_is_read_as_it_was():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
    kept = nn.Sequential(net[0], nn.ReLU(), *net[2:])
    assert torch.equal(class_weighted_maps(net, X, Y, net[0]), class_weighted_maps(kept, X, Y, kept[0]))


class Wrapped(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.conv, self.unused, self.change = nn.Conv2d(3, 10, 8, 8), nn.Conv2d(3, 3, 1), change

    def forward(self, x):
        return self.change(self.conv(x).mean((2, 3)))


@torch.no_grad()
def stopped(logits):
    return logits * 2


@pytest.mark.parametrize(
    ("change", "layer", "message"),
    [
        (lambda z: z, "unused", "was not called"),
        (lambda z: (z,), "conv", "gives a tuple, not logits"),
        (lambda z: type("Output", (), {"logits": z})(), "conv", "gives a Output, not logits"),
        (stopped, "conv", "no gradient of the logit reaches Conv2d"),
        (lambda z: z * float("nan"), "conv", "saliency is not finite"),
        (lambda z: z[:, :5], "conv", "classes are not all from 0 to 4"),
    ],
)
def test_what_grad_cam_cannot_read_is_one_line(change, layer, message):
    model = Wrapped(change)
    with pytest.raises(GazebookError, match=message):
        grad_cam(model, X, Y, getattr(model, layer))


def test_resizing_always_antialiases():
    stripes = (torch.arange(1000) % 2).float()[:, None].expand(1000, 224).expand(1, 3, 1000, 224)
    network = models.pretrained.Pretrained(nn.Identity(), (224, 224), (0.0,) * 3, (1.0,) * 3)
    assert network(stripes).std() < 0.02
