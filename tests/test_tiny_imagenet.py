"""Tiny ImageNet in its official layout, by download, and cut into the nine superclasses; and what can be wrong with it."""

import hashlib
import io
import lzma
import os
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gazebook import data
from gazebook.data import tiny_imagenet, tiny_imagenet9
from gazebook.data.superclasses import NAMES, superclass_of_wnid
from gazebook.errors import GazebookError
from tests import tiny_layout as layout

WNIDS = layout.one_wnid_each()
WRITERS = {"folder": layout.write_folder, "zip": layout.write_zip, "tar.xz": layout.write_tar}


@pytest.fixture(autouse=True)
def no_cache(tmp_path, monkeypatch):
    """Nothing is found in, or written to, the user's own folders."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("GAZEBOOK_DATA", raising=False)


@pytest.mark.parametrize("kind", WRITERS)
def test_the_official_layout_is_read_from_a_folder_and_from_archives(tmp_path, kind):
    WRITERS[kind](tmp_path / "tiny_imagenet", layout.files(WNIDS[:3], train=11, val=2))
    train, test = (data.load("tiny_imagenet", split, root=tmp_path) for split in ("train", "test"))
    assert train.class_names == test.class_names == tuple(WNIDS[:3])
    assert torch.bincount(train.labels).tolist() == [11] * 3 and torch.bincount(test.labels).tolist() == [2] * 3
    assert train.ids[:3] == tuple(f"train/{WNIDS[0]}/{WNIDS[0]}_{i}" for i in range(3)), "2 comes before 10"
    assert train.boxes[1].tolist() == list(layout.box_of(1)), "inclusive ends in the files are exclusive here"
    expected = np.asarray(Image.open(io.BytesIO(layout.jpeg(layout.picture(1, layout.box_of(1))))))
    assert np.array_equal(train.images[1].permute(1, 2, 0).numpy(), expected)
    assert test.ids[-1] == f"val/{WNIDS[2]}/val_5"


def test_some_classes_only(tmp_path):
    layout.write_tar(tmp_path / "tiny-imagenet", layout.files(WNIDS[:3]))
    found = data.load("tiny_imagenet", "train", root=tmp_path, wnids=[WNIDS[1]])
    assert found.class_names == (WNIDS[1],) and len(found) == 12
    with pytest.raises(GazebookError, match="no images of split train of the classes"):
        data.load("tiny_imagenet", "train", root=tmp_path, wnids=["n00000000"])


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (f"train/{WNIDS[1]}/images", f"no image of {WNIDS[1]}_0.JPEG .12 in all"),
        (f"train/{WNIDS[1]}/{WNIDS[1]}_boxes.txt", f"no box in a table of {WNIDS[1]}_0.JPEG"),
        (f"train/{WNIDS[1]}/", f"has the class {WNIDS[1]} in val and not in train"),
        ("val/images/val_4", "no image of val_4.JPEG"),
    ],
)
def test_what_is_missing_is_named_whatever_the_split(tmp_path, kind, split, gone, message):
    whole = layout.files(WNIDS[:3])
    WRITERS[kind](tmp_path / "tiny_imagenet", {name: content for name, content in whole.items() if not name.startswith(gone)})
    if gone.endswith("/") or gone.startswith("train") == (split == "train"):
        with pytest.raises(GazebookError, match=message):
            data.load("tiny_imagenet", split, root=tmp_path)
    else:
        assert data.load("tiny_imagenet", split, root=tmp_path).class_names == tuple(WNIDS[:3])


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("kind", ["zip", "tar.xz"])
def test_a_truncated_archive_is_named(tmp_path, kind):
    truncate(WRITERS[kind](tmp_path / "tiny_imagenet", layout.files(WNIDS[:2])))
    with pytest.raises(GazebookError, match=r"tiny-imagenet-200\.(zip|tar.xz) is damaged .*fetch it again"):
        data.load("tiny_imagenet", "train", root=tmp_path)


def test_a_tar_cut_anywhere_is_never_a_smaller_set(tmp_path):
    place = tmp_path / "tiny_imagenet"
    packed = layout.write_tar(place, layout.files(WNIDS[:2]))
    whole = lzma.decompress(packed.read_bytes())
    packed.unlink()
    file = place / "tiny-imagenet-200.tar"
    file.write_bytes(whole)
    assert len(data.load("tiny_imagenet", "train", root=tmp_path)) == 24
    with tarfile.open(file) as archive:
        members = archive.getmembers()
    between = [member.offset for member in members[1:]]  # where a reader of tars sees nothing amiss
    for cut in [*between[::5], *np.random.default_rng(0).integers(1, members[-1].offset_data, 10)]:
        file.write_bytes(whole[:cut])
        with pytest.raises(GazebookError, match="damaged"):
            data.load("tiny_imagenet", "train", root=tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train/dogs/images/dogs_0.JPEG", b"", "has a class folder train/dogs; expected WordNet ids"),
        (f"train/{WNIDS[0]}/{WNIDS[0]}_boxes.txt", b"a.JPEG\tone\ttwo\tthree\tfour", "table of boxes .* cannot be read"),
        (f"train/{WNIDS[0]}/images/{WNIDS[0]}_0.JPEG", b"no picture", "does not decode; fetch it again"),
        (
            f"train/{WNIDS[0]}/images/{WNIDS[0]}_0.JPEG",
            layout.jpeg(np.zeros((8, 9, 3), np.uint8)),
            "has 9 x 8 pixels, not 64 x 64",
        ),
        (
            f"train/{WNIDS[0]}/{WNIDS[0]}_boxes.txt",
            b"a.JPEG\t1\t1\t2\t2\na.JPEG\t1\t1\t2\t99999999999999999999",
            f"{WNIDS[0]}_boxes.txt, cannot be read .line 2: a box outside 64 x 64",
        ),
        (f"train/{WNIDS[0]}/images/{WNIDS[0]}_0.JPEG", bytes(10**7 + 1), "unpacks to 10 MB"),
        (f"train/{WNIDS[0]}/images/{WNIDS[0]}_99.JPEG", b"no box", f"has no box in a table of {WNIDS[0]}_99.JPEG"),
    ],
)
def test_what_is_wrong_in_the_layout_is_named(tmp_path, name, content, message):
    layout.write_folder(tmp_path / "tiny_imagenet", layout.files(WNIDS[:2]) | {name: content})
    with pytest.raises(GazebookError, match=message):
        data.load("tiny_imagenet", "train", root=tmp_path)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The official archive in small, on a local server, with its checksum; the store that downloads go to."""
    archive = layout.write_zip(tmp_path / "web", layout.files(WNIDS[:2]))
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    monkeypatch.setattr(tiny_imagenet, "URL", f"http://127.0.0.1:{running.server_port}/{archive.name}")
    monkeypatch.setattr(tiny_imagenet, "MD5", hashlib.md5(archive.read_bytes()).hexdigest())
    monkeypatch.setenv("GAZEBOOK_DATA", str(tmp_path / "store"))
    yield running
    running.shutdown()
    running.server_close()


