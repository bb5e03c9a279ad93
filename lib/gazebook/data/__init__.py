"""Image sets: `load(name, split)` finds, makes or downloads one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gazebook.data import cifar10, scenes
from gazebook.data.image_set import ImageSet
from gazebook.errors import GazebookError

SOURCES: dict[str, Callable[..., ImageSet]] = {"scenes": scenes.load, "cifar10": cifar10.load}
SPLITS = ("train", "test")

__all__ = ["SOURCES", "SPLITS", "ImageSet", "load"]


def load(name: str, split: str, *, root: str | Path | None = None, **options) -> ImageSet:
    """Split `train` or `test` of data set `name`.

    Looks in `root`, else in `$GAZEBOOK_DATA`, else in the user's cache folder, and only then downloads; `scenes` is
    made on the spot. Options are the data set's own. Raises GazebookError with the remedy.
    """
    if name not in SOURCES:
        raise GazebookError(f"unknown data set {name!r}; choose from {', '.join(SOURCES)}")
    if split not in SPLITS:
        raise GazebookError(f"unknown split {split!r} of {name}; choose from {', '.join(SPLITS)}")
    try:
        return SOURCES[name](split, root=root, **options)
    except TypeError as error:
        if "keyword argument" in str(error):
            raise GazebookError(f"data set {name} does not know that option: {error}; see gazebook.data.{name}") from error
        raise
