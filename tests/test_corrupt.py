"""Corrupted images: the package's own, the same for all models, cached and checked."""

import cv2
import imagecorruptions
import numpy as np
import pytest
import torch

from gazebook.errors import BudgetSpentError, GazebookError
from gazebook.images import corrupt

PLAIN = ("brightness", "contrast", "saturate", "defocus_blur", "zoom_blur", "jpeg_compression")  # without chance


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(corrupt, "cache_folder", lambda: tmp_path)
    return tmp_path / "corrupted"


@pytest.fixture(scope="module")
def pictures(scenes):
    return scenes.images[:3].permute(0, 2, 3, 1).numpy()


def test_the_names_are_the_package_s():
    assert set(corrupt.CORRUPTIONS) <= set(imagecorruptions.get_corruption_names("all")) and len(corrupt.CORRUPTIONS) == 12


@pytest.mark.parametrize("name", PLAIN)
def test_direct_is_what_the_package_gives(pictures, name):
    mine = corrupt.corrupt(pictures, name, 3)
    theirs = [imagecorruptions.corrupt(p, severity=3, corruption_name=name) for p in pictures]
    assert np.array_equal(mine, theirs) and mine.dtype == np.uint8


@pytest.mark.parametrize("name", sorted(set(corrupt.CORRUPTIONS) - set(PLAIN)))
def test_chance_is_seeded_picture_by_picture(pictures, name):
    mine = corrupt.corrupt(pictures, name, 2, seed=5)
    again = corrupt.corrupt(np.concatenate([pictures, pictures]), name, 2, seed=5)
    assert np.array_equal(mine, again[:3])
    assert not np.array_equal(mine, corrupt.corrupt(pictures, name, 2, seed=6))
    same = np.stack([pictures[0]] * 2)
    first, second = corrupt.corrupt(same, name, 2)
    assert not np.array_equal(first, second), "each image has its own stream"


def test_an_image_on_which_no_drop_falls_stays_as_it_is():
    """The package divides by the largest drop; without one it gives a black image."""
    grey = np.full((150, 32, 32, 3), 128, np.uint8)
    spattered = corrupt.corrupt(grey, "spatter", 1)
    assert np.array_equal(spattered[103], grey[103]) and spattered.reshape(150, -1).max(axis=1).min() > 0
    assert not np.array_equal(spattered[0], grey[0])


@pytest.mark.parametrize("name", corrupt.CORRUPTIONS)
def test_flat_images_make_no_nan(name):
    flat = np.stack([np.full((32, 32, 3), value, np.uint8) for value in (0, 1, 127, 255)])
    with np.errstate(all="raise", under="ignore"):
        for severity in corrupt.SEVERITIES:
            assert corrupt.corrupt(flat, name, severity).shape == flat.shape


def test_enlarging_first_is_cubic_up_and_cubic_or_area_down(pictures):
    large = cv2.resize(pictures[0], (224, 224), interpolation=cv2.INTER_CUBIC)
    large = imagecorruptions.corrupt(large, severity=2, corruption_name="contrast")
    for protocol, shrink in (("upsampled", cv2.INTER_CUBIC), ("upsampled_area", cv2.INTER_AREA)):
        expected = cv2.resize(large, (32, 32), interpolation=shrink)
        assert np.array_equal(corrupt.corrupt(pictures[:1], "contrast", 2, protocol=protocol)[0], expected)


def test_shrinking_by_areas_divides_noise_by_seven():
    grey = np.full((4, 32, 32, 3), 128, np.uint8)
    cubic, area = (
        corrupt.corrupt(grey, "gaussian_noise", 1, protocol=p).astype(float).std() for p in ("upsampled", "upsampled_area")
    )
    assert cubic / area == pytest.approx(7, rel=0.15)


def test_numpy_s_own_generator_is_left_alone(pictures):
    np.random.seed(1)
    expected = np.random.rand()
    np.random.seed(1)
    corrupt.corrupt(pictures, "snow", 1)
    assert np.random.rand() == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("frost", 1), "unknown corruption 'frost'; choose from brightness"),
        (("fog", 6), "unknown severity 6; choose from 1, 2, 3, 4, 5"),
        (("fog", 0), "unknown severity 0"),
    ],
)
def test_what_does_not_exist_is_refused(pictures, arguments, message):
    with pytest.raises(GazebookError, match=message):
        corrupt.corrupt(pictures, *arguments)