def test_it_is_downloaded_once(server, capsys):
    assert len(data.load("tiny_imagenet", "train")) == 24
    assert "downloading" in capsys.readouterr().out
    server.shutdown()
    assert len(data.load("tiny_imagenet", "test")) == 6


def test_a_wrong_checksum_leaves_nothing_behind(server, tmp_path, monkeypatch):
    monkeypatch.setattr(tiny_imagenet, "MD5", "0" * 32)
    with pytest.raises(GazebookError, match=r"download of tiny_imagenet failed.*run again"):
        data.load("tiny_imagenet", "train")
    assert list((tmp_path / "store").iterdir()) == []


def test_a_folder_with_something_else_is_named_before_anything_is_downloaded(server, tmp_path):
    (tmp_path / "store" / "tiny_imagenet").mkdir(parents=True)
    (tmp_path / "store" / "tiny_imagenet" / "notes.txt").touch()
    with pytest.raises(GazebookError, match="holds neither tiny-imagenet-200/ nor its archive"):
        data.load("tiny_imagenet", "train")


# the nine superclasses


@pytest.fixture
def nine(tmp_path, monkeypatch):
    """Pictures of all nine: twelve and three of each class, one of them twice, one with a box that covers it."""
    made = layout.files(WNIDS)
    first = WNIDS[0]
    made[f"train/{first}/images/{first}_1.JPEG"] = made[f"train/{first}/images/{first}_0.JPEG"]
    table = made[f"train/{first}/{first}_boxes.txt"].decode().splitlines()
    table[2] = f"{first}_2.JPEG\t0\t0\t63\t63"
    made[f"train/{first}/{first}_boxes.txt"] = "\n".join(table).encode()
    layout.write_tar(tmp_path / "store" / "tiny_imagenet", made)
    monkeypatch.setenv("GAZEBOOK_DATA", str(tmp_path / "store"))
    return first


def both(**options):
    return [data.load("tiny_imagenet9", split, test_images=4, **options) for split in ("train", "test")]


def test_splits_are_balanced_and_share_no_picture(nine):
    train, test = both()
    assert train.class_names == NAMES and torch.bincount(test.labels).tolist() == [4] * 9
    assert len(set(torch.bincount(train.labels).tolist())) == 1 and len(train) >= 9 * 5
    assert not set(train.ids) & set(test.ids)
    pixels = [{picture.numpy().tobytes() for picture in images} for images in (train.images, test.images)]
    assert not pixels[0] & pixels[1]
    assert {i.split("/")[0] for i in test.ids} <= {"train", "val"}


