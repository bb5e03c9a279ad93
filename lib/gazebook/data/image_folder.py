"""A folder of unlabelled images, made ready for a model."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from gazebook.data.sources import FORMATS, as_rgb, open_image
from gazebook.errors import GazebookError, first_line
from gazebook.files import printable, user_path

SUFFIXES = frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS)
# images that are named in a note instead of read
UNREAD = frozenset(Image.registered_extensions()) - SUFFIXES | {
    ".heic", ".heif", ".avif", ".jxl", ".svg", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".exr", ".hdr",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Images:
    """images: uint8 [N, 3, S, S] with their `names`; `skipped`: what could not be read, with the reason."""

    images: torch.Tensor
    names: tuple[str, ...]
    skipped: dict[str, str]


def load_images(folder: str | Path, size: int, limit: int | None = None) -> Images:
    """All images below a folder, at most `limit` in the order of their names: the middle square, resized to `size` pixels.

    Transparency is laid on white, grey becomes colour, the camera's orientation is applied; links are followed, hidden files
    and folders left out; what does not decode is skipped and named. Raises GazebookError without a folder or an image.
    """
    folder = user_path(folder)
    if not folder.is_dir():
        raise GazebookError(f"{printable(folder)} is not a folder; give a folder of images")
    skipped: dict[str, str] = {}
    files = sorted(image_files(folder, skipped))[:limit]
    images, names = [], []
    for file in tqdm(files, "reading images", unit=" images", delay=2, leave=False):
        name = printable(file.relative_to(folder))
        try:
            images.append(middle_square(file, size))
            names.append(name)
        except UnidentifiedImageError:
            skipped[name] = "no image, or damaged"
        except Exception as error:  # noqa: BLE001 (damaged files make decoders fail in many ways)
            skipped[name] = printable(first_line(error))
    if not images:
        found = f"{len(skipped)} that cannot be read (first {next(iter(skipped))})" if skipped else "none"
        raise GazebookError(f"{printable(folder)} holds no readable image, {found}; give a folder of JPEG or PNG files")
    return Images(torch.from_numpy(np.stack(images)), tuple(names), skipped)


def image_files(folder: Path, skipped: dict[str, str]) -> Iterator[Path]:
    """The image files below a folder, each folder once however many links lead to it; `skipped` is told of the others."""

    def unreadable(error: OSError) -> None:
        skipped[printable(os.path.relpath(error.filename, folder))] = error.strerror

    seen = {os.path.realpath(folder)}
    for place, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        places = {name: os.path.realpath(os.path.join(place, name)) for name in folders}  # noqa: PTH118 (a str has no parts)
        folders[:] = [name for name in folders if not (places[name] in seen or seen.add(places[name]))]
        for file in (Path(place, name) for name in files if not name.startswith(".")):
            suffix = file.suffix.lower()
            if suffix in SUFFIXES and file.is_file():
                yield file
            elif suffix in SUFFIXES | UNREAD:
                reason = f"{suffix} is not read; save it as JPEG or PNG" if file.is_file() else "no file, or a broken link"
                skipped[printable(file.relative_to(folder))] = reason


def middle_square(file: Path, size: int) -> np.ndarray:
    """The middle square of an image, uint8 [3, S, S]."""
    with open_image(file) as image:
        upright = ImageOps.exif_transpose(image)
        upright.format = image.format  # which says what 32-bit integers stand for
        fitted = ImageOps.fit(as_rgb(upright), (size, size), Image.Resampling.BICUBIC)
    return np.asarray(fitted).transpose(2, 0, 1).copy()
