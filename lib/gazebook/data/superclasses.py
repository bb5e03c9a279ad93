"""The nine superclasses of ImageNet-9 and the official map from ImageNet's 1000 classes to them (paper 2).

The map stands in imagenet9_map.csv: the classes that the authors' `in_to_in9.json` (MadryLab/backgrounds_challenge) gives a
label, with the WordNet ids that ImageNet's order implies. 370 of the 1000 classes belong to a superclass, 630 to none. It is
not quite WordNet: cats, two hounds and seven birds that the ancestors cover are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd

NONE = -1  # of the classes that belong to no superclass
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Superclass:
    """A class of ImageNet-9: its name, its folder in the released archive, its WordNet ancestor."""

    name: str
    folder: str
    wnid: str


# in the order of their labels
SUPERCLASSES = (
    Superclass("dog", "00_dog", "n02084071"),
    Superclass("bird", "01_bird", "n01503061"),
    Superclass("wheeled vehicle", "02_wheeled vehicle", "n04576211"),
    Superclass("reptile", "03_reptile", "n01661091"),
    Superclass("carnivore", "04_carnivore", "n02075296"),
    Superclass("insect", "05_insect", "n02159955"),
    Superclass("musical instrument", "06_musical instrument", "n03800933"),
    Superclass("primate", "07_primate", "n02469914"),
    Superclass("fish", "08_fish", "n02512053"),
)
NAMES = tuple(s.name for s in SUPERCLASSES)


@cache
def to_superclass() -> np.ndarray:
    """The superclass of each ImageNet class, int64 [1000]; -1 where there is none."""
    table = np.full(IMAGENET_CLASSES, NONE, np.int64)
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
