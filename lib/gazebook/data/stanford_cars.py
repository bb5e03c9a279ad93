"""Stanford Cars (Krause et al. 2013): 16,185 images of 196 models of cars, in their published layout.

The authors' page is gone, and torchvision no longer downloads it: whoever has the files puts them into a folder.
"""

from pathlib import Path

import torch

from gazebook.data.image_set import ImageSet
from gazebook.data.local_folders import squares
from gazebook.data.sources import search_folders
from gazebook.errors import GazebookError

LAYOUT = "cars_train/, cars_test/, devkit/ and cars_test_annos_withlabels.mat"
REMEDY = f"stanford_cars/ must hold {LAYOUT}, as in the torchvision class StanfordCars"


def load(split: str, root: str | Path | None = None, *, size: int = 224) -> ImageSet:
    """Split train (8,144 images) or test (8,041), squeezed to `size`. Raises GazebookError."""
    from torchvision.datasets import StanfordCars  # takes seconds, and few who import this module need it

    folder = prepare(root)
    try:
        found = StanfordCars(folder.parent, split)
    except (RuntimeError, OSError, KeyError, ValueError) as error:
        raise GazebookError(f"{folder} cannot be read ({error}); {REMEDY}") from error
    files = [Path(file) for file, _ in found._samples]
    images = squares(files, size, f"stanford_cars {split}", REMEDY)
    labels = torch.tensor([int(label) for _, label in found._samples])
    ids = tuple(f.stem for f in files)
    return ImageSet("stanford_cars", split, images, labels, tuple(found.classes), "Stanford Cars", ids=ids)


def prepare(root: str | Path | None = None) -> Path:
    """The folder stanford_cars in the published layout. Raises GazebookError with where it was described."""
    for folder in search_folders("stanford_cars", root):
        if folder.name == "stanford_cars" and (folder / "devkit").is_dir():
            return folder
    raise GazebookError(
        "Stanford Cars is no longer served by its authors (Krause et al. 2013, 3D Object Representations for Fine-Grained "
        f"Categorization): put it into the folder stanford_cars of GAZEBOOK_DATA, with {LAYOUT}; or use fgvc_aircraft"
    )