def test_protocols_and_shapes_are_checked(pictures):
    with pytest.raises(GazebookError, match="unknown protocol 'up'; choose from upsampled"):
        corrupt.corrupt(pictures, "fog", 1, protocol="up")
    for wrong in (pictures[0], pictures[..., :1], pictures.astype(float), pictures[:, :16]):
        with pytest.raises(GazebookError, match="corruptions need uint8"):
            corrupt.corrupt(wrong, "fog", 1)


def test_a_set_is_made_once_and_is_the_same_as_without_the_cache(cache, scenes, pictures):
    few = scenes.select(torch.arange(3))
    first = corrupt.corrupted(few, "snow", 4, protocol="direct", seed=2)
    assert np.array_equal(first.permute(0, 2, 3, 1).numpy(), corrupt.corrupt(pictures, "snow", 4, seed=2))
    (file,) = cache.iterdir()
    made = file.stat().st_mtime_ns
    assert torch.equal(corrupt.corrupted(few, "snow", 4, protocol="direct", seed=2), first)
    assert file.stat().st_mtime_ns == made
    corrupt.corrupted(few, "snow", 4, protocol="direct", seed=3)
    corrupt.corrupted(scenes.select(torch.arange(4)), "snow", 4, protocol="direct", seed=2)
    assert len(list(cache.iterdir())) == 3, "another seed, and other images, are other files"


@pytest.mark.parametrize("damage", ["emptied", "cut", "changed"])
def test_a_damaged_file_is_noticed_and_made_anew(cache, scenes, damage):
    few = scenes.select(torch.arange(3))
    first = corrupt.corrupted(few, "brightness", 1, protocol="direct").clone()
    (file,) = cache.iterdir()
    content = bytearray(file.read_bytes())
    if damage == "changed":
        content[-7] ^= 0xFF
    file.write_bytes({"emptied": b"", "cut": content[: len(content) // 2], "changed": content}[damage])
    assert corrupt.prepare(few, "direct", [("brightness", 1)], progress=False) == 1
    assert torch.equal(corrupt.corrupted(few, "brightness", 1, protocol="direct"), first)
    assert corrupt.prepare(few, "direct", [("brightness", 1)], progress=False) == 0
    assert [f.suffix for f in cache.iterdir()] == [".safetensors"], "nothing half-written stays"


def test_a_deadline_stops_between_chunks_and_keeps_what_is_complete(cache, scenes, monkeypatch):
    few = scenes.select(torch.arange(3))
    moments = iter([0.0, 5.0])
    monkeypatch.setattr(corrupt.time, "monotonic", lambda: next(moments, 5.0))
    with pytest.raises(BudgetSpentError):
        corrupt.prepare(few, "direct", [("contrast", 1), ("contrast", 2), ("contrast", 3)], progress=False, deadline=1.0)
    assert len(list(cache.iterdir())) == 1


@pytest.mark.slow
def test_many_processes_make_what_one_makes(cache, scenes, monkeypatch):
    monkeypatch.setattr(corrupt, "FEW", 1)
    some = scenes.select(torch.arange(corrupt.CHUNK + 7))
    pairs = [("impulse_noise", 1), ("motion_blur", 3)]
    assert corrupt.prepare(some, "direct", pairs, processes=2, progress=False) == 2
    images = some.images.permute(0, 2, 3, 1).numpy()
    for name, severity in pairs:
        stored = corrupt.corrupted(some, name, severity, protocol="direct")
        assert np.array_equal(stored.permute(0, 2, 3, 1).numpy(), corrupt.corrupt(images, name, severity))


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path, monkeypatch, scenes):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(corrupt, "cache_folder", lambda: tmp_path / "file")
    with pytest.raises(GazebookError, match=r"cannot write .* free some disk space"):
        corrupt.corrupted(scenes.select(torch.arange(2)), "contrast", 1, protocol="direct")
