"""Data of part 4: birds of known parts, photo streams, erased images, and published layouts that the tests make."""

import io
import tarfile
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest
import scipy.io
import torch
from PIL import Image

from gazebook import data
from gazebook.data import egofoodplaces, fgvc_aircraft, fine_scenes, photo_streams
from gazebook.data.scenes.render import render
from gazebook.data.unbalanced import long_tail, oversampled
from gazebook.errors import GazebookError
from gazebook.images.erase import AREA, ASPECT, erased


@pytest.fixture(scope="module")
def birds():
    return data.load("fine_scenes", "test", images=400)


def test_any_two_parts_tell_the_kind_and_no_single_part_does():
    codes = np.array(fine_scenes.CODE)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert len({tuple(c) for c in codes[:, [i, j]]}) == 9
    for part in range(3):
        assert np.bincount(codes[:, part]).tolist() == [3, 3, 3]
    assert len(set(fine_scenes.CLASS_NAMES)) == 9


def test_kinds_differ_in_their_parts_alone():
    drawing = fine_scenes.described(np.arange(60), "train", frequency=1.0)
    bare = drawing.specs(without=fine_scenes.forms(*fine_scenes.PARTS))
    other = replace(bare, labels=(bare.labels + 1) % 9)
    without_parts = render(bare, world=drawing.world).images
    assert np.array_equal(without_parts, render(other, world=drawing.world).images)
    changed = (drawing().images != without_parts).any(axis=1).mean(axis=(1, 2))
    assert (changed > 0.03).all() and (changed < 0.25).all()


def test_a_bird_shows_the_parts_of_its_kind_and_mostly_all(birds):
    shown = birds.attributes.flatten(2).any(dim=2)
    for i, label in enumerate(birds.labels.tolist()):
        own = [3 * part + form for part, form in enumerate(fine_scenes.CODE[label])]
        assert not set(shown[i].nonzero()[:, 0].tolist()) - set(own)
    there = fine_scenes.part_masks(birds).flatten(2)
    assert there.any(dim=2).float().mean() == pytest.approx(0.9, abs=0.03)
    assert there.sum(dim=2)[there.any(dim=2)].float().min() >= 3  # pixels
    with pytest.raises(GazebookError, match="unknown part 'wing'"):
        fine_scenes.forms("wing")


def test_fewer_birds_are_the_first_of_more(birds):
    few = data.load("fine_scenes", "test", images=30)
    assert torch.equal(few.images, birds.images[:30]) and torch.equal(few.labels, birds.labels[:30])


def test_a_long_tail_falls_from_the_largest_by_the_imbalance():
    sizes = long_tail(500, 20, 10, seed=3)
    ordered = np.sort(sizes)[::-1]
    assert ordered[0] == 500 and ordered[-1] == 25
    assert np.allclose(ordered[1:] / ordered[:-1], 20 ** (-1 / 9), atol=0.02)
    assert sorted(long_tail(500, 20, 10, seed=4).tolist()) == sorted(sizes.tolist())
    with pytest.raises(GazebookError, match="at least 1"):
        long_tail(10, 0.5, 4)


def test_oversampling_goes_up_to_the_fourth_largest_and_repeats_evenly():
    labels = torch.tensor([0] * 50 + [1] * 40 + [2] * 30 + [3] * 20 + [4] * 7 + [5] * 20)
    chosen = oversampled(labels)
    assert torch.bincount(labels[chosen]).tolist() == [50, 40, 30, 20, 20, 20]
    times = torch.bincount(chosen, minlength=len(labels))
    assert set(times[labels == 4].tolist()) == {2, 3} and (times[labels != 4] == 1).all()
    assert torch.equal(oversampled(labels), chosen) and len(oversampled(labels, rank=1)) == 300


STREAM = {"of": "scenes", "of_options": {"images": 1500}, "largest": 40, "imbalance": 10, "frames": 3}


