"""ImageNet-9's released test sets (paper 2; MadryLab/backgrounds_challenge): 450 images a class, eight variants, 224 pixels.

Found as the folder `bg_challenge` or as its archive, which is unpacked beside itself; downloaded otherwise. The training sets
are no longer served.
"""

import tarfile
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from gazebook.data.image_set import ImageSet
from gazebook.data.sources import LARGEST_FILE, decode, download, search_folders, staging
from gazebook.data.superclasses import FOLDERS, NAMES
from gazebook.errors import GazebookError, check_known
from gazebook.images.composite import VARIANTS

CLASS_NAMES = NAMES
URL = "https://github.com/MadryLab/backgrounds_challenge/releases/download/data/backgrounds_challenge_data.tar.gz"
SHA256 = (
    "2d66f571b0492986b347e37d2ee498ed34b58012af425d772dacda4422896fe7"  # pinned by other users; not published by the authors
)
TOP = "bg_challenge"
ARCHIVE = "backgrounds_challenge_data.tar.gz"


def load(split: str, root: str | Path | None = None, *, variant: str = "original") -> ImageSet:
    """The test split of a variant, with masks for `original` and ids such as 00_dog/n02085620_00001. Raises GazebookError."""
    if split != "test":
        raise GazebookError(
            "imagenet9 has no training split: the authors' archives are no longer served; train on tiny_imagenet9"
        )
    check_known("variant", variant, VARIANTS, " of imagenet9")
    top = prepare(root)
    files = _files(top / variant / "val", ".JPEG")
    images, size = [], None
    for file, _ in tqdm(files, f"reading imagenet9 {variant}", unit=" images", delay=2, leave=False):
        images.append(decode(file, f"{file}", f"unpack {ARCHIVE} again", size))
        size = images[-1].shape[:2]
    return ImageSet(
        "imagenet9",
        split,
        torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(),
        torch.tensor([label for _, label in files]),
        CLASS_NAMES,
        f"ImageNet-9, released test set, {variant}",
        masks=_masks(top, files, size) if variant == "original" else None,
        ids=tuple(f"{file.parent.name}/{file.stem}" for file, _ in files),
    )


def found(root: str | Path | None = None) -> bool:
    """Whether the test sets, or their archive, are there without a download."""
    folders = search_folders("imagenet9", root)
    places = [place / "original" for folder in folders for place in (folder / TOP, folder)]
    return any(place.is_dir() for place in places) or any((folder / ARCHIVE).is_file() for folder in folders)


def prepare(root: str | Path | None = None) -> Path:
    """The folder bg_challenge, after unpacking or downloading if need be. Raises GazebookError."""
    folders = search_folders("imagenet9", root)
    for folder in folders:
        for place in (folder / TOP, folder):
            if (place / "original").is_dir():
                return place
        if (folder / ARCHIVE).is_file():
            _unpack(folder / ARCHIVE, folder / TOP)
            return folder / TOP
    target = folders[0]
    if target.is_dir() and any(target.iterdir()):
        raise GazebookError(f"{target} holds neither {TOP}/ nor {ARCHIVE}; complete it, or remove it to download")
    download("imagenet9", URL, f"sha256:{SHA256}", "280 MB", target)
    _unpack(target / ARCHIVE, target / TOP)
    (target / ARCHIVE).unlink()
    return target / TOP


def _unpack(archive: Path, target: Path) -> None:
    """The archive's bg_challenge as `target`, whole or not at all."""
    with staging(target) as partial:
        try:
            with tarfile.open(archive) as opened:
                for member in tqdm(opened, f"unpacking {archive.name}", unit=" files", delay=2, leave=False):
                    if member.size > LARGEST_FILE:
                        raise tarfile.ReadError(f"{member.name} unpacks to {member.size / 1e6:.0f} MB")
                    opened.extract(member, partial, filter="data")
        except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
            raise GazebookError(f"{archive} is damaged ({error}); fetch it again") from error
        inner = partial / TOP
        if not inner.is_dir():
            raise GazebookError(f"{archive} holds no {TOP}/; fetch {URL.rpartition('/')[2]} of MadryLab/backgrounds_challenge")
        for child in inner.iterdir():
            child.rename(partial / child.name)
        inner.rmdir()


def _files(folder: Path, suffix: str) -> list[tuple[Path, int]]:
    """(file, label) in a fixed order. Raises GazebookError for a folder of no class, and for a class without images."""
    if not folder.is_dir():
        raise GazebookError(f"{folder} is missing; unpack {ARCHIVE} again")
    label_of = {name: label for label, name in enumerate(FOLDERS)}
    there = sorted(f.name for f in folder.iterdir() if f.is_dir())
    if unknown := [name for name in there if name not in label_of]:
        raise GazebookError(f"{folder} has a class folder {unknown[0]!r}; expected {', '.join(label_of)}")
    found = [(f, label) for name, label in label_of.items() for f in sorted((folder / name).glob(f"*{suffix}"))]
    if missing := [name for name, label in label_of.items() if all(own != label for _, own in found)]:
        raise GazebookError(f"{folder} has no {suffix} files of {', '.join(missing)}; unpack {ARCHIVE} again")
    return found


def _masks(top: Path, files: list[tuple[Path, int]], size: tuple) -> Tensor:
    """The foreground arrays of the images, bool [N, H, W]."""
    out = np.empty((len(files), *size), bool)
    for i, (file, _) in enumerate(files):
        array = top / "fg_mask" / "val" / file.parent.name / f"{file.stem}.npy"
        try:
            found = np.load(array, allow_pickle=False).squeeze()
        except (OSError, ValueError, EOFError) as error:
            raise GazebookError(f"the mask {array} is missing or damaged; unpack {ARCHIVE} again") from error
        if found.shape != size:
            raise GazebookError(f"the mask {array} has shape {found.shape}, its image {size}; unpack {ARCHIVE} again")
        out[i] = found > 0
    return torch.from_numpy(out)
