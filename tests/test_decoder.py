"""One decoder for all readers: any mode, depth, transparency and orientation as Pillow itself converts them."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from gazebook.data.class_folders import open_folder
from gazebook.data.sources import as_rgb, decode, open_image
from gazebook.errors import GazebookError

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
ORIENTATION = 0x0112


@st.composite
def encoded(draw):
    """A PNG of any mode, perhaps with a transparent value and an orientation, and the image that it was made from."""
    mode = draw(st.sampled_from(MODES))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    if mode == "I;16":
        image = Image.fromarray(random.integers(0, 65536, (height, width)).astype(np.uint16))
    else:
        image = Image.fromarray(random.integers(0, 256, (height, width, 4), np.uint8))
        image = (image.convert("RGB") if mode == "P" else image).convert(mode)  # or its palette would have alpha
    options = {}
    if mode in ("L", "P", "RGB", "I;16") and draw(st.booleans()):
        first = image.getpixel((0, 0))
        options["transparency"] = first
    exif = Image.Exif()
    exif[ORIENTATION] = draw(st.integers(1, 8))
    content = io.BytesIO()
    image.save(content, "PNG", exif=exif, **options)
    return content.getvalue(), image, options.get("transparency"), exif[ORIENTATION]


def by_pillow(image: Image.Image, clear) -> np.ndarray:
    """The same by Pillow's own conversions, on an image of 8 bits."""
    if image.mode == "I;16":
        pixels = np.asarray(image)
        rgba = Image.fromarray((pixels // 256).astype(np.uint8)).convert("RGBA")
        if clear is not None:
            rgba.putalpha(Image.fromarray(np.where(pixels == clear, 0, 255).astype(np.uint8)))
    else:
        image = image.copy()
        if clear is not None:
            image.info["transparency"] = clear
        rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return np.asarray(Image.alpha_composite(white, rgba).convert("RGB"))


@settings(max_examples=200, deadline=None)
@given(encoded())
def test_any_image_is_read_as_pillow_converts_it(case):
    content, image, clear, _ = case
    assert np.array_equal(decode(content, "an image", "fetch it again"), by_pillow(image, clear))


@settings(max_examples=60, deadline=None)
@given(encoded())
def test_a_folder_s_images_stand_upright(tmp_path_factory, case):
    content, image, clear, orientation = case
    folder = tmp_path_factory.mktemp("photos")
    (folder / "a.png").write_bytes(content)
    plain = Image.fromarray(by_pillow(image, clear))
    exif = plain.getexif()
    exif[ORIENTATION] = orientation
    plain.info["exif"] = exif.tobytes()
    upright = ImageOps.fit(ImageOps.exif_transpose(plain), (8, 8), Image.Resampling.BICUBIC)
    (found,) = open_folder(folder, 8).select(torch.tensor([0])).images
    assert np.array_equal(found.permute(1, 2, 0).numpy(), np.asarray(upright))


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("scale", [256, 257])
def test_a_copy_with_16_bits_is_the_same_image(form, scale):
    grey = np.random.default_rng(0).integers(60, 120, (20, 30)).astype(np.uint16)
    content = io.BytesIO()
    Image.fromarray(grey * np.uint16(scale)).save(content, form)
    assert np.array_equal(decode(content.getvalue(), "an image", "")[..., 0], grey)


def test_pixels_without_a_known_scale_are_refused_by_name(tmp_path):
    numbers = np.linspace(0, 1, 64).reshape(8, 8)
    Image.fromarray(numbers.astype(np.float32)).save(tmp_path / "float.tif")
    Image.fromarray((numbers * 9e8).astype(np.int32)).save(tmp_path / "large.tif")
    Image.fromarray((numbers * 200).astype(np.int32)).save(tmp_path / "small.tif")
    Image.new("L", (8, 8), 7).save(tmp_path / "good.tif")
    found = open_folder(tmp_path, 8)
    assert found.ids == ("good",) and set(found.skipped) == {"float.tif", "large.tif", "small.tif"}
    assert all("of no known scale" in reason for reason in found.skipped.values())
    with pytest.raises(ValueError, match="no known scale"):
        as_rgb(Image.fromarray(numbers.astype(np.float32)))


def test_an_image_of_another_size_is_refused_before_it_is_decoded(monkeypatch):
    content = io.BytesIO()
    Image.new("RGB", (9000, 9000)).save(content, "PNG")
    monkeypatch.setattr("gazebook.data.sources.as_rgb", lambda image: pytest.fail("decoded"))
    with pytest.raises(GazebookError, match="has 9000 x 9000 pixels, not 64 x 64"):
        decode(content.getvalue(), "it", "fetch it again", (64, 64))


@pytest.mark.parametrize("what", [None, b"", 3, "text"])
def test_what_is_no_encoded_image_is_one_line(what):
    with pytest.raises(GazebookError, match=r"is empty|no encoded image|does not decode"):
        decode(what, "row 3", "fetch it again")


def test_a_folder_s_links_are_followed_once_hidden_ones_skipped_and_the_rest_named(tmp_path):
    folder, other = tmp_path / "photos", tmp_path / "elsewhere"
    for place in (folder / "a", folder / ".ipynb_checkpoints", other):
        place.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(place / f"{place.name}.png")
    (folder / "link").symlink_to(other)
    (folder / "again").symlink_to(other)
    (folder / "a" / "loop").symlink_to(folder)
    (folder / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (folder / "phone.HEIC").write_bytes(b"....ftypheic")
    (folder / "._a.png").write_bytes(b"not an image")
    (folder / "notes.txt").write_text("no image", encoding="utf-8")
    found = open_folder(folder, 8)
    assert found.ids == ("a/a", "again/elsewhere")
    assert set(found.skipped) == {"gone.png", "phone.HEIC"} and "save it as JPEG" in found.skipped["phone.HEIC"]


def test_an_unreadable_folder_is_named(tmp_path, monkeypatch):
    (tmp_path / "locked").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    scandir = __import__("os").scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    assert open_folder(tmp_path, 8).skipped == {"locked": "Permission denied"}


def test_names_that_are_no_unicode_are_shown(tmp_path):
    name = b"caf\xe9.png"
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "PNG")
    (tmp_path / name.decode("utf-8", "surrogateescape")).write_bytes(content.getvalue())
    (shown,) = open_folder(tmp_path, 8).ids
    assert shown.encode("ascii") == b"caf\\udce9"
    assert open_image(content.getvalue()).size == (8, 8)
