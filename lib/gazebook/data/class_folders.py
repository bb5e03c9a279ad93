"""A folder of images as a data set: a folder for each class, with masks or without, or unlabelled images alone.

Images stay on the disk, all but the first of them: a set of any size can be measured.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from gazebook.data.image_set import ImageSet, balanced_order
from gazebook.data.sources import FORMATS, UNREADABLE, as_rgb, open_image
from gazebook.errors import GazebookError, first_line
from gazebook.files import printable, user_path

KEPT = 2**30  # bytes of decoded images that stay in memory
FOREGROUND = 128  # of 255: a mask's pixels from here on are foreground
SUFFIXES = frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS)
# images that are named in a note instead of read
UNREAD = frozenset(Image.registered_extensions()) - SUFFIXES | {
    ".heic", ".heif", ".avif", ".jxl", ".svg", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".exr", ".hdr",
}  # fmt: skip


@dataclass(eq=False)
class ClassFolder:
    """Images of a folder as middle squares of `size` pixels; `select` reads some of them as an `ImageSet`.

    labels: int64 [N], all 0 without class folders, when class_names are empty. boxes: int64 [N, 4], of the masks' extent, None
    without masks; `cuttable`: bool [N], whether the mask is neither empty nor reaches from edge to edge in both directions.
    `skipped`: what could not be read, with the reason.
    """

    name: str
    size: int
    class_names: tuple[str, ...]
    files: list[Path]
    ids: tuple[str, ...]
    labels: torch.Tensor
    mask_files: list[Path | None] | None = None
    boxes: torch.Tensor | None = None
    cuttable: torch.Tensor | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    _kept: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.files)

    def select(self, indices: torch.Tensor) -> ImageSet:
        """The images at `indices` (int64 [M]), in that order."""
        chosen = indices.tolist()
        masks = boxes = None
        if self.mask_files is not None:
            masks = torch.from_numpy(np.stack([_mask(self.mask_files[i], self.size) for i in chosen]))
            boxes = self.boxes[indices]
        images = torch.from_numpy(np.stack([self._image(i) for i in chosen]))
        known = {"masks": masks, "boxes": boxes, "ids": tuple(self.ids[i] for i in chosen)}
        return ImageSet(self.name, "test", images, self.labels[indices], self.class_names, f"folder {self.name}", **known)

    def _image(self, i: int) -> np.ndarray:
        if i in self._kept:
            return self._kept[i]
        image = middle_square(self.files[i], self.size)
        if (len(self._kept) + 1) * image.nbytes <= KEPT:
            self._kept[i] = image
        return image


def check_folder(folder: str | Path) -> Path:
    """The folder that a text names. Raises GazebookError where there is none."""
    top = user_path(folder)
    if not top.is_dir():
        raise GazebookError(f"{printable(top)} is not a folder; give a folder of images, or the name of a data set")
    return top


def open_folder(folder: str | Path, size: int, *, limit: int | None = None, labels: bool = True) -> ClassFolder:
    """Images of a folder: FOLDER/CLASS/..., or without class folders, or with `labels` false, unlabelled images.

    Masks are looked for as FOLDER/masks/CLASS/NAME.png, or in `masks/` beside the folder; where FOLDER holds `images/`, that is
    taken. At most `limit` images, as many of each class as can be. Raises GazebookError for a folder without images.
    """
    top = check_folder(folder)
    top = top / "images" if (top / "images").is_dir() else top
    skipped: dict[str, str] = {}
    files = sorted(f for f in image_files(top, skipped) if f.relative_to(top).parts[0] != "masks")
    classes = [f.relative_to(top).parts[0] if labels and len(f.relative_to(top).parts) > 1 else "" for f in files]
    if "" in classes:
        classes = [""] * len(files)
    names = tuple(sorted(set(classes) - {""}))
    own = torch.tensor([names.index(c) if c else 0 for c in classes], dtype=torch.int64)
    order = balanced_order(own, max(len(names), 1))[:limit] if names else torch.arange(len(files))[:limit]
    chosen = sorted(order.tolist())
    masks = next((m for m in (top / "masks", top.parent / "masks") if m.is_dir()), None) if names else None
    found = ClassFolder(
        top.parent.name if top.name == "images" else top.name or str(top), size, names, [files[i] for i in chosen],
        tuple(printable(files[i].relative_to(top).with_suffix("")) for i in chosen), own[chosen], skipped=skipped,
    )  # fmt: skip
    if masks is not None:
        found.mask_files = [_mask_file(masks, file.relative_to(top)) for file in found.files]
    return _readable(found, top)


def _readable(whole: ClassFolder, top: Path) -> ClassFolder:
    """The set without what cannot be read, with the boxes of its masks."""
    good, boxes, cuttable = [], [], []
    for i in tqdm(range(len(whole)), "reading images", unit=" images", delay=2, leave=False):
        try:
            shape = whole._image(i).shape[1:]
            if whole.mask_files is not None:
                box, usable = _box(_mask(whole.mask_files[i], whole.size, whole.files[i]), shape)
                boxes.append(box)
                cuttable.append(usable)
            good.append(i)
        except UNREADABLE as error:
            why = "no image, or damaged" if isinstance(error, UnidentifiedImageError) else printable(first_line(error))
            whole.skipped[printable(whole.files[i].relative_to(top))] = why
    if not good:
        first = f", {len(whole.skipped)} that cannot be read (first {next(iter(whole.skipped))})" if whole.skipped else ", none"
        raise GazebookError(f"{printable(top)} holds no readable image{first}; give a folder of JPEG or PNG files")
    whole._kept = {new: whole._kept[old] for new, old in enumerate(good) if old in whole._kept}
    whole.files, whole.ids = [whole.files[i] for i in good], tuple(whole.ids[i] for i in good)
    whole.labels = whole.labels[good]
    if whole.mask_files is not None:
        whole.mask_files = [whole.mask_files[i] for i in good]
        whole.boxes, whole.cuttable = torch.tensor(boxes), torch.tensor(cuttable)
    return whole


def _mask_file(masks: Path, relative: Path) -> Path | None:
    """The mask of an image: a file of its name, whatever its format; None where there is none."""
    place = masks / relative
    return next((f for f in (place.with_suffix(s) for s in (".png", place.suffix, *sorted(SUFFIXES))) if f.is_file()), None)


def _mask(file: Path | None, size: int, image: Path | None = None) -> np.ndarray:
    """A mask's middle square, bool [S, S]; empty without a file. With `image`, raises ValueError for one of another size."""
    if file is None:
        return np.zeros((size, size), bool)
    with open_image(file) as opened:
        if image is not None:
            with open_image(image) as other:
                if ImageOps.exif_transpose(other).size != opened.size:
                    raise ValueError(f"its mask has {opened.width} x {opened.height} pixels, and the image other ones")
        square = ImageOps.fit(opened.convert("L"), (size, size), Image.Resampling.NEAREST)
    return np.asarray(square) >= FOREGROUND


def _box(mask: np.ndarray, shape: tuple[int, int]) -> tuple[tuple[int, int, int, int], bool]:
    """The extent of a mask (x0, y0, x1, y1, end exclusive), and whether some background is outside of it."""
    if not mask.any():
        return (0, 0, 0, 0), False
    (y0, y1), (x0, x1) = (np.flatnonzero(mask.any(axis=a))[[0, -1]] + [0, 1] for a in (1, 0))
    return (int(x0), int(y0), int(x1), int(y1)), (x1 - x0, y1 - y0) != shape[::-1]


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
