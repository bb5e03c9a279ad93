"""Image sets: `load(name, split)` finds, makes or downloads one."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from gazebook.data.image_set import ImageSet
from gazebook.data.sources import search_folders
from gazebook.errors import GazebookError, check_known

NAMES = (
    "scenes", "cifar10", "egofoodplaces", "fgvc_aircraft", "fine_scenes", "imagenet9", "imagenet_samples9", "photo_streams",
    "rival6_tiny", "rival10", "stanford_cars", "tiny_imagenet", "tiny_imagenet9",
)  # fmt: skip
# a module a data set, each with `load(split, root, **options)`; `prepare(root)` where it has files, and CLASS_NAMES where they
# are known before
SOURCES: dict[str, ModuleType] = {name: import_module(f"gazebook.data.{name}") for name in NAMES}
SPLITS = ("train", "test")


def load(name: str, split: str, *, root: str | Path | None = None, **options) -> ImageSet:
    """Split `train` or `test` of data set `name`.

    Looks in `root`, else in `$GAZEBOOK_DATA`, else in the user's cache folder, and only then downloads; `scenes` is
    made on the spot. Options are the data set's own. Raises GazebookError with the remedy.
    """
    source = _source(name)
    if root is not None:
        search_folders(name, root)  # what is made on the spot looks nowhere, but a wrong folder is told
    check_known("split", split, SPLITS, f" of {name}")
    try:
        return source.load(split, root=root, **options)
    except TypeError as error:
        if "keyword argument" in str(error):
            raise GazebookError(f"data set {name} does not know that option: {error}; see gazebook.data.{name}") from error
        raise


def prepare(name: str, root: str | Path | None = None) -> None:
    """Make sure that the files of data set `name` are there; downloads them otherwise. Raises GazebookError."""
    getattr(_source(name), "prepare", lambda _: None)(root)


def training_size(name: str, options: dict) -> int:
    """About how many training images data set `name` has, without loading it; 50,000 where it does not say."""
    return getattr(_source(name), "training_size", lambda **_: 50_000)(**options)


def class_names(name: str) -> tuple[str, ...]:
    """The classes of data set `name`, in the order of its labels, without loading it."""
    if not hasattr(_source(name), "CLASS_NAMES"):
        raise GazebookError(f"the classes of {name} depend on the files; load it")
    return _source(name).CLASS_NAMES


def _source(name: str) -> ModuleType:
    check_known("data set", name, SOURCES)
    return SOURCES[name]
