"""Tiny ImageNet's official layout in small, for tests."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from gazebook.data.superclasses import superclass_of_wnid

TOP = "tiny-imagenet-200"


def one_wnid_each() -> list[str]:
    """The first ImageNet class of each of the nine superclasses, sorted, as the layout has them."""
    first: dict[int, str] = {}
    for wnid, label in superclass_of_wnid().items():
        first.setdefault(label, wnid)
    return sorted(first.values())


def picture(number: int, box: tuple[int, int, int, int], size: int = 64) -> np.ndarray:
    """Calm ground of one colour, in the box a bright disc of another; both depend on the number."""
    random = np.random.default_rng(number)
    pixels = random.integers(0, 40, (size, size, 3)) + random.integers(20, 60, 3)
    x0, y0, x1, y1 = box
    y, x = np.mgrid[:size, :size]
    disc = ((x - (x0 + x1 - 1) / 2) / ((x1 - x0) / 2)) ** 2 + ((y - (y0 + y1 - 1) / 2) / ((y1 - y0) / 2)) ** 2 <= 1
    pixels[disc] = random.integers(0, 40, (int(disc.sum()), 3)) + random.integers(140, 200, 3)
    return pixels.astype(np.uint8)


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def box_of(number: int) -> tuple[int, int, int, int]:
    """A box with exclusive ends, at least 28 pixels wide and high."""
    random = np.random.default_rng(1000 + number)
    x0, y0 = random.integers(2, 12, 2)
    width, height = random.integers(28, 44, 2)
    return int(x0), int(y0), int(x0 + width), int(y0 + height)


def files(wnids: list[str], train: int = 12, val: int = 3) -> dict[str, bytes]:
    """Path below the top -> content: so many images of each class in each split."""
    made: dict[str, bytes] = {"wnids.txt": "\n".join(wnids).encode(), "words.txt": b""}
    annotations = []
    for c, wnid in enumerate(wnids):
        lines = []
        for i in range(train):
            box = box_of(number := 1000 * c + i)
            made[f"train/{wnid}/images/{wnid}_{i}.JPEG"] = jpeg(picture(number, box))
            lines.append("\t".join(map(str, (f"{wnid}_{i}.JPEG", box[0], box[1], box[2] - 1, box[3] - 1))))
        made[f"train/{wnid}/{wnid}_boxes.txt"] = "\n".join(lines).encode()
        for i in range(val):
            box = box_of(number := 1000 * c + 500 + i)
            name = f"val_{c * val + i}.JPEG"
            made[f"val/images/{name}"] = jpeg(picture(number, box))
            annotations.append("\t".join(map(str, (name, wnid, box[0], box[1], box[2] - 1, box[3] - 1))))
    made["val/val_annotations.txt"] = "\n".join(annotations).encode()
    return made


def write_folder(folder: Path, made: dict[str, bytes]) -> Path:
    for name, content in made.items():
        file = folder / TOP / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder / TOP


def write_zip(folder: Path, made: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{TOP}.zip", "w") as archive:
        for name, content in made.items():
            archive.writestr(f"{TOP}/{name}", content)
    return folder / f"{TOP}.zip"


def write_tar(folder: Path, made: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / f"{TOP}.tar.xz", "w:xz") as archive:
        for name, content in made.items():
            member = tarfile.TarInfo(f"{TOP}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return folder / f"{TOP}.tar.xz"
