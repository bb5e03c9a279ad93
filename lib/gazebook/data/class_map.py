"""From the classes of a model to those of a set of images."""

import csv
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch

from gazebook.data import superclasses
from gazebook.errors import GazebookError
from gazebook.files import printable

NONE = superclasses.NONE  # of a model's class that is none of the set's: always wrong, as the authors of paper 2 count
REMEDY = "give --map FILE with a line MODEL_CLASS,FOLDER_CLASS each, or --no-labels to measure without labels"


@cache
def imagenet() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """WordNet ids and descriptions ("tench, Tinca tinca") of ImageNet's 1000 classes, in their order."""
    from timm.data import ImageNetInfo  # takes seconds, and few who import this module need it

    info = ImageNetInfo("imagenet-1k")
    return tuple(info.label_names()), tuple(info.label_descriptions())


def imagenet_names(count: int) -> tuple[str, ...] | None:
    """Names of the classes of a model with 1000 outputs, or with 1001, of which the first is the background."""
    names = tuple(description.split(",")[0] for description in imagenet()[1])
    return {1000: names, 1001: ("background", *names)}.get(count)


def class_map(own: Sequence[str] | None, count: int, classes: Sequence[str], file: Path | None = None) -> torch.Tensor:
    """The label in `classes` of each of a model's `count` classes, int64 [count]; NONE where it has none.

    By `file`; by ImageNet's order where the model has 1000 classes, or 1001, and `classes` are the nine superclasses, WordNet
    ids or ImageNet's names; by the model's names `own`; and in the order of `classes` for a model without names that has as
    many. Raises GazebookError where a class of the set would have none.
    """
    if file is not None:
        found = _from_file(file, own, count, classes)
    elif (of_imagenet := _from_imagenet(count, classes)) is not None:
        found = of_imagenet
    elif own is not None and set(map(_plain, classes)) <= set(map(_plain, own)):
        found = _by_name([_plain(n) for n in own], [_plain(c) for c in classes])
    elif own is None and count == len(classes):
        found = list(range(count))
    else:
        raise GazebookError(
            f"the model has {count} classes{_first(own)}, the images {len(classes)}{_first(classes)}, which are not among "
            f"them; {REMEDY}"
        )
    if missing := [name for label, name in enumerate(classes) if label not in found]:
        raise GazebookError(f"no class of the model stands for {printable(missing[0])!r}; {REMEDY}")
    return torch.tensor(found, dtype=torch.int64)


def _from_imagenet(count: int, classes: Sequence[str]) -> list[int] | None:
    """By ImageNet's own order; None where the classes are not its."""
    if count not in (1000, 1001):
        return None
    wnids, descriptions = imagenet()
    plain = [_plain(name) for name in classes]
    nine = {_plain(name): label for label, name in enumerate(superclasses.NAMES)}
    if set(plain) <= set(nine):
        label = [plain.index(name) if name in plain else NONE for name in nine]
        found = [NONE if s == NONE else label[s] for s in superclasses.to_superclass()]
    elif set(classes) <= set(wnids):
        found = _by_name(list(wnids), list(classes))
    else:
        names = [_plain(description.split(",")[0]) for description in descriptions]
        if not set(plain) <= {name for name in names if names.count(name) == 1}:
            return None
        found = _by_name(names, plain)
    return [NONE] * (count - 1000) + found


def _from_file(file: Path, own: Sequence[str] | None, count: int, classes: Sequence[str]) -> list[int]:
    """A line each: the model's class, by name or by number, and the set's."""
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            lines = [row for row in csv.reader(opened) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise GazebookError(f"the map {printable(file)} cannot be read ({error}); {REMEDY}") from error
    found, names = [NONE] * count, list(own or ())
    for number, row in enumerate(lines, 1):
        where = f"line {number} of {printable(file)}"
        if len(row) != 2:
            raise GazebookError(f"{where} has {len(row)} fields, not MODEL_CLASS,FOLDER_CLASS; correct it")
        model, name = (text.strip() for text in row)
        place = names.index(model) if model in names else int(model) if re.fullmatch(r"\d{1,9}", model) else count
        if place >= count or name not in classes:
            raise GazebookError(f"{where} names {printable(model)!r} and {printable(name)!r}, and one is no class; correct it")
        found[place] = list(classes).index(name)
    return found


def _by_name(names: list[str], classes: list[str]) -> list[int]:
    label = {name: i for i, name in enumerate(classes)}
    return [label.get(name, NONE) for name in names]


def _plain(name: str) -> str:
    """A name as it is compared: without a number before it (00_dog), in small letters, words apart by spaces."""
    return re.sub(r"[_\s-]+", " ", re.sub(r"^\d+[_\s-]+", "", name)).strip().lower()


def _first(names: Sequence[str] | None) -> str:
    return f" (such as {printable(names[0])!r})" if names else ""