def test_labels_are_the_official_superclasses(nine):
    train, _ = both()
    assert all(
        superclass_of_wnid()[i.split("/")[1]] == label for i, label in zip(train.ids, train.labels.tolist(), strict=True)
    )


def test_doubles_and_large_boxes_are_dropped_and_counted(nine):
    train, test = both()
    ids = set(train.ids) | set(test.ids)
    assert f"train/{nine}/{nine}_2" not in ids, "its box covers it"
    table = tiny_imagenet9.summary(test_images=4).set_index("class")
    name = NAMES[superclass_of_wnid()[nine]]
    assert table.loc[name, "pictures"] == 14 and table.loc[name, "large box"] == 1
    assert (table.drop(name)["pictures"] == 15).all() and (table.drop(name)["large box"] == 0).all()
    usable = table["masks tried"] - table["degenerate mask"]
    assert (table["train"] == usable.min() - 4).all()


def test_masks_find_the_disc(nine):
    train, _ = both()
    inside = torch.zeros_like(train.masks)
    for i, (x0, y0, x1, y1) in enumerate(train.boxes.tolist()):
        inside[i, y0:y1, x0:x1] = True
    assert not (train.masks & ~inside).any(), "nothing outside the box"
    share = (train.masks.sum(dim=(1, 2)) / inside.sum(dim=(1, 2))).numpy()
    assert np.abs(share - np.pi / 4).max() < 0.1, "a disc in its box"


def test_everything_is_all_but_the_test_pictures(nine):
    large, test = both(everything=True)
    assert large.masks is None and test.masks is not None
    assert len(large) + len(test) == 9 * 15 - 1, "all different pictures"
    assert not set(large.ids) & set(test.ids) and f"train/{nine}/{nine}_2" in large.ids


def test_it_is_made_once_and_again_when_damaged(nine, tmp_path, monkeypatch):
    first, _ = both()
    (file,) = (tmp_path / "cache").rglob("*.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr(tiny_imagenet9, "_build", None)  # would fail if it were called
        assert both()[0].fingerprint == first.fingerprint
    file.write_bytes(file.read_bytes()[:100])
    assert both()[0].fingerprint == first.fingerprint, "seeded: the same again"


def test_candidates_are_all_with_a_small_box_whatever_their_masks(nine):
    found = tiny_imagenet9.candidates(test_images=4)
    assert found.masks is None and len(found) == 9 * 15 - 2 and f"train/{nine}/{nine}_2" not in found.ids


def test_too_few_pictures_and_unknown_procedures_are_refused(nine):
    with pytest.raises(GazebookError, match=r"usable images of .*, no more than the 14"):
        data.load("tiny_imagenet9", "train", test_images=14)
    with pytest.raises(GazebookError, match=r"test_images is 2\.5; give a whole number"):
        data.load("tiny_imagenet9", "train", test_images=2.5)
    with pytest.raises(GazebookError, match="unknown mask procedure 'circle'; choose from ellipse"):
        data.load("tiny_imagenet9", "train", procedure="circle")


def test_a_missing_superclass_is_named(tmp_path, monkeypatch):
    layout.write_tar(tmp_path / "store" / "tiny_imagenet", layout.files(WNIDS[1:]))
    monkeypatch.setenv("GAZEBOOK_DATA", str(tmp_path / "store"))
    name = NAMES[superclass_of_wnid()[WNIDS[0]]]
    with pytest.raises(GazebookError, match=f"lacks all classes of {name}"):
        data.load("tiny_imagenet9", "train")


REAL = os.environ.get("GAZEBOOK_DATA", "")


@pytest.mark.slow
@pytest.mark.skipif(
    not REAL or not any((Path(REAL) / name).is_dir() for name in tiny_imagenet.FOLDERS),
    reason="real Tiny ImageNet is absent: set GAZEBOOK_DATA",
)
def test_real_images_give_foregrounds_of_every_class(monkeypatch):
    """A fifth of them: the masks of all take minutes."""
    monkeypatch.setenv("GAZEBOOK_DATA", REAL)
    monkeypatch.setattr(tiny_imagenet9, "ATTEMPTS", 0.3)
    train, test = (data.load("tiny_imagenet9", split, test_images=30) for split in ("train", "test"))
    assert torch.bincount(test.labels).tolist() == [30] * 9
    assert torch.bincount(train.labels).min() == torch.bincount(train.labels).max() > 50
    area = test.masks.float().mean(dim=(1, 2))
    assert area.min() >= 0.02 and area.max() <= 0.95
    assert not set(train.ids) & set(test.ids)
