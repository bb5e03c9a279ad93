"""ImageNet-Samples-9: photographs of ImageNet at 256 pixels with foreground masks, in the nine superclasses of ImageNet-9.

One image of each class from the public repository imagenet-sample-images, cut to a square; masks by U2-Net-p, kept where they
show the object. A test set alone, found as a folder or as its archive: it may not be passed on, so nothing is downloaded.
"""

import lzma
import tarfile
from dataclasses import replace
from pathlib import Path

from gazebook.data.class_folders import ClassFolder, open_folder
from gazebook.data.image_set import ImageSet
from gazebook.data.sources import cache_folder, search_folders, staging
from gazebook.data.superclasses import FOLDERS as CLASS_FOLDERS
from gazebook.data.superclasses import NAMES
from gazebook.errors import GazebookError

CLASS_NAMES = NAMES
TOP = "imagenet_samples9"
FOLDERS = (TOP, "imagenet-samples")
ARCHIVE = f"{TOP}.tar.xz"
SIZE = 256


def load(split: str, root: str | Path | None = None, *, size: int = SIZE) -> ImageSet:
    """The test split with masks and their boxes, and ids such as 00_dog/n02085620_Chihuahua; `size` in pixels.

    Images whose object reaches from edge to edge, which leave no background, are left out.
    """
    if split != "test":
        raise GazebookError("imagenet_samples9 has a test split alone: it is for pretrained networks")
    found = opened(root, size)
    chosen = found.select(found.cuttable.nonzero()[:, 0])
    return replace(chosen, source=f"ImageNet-Samples-9, {size} pixels")


def opened(root: str | Path | None = None, size: int = SIZE, limit: int | None = None) -> ClassFolder:
    """The same, read when it is asked for. Raises GazebookError for a folder of other classes."""
    found = open_folder(prepare(root), size, limit=limit)
    if found.class_names != CLASS_FOLDERS or found.boxes is None:
        raise GazebookError(f"{prepare(root)} does not hold the nine superclasses with their masks; unpack {ARCHIVE} again")
    found.name, found.class_names = TOP, CLASS_NAMES
    return found


def prepare(root: str | Path | None = None) -> Path:
    """The folder with images/ and masks/, after unpacking if need be. Raises GazebookError where there is neither."""
    folders = [place for name in FOLDERS for place in search_folders(name, root)]
    for folder in folders:
        for place in (folder, folder / TOP):
            if (place / "images").is_dir() and (place / "masks").is_dir():
                return place
        if (folder / ARCHIVE).is_file():
            return _unpacked(folder / ARCHIVE)
    raise GazebookError(
        f"imagenet_samples9 is not here, and it may not be passed on: put its images/ and masks/, or {ARCHIVE}, into "
        f"$GAZEBOOK_DATA/{TOP}"
    )


def _unpacked(archive: Path) -> Path:
    """The archive unpacked into the cache, whole or not at all."""
    target = cache_folder() / "unpacked" / f"{TOP}-{archive.stat().st_size}"
    if not (target / TOP).is_dir():
        try:
            with staging(target) as partial, tarfile.open(archive) as opened_archive:
                opened_archive.extractall(partial, filter="data")
        except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
            raise GazebookError(f"{archive} is damaged ({error}); fetch it again") from error
    return target / TOP
