"""Where data is looked for, and what is said when it is not there."""

import io
import json
import os
import shutil
import struct
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import platformdirs
import torch
from PIL import Image, UnidentifiedImageError

from gazebook.errors import GazebookError, first_line
from gazebook.files import user_path
from gazebook.tensors import DAMAGED, read_tensors, write_tensors

# what Pillow decodes by itself; a PostScript file, whatever its name, it would hand to Ghostscript, which runs programs
LARGEST_FILE = 10**7  # bytes that an image, a mask or a table of an archive may unpack to
downloads = True  # whether this process may fetch what is missing
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
# what Pillow raises for files that are damaged, or too large to decode
UNREADABLE = (
    UnidentifiedImageError, OSError, ValueError, SyntaxError, TypeError, IndexError, OverflowError, struct.error, MemoryError,
    Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip


def cache_folder() -> Path:
    """The user's cache folder for gazebook; downloads go there. Raises GazebookError for a user without a home folder."""
    try:
        return Path(platformdirs.user_cache_dir("gazebook"))
    except RuntimeError as error:
        raise GazebookError("this user has no home folder; set HOME, or XDG_CACHE_HOME and GAZEBOOK_DATA") from error


def search_folders(name: str, root: str | Path | None = None) -> list[Path]:
    """Folders that may hold data set `name`, best first: `root`, else $GAZEBOOK_DATA, else the user's cache."""
    if root is not None:
        root = user_path(root)
        if not root.is_dir():
            raise GazebookError(f"data folder {root} does not exist; correct root, or leave it out")
        return [root / name, root]
    places = [user_path(os.environ["GAZEBOOK_DATA"]) / name] if os.environ.get("GAZEBOOK_DATA") else []
    try:
        return [*places, cache_folder() / "data" / name]
    except GazebookError:
        if places:
            return places
        raise


def download(name: str, url: str, checksum: str | None, size: str, target: Path, unpack: bool = False) -> None:
    """Download a data set's archive into the folder `target`, whole or not at all; `unpack` it there and drop it.

    `checksum` is "md5:..." or "sha256:...", None where none is published; `size` is said to the user. Raises GazebookError.
    """
    if not downloads:
        raise GazebookError(f"{name} is not in $GAZEBOOK_DATA of this machine; put it there, workers download nothing")
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
            raise GazebookError(
                f"the download of {name} failed ({first_line(error)}); check the network and run again, or set "
                f"GAZEBOOK_DATA to a folder that holds {name}/{file}"
            ) from error


def open_image(picture: bytes | Path) -> Image.Image:
    """An encoded image of one of FORMATS, judged by its content; raises what Pillow raises."""
    return Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture, formats=FORMATS)


def as_rgb(image: Image.Image) -> Image.Image:
    """Any image as 8-bit RGB: 16 bits by their upper 8, transparency laid on white. Raises ValueError for pixels without a
    fixed scale (floating point, 32-bit integers).
    """
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    elif image.mode == "F":
        raise ValueError("pixels are floating-point numbers, of no known scale; save it with 8 or 16 bits")
    if image.mode == "RGB" and max(clear := image.info.get("transparency") or (0,)) > 255:  # of a file with 16 bits
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey image of 16 bits as one of 8, with its transparent value, if it has one, as alpha."""
    pixels = np.asarray(image).astype(np.int64)
    if (image.mode == "I" and image.format not in ("PNG", "PPM", None)) or pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError("pixels are 32-bit integers, of no known scale; save it with 8 or 16 bits")
    grey = Image.fromarray((pixels >> 8).astype(np.uint8))
    if (clear := image.info.get("transparency")) is not None:
        grey.putalpha(Image.fromarray(np.where(pixels == clear, 0, 255).astype(np.uint8)))
    return grey


def decode(picture: bytes | Path, name: str, remedy: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """An encoded image as uint8 [H, W, 3]; `size` is the height and width that it must have.

    Raises GazebookError that says `name` and `remedy`.
    """
    if not isinstance(picture, bytes | Path) or not picture:
        raise GazebookError(f"{name} is {'empty' if picture in (None, b'') else 'no encoded image'}; {remedy}")
    try:
        with open_image(picture) as image:
            if size is not None and image.size != size[::-1]:  # known before anything is decoded
                found, wanted = (f"{w} x {h}" for w, h in (image.size, size[::-1]))
                raise GazebookError(f"{name} has {found} pixels, not {wanted}; {remedy}")
            return np.array(as_rgb(image))
    except UNREADABLE as error:
        raise GazebookError(f"{name} does not decode; {remedy}") from error


def cached_tensors(
    folder: str, name: str, build: Callable[[], tuple[dict[str, torch.Tensor], dict]]
) -> tuple[dict[str, torch.Tensor], dict]:
    """What `build` gives, tensors and a JSON-ready description, made once and kept in a folder of the cache.

    A file that is damaged is made again.
    """
    file = cache_folder() / folder / f"{name}.safetensors"
    try:
        tensors, metadata = read_tensors(file)
        return tensors, json.loads(metadata["about"])
    except DAMAGED:
        tensors, about = build()
    write_tensors(file, tensors, {"about": json.dumps(about)})
    return tensors, about


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
