"""Image sets: `load(name, split)` finds, makes or downloads one."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from gazebook.data import (
    cifar10,
    egofoodplaces,
    fgvc_aircraft,
    fine_scenes,
    imagenet9,
    imagenet_samples9,
    photo_streams,
    rival6_tiny,
    rival10,
    scenes,
    stanford_cars,
    tiny_imagenet,
    tiny_imagenet9,
)
from gazebook.data.image_set import ImageSet
from gazebook.data.sources import search_folders
from gazebook.errors import GazebookError

# a module a data set, each with `load(split, root, **options)` and `prepare(root)`, and CLASS_NAMES where they are known before
SOURCES: dict[str, ModuleType] = {
    "scenes": scenes,
    "cifar10": cifar10,
    "egofoodplaces": egofoodplaces,
    "fgvc_aircraft": fgvc_aircraft,
    "fine_scenes": fine_scenes,
    "imagenet9": imagenet9,
    "imagenet_samples9": imagenet_samples9,
    "photo_streams": photo_streams,
    "rival6_tiny": rival6_tiny,
    "rival10": rival10,
    "stanford_cars": stanford_cars,
    "tiny_imagenet": tiny_imagenet,
    "tiny_imagenet9": tiny_imagenet9,
}
SPLITS = ("train", "test")

__all__ = ["SOURCES", "SPLITS", "ImageSet", "class_names", "load", "prepare", "training_size"]


def load(name: str, split: str, *, root: str | Path | None = None, **options) -> ImageSet:
    """Split `train` or `test` of data set `name`.

    Looks in `root`, else in `$GAZEBOOK_DATA`, else in the user's cache folder, and only then downloads; `scenes` is
    made on the spot. Options are the data set's own. Raises GazebookError with the remedy.
    """
    source = _source(name)
    if root is not None:
        search_folders(name, root)  # what is made on the spot looks nowhere, but a wrong folder is told
    if split not in SPLITS:
        raise GazebookError(f"unknown split {split!r} of {name}; choose from {', '.join(SPLITS)}")
    try:
        return source.load(split, root=root, **options)
    except TypeError as error:
        if "keyword argument" in str(error):
            raise GazebookError(f"data set {name} does not know that option: {error}; see gazebook.data.{name}") from error
        raise


def prepare(name: str, root: str | Path | None = None) -> None:
    """Make sure that the files of data set `name` are there; downloads them otherwise. Raises GazebookError."""
    _source(name).prepare(root)


def training_size(name: str, options: dict) -> int:
    """About how many training images data set `name` has, without loading it; 50,000 where it does not say."""
    source = _source(name)
    return source.training_size(**options) if hasattr(source, "training_size") else 50_000


def class_names(name: str) -> tuple[str, ...]:
    """The classes of data set `name`, in the order of its labels, without loading it."""
    if not hasattr(_source(name), "CLASS_NAMES"):
        raise GazebookError(f"the classes of {name} depend on the files; load it")
    return _source(name).CLASS_NAMES


def _source(name: str) -> ModuleType:
    if name not in SOURCES:
        raise GazebookError(f"unknown data set {name!r}; choose from {', '.join(SOURCES)}")
    return SOURCES[name]
