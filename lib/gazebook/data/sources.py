"""Where data is looked for, and what is said when it is not there."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import platformdirs
from PIL import Image, UnidentifiedImageError
from safetensors import SafetensorError, safe_open

from gazebook.errors import GazebookError
from gazebook.files import atomic_write

# what Pillow decodes by itself; a PostScript file, whatever its name, it would hand to Ghostscript, which runs programs
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")


def cache_folder() -> Path:
    """The user's cache folder for gazebook; downloads go there."""
    return Path(platformdirs.user_cache_dir("gazebook"))


def search_folders(name: str, root: str | Path | None = None) -> list[Path]:
    """Folders that may hold data set `name`, best first: `root`, else $GAZEBOOK_DATA, else the user's cache."""
    if root is not None:
        root = Path(root)
        if not root.is_dir():
            raise GazebookError(f"data folder {root} does not exist; correct root, or leave it out")
        return [root / name, root]
    places = [Path(os.environ["GAZEBOOK_DATA"]) / name] if os.environ.get("GAZEBOOK_DATA") else []
    return [*places, cache_folder() / "data" / name]


def download(name: str, url: str, checksum: str | None, size: str, target: Path, unpack: bool = False) -> None:
    """Download a data set's archive into the folder `target`, whole or not at all; `unpack` it there and drop it.

    `checksum` is "md5:..." or "sha256:...", None where none is published; `size` is said to the user. Raises GazebookError.
    """
    import pooch  # takes a while, and is rarely needed

    file = url.rpartition("/")[2]
    print(f"{name} was not found; downloading {file} ({size}) to {target}", flush=True)
    pooch.get_logger().setLevel("WARNING")
    with staging(target) as partial:
        try:
            downloader = pooch.HTTPDownloader(progressbar=True)
            fetched = Path(pooch.retrieve(url, checksum, file, partial, downloader=downloader))
            if unpack:
                shutil.unpack_archive(fetched, partial, filter="data")
                fetched.unlink()
        except (OSError, ValueError, EOFError, shutil.ReadError, tarfile.TarError) as error:  # requests' errors are OSErrors
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise GazebookError(
                f"the download of {name} failed ({reason}); check the network and run again, or set GAZEBOOK_DATA to a folder "
                f"that holds {name}/{file}"
            ) from error


def open_image(picture: bytes | Path) -> Image.Image:
    """An encoded image of one of FORMATS, judged by its content; raises what Pillow raises."""
    return Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture, formats=FORMATS)


def decode(picture: bytes | Path, name: str, remedy: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """An encoded image as uint8 [H, W, 3]; `size` is the height and width that it must have.

    Raises GazebookError that says `name` and `remedy`.
    """
    try:
        with open_image(picture) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise GazebookError(f"{name} does not decode; {remedy}") from error
    if size is not None and pixels.shape[:2] != size:
        found, wanted = (f"{s[1]} x {s[0]}" for s in (pixels.shape, size))
        raise GazebookError(f"{name} has {found} pixels, not {wanted}; {remedy}")
    return pixels


def cached_file(folder: str, name: str, build: Callable[[Path], None]) -> Path:
    """The safetensors file of that name in a folder of the cache; if it is not there, or damaged, `build` writes it.

    It must carry a metadata text `about` in JSON. It appears whole or not at all.
    """
    file = cache_folder() / folder / f"{name}.safetensors"
    try:
        with safe_open(file, "pt") as stored:
            json.loads(stored.metadata()["about"])
        return file
    except FileNotFoundError:
        pass
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        file.unlink(missing_ok=True)
    with atomic_write(file) as partial:
        build(partial)
    return file


@contextmanager
def staging(target: Path):
    """A temporary folder beside `target` that becomes `target` on success and vanishes on any error."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise GazebookError(
            f"cannot write to {target.parent} ({error.strerror}); set GAZEBOOK_DATA to a folder that you may write to"
        ) from error
    try:
        yield partial
        try:
            os.replace(partial, target)
        except OSError:
            if not target.is_dir():  # else another process was first, and its folder is as good
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
