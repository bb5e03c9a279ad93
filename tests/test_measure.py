"""`gazebook measure`: every ruler on any model, against independent references; what cannot be measured is one line."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import timm
import torch
import torchvision
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from sklearn.metrics import accuracy_score
from torch import nn
from torchmetrics.functional.classification import multiclass_calibration_error

from gazebook import data, measure
from gazebook.cli import main
from gazebook.data.class_folders import open_folder
from gazebook.data.class_map import NONE, class_map, imagenet
from gazebook.data.superclasses import NAMES
from gazebook.errors import GazebookError
from gazebook.explain import grad_cam
from gazebook.explain.saliency import default_layer
from gazebook.images import composite
from gazebook.measure.opened import open_model
from gazebook.measure.source import Source
from gazebook.measure.standard import RULERS
from gazebook.measure.survey import estimated, survey
from gazebook.metrics import relative_foreground_sensitivity
from gazebook.models.formats import Preprocessing

NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes=10, change=lambda x: x):
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())
        self.last, self.change = nn.Linear(16, classes), change

    def forward(self, x):
        return self.change(20 * self.last(self.body(x).mean((2, 3))))

class Mapped(Net):
    def cam(self, x):
        return torch.einsum("nkhw,ck->nchw", self.body(x), self.last.weight)

def seven():
    return Net(7)

def two():
    return Net(2)

def nan():
    return Net(change=lambda x: x * float("nan"))

def maps():
    return Net(change=lambda x: x[:, :, None, None])

def listed():
    return Net(change=lambda x: [x])

def single():
    return Net(1)

def whole():
    return Net(change=lambda x: x.long())

class Late(Net):
    def forward(self, x):
        if len(x) > 2:
            raise RuntimeError("tired")
        return super().forward(x)
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A module of networks beside the user."""
    (tmp_path / "own_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("own_nets", None)
    import own_nets

    yield own_nets
    sys.modules.pop("own_nets", None)


@pytest.fixture(scope="module")
def scenes():
    return data.load("scenes", "test", images=48)


def opened(net, size=32):
    from gazebook.measure.opened import Opened
    from gazebook.models.pretrained import Pretrained

    network = Pretrained(net.eval(), (size, size), (0.0,) * 3, (1.0,) * 3)
    count = net(torch.zeros(2, 3, size, size)).shape[1]
    return Opened("net", network, None, count)


def call(monkeypatch, capfd, *arguments):
    monkeypatch.setattr(sys, "argv", ["gazebook", "measure", *map(str, arguments)])
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    return code, *capfd.readouterr()


def value(frame, measure_, condition="", model=None):
    own = frame[(frame["measure"] == measure_) & (frame["condition"] == condition) & (frame["against"] == "")]
    own = own if model is None else own[own["model"] == model]
    assert len(own) == 1
    return own.iloc[0]


# rulers against references


def test_accuracy_and_ece_are_those_of_scikit_learn_and_torchmetrics(nets, scenes):
    net = nets.Net()
    with torch.no_grad():
        p = net(scenes.images.float() / 255).softmax(dim=1)
    frame = measure.report(opened(net), scenes, ["accuracy"], progress=False)
    assert value(frame, "accuracy")["value"] == pytest.approx(accuracy_score(scenes.labels, p.argmax(dim=1)))
    ece = multiclass_calibration_error(p, scenes.labels, 10, n_bins=15)
    assert value(frame, "ECE")["value"] == pytest.approx(float(ece), abs=1e-6)
    assert value(frame, "confidence")["value"] == pytest.approx(float(p.amax(dim=1).mean()), abs=1e-6)
    assert (frame["low"] <= frame["value"]).all() and (frame["value"] <= frame["high"]).all() and (frame["n"] == 48).all()


class Corners(nn.Module):
    """Knows the class by the corner pixel, which lies in no object: a model of backgrounds alone."""

    def __init__(self, images, labels):
        super().__init__()
        self.pixels, self.labels = images[:, :, 0, 0], labels

    def forward(self, x):
        nearest = torch.cdist(x[:, :, 0, 0], self.pixels).argmin(dim=1)
        return 10 * nn.functional.one_hot(self.labels[nearest], 10).float()


class Middle(Corners):
    """The same by the pixel in the middle."""

    def __init__(self, images, labels):
        super().__init__(images, labels)
        self.pixels = images[:, :, 16, 16]

    def forward(self, x):
        return super().forward(x[:, :, 16:, 16:])


@pytest.fixture(scope="module")
def objects():
    """Images whose object, a square in the middle, and background have colours of their own each."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 3, 1, 1), generator=random).repeat(1, 1, 32, 32).to(torch.uint8)
    images[:, :, 8:24, 8:24] = torch.randint(0, 256, (40, 3, 1, 1), generator=random).to(torch.uint8)
    masks = torch.zeros(40, 32, 32, dtype=torch.bool)
    masks[:, 8:24, 8:24] = True
    boxes = torch.tensor([[8, 8, 24, 24]]).repeat(40, 1)
    labels = torch.arange(40) % 10
    return data.ImageSet("made", "test", images, labels, tuple("abcdefghij"), "made here", masks=masks, boxes=boxes)


def test_a_model_of_backgrounds_has_the_whole_gap_and_one_of_objects_none(objects):
    x = objects.images.float() / 255
    rulers = ["variants", "adversarial", "noise"]
    behind, before = (
        measure.report(opened(kind(x, objects.labels)), objects, rulers, progress=False) for kind in (Corners, Middle)
    )
    right = []
    for draw in range(5):  # Mixed-Rand may draw a background of the same class
        mixed = composite.variant(objects, "mixed_rand", seed=draw)
        right.append((mixed.backgrounds == objects.labels).float().mean())
    assert value(behind, "BG-gap")["value"] == pytest.approx(1 - float(torch.stack(right).mean()), abs=1e-6)
    assert value(before, "BG-gap")["value"] == 0
    assert value(behind, "accuracy", "only_bg_t")["value"] == 1
    assert value(before, "fooled", "within 10 backgrounds")["value"] == 0
    assert value(behind, "fooled", "within 10 backgrounds")["value"] > 0.8
    for kind in ("sigma", "l2"):
        assert (
            value(behind, "RFS", f"{kind}, own masks")["value"]
            < -0.5
            < 0.5
            < value(before, "RFS", f"{kind}, own masks")["value"]
        )


def test_rfs_is_that_of_the_mean_accuracies(objects):
    frame = measure.report(opened(Middle(objects.images.float() / 255, objects.labels)), objects, ["noise"], progress=False)
    mean = {r: np.mean([row["value"] for _, row in frame[frame["condition"] == f"sigma in the {r}, own masks"].iterrows()])
            for r in ("foreground", "background")}  # fmt: skip
    expected = relative_foreground_sensitivity(mean["foreground"], mean["background"])
    assert value(frame, "RFS", "sigma, own masks")["value"] == pytest.approx(expected)


def test_without_labels_only_what_needs_none_is_measured(nets, tmp_path):
    for i in range(3):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    found = survey([opened(nets.Mapped())], Source.of(open_folder(tmp_path, 32)), progress=False)
    assert set(found.frame["ruler"]) == {"erasing", "corruption", "sparsity"}
    assert set(found.frame.loc[found.frame["ruler"] == "corruption", "measure"]) == {"consistency"}
    assert {line.partition(":")[0] for line in found.left_out} == set(RULERS) - set(found.frame["ruler"])


def test_two_models_are_compared_on_the_same_images(nets, scenes):
    one, other = opened(nets.Net()), opened(nets.Mapped())
    frame = measure.report([one, other], scenes, ["accuracy", "erasing"], progress=False)
    change = frame[frame["against"] != ""]
    assert (change["value"] == 0).all() and (change["verdict"] == "not told apart").all()  # the same weights
    right = Corners(scenes.images.float() / 255, scenes.labels)
    frame = measure.report([one, opened(right)], scenes, ["accuracy"], progress=False)
    row = frame[(frame["against"] == "net (1)") & (frame["measure"] == "accuracy")].iloc[0]
    assert row["verdict"] == "higher" and row["model"] == "net (2)"


def test_intervals_are_students_wilsons_and_the_bootstraps():
    values = np.array([0.1, 0.4, 0.3, 0.9, np.nan])
    value_, low, high, n = estimated(values)
    assert (value_, n) == (pytest.approx(0.425), 4) and low == pytest.approx(0.425 - 3.182446 * np.std(values[:4], ddof=1) / 2)
    assert estimated(np.ones(20), share=True)[1:3] == (pytest.approx(0.8389, abs=1e-4), pytest.approx(1.0))  # Wilson by hand
    assert estimated(np.ones(20))[1:3] == (1, 1)
    pairs = np.random.default_rng(0).normal([3, 1], 1, size=(400, 2))
    ratio, low, high, _ = estimated(pairs, lambda m: m[0] - m[1])
    half = 1.96 * np.std(pairs[:, 0] - pairs[:, 1], ddof=1) / 20
    assert high - low == pytest.approx(2 * half, rel=0.1) and ratio == pytest.approx((low + high) / 2)
    assert estimated(np.array([np.nan]))[3] == 0 and np.isnan(estimated(np.array([np.nan]))[0])


# formats


def test_a_network_gives_the_same_in_every_format(nets, scenes, tmp_path):
    net = nets.Net().eval()
    x = torch.rand(2, 3, 32, 32)
    torch.onnx.export(net, (x,), tmp_path / "net.onnx", dynamic_shapes=({0: torch.export.Dim("n")},), verbose=False)
    torch.onnx.export(net, (x[:1],), tmp_path / "one.onnx", verbose=False)
    torch.jit.trace(net, x).save(tmp_path / "net.pt")
    torch.export.save(torch.export.export(net, (x,)), tmp_path / "net.pt2")
    expected = opened(net).probabilities(x)
    reference = measure.report(opened(net), scenes, ["accuracy", "erasing", "variants"], progress=False)
    for name in ("net.onnx", "one.onnx", "net.pt", "net.pt2"):
        model = open_model(tmp_path / name, Preprocessing(size=32))
        assert not model.explainable and torch.allclose(model.probabilities(x), expected, atol=1e-4)
        frame = measure.report(model, scenes, ["accuracy", "erasing", "variants"], progress=False)
        pd.testing.assert_frame_equal(frame.drop(columns="model"), reference.drop(columns="model"), atol=1e-4)


@pytest.mark.skipif(not os.environ.get("GAZEBOOK_DATA"), reason="needs GAZEBOOK_DATA")
def test_a_quantised_network_sees_the_pixels_themselves():
    from pathlib import Path

    from ai_edge_litert.interpreter import Interpreter

    file = Path(os.environ["GAZEBOOK_DATA"]) / "models/tflite/mobilenet_v2_1.0_224_quant.tflite"
    if not file.is_file():
        pytest.skip("needs the TensorFlow Lite networks in GAZEBOOK_DATA")
    images = data.load("imagenet_samples9", "test", size=224).images[:4]
    model, found = Interpreter(str(file)), []
    model.allocate_tensors()
    for image in images:
        model.set_tensor(model.get_input_details()[0]["index"], image.permute(1, 2, 0)[None].numpy())
        model.invoke()
        found.append(model.get_tensor(model.get_output_details()[0]["index"])[0] / 256)
    p = open_model(file).probabilities(images.float() / 255)
    assert np.allclose(p.numpy(), np.stack(found), atol=0.03) and (p.argmax(dim=1).numpy() == np.argmax(found, axis=1)).all()


def test_preprocessing_is_what_is_asked_for(nets):
    net, x = nets.Net(), torch.rand(3, 3, 40, 40)
    given = Preprocessing(32, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), 0.5)
    middle = nn.functional.interpolate(x[:, :, 10:30, 10:30], (32, 32), mode="bilinear", antialias=True)
    seen = (middle - torch.tensor(given.mean).view(3, 1, 1)) / torch.tensor(given.std).view(3, 1, 1)
    expected = net(seen).softmax(dim=1)
    assert torch.allclose(open_model("own_nets:Net", given).probabilities(x), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("build", "layer", "reshape"),
    [
        (lambda: torchvision.models.resnet18(weights=None), lambda m: m.layer4[-1], None),
        (lambda: torchvision.models.vgg11(weights=None), lambda m: m.features[-1], None),
        (lambda: timm.create_model("densenet121"), lambda m: m.features[-1], None),
        (lambda: timm.create_model("convnext_atto"), lambda m: m.stages[-1], None),
        (lambda: timm.create_model("vit_tiny_patch16_224"), lambda m: m.blocks[-1].norm1,
         lambda t: t[:, 1:].transpose(1, 2).unflatten(2, (14, 14))),
        (lambda: timm.create_model("swin_tiny_patch4_window7_224"), lambda m: m.norm, lambda t: t.permute(0, 3, 1, 2)),
    ],
    ids=["resnet", "vgg", "densenet", "convnext", "vit", "swin"],
)  # fmt: skip
def test_grad_cam_of_the_layer_that_is_found_is_pytorch_grad_cams(build, layer, reshape):
    torch.manual_seed(0)
    net = build().eval()
    x, cam = torch.rand(1, 3, 224, 224), GradCAM(net, [layer(net)], reshape_transform=reshape)
    found, seen = default_layer(net, x), 0
    for c in range(6):
        theirs = cam(x, [ClassifierOutputTarget(c)])
        assert np.allclose(grad_cam(net, x, torch.tensor([c]), found).numpy(), theirs, atol=2e-2)
        seen += theirs.max() > 0
    assert seen  # random weights leave some maps without anything above 0


# images and classes


def test_a_folder_of_classes_with_masks_beside_it(tmp_path):
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for kind in ("images", "masks"):
            (tmp_path / kind / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(random.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(tmp_path / f"images/{name}/{i}.jpg")
            mask = np.zeros((48, 64), np.uint8)
            mask[6:12, 20 : 30 + i] = 200
            Image.fromarray(mask).save(tmp_path / f"masks/{name}/{i}.png")
    assert open_folder(tmp_path, 24, labels=False).class_names == ()
    assert open_folder(tmp_path, 24, limit=2).labels.tolist() == [0, 1]
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(tmp_path / "masks/dog/2.png")  # of another size
    (tmp_path / "masks/cat/0.png").unlink()
    for place in (tmp_path, tmp_path / "images"):
        found = open_folder(place, 24)
        assert found.class_names == ("cat", "dog") and found.labels.tolist() == [0, 0, 0, 1, 1]
        assert found.cuttable.tolist() == [False, True, True, True, True] and "dog/2.jpg" in found.skipped
        batch = found.select(torch.tensor([1, 4]))
        assert batch.images.shape == (2, 3, 24, 24) and batch.ids == ("cat/1", "dog/1") and batch.masks.sum() == 2 * 3 * 5 + 0
        assert batch.boxes.tolist() == [[6, 3, 11, 6]] * 2  # the middle 48 columns begin at 8, then halved


def test_images_that_are_not_kept_are_read_again(tmp_path, monkeypatch):
    for i in range(3):
        Image.fromarray(np.full((20, 20, 3), 40 * i, np.uint8)).save(tmp_path / f"{i}.png")
    monkeypatch.setattr("gazebook.data.class_folders.KEPT", 0)
    found = open_folder(tmp_path, 8)
    assert not found._kept and found.select(torch.arange(3)).images.amax(dim=(1, 2, 3)).tolist() == [0, 40, 80]


def test_classes_of_imagenet_stand_for_superclasses_wordnet_ids_and_names():
    wnids, _ = imagenet()
    nine = class_map(None, 1000, [f"{i:02}_{name}" for i, name in enumerate(NAMES)])
    assert (nine >= 0).sum() == 370 and nine[wnids.index("n02085620")] == 0  # Chihuahua
    shifted = class_map(None, 1001, NAMES)
    assert shifted[0] == NONE and torch.equal(shifted[1:], nine)
    assert class_map(None, 1000, ["n01443537", "n02085620"])[1] == 0
    assert class_map(None, 1000, ["goldfish", "tench"])[:2].tolist() == [1, 0]
    assert class_map(("dog", "cat", "cow"), 3, ["cat", "dog"]).tolist() == [1, 0, NONE]
    assert class_map(None, 3, ["a", "b", "c"]).tolist() == [0, 1, 2]


def test_a_map_of_classes_from_a_file(tmp_path):
    file = tmp_path / "map.csv"
    file.write_text("wolf,dog\n2,cat\n")
    assert class_map(("wolf", "fox", "lion"), 3, ["cat", "dog"], file).tolist() == [1, NONE, 0]
    for text, said in (("wolf\n", "1 fields"), ("bear,dog\n", "'bear'"), ("9,dog\n", "'9'"), ("wolf,cow\n", "'cow'"),
                       ("wolf,dog\n", "'cat'")):  # fmt: skip
        file.write_text(text)
        with pytest.raises(GazebookError, match=said):
            class_map(("wolf", "fox", "lion"), 3, ["cat", "dog"], file)


# the command


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("own_nets:nan", "NaN or infinite"), ("own_nets:maps", "shape"), ("own_nets:listed", "list"),
        ("own_nets:single", "shape"), ("own_nets:whole", "int64"), ("own_nets:seven", "7 classes"), ("own_nets:Late", "tired"),
        ("own_nets:missing", "could not be loaded"), ("no_such.onnx", "does not exist"), ("nosuchnet", "unknown pretrained"),
        ("broken.onnx", "no ONNX file"), ("broken.tflite", "no TensorFlow Lite file"), ("broken.pt", "no TorchScript file"),
        ("broken.pt2", "no torch.export file"), ("broken.safetensors", "not a checkpoint"),
    ],
)  # fmt: skip
def test_a_model_that_fails_is_one_line_and_the_others_are_measured(nets, tmp_path, monkeypatch, capfd, spec, said):
    for suffix in ("onnx", "tflite", "pt", "pt2", "safetensors"):
        (tmp_path / f"broken.{suffix}").write_bytes(b"\x80\x04nothing")
    code, out, err = call(
        monkeypatch, capfd, spec, "own_nets:Net", "scenes", "--limit", "40", "--size", "32", "--rulers", "accuracy,erasing"
    )
    assert code == 2 and said in err and len(err.strip().splitlines()[-1:]) == 1 and "Traceback" not in err
    assert "own_nets:Net" in out and "accuracy: accuracy" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["own_nets:Net"], "at least one model"),
        (["own_nets:Net", "nowhere"], "not a folder"),
        (["own_nets:Net", "empty"], "no readable image"),
        (["own_nets:Net", "scenes", "--rulers", "weight"], "unknown ruler"),
        (["own_nets:Net", "scenes", "--mean", "red"], "--mean"),
        (["own_nets:Net", "scenes", "--std", "0"], "above 0"),
        (["own_nets:Net", "scenes", "--crop", "2"], "crop is 2"),
        (["own_nets:Net", "scenes", "--labels", "two.txt"], "2 labels"),
        (["own_nets:Net", "scenes", "--map", "none.csv"], "none.csv"),
        (["own_nets:Net", "scenes", "--html", "empty"], "no file"),
    ],
)
def test_bad_input_is_one_line(nets, tmp_path, monkeypatch, capfd, arguments, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "two.txt").write_text("a\nb\n")
    code, _, err = call(monkeypatch, capfd, *arguments, *(() if "--size" in arguments else ("--size", "32")))
    assert code == 2 and said in err and "Traceback" not in err


def test_one_command_one_report(nets, tmp_path, monkeypatch, capfd):
    code, out, _ = call(
        monkeypatch, capfd, "own_nets:Net", "own_nets:Mapped", "scenes", "--limit", "40", "--size", "32", "--json",
        "--html", "report.html", "--csv", "rows.csv",
    )  # fmt: skip
    rows = pd.DataFrame(json.loads(out))
    assert code == 0 and set(rows["ruler"]) == set(RULERS) and set(rows["model"]) == {"own_nets:Net", "own_nets:Mapped"}
    stored = pd.read_csv(tmp_path / "rows.csv")
    assert len(stored) == len(rows) and np.allclose(stored["value"], rows["value"].astype(float), equal_nan=True)
    page = (tmp_path / "report.html").read_text()
    assert page.count("<section>") == len(RULERS) and "http" not in page.replace("http-equiv", "") and "How to cite" in page
    assert all(alt for alt in page.split('alt="')[1:])


def test_a_stop_leaves_what_is_finished(nets, tmp_path):
    program = "import sys; from gazebook.cli import main; main()"
    arguments = ["measure", "own_nets:Net", "scenes", "--limit", "1000", "--size", "32", "--csv", "rows.csv",
                 "--rulers", "accuracy,corruption"]  # fmt: skip
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
                               stdout=subprocess.DEVNULL)  # fmt: skip
    for line in iter(lambda: process.stderr.read(40), ""):
        if "corruption" in line:
            break
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130 and "what was finished is written" in err
    assert set(pd.read_csv(tmp_path / "rows.csv")["ruler"]) == {"accuracy"}
