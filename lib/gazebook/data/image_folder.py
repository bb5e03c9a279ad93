"""A folder of unlabelled images, made ready for a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from gazebook.data.sources import FORMATS, open_image
from gazebook.errors import GazebookError

SUFFIXES = frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS)


@dataclass(frozen=True, eq=False)
class Images:
    """images: uint8 [N, 3, S, S] with their `names`; `skipped`: what could not be read, with the reason."""

    images: torch.Tensor
    names: tuple[str, ...]
    skipped: dict[str, str]


def load_images(folder: str | Path, size: int, limit: int | None = None) -> Images:
    """All images below a folder, at most `limit` in the order of their names: the middle square, resized to `size` pixels.

    Transparency is laid on white, grey becomes colour, the camera's orientation is applied; what does not decode is
    skipped and named. Raises GazebookError when there is no folder or no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise GazebookError(f"{folder} is not a folder; give a folder of pictures")
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES and f.is_file())[:limit]
    images, names, skipped = [], [], {}
    for file in tqdm(files, "reading pictures", unit=" pictures", delay=2, leave=False):
        name = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(file.relative_to(folder)))
        try:
            images.append(_square(file, size))
            names.append(name)
        except UnidentifiedImageError:
            skipped[name] = "no image, or damaged"
        except Exception as error:  # noqa: BLE001 (damaged files make decoders fail in many ways)
            skipped[name] = str(error).splitlines()[0] if str(error) else type(error).__name__
    if not images:
        found = f"{len(skipped)} that do not decode (first {next(iter(skipped))})" if skipped else "none"
        raise GazebookError(f"{folder} holds no readable image, {found}; give a folder of JPEG, PNG or other pictures")
    return Images(torch.from_numpy(np.stack(images)), tuple(names), skipped)


def _square(file: Path, size: int) -> np.ndarray:
    """The middle square of an image, uint8 [3, S, S]."""
    with open_image(file) as image:
        image = ImageOps.exif_transpose(image)
        if "A" in image.getbands() or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        if image.mode.startswith("I") or image.mode == "F":  # 16 and 32 bits: stretched to the full range
            image = Image.fromarray(_to_bytes(np.asarray(image, np.float64)))
        fitted = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BICUBIC)
    return np.asarray(fitted).transpose(2, 0, 1).copy()


def _to_bytes(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    return (255 * (values - low) / max(high - low, 1e-12)).astype(np.uint8)