def test_events_of_the_test_split_are_never_in_training_unless_they_leak():
    train, test = (data.load("photo_streams", split, **STREAM) for split in ("train", "test"))
    sizes = np.sort(np.bincount(train.labels))[::-1]
    assert sizes[0] == 120 and sizes[-1] == 12
    assert sorted(np.bincount(test.labels)) == sorted(np.bincount(train.labels) // 3)

    def colours(frames):
        """Mean colour over its brightness: nearly the same for all frames of an event."""
        mean = frames.images.float().mean(dim=(2, 3))
        return mean / mean.mean(dim=1, keepdim=True)

    def nearest(frames):
        return float(torch.cdist(colours(frames), colours(train)).amin(dim=1).mean())

    leaky = data.load("photo_streams", "test", leaky=True, **STREAM)
    assert {i.split("/")[0] for i in leaky.ids} == {i.split("/")[0] for i in train.ids}
    assert not set(leaky.ids) & set(train.ids)
    assert nearest(leaky) < 0.7 * nearest(test)


def test_frames_are_the_picture_moved():
    picture = (torch.arange(32)[None, None, :, None] * 4 + torch.arange(32)).expand(5, 3, 32, 32).to(torch.uint8)
    frames = photo_streams._frame(picture, torch.Generator().manual_seed(1))
    assert frames.shape == picture.shape and not torch.equal(frames, picture)
    inner = frames[:, 0, 5:-5, 5:-5].float()
    slope = (inner[:, 1:] - inner[:, :-1]).mean(dim=(1, 2)) / (inner[:, :, 1:] - inner[:, :, :-1]).mean(dim=(1, 2))
    assert torch.allclose(slope, torch.full((5,), 4.0), atol=0.1)


def test_streams_that_cannot_be_made_are_refused():
    with pytest.raises(GazebookError, match="ask for fewer than 4000"):
        data.load("photo_streams", "train", **(STREAM | {"largest": 4000}))
    with pytest.raises(GazebookError, match="at least 1"):
        data.load("photo_streams", "train", **(STREAM | {"frames": 0}))


def test_each_picture_has_one_box_of_noise_in_the_authors_ranges(birds):
    shown, boxes = erased(birds.images)
    assert torch.equal(shown[~boxes[:, None].expand_as(shown)], birds.images[~boxes[:, None].expand_as(shown)])
    again, same = erased(birds.images)
    assert torch.equal(shown, again) and torch.equal(boxes, same)
    share = boxes.float().mean(dim=(1, 2))
    assert AREA[0] * 0.5 < share.min() and share.max() < AREA[1] * 1.15 and abs(float(share.mean()) - 0.19) < 0.03
    for box in boxes[:50]:
        height, width = int(box.any(dim=1).sum()), int(box.any(dim=0).sum())
        assert int(box.sum()) == height * width  # one rectangle
        assert ASPECT[0] * 0.6 < height / width < ASPECT[1] * 1.6
    assert 100 < shown[boxes[:, None].expand_as(shown)].float().mean() < 155
    with pytest.raises(GazebookError, match="narrow the ranges"):
        erased(birds.images[:2], area=(0.9, 0.95), aspect=(5, 6))
    with pytest.raises(GazebookError, match="give ranges"):
        erased(birds.images[:2], area=(0, 0.5))


def picture(seed, width=40, height=30) -> bytes:
    content = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def make_aircraft(folder, count=4):
    """FGVC-Aircraft's published layout."""
    place = folder / "fgvc-aircraft-2013b" / "data"
    (place / "images").mkdir(parents=True)
    names = [f"{i:07d}" for i in range(2 * count)]
    for i, name in enumerate(names):
        (place / "images" / f"{name}.jpg").write_bytes(picture(i, 40, 50))
    (place / "images_box.txt").write_text("".join(f"{name} 11 6 30 25\n" for name in names))
    for level, file, kinds in (("variant", "variants", ("707-320", "A 380")), ("family", "families", ("707", "A380")),
                               ("manufacturer", "manufacturers", ("Boeing", "Airbus"))):  # fmt: skip
        (place / f"{file}.txt").write_text("".join(f"{k}\n" for k in kinds))
        for split, own in (("trainval", names[:count]), ("test", names[count:])):
            (place / f"images_{level}_{split}.txt").write_text("".join(f"{n} {kinds[i % 2]}\n" for i, n in enumerate(own)))
    return folder


def test_aircraft_are_squeezed_without_their_banner_and_boxes_with_them(tmp_path):
    make_aircraft(tmp_path / "fgvc_aircraft")
    found = data.load("fgvc_aircraft", "test", root=tmp_path, size=32)
    assert found.images.shape == (4, 3, 32, 32) and found.labels.tolist() == [0, 1, 0, 1]
    assert found.class_names == ("707-320", "A 380")
    # x: 10 to 30 of 40 -> 8 to 24 of 32; y: 5 to 25 of 50 - 20 -> 5.3 to 26.7
    assert found.boxes[0].tolist() == [8, 5, 24, 27]
    whole = Image.open(tmp_path / "fgvc_aircraft" / "fgvc-aircraft-2013b" / "data" / "images" / "0000004.jpg").convert("RGB")
    expected = np.asarray(Image.fromarray(np.asarray(whole)[:30]).resize((32, 32), Image.Resampling.BILINEAR))
    assert np.array_equal(found.images[0].numpy().transpose(1, 2, 0), expected)
    assert data.load("fgvc_aircraft", "train", root=tmp_path, size=32, level="manufacturer").class_names == ("Boeing", "Airbus")
    with pytest.raises(GazebookError, match="choose from variant, family, manufacturer"):
        data.load("fgvc_aircraft", "test", root=tmp_path, level="colour")


def test_aircraft_that_are_damaged_say_so(tmp_path):
    place = make_aircraft(tmp_path / "fgvc_aircraft") / "fgvc-aircraft-2013b" / "data"
    (place / "images_box.txt").write_text("0000001 1 2 3 4\n")
    with pytest.raises(GazebookError, match="is damaged"):
        data.load("fgvc_aircraft", "test", root=tmp_path, size=32)
    with pytest.raises(GazebookError, match="at least 8"):
        data.load("fgvc_aircraft", "test", root=make_aircraft(tmp_path / "b" / "fgvc_aircraft").parent, size=2)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_aircraft_are_downloaded_whole_or_not_at_all(tmp_path, monkeypatch):
    from torchvision.datasets import FGVCAircraft

    made = make_aircraft(tmp_path / "source")
    (tmp_path / "served").mkdir()
    with tarfile.open(tmp_path / "served" / "air.tar.gz", "w:gz") as archive:
        archive.add(made / "fgvc-aircraft-2013b", "fgvc-aircraft-2013b")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path / "served")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("GAZEBOOK_DATA", str(tmp_path / "data"))
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(FGVCAircraft, "_URL", f"{address}/none.tar.gz")
    with pytest.raises(GazebookError, match="download of fgvc_aircraft failed"):
        fgvc_aircraft.prepare()
    assert not list((tmp_path / "data").rglob("*.jpg")) and not (tmp_path / "data" / "fgvc_aircraft").exists()
    monkeypatch.setattr(FGVCAircraft, "_URL", f"{address}/air.tar.gz")
    folder = fgvc_aircraft.prepare()
    assert [p.name for p in folder.iterdir()] == ["fgvc-aircraft-2013b"]
    assert len(data.load("fgvc_aircraft", "train", size=16)) == 4
    server.shutdown()
    server.server_close()


