"""Tiny ImageNet (Stanford cs231n): 200 of ImageNet's classes at 64 by 64 pixels, one bounding box an image.

Found in its official layout, as a folder, a zip or a tar archive, with all of its classes or some; downloaded otherwise.
The official test images have no labels, so `test` is the validation split.
"""

import dataclasses
import hashlib
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Set
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from gazebook.data.image_set import ImageSet
from gazebook.data.sources import LARGEST_FILE, decode, download, search_folders
from gazebook.data.superclasses import NAMES, superclass_of_wnid
from gazebook.errors import GazebookError, check_known

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
    if not found:
        raise GazebookError(f"{place} holds no images of split {split} of the classes asked for; complete it")
    images, labels, boxes, ids = zip(*found, strict=True)
    classes = sorted(set(labels))
    return ImageSet(
        "tiny_imagenet",
        split,
        torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy()),
        torch.tensor([classes.index(w) for w in labels]),
        tuple(classes),
        f"Tiny ImageNet, {len(classes)} classes",
        boxes=torch.tensor(boxes),
        ids=ids,
    )


def pools(root: str | Path | None, label: dict[str, int], names: tuple[str, ...]) -> list[ImageSet]:
    """Both splits, limited to the WordNet ids of `label` and labelled by it."""
    sets = [load(split, root, wnids=label) for split in SPLIT_FOLDER]
    own = [torch.tensor([label[w] for w in s.class_names])[s.labels] for s in sets]
    return [dataclasses.replace(s, labels=y, class_names=names) for s, y in zip(sets, own, strict=True)]


def wnids_of(names: Collection[str]) -> set[str]:
    """The WordNet ids of ImageNet's classes in these superclasses of ImageNet-9. Raises GazebookError."""
    for name in names:
        check_known("superclass", name, NAMES)
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


def _read(place: Path, split: str, wnids: set[str] | None) -> list[tuple]:
    """(image, WordNet id, box, id) of a split in the order of the ids, without those outside `wnids`.

    Raises GazebookError where an image or its box is missing, or where the splits have different classes: labels are the
    places of the classes, so they would mean different things.
    """
    top = SPLIT_FOLDER[split]
    encoded: dict[str, bytes] = {}
    notes: dict[str, tuple[str, tuple]] = {}
    classes: dict[str, set[str]] = {"train": set(), "val": set()}
    try:
        for name, read in tqdm(_entries(place), f"reading {place.name}", unit=" files", delay=2, leave=False):
            folder, wnid = name.split("/")[:2]
            own = folder == top and (folder == "val" or wnids is None or wnid in wnids)
            if folder == "train":
                classes["train"].add(_checked(wnid, place))
            if own and name.endswith(".JPEG"):
                encoded[name.rpartition("/")[2]] = read()
            elif name.endswith(".txt") and (own or folder == "val"):
                found = _notes(name, read(), place)
                classes[folder] |= {row[0] for row in found.values()}
                notes |= found if own else {}
    except DAMAGED as error:
        raise GazebookError(f"{place} is damaged ({error}); fetch it again") from error
    _check_complete(place, classes, encoded.keys(), notes.keys())
    found = []
    for name in sorted(encoded, key=_natural):
        wnid, box = notes[name]
        if wnids is None or wnid in wnids:
            image = decode(encoded[name], f"{name} in {place}", "fetch it again", (SIZE, SIZE))
            found.append((image, wnid, box, f"{top}/{wnid}/{name.removesuffix('.JPEG')}"))
    return found


def _check_complete(place: Path, classes: dict[str, set[str]], images: Set[str], boxes: Set[str]) -> None:
    train, val = classes.values()
    if train and val and (lone := sorted(train ^ val)):
        where = ("train", "val") if lone[0] in train else ("val", "train")
        raise GazebookError(f"{place} has the class {lone[0]} in {where[0]} and not in {where[1]}; complete it, or remove it")
    for names, others, what in ((boxes, images, "image"), (images, boxes, "box in a table")):
        if missing := sorted(names - others, key=_natural):
            raise GazebookError(f"{place} has no {what} of {missing[0]} ({len(missing)} in all); fetch it again")


def _checked(wnid: str, place: Path) -> str:
    if not re.fullmatch(r"n\d{8}", wnid):
        raise GazebookError(f"{place} has a class folder train/{wnid}; expected WordNet ids such as n01443537")
    return wnid


def _entries(place: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """(path below the top, what reads it) of the images and tables of both splits."""

    def wanted(name: str) -> str | None:
        path = name.removeprefix("./").removeprefix(f"{TOP}/")
        return path if path.startswith(("train/", "val/")) and path.endswith((".JPEG", ".txt")) else None

    def bounded(name: str, size: int) -> str:
        if size > LARGEST_FILE:
            raise GazebookError(f"{name} in {place} unpacks to {size / 1e6:.0f} MB, too much for an image; fetch it again")
        return name

    if place.is_dir():
        for file in sorted(place.glob("*/**/*")):
            if (path := wanted(file.relative_to(place).as_posix())) and file.is_file():
                yield bounded(path, file.stat().st_size), file.read_bytes
    elif place.suffix == ".zip":
        with zipfile.ZipFile(place) as archive:
            for member in archive.infolist():
                if path := wanted(member.filename):
                    yield bounded(path, member.file_size), partial(archive.read, member)
    else:
        _check_end(place)
        with tarfile.open(place) as archive:
            for member in archive:
                if member.isfile() and (path := wanted(member.name)):
                    yield bounded(path, member.size), archive.extractfile(member).read


def _check_end(place: Path) -> None:
    """An uncompressed tar that was cut between two files would be read as a smaller set: it must end in two empty blocks."""
    if place.suffix == ".tar":
        with place.open("rb") as file:
            file.seek(-min(1024, place.stat().st_size), 2)
            if file.read() != bytes(1024):
                raise tarfile.ReadError("it ends too early")


def _notes(name: str, table: bytes, place: Path) -> dict[str, tuple[str, tuple[int, int, int, int]]]:
    """File name -> (WordNet id, box), from a train class's box table or the validation annotations.

    Boxes in the files end inclusive; here x1 and y1 are exclusive.
    """
    found = {}
    for number, line in enumerate(table.decode("utf-8", "replace").splitlines(), 1):
        words = line.split("\t")
        try:
            wnid = words[1] if name.startswith("val/") else name.split("/")[1]
            x0, y0, x1, y1 = map(int, words[-4:])
            if not (0 <= x0 <= x1 <= SIZE and 0 <= y0 <= y1 <= SIZE):
                raise ValueError(f"a box outside {SIZE} x {SIZE} pixels")
        except (ValueError, IndexError) as error:
            reason = f"line {number}: {str(error)[:80]}"
            raise GazebookError(f"a table of boxes in {place}, {name}, cannot be read ({reason}); fetch it again") from error
        found[words[0]] = (wnid, (x0, y0, min(x1 + 1, SIZE), min(y1 + 1, SIZE)))
    return found


def _natural(name: str) -> tuple[str, int]:
    """n01443537_2.JPEG before n01443537_10.JPEG."""
    stem, _, number = name.removesuffix(".JPEG").rpartition("_")
    return stem, int(number) if number.isdigit() else -1
