"""The nine superclasses of ImageNet-9 and the official map from ImageNet's 1000 classes to them (paper 2).

The map stands in imagenet9_map.csv: the classes that the authors' `in_to_in9.json` (MadryLab/backgrounds_challenge) gives a
label, with the WordNet ids that ImageNet's order implies. 370 of the 1000 classes belong to a superclass, 630 to none. It is
not quite WordNet: cats, two hounds and seven birds that the ancestors cover are left out.
"""

from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd

NONE = -1  # of the classes that belong to no superclass
# in the order of their labels, as the released archive names them
FOLDERS = (
    "00_dog", "01_bird", "02_wheeled vehicle", "03_reptile", "04_carnivore", "05_insect", "06_musical instrument", "07_primate",
    "08_fish",
)  # fmt: skip
NAMES = tuple(folder[3:] for folder in FOLDERS)


@cache
def to_superclass() -> np.ndarray:
    """The superclass of each ImageNet class, int64 [1000]; -1 where there is none."""
    table = np.full(1000, NONE, np.int64)
    mapped = _map()
    table[mapped["imagenet_index"]] = mapped["label"]
    table.setflags(write=False)
    return table


@cache
def superclass_of_wnid() -> dict[str, int]:
    """The label of the WordNet id of each of the 370 ImageNet classes that have a superclass."""
    return dict(zip(_map()["wnid"], map(int, _map()["label"]), strict=True))


@cache
def _map() -> pd.DataFrame:
    with files("gazebook.data").joinpath("imagenet9_map.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)
