"""RIVAL10's released layout, made in small; RIVAL6-tiny from Tiny ImageNet's layout."""

import base64
import io
import os
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from gazebook import data
from gazebook.data import rival6_tiny, rival10
from gazebook.errors import GazebookError
from tests import tiny_layout


def png(mask):
    buffer = io.BytesIO()
    Image.fromarray((mask * 255).astype(np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def write_picture(root, split, wnid, number, attributes):
    """One image with its mask (the left half), attribute labels and dictionary, as released: 60 by 40 pixels."""
    stem = f"{wnid}_{wnid}_{number}"
    ordinary, masks = root / split / "ordinary", root / split / "entire_object_masks"
    for folder in (ordinary, masks):
        folder.mkdir(parents=True, exist_ok=True)
    pixels = np.full((40, 60, 3), 30 * number % 255, np.uint8)
    half = np.zeros((40, 60), np.uint8)
    half[:, :30] = 255
    Image.fromarray(pixels).save(ordinary / f"{stem}.JPEG")
    Image.fromarray(half).save(masks / f"{stem}.JPEG")
    Image.fromarray(half).save(ordinary / f"{stem}_merged_mask.JPEG")
    labels = np.zeros((2, 18))
    labels[0, [rival10.ATTRIBUTES.index(name) for name in attributes]] = 1
    np.save(ordinary / f"{stem}_attr_labels.npy", labels)
    corner = np.zeros((40, 60))
    corner[:20, :15] = 1
    texts = {name: png(corner) for name in attributes} | {"entire-object": png(half / 255)}
    (ordinary / f"{stem}_attr_dict.pkl").write_bytes(pickle.dumps(texts))
    return ordinary / f"{stem}.JPEG"


@pytest.fixture
def layout(tmp_path):
    """root/rival10/RIVAL10: two images of each class in both splits."""
    root = tmp_path / "rival10" / "RIVAL10"
    for split in ("train", "test"):
        for synsets in rival10.SYNSETS.values():
            for number, wnid in enumerate(synsets, 1):
                write_picture(root, split, wnid, number, ["wings", "tail"] if number == 1 else ["tall"])
    return tmp_path


def test_pictures_labels_masks_and_attributes(layout):
    test = data.load("rival10", "test", root=layout, size=32, attributes=True)
    assert test.class_names[0] == "truck" and test.class_names[6] == "equine" and test.images.shape == (20, 3, 32, 32)
    assert test.labels.bincount().tolist() == [2] * 10
    assert torch.equal(test.masks[:, :, :15], torch.ones(20, 32, 15, dtype=torch.bool)) and not test.masks[:, :, 17:].any()
    for i, name in enumerate(test.ids):
        wnid = name.split("_")[0]
        assert wnid in rival10.SYNSETS[test.class_names[test.labels[i]]]
        shown = {a for a, m in zip(test.attribute_names, test.attributes[i], strict=True) if m.any()}
        assert shown == ({"wings", "tail"} if name.endswith("_1") else {"tall"})
        wings = test.attributes[i, rival10.ATTRIBUTES.index("wings")]
        assert not wings[18:].any() and not wings[:, 10:].any()


def test_few_pictures_are_balanced_and_only_they_are_read(layout):
    next((layout / "rival10" / "RIVAL10" / "test" / "ordinary").glob("n01531178*1.JPEG")).write_bytes(b"broken")
    found = data.load("rival10", "test", root=layout, size=16, images=9)
    assert len(found) == 9 and found.labels.bincount().max() == 1 and found.attributes is None


def test_a_picture_without_a_mask_is_left_out_and_counted(layout):
    next((layout / "rival10" / "RIVAL10" / "test" / "entire_object_masks").glob("*.JPEG")).unlink()
    found = data.load("rival10", "test", root=layout, size=16)
    assert len(found) == 19 and "1 images without object mask left out" in found.source


def test_an_attribute_that_the_labels_deny_is_not_shown(layout):
    file = next((layout / "rival10" / "RIVAL10" / "test" / "ordinary").glob("*_1_attr_labels.npy"))
    np.save(file, np.zeros((2, 18)))
    found = data.load("rival10", "test", root=layout, size=16, attributes=True)
    assert not found.attributes[found.ids.index(file.name.removesuffix("_attr_labels.npy"))].any()


@pytest.mark.parametrize(
    ("pattern", "content", "message"),
    [
        ("*_attr_dict.pkl", b"\x80\x04broken", "attribute dictionary .* is damaged"),
        ("*_attr_dict.pkl", pickle.dumps({"wings": 5}), "attribute dictionary .* is damaged"),
        ("*_attr_dict.pkl", pickle.dumps(["wings"]), "attribute dictionary .* is damaged"),
        ("*_attr_dict.pkl", pickle.dumps({"antlers": png(np.ones((4, 4)))}), "unknown antlers"),
        (
            "*_1_attr_dict.pkl",
            pickle.dumps({"wings": base64.b64encode(b"no png").decode()}),
            "mask of wings .* does not decode",
        ),
        ("*_attr_labels.npy", b"broken", "attribute labels .* cannot be read"),
    ],
)
def test_what_is_damaged_is_named(layout, pattern, content, message):
    next((layout / "rival10" / "RIVAL10" / "test" / "ordinary").glob(pattern)).write_bytes(content)
    with pytest.raises(GazebookError, match=message):
        data.load("rival10", "test", root=layout, size=16, attributes=True)


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("must-not-exist",)


def test_a_dictionary_cannot_call_anything(layout, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = next((layout / "rival10" / "RIVAL10" / "test" / "ordinary").glob("*_attr_dict.pkl"))
    file.write_bytes(pickle.dumps({"wings": Malicious()}))
    with pytest.raises(GazebookError, match=r"is damaged \(it asks for"):
        rival10.attribute_dictionary(file)
    assert not (tmp_path / "must-not-exist").exists()


def test_a_strange_class_and_an_empty_split_are_named(layout):
    write_picture(layout / "rival10" / "RIVAL10", "test", "n00000000", 1, [])
    with pytest.raises(GazebookError, match="none of RIVAL10's classes"):
        data.load("rival10", "test", root=layout)
    for mask in (layout / "rival10" / "RIVAL10" / "train" / "entire_object_masks").glob("*"):
        mask.unlink()
    with pytest.raises(GazebookError, match="no image with an object mask"):
        data.load("rival10", "train", root=layout)


def test_absent_it_says_where_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("GAZEBOOK_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(GazebookError, match=r"licence forbids passing it on: ask for it .* or use rival6_tiny"):
        data.load("rival10", "test")


@pytest.fixture
def tiny_root(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(rival6_tiny, "HELD_OUT", 4)
    wnids = sorted(w for own in rival6_tiny.WNIDS.values() for w in own)
    tiny_layout.write_folder(tmp_path / "tiny_imagenet", tiny_layout.files(wnids, train=7, val=2))
    return tmp_path


def test_six_classes_with_masks_and_no_picture_in_both_splits(tiny_root):
    train, test = (data.load("rival6_tiny", split, root=tiny_root) for split in ("train", "test"))
    assert train.class_names == ("truck", "car", "cat", "dog", "deer", "frog") and len(train) == 9 * 3
    assert train.labels.bincount().tolist() == [3, 6, 6, 6, 3, 3]
    assert not set(train.ids) & set(test.ids) and 9 * 4 < len(test) <= 9 * 6
    assert test.masks.shape == (len(test), 64, 64) and train.masks is None
    area = test.masks.float().mean(dim=(1, 2))
    assert float(area.min()) >= 0.02 and float(area.max()) <= 0.95
    assert "masks are boxes" in test.source
    assert not (test.masks & ~rival6_tiny.masks.boxes_as_masks(test.boxes, 64)).any()


def test_it_is_made_once_and_again_when_damaged(tiny_root):
    one = data.load("rival6_tiny", "test", root=tiny_root)
    (file,) = (tiny_root / "cache" / "gazebook" / "rival6_tiny").glob("*.safetensors")
    stamp = file.stat().st_mtime_ns
    data.load("rival6_tiny", "test", root=tiny_root)
    assert file.stat().st_mtime_ns == stamp
    file.write_bytes(b"broken")
    assert data.load("rival6_tiny", "test", root=tiny_root).fingerprint == one.fingerprint


def test_boxes_as_masks():
    found = rival6_tiny.masks.boxes_as_masks(torch.tensor([[1, 0, 3, 2], [0, 0, 4, 4]]), 4)
    assert found[0].int().tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]] and found[1].all()


@pytest.mark.skipif(not os.environ.get("GAZEBOOK_DATA"), reason="set GAZEBOOK_DATA to a folder with tiny_imagenet/")
def test_on_real_pictures():
    test = data.load("rival6_tiny", "test")
    assert len(test) > 800 and test.labels.bincount().min() > 60 and 0.2 < float(test.masks.float().mean()) < 0.6
