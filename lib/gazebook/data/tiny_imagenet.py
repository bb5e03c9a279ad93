"""Tiny ImageNet (Stanford cs231n): 200 of ImageNet's classes at 64 by 64 pixels, one bounding box an image.

Found in its official layout, as a folder, a zip or a tar archive, with all of its classes or some; downloaded otherwise.
The official test images have no labels, so `test` is the validation split.
"""

from __future__ import annotations

import hashlib
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from gazebook.data.image_set import ImageSet
from gazebook.data.sources import decode, download, search_folders
from gazebook.data.superclasses import NAMES, superclass_of_wnid
from gazebook.errors import GazebookError

URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"  # published by many users of the archive; 248,100,043 bytes
TOP = "tiny-imagenet-200"
SIZE = 64
FOLDERS = ("tiny_imagenet", "tiny-imagenet", TOP)
ARCHIVES = (".zip", ".tar", ".tar.xz", ".tar.gz")
SPLIT_FOLDER = {"train": "train", "test": "val"}
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError)


def load(
    split: str, root: str | Path | None = None, *, wnids: Collection[str] | None = None, superclasses: Collection[str] = ()
) -> ImageSet:
    """One split with labels in the order of the sorted WordNet ids, boxes, and ids such as train/n01443537/n01443537_0.

    `wnids` limits it to some classes; all that are present otherwise. `superclasses` limits it to the classes in some of
    ImageNet-9's, which keep their own labels. Raises GazebookError.
    """
    if superclasses:
        wnids = wnids_of(superclasses)
    place = prepare(root)
    found = _read(place, split, None if wnids is None else set(wnids))
    classes = sorted(set(found.labels))
    if not classes:
        raise GazebookError(f"{place} holds no images of split {split} of the classes asked for; complete it")
    label = {wnid: i for i, wnid in enumerate(classes)}
    return ImageSet(
        "tiny_imagenet",
        split,
        torch.from_numpy(np.stack(found.images).transpose(0, 3, 1, 2).copy()),
        torch.tensor([label[w] for w in found.labels]),
        tuple(classes),
        f"Tiny ImageNet, {len(classes)} classes",
        boxes=torch.tensor(found.boxes),
        ids=tuple(found.ids),
    )


def wnids_of(names: Collection[str]) -> set[str]:
    """The WordNet ids of ImageNet's classes in these superclasses of ImageNet-9. Raises GazebookError."""
    if unknown := [name for name in names if name not in NAMES]:
        raise GazebookError(f"unknown superclass {unknown[0]!r}; choose from {', '.join(NAMES)}")
    return {wnid for wnid, label in superclass_of_wnid().items() if NAMES[label] in names}


def prepare(root: str | Path | None = None) -> Path:
    """The folder or archive in the official layout, after a download if need be. Raises GazebookError."""
    folders = _folders(root)
    for folder in folders:
        if (place := _in(folder)) is not None:
            return place
    target = folders[0].parent / FOLDERS[0]
    if target.is_dir() and any(target.iterdir()):
        raise GazebookError(f"{target} holds neither {TOP}/ nor its archive; complete it, or remove it to download")
    download("tiny_imagenet", URL, f"md5:{MD5}", "248 MB", target)
    return _in(target)


def fingerprint(place: Path) -> str:
    """A hash of what the images are: of an archive's content, or of the names and sizes of a folder's files."""
    digest = hashlib.sha256()
    if place.is_file():
        with place.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    for file in sorted(f for f in place.rglob("*") if f.is_file()):
        digest.update(f"{file.relative_to(place)} {file.stat().st_size} ".encode())
    return digest.hexdigest()


def _folders(root: str | Path | None) -> list[Path]:
    return [found for name in FOLDERS for found in search_folders(name, root)]


def _in(folder: Path) -> Path | None:
    """The layout's top in a folder: `train` beside it, `tiny-imagenet-200` in it, or an archive of that name."""
    for place in (folder, folder / TOP):
        if (place / "train").is_dir():
            return place
    if not folder.is_dir():
        return None
    archives = sorted(f for f in folder.iterdir() if f.name.startswith("tiny-imagenet") and f.name.endswith(ARCHIVES))
    return archives[0] if archives else None