def make_cars(folder):
    """Stanford Cars' published layout."""
    (folder / "devkit").mkdir(parents=True)
    scipy.io.savemat(folder / "devkit" / "cars_meta.mat", {"class_names": np.array(["Audi A4", "Fiat 500"], object)})
    kind = [("fname", "O"), ("class", "O")]
    for split, file in (
        ("train", folder / "devkit" / "cars_train_annos.mat"),
        ("test", folder / "cars_test_annos_withlabels.mat"),
    ):
        (folder / f"cars_{split}").mkdir()
        for i in range(3):
            (folder / f"cars_{split}" / f"{i:05d}.jpg").write_bytes(picture(i))
        rows = np.array([(f"{i:05d}.jpg", i % 2 + 1) for i in range(3)], dtype=kind)
        scipy.io.savemat(file, {"annotations": rows})


def test_cars_are_read_in_their_published_layout_and_named_where_they_are_not(tmp_path):
    make_cars(tmp_path / "stanford_cars")
    found = data.load("stanford_cars", "train", root=tmp_path, size=16)
    assert found.labels.tolist() == [0, 1, 0] and found.class_names == ("Audi A4", "Fiat 500")
    assert found.images.shape == (3, 3, 16, 16)
    (tmp_path / "stanford_cars" / "cars_test" / "00001.jpg").write_bytes(b"no picture")
    with pytest.raises(GazebookError, match=r"00001.jpg does not decode"):
        data.load("stanford_cars", "test", root=tmp_path, size=16)
    (tmp_path / "none").mkdir()
    with pytest.raises(GazebookError, match="no longer served by its authors"):
        data.load("stanford_cars", "train", root=tmp_path / "none")


