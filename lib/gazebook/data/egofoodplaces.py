"""EgoFoodPlaces (Talavera et al. 2020): egocentric images of fifteen food-related scenes, from a local folder.

Nobody serves it. The layout read here: a folder for each class, and `splits.csv` with columns file, event, split, where file is
CLASS/NAME.jpg, event names the stretch of the photo stream, and split is train, val or test.
"""

from pathlib import Path

import pandas as pd
import torch

from gazebook.data.image_set import ImageSet
from gazebook.data.local_folders import squares
from gazebook.data.sources import search_folders
from gazebook.data.unbalanced import oversampled
from gazebook.errors import GazebookError

CLASS_NAMES = (
    "bakery shop", "bar", "beer hall", "cafeteria", "coffee shop", "dining room", "food court", "ice cream parlor", "kitchen",
    "market indoor", "market outdoor", "picnic area", "pub indoor", "restaurant", "supermarket",
)  # fmt: skip
TABLE = "splits.csv"
COLUMNS = ("file", "event", "split")
SPLITS = ("train", "val", "test")
REMEDY = f"give {TABLE} with the columns {', '.join(COLUMNS)}"


def load(split: str, root: str | Path | None = None, *, size: int = 250, oversample: bool = True) -> ImageSet:
    """A split, squeezed to `size`; in training, classes smaller than the fourth largest are repeated up to its size.

    `ids` are event/file. Raises GazebookError, also where an event is in two splits or a class has no images.
    """
    folder = prepare(root)
    table = _table(folder)
    rows = table[table["split"] == split].reset_index(drop=True)
    if rows.empty:
        raise GazebookError(f"{folder / TABLE} has no images of split {split}; complete it")
    labels = torch.tensor([CLASS_NAMES.index(file.partition("/")[0]) for file in rows["file"]])
    images = squares([folder / file for file in rows["file"]], size, f"egofoodplaces {split}", REMEDY)
    ids = tuple(f"{event}/{file}" for event, file in zip(rows["event"], rows["file"], strict=True))
    found = ImageSet("egofoodplaces", split, images, labels, CLASS_NAMES, "EgoFoodPlaces", ids=ids)
    return found.select(oversampled(labels)) if oversample and split == "train" else found


def prepare(root: str | Path | None = None) -> Path:
    """The folder of the images. Raises GazebookError with where they were described."""
    for folder in search_folders("egofoodplaces", root):
        if (folder / TABLE).is_file():
            return folder
    raise GazebookError(
        "EgoFoodPlaces is not served anywhere (described by Talavera et al. 2020, Hierarchical approach to classify food "
        "scenes in egocentric photo-streams): put it into the folder egofoodplaces of GAZEBOOK_DATA, one folder per class, and "
        f"{TABLE} with columns {', '.join(COLUMNS)}; or use photo_streams"
    )


def _table(folder: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(folder / TABLE, dtype=str)
    except (OSError, ValueError) as error:
        raise GazebookError(f"{folder / TABLE} cannot be read ({error}); {REMEDY}") from error
    if missing := [c for c in COLUMNS if c not in table or table[c].isna().any()]:
        raise GazebookError(f"{folder / TABLE} lacks values of {', '.join(missing)}; {REMEDY}")
    if unknown := sorted(set(table["split"]) - set(SPLITS)):
        raise GazebookError(f"{folder / TABLE} has an unknown split {unknown[0]!r}; choose from {', '.join(SPLITS)}")
    if unknown := sorted({f.partition("/")[0] for f in table["file"]} - set(CLASS_NAMES)):
        raise GazebookError(f"{folder / TABLE} has an unknown class {unknown[0]!r}; choose from {', '.join(CLASS_NAMES)}")
    shared = table.groupby("event")["split"].nunique()
    if (shared > 1).any():
        raise GazebookError(f"event {shared.idxmax()!r} of {folder / TABLE} is in two splits; put each event into one")
    return table
