"""CIFAR-10 (Krizhevsky 2009): 60,000 images of 32 by 32 pixels in ten classes.

Found as a folder of Parquet files in the Hugging Face layout (columns `img` {bytes, path} and `label`) or in
torchvision's layout; downloaded otherwise.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm import tqdm

from gazebook.data.image_set import ImageSet
from gazebook.data.sources import decode, download, search_folders
from gazebook.errors import GazebookError, check_known, first_line

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SPLITS = ("train", "test")
JPEG_MAGIC = b"\xff\xd8"
TORCHVISION_FOLDER = "cifar-10-batches-py"
MOST_SHARDS = 10_000
HUB_FOLDERS = ("plain_text", "data")


def load(split: str, root: str | Path | None = None, *, classes: Sequence[str] = ()) -> ImageSet:
    """One split of CIFAR-10, or its images of some classes, labelled in the order in which these are given.

    Downloads 170 MB when it is nowhere to be found. Raises GazebookError.
    """
    for name in classes:
        check_known("class", name, CLASS_NAMES, " of cifar10")
    whole = _whole(split, prepare(root))
    return _only(whole, tuple(classes)) if classes else whole


def _only(whole: ImageSet, classes: tuple[str, ...]) -> ImageSet:
    new = torch.full((whole.num_classes,), -1)
    new[[whole.class_names.index(name) for name in classes]] = torch.arange(len(classes))
    own = whole.select((new[whole.labels] >= 0).nonzero()[:, 0])
    source = f"{whole.source}; {', '.join(classes)}"
    return dataclasses.replace(own, labels=new[own.labels], class_names=classes, source=source)


def _whole(split: str, folder: Path) -> ImageSet:
    if (folder / TORCHVISION_FOLDER).is_dir():
        return _read_torchvision(split, folder)
    if parquet := _parquet(folder, split):
        return _read_parquet(split, parquet)
    raise GazebookError(f"{folder} holds no {split}-*.parquet; add it, or set GAZEBOOK_DATA to another folder to download")


def prepare(root: str | Path | None = None) -> Path:
    """The folder that holds CIFAR-10, after downloading it if need be. Raises GazebookError."""
    folders = search_folders("cifar10", root)
    for folder in folders:
        if (folder / TORCHVISION_FOLDER).is_dir() or any(_parquet(folder, split) for split in SPLITS):
            return folder
    if folders[0].is_dir() and any(folders[0].iterdir()):
        raise GazebookError(
            f"{folders[0]} holds neither Parquet files nor {TORCHVISION_FOLDER}; complete it, or remove it to download"
        )
    from torchvision.datasets import CIFAR10

    download("cifar10", CIFAR10.url, f"md5:{CIFAR10.tgz_md5}", "170 MB", folders[0], unpack=True)
    return folders[0]


def _parquet(folder: Path, split: str) -> list[Path]:
    """The Parquet files of a split, in the folder or in the one in which the hub has them."""
    places = (folder, *(folder / name for name in HUB_FOLDERS))
    return next((found for place in places if (found := sorted(place.glob(f"{split}-*.parquet")))), [])


def _read_parquet(split: str, files: list[Path]) -> ImageSet:
    _check_shards(files)
    encoded, labels = [], []
    for file in files:
        try:
            table = pq.read_table(file)
        except (pa.ArrowException, OSError) as error:
            raise GazebookError(f"{file} is not a readable Parquet file ({first_line(error)}); fetch it again") from error
        _check_layout(file, table)
        encoded += [(row or {}).get("bytes") for row in table["img"].to_pylist()]
        labels += table["label"].to_pylist()
    images = np.empty((len(encoded), 32, 32, 3), np.uint8)
    for i, data in enumerate(tqdm(encoded, f"decoding cifar10 {split}", unit=" images", delay=2, leave=False)):
        images[i] = decode(data, f"row {i} of {split} in {files[0].parent}", "fetch the files again", (32, 32))
    lossy = encoded[0][:2] == JPEG_MAGIC
    source = ("CIFAR-10 (JPEG)" if lossy else "CIFAR-10") + ", Parquet: " + ", ".join(f.name for f in files)
    return _image_set(split, images, labels, source)


def _check_shards(files: list[Path]) -> None:
    """Names end in -00000-of-00002 and so on: all of them must be there, and no other, such as a browser's second copy."""
    name, _, total = files[0].stem.rpartition("-of-")
    count = int(total) if total.isdigit() else 0
    wanted = [f"{name[:-6]}-{i:05}-of-{count:05}" for i in range(min(count, MOST_SHARDS))]
    if (count or len(files) > 1) and wanted != [file.stem for file in files]:
        raise GazebookError(
            f"{files[0].parent} holds {', '.join(f.name for f in files[:3])}, not {count or 'one'} files of the split alone; "
            "remove what is not the data set's, complete it, or fetch it again"
        )


def _check_layout(file: Path, table: pa.Table) -> None:
    """The Hugging Face layout: img {bytes, path}, label in 0 to 9, at least one row."""
    schema = table.schema
    good = {"img", "label"} <= set(schema.names) and pa.types.is_struct(schema.field("img").type)
    good = good and schema.field("img").type.get_field_index("bytes") >= 0 and pa.types.is_integer(schema.field("label").type)
    if not good:
        raise GazebookError(
            f"{file} has columns {', '.join(f'{f.name} ({f.type})' for f in schema)}; expected img (bytes, path) and "
            "label (integer): use the Hugging Face layout of cifar10"
        )
    if not len(table) or not set(table["label"].unique().to_pylist()) <= set(range(len(CLASS_NAMES))):
        raise GazebookError(f"{file} is empty or has labels outside 0 to 9; fetch it again")


def _read_torchvision(split: str, folder: Path) -> ImageSet:
    from torchvision.datasets import CIFAR10  # takes seconds, and few who import this module need it

    try:
        data = CIFAR10(folder, train=split == "train")
    except (RuntimeError, OSError, EOFError) as error:
        raise GazebookError(
            f"{folder / TORCHVISION_FOLDER} is damaged ({first_line(error)}); delete that folder and run again"
        ) from error
    return _image_set(split, data.data, data.targets, "CIFAR-10, torchvision download")


def _image_set(split: str, images: np.ndarray, labels, source: str) -> ImageSet:
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return ImageSet("cifar10", split, pixels, torch.tensor(labels, dtype=torch.int64), CLASS_NAMES, source)