@dataclass
class _Found:
    images: list[np.ndarray] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    boxes: list[tuple[int, int, int, int]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)


def _read(place: Path, split: str, wnids: set[str] | None) -> _Found:
    """The images of a split in the order of their ids; those without a box or outside `wnids` are left out."""
    top = SPLIT_FOLDER[split]
    encoded: dict[str, bytes] = {}
    notes: dict[str, tuple[str, tuple]] = {}
    try:
        for name, content in tqdm(_entries(place, top, wnids), f"reading {place.name}", unit=" files", delay=2, leave=False):
            if name.endswith(".JPEG"):
                encoded[name.rpartition("/")[2]] = content
            else:
                notes |= _notes(name, content.decode())
    except DAMAGED as error:
        raise GazebookError(f"{place} is damaged ({error}); fetch it again") from error
    except (ValueError, IndexError) as error:
        raise GazebookError(f"a table of boxes in {place} cannot be read ({error}); fetch it again") from error
    found = _Found()
    for name in sorted(encoded, key=_natural):
        wnid, box = notes.get(name, (None, None))
        if wnid is not None and (wnids is None or wnid in wnids):
            found.images.append(decode(encoded[name], f"{name} in {place}", "fetch it again", (SIZE, SIZE)))
            found.labels.append(wnid)
            found.boxes.append(box)
            found.ids.append(f"{top}/{wnid}/{name.removesuffix('.JPEG')}")
    return found


def _entries(place: Path, top: str, wnids: set[str] | None) -> Iterator[tuple[str, bytes]]:
    """(path below the top, content) of the images and tables of a split."""

    def wanted(name: str) -> str | None:
        path = name.removeprefix("./").removeprefix(f"{TOP}/")
        if not path.startswith(f"{top}/") or not path.endswith((".JPEG", ".txt")):
            return None
        if top == "train":
            wnid = path.split("/")[1]
            if not re.fullmatch(r"n\d{8}", wnid):
                raise GazebookError(f"{place} has a class folder {top}/{wnid}; expected WordNet ids such as n01443537")
            if wnids is not None and wnid not in wnids:
                return None
        return path

    if place.is_dir():
        for file in sorted(place.glob(f"{top}/**/*")):
            if file.is_file() and (path := wanted(file.relative_to(place).as_posix())):
                yield path, file.read_bytes()
    elif place.suffix == ".zip":
        with zipfile.ZipFile(place) as archive:
            for name in archive.namelist():
                if path := wanted(name):
                    yield path, archive.read(name)
    else:
        _check_end(place)
        with tarfile.open(place) as archive:
            for member in archive:
                if member.isfile() and (path := wanted(member.name)):
                    yield path, archive.extractfile(member).read()


def _check_end(place: Path) -> None:
    """An uncompressed tar that was cut between two files would be read as a smaller set: it must end in two empty blocks."""
    if place.suffix == ".tar":
        with place.open("rb") as file:
            file.seek(-min(1024, place.stat().st_size), 2)
            if file.read() != bytes(1024):
                raise tarfile.ReadError("it ends too early")


def _notes(name: str, table: str) -> dict[str, tuple[str, tuple[int, int, int, int]]]:
    """File name -> (WordNet id, box), from a train class's box table or the validation annotations.

    Boxes in the files end inclusive; here x1 and y1 are exclusive.
    """
    found = {}
    for line in table.splitlines():
        words = line.split("\t")
        wnid = words[1] if name.startswith("val/") else name.split("/")[1]
        x0, y0, x1, y1 = map(int, words[-4:])
        found[words[0]] = (wnid, (x0, y0, min(x1 + 1, SIZE), min(y1 + 1, SIZE)))
    return found


def _natural(name: str) -> tuple[str, int]:
    """n01443537_2.JPEG before n01443537_10.JPEG."""
    stem, _, number = name.removesuffix(".JPEG").rpartition("_")
    return stem, int(number) if number.isdigit() else -1
