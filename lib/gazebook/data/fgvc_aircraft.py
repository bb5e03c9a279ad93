"""FGVC-Aircraft (Maji et al. 2013): 10,000 images of aircraft, 100 variants, 70 families, 30 manufacturers, with boxes.

Found in torchvision's layout or downloaded through it. For research that is not commercial; photographers keep their rights,
so that no image of it may be passed on.
"""

from pathlib import Path

import numpy as np
import torch

from gazebook.data.image_set import ImageSet
from gazebook.data.local_folders import squares
from gazebook.data.sources import download, open_image, search_folders
from gazebook.errors import GazebookError, check_known

FOLDER = "fgvc-aircraft-2013b"
LEVELS = ("variant", "family", "manufacturer")
BANNER = 20  # rows at the bottom of each image name its photographer
REMEDY = f"complete the folder {FOLDER}, or remove it to download it again"


def load(split: str, root: str | Path | None = None, *, level: str = "variant", size: int = 224) -> ImageSet:
    """Split train (the official trainval: 6,667 images) or test (3,333), squeezed to `size`, without banner, with boxes.

    `level` is that of the labels. Raises GazebookError.
    """
    from torchvision.datasets import FGVCAircraft  # takes seconds, and few who import this module need it

    check_known("level", level, LEVELS, " of fgvc_aircraft")
    folder = prepare(root)
    try:
        found = FGVCAircraft(folder, "trainval" if split == "train" else "test", level)
        files, labels = [Path(f) for f in found._image_files], found._labels
        boxes = _boxes(folder / FOLDER / "data" / "images_box.txt", files, size)
    except (OSError, KeyError, ValueError) as error:
        raise GazebookError(f"{folder / FOLDER} is damaged ({error}); {REMEDY}") from error
    images = squares(files, size, f"fgvc_aircraft {split}", REMEDY, BANNER)
    ids = tuple(f.stem for f in files)
    return ImageSet(
        "fgvc_aircraft",
        split,
        images,
        torch.tensor(labels),
        tuple(found.classes),
        f"FGVC-Aircraft, {level}",
        boxes=boxes,
        ids=ids,
    )


def prepare(root: str | Path | None = None) -> Path:
    """The folder that holds fgvc-aircraft-2013b, after a download of 2.8 GB if need be. Raises GazebookError."""
    folders = search_folders("fgvc_aircraft", root)
    for folder in folders:
        if (folder / FOLDER / "data").is_dir():
            return folder
    target = folders[0]
    if target.is_dir() and any(target.iterdir()):
        raise GazebookError(f"{target} holds no {FOLDER}/data; complete it, or remove it to download")
    from torchvision.datasets import FGVCAircraft

    download("fgvc_aircraft", FGVCAircraft._URL, None, "2.8 GB", target, unpack=True)
    return target


def _boxes(file: Path, files: list[Path], size: int) -> torch.Tensor:
    """Boxes int64 [N, 4] at the new size; the file counts from 1 and includes the last pixel."""
    table = {
        name: np.array(numbers, float)
        for name, *numbers in (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    }
    found = []
    for picture in files:
        with open_image(picture) as image:
            width, height = image.size
        x0, y0, x1, y1 = table[picture.stem] - (1, 1, 0, 0)
        scale = np.array([size / width, size / (height - BANNER)] * 2)
        found.append(np.clip(np.round(np.array([x0, y0, x1, y1]) * scale), 0, size))
    return torch.from_numpy(np.array(found, np.int64))