def make_places(folder, rows):
    folder.mkdir(parents=True)
    for i, (file, _, _) in enumerate(rows):
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_bytes(picture(i))
    pd.DataFrame(rows, columns=["file", "event", "split"]).to_csv(folder / "splits.csv", index=False)


PLACES = [(f"bar/{i}.jpg", f"e{i // 2}", "train") for i in range(6)] + [(f"kitchen/{i}.jpg", "e9", "train") for i in range(2)]
PLACES += [("bakery shop/a.jpg", "e5", "train"), ("restaurant/a.jpg", "e6", "train"), ("bar/t.jpg", "e7", "test")]


def test_places_are_split_by_events_and_oversampled(tmp_path):
    make_places(tmp_path / "egofoodplaces", PLACES)
    train = data.load("egofoodplaces", "train", root=tmp_path, size=16)
    names = [egofoodplaces.CLASS_NAMES[i] for i in train.labels]
    assert (
        train.num_classes == 15 and names.count("bar") == 6 and names.count("kitchen") == 2 and names.count("restaurant") == 1
    )
    assert len(data.load("egofoodplaces", "test", root=tmp_path, size=16)) == 1
    more = [*PLACES, *[(f"kitchen/m{i}.jpg", "e9", "train") for i in range(3)]]
    more += [(f"restaurant/m{i}.jpg", "e6", "train") for i in range(3)] + [
        (f"bakery shop/m{i}.jpg", "e5", "train") for i in range(2)
    ]
    make_places(tmp_path / "more" / "egofoodplaces", [*more, ("picnic area/a.jpg", "e8", "train")])
    labels = data.load("egofoodplaces", "train", root=tmp_path / "more", size=16).labels
    assert torch.bincount(labels)[egofoodplaces.CLASS_NAMES.index("picnic area")] == 3  # as the fourth largest
    plain = data.load("egofoodplaces", "train", root=tmp_path / "more", size=16, oversample=False).labels
    assert torch.bincount(plain)[egofoodplaces.CLASS_NAMES.index("picnic area")] == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("bar/x.jpg", "e7", "train"), r"event 'e7' .* is in two splits"),
        (("cinema/x.jpg", "e1", "train"), "unknown class 'cinema'"),
        (("bar/x.jpg", "e1", "dev"), "unknown split 'dev'"),
        (("bar/x.jpg", None, "train"), "lacks values of event"),
    ],
)
def test_tables_that_cannot_be_right_are_refused(tmp_path, row, message):
    make_places(tmp_path / "egofoodplaces", [*PLACES, row])
    with pytest.raises(GazebookError, match=message):
        data.load("egofoodplaces", "train", root=tmp_path, size=16)


def test_places_that_are_not_there_are_described(tmp_path):
    with pytest.raises(GazebookError, match="not served anywhere"):
        data.load("egofoodplaces", "train", root=tmp_path)


def test_classes_of_cifar10_keep_the_order_in_which_they_are_asked_for(monkeypatch):
    from gazebook.data import cifar10
    from gazebook.data.image_set import ImageSet

    pixels = torch.zeros(20, 3, 32, 32, dtype=torch.uint8)
    whole = ImageSet("cifar10", "test", pixels, torch.arange(20) % 10, cifar10.CLASS_NAMES, "made")
    monkeypatch.setattr(cifar10, "_whole", lambda split, folder: whole)
    monkeypatch.setattr(cifar10, "prepare", lambda root: None)
    found = cifar10.load("test", classes=["truck", "cat"])
    assert found.class_names == ("truck", "cat") and found.labels.tolist() == [1, 0, 1, 0]
    with pytest.raises(GazebookError, match="unknown class 'lorry'"):
        cifar10.load("test", classes=["lorry"])


def test_superclasses_of_tiny_imagenet_are_named():
    from gazebook.data import tiny_imagenet

    dogs = tiny_imagenet.wnids_of(["dog"])
    assert "n02099601" in dogs and "n02123394" not in dogs
    with pytest.raises(GazebookError, match="unknown superclass 'cat'"):
        tiny_imagenet.wnids_of(["cat"])
