"""RIVAL10 (Moayeri et al. 2022): ImageNet images of ten classes with object masks and masks of 18 attributes.

Its licence allows a copy for research and forbids passing it on, so it is neither downloaded nor shipped here: it is read in
its released layout, RIVAL10/{train,test}/ordinary and RIVAL10/{train,test}/entire_object_masks.
"""

import base64
import binascii
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from gazebook.data.image_set import ImageSet
from gazebook.data.local_folders import check_side, squeezed
from gazebook.data.sources import decode, search_folders
from gazebook.errors import GazebookError

# each class with its two WordNet ids, in the order of the released labels
SYNSETS = {
    "truck": ("n03796401", "n04467665"),
    "car": ("n02814533", "n03100240"),
    "plane": ("n02690373", "n04552348"),
    "ship": ("n03673027", "n03095699"),
    "cat": ("n02123394", "n02124075"),
    "dog": ("n02099712", "n02099601"),
    "equine": ("n02389026", "n02391049"),
    "deer": ("n02423022", "n02422699"),
    "frog": ("n01644900", "n01644373"),
    "bird": ("n01531178", "n01532829"),
}
CLASS_NAMES = tuple(SYNSETS)
# in the order of the released label vectors
ATTRIBUTES = (
    "long-snout", "wings", "wheels", "text", "horns", "floppy-ears", "ears", "colored-eyes", "tail", "mane", "beak", "hairy",
    "metallic", "rectangular", "wet", "long", "tall", "patterned",
)  # fmt: skip
WHOLE = "entire-object"  # a further key of the dictionaries
FOLDER = "RIVAL10"
SIZE = 224  # the authors'; images are resized to a square without keeping their aspect, as they do
REMEDY = "fetch it again"


def load(
    split: str, root: str | Path | None = None, *, size: int = SIZE, images: int | None = None, attributes: bool = False
) -> ImageSet:
    """A split with object masks, and with `attributes` their masks (18 bytes a pixel: ask for few images, or small ones).

    Images without an object mask are left out and counted in `source`; `images` takes so many, balanced over the classes.
    A mask is what is at least half bright after resizing (the authors also use it unthresholded). Raises GazebookError.
    """
    check_side(size)
    folder = prepare(root) / split
    pictures = sorted((folder / "ordinary").glob("*.JPEG"), key=lambda f: f.name)
    pictures = [f for f in pictures if not f.stem.endswith("_merged_mask")]
    usable = [f for f in pictures if _mask_file(f).is_file()]
    if not usable:
        raise GazebookError(f"{folder} holds no image with an object mask; complete it as released")
    labels = torch.tensor([_label(f) for f in usable])
    found = ImageSet("rival10", split, torch.empty(len(usable), 0), labels, CLASS_NAMES, "", ids=tuple(f.stem for f in usable))
    if images is not None:
        found = found.fraction(1.0, 0, images)
    read = _read(folder / "ordinary", found.ids, size, attributes)
    missing = len(pictures) - len(usable)
    source = f"RIVAL10 at {size} px" + (f", {missing} images without object mask left out" if missing else "")
    return replace(found, source=source, attribute_names=ATTRIBUTES if attributes else (), **read)


def prepare(root: str | Path | None = None) -> Path:
    """The folder that holds `train` and `test`. Raises GazebookError that says where to get it."""
    folders = search_folders("rival10", root)
    for folder in folders:
        for place in (folder / FOLDER, folder):
            if (place / "test" / "ordinary").is_dir():
                return place
    raise GazebookError(
        f"rival10 was not found in {folders[0]}; its licence forbids passing it on: ask for it at the authors' project page "
        f"(github.com/mmoayeri/RIVAL10) and unpack it to rival10/{FOLDER}/ in a folder that GAZEBOOK_DATA names, "
        "or use rival6_tiny"
    )


def _read(folder: Path, ids: tuple[str, ...], size: int, attributes: bool) -> dict[str, torch.Tensor | None]:
    images = torch.empty(len(ids), 3, size, size, dtype=torch.uint8)
    masks = torch.empty(len(ids), size, size, dtype=torch.bool)
    parts = torch.zeros(len(ids), len(ATTRIBUTES), size, size, dtype=torch.bool) if attributes else None
    for i, name in enumerate(tqdm(ids, "reading RIVAL10", unit=" images", delay=2, leave=False)):
        file = folder / f"{name}.JPEG"
        images[i] = torch.from_numpy(squeezed(decode(file, str(file), REMEDY), size).transpose(2, 0, 1).copy())
        mask = _mask_file(file)
        masks[i] = torch.from_numpy(squeezed(decode(mask, str(mask), REMEDY), size)[..., 0] >= 128)
        if attributes:
            _fill(parts[i], file, size)
    return {"images": images, "masks": masks, "attributes": parts}


def _fill(parts: torch.Tensor, picture: Path, size: int) -> None:
    """Masks of the attributes that an image has: those that its labels name and its dictionary localises."""
    labels_file = picture.with_name(f"{picture.stem}_attr_labels.npy")
    try:
        present = np.load(labels_file, allow_pickle=False)[0].astype(bool)
        if present.shape != (len(ATTRIBUTES),):
            raise ValueError(f"labels of {present.size} attributes, not {len(ATTRIBUTES)}")
    except (OSError, ValueError, TypeError, IndexError, EOFError) as error:
        raise GazebookError(f"the attribute labels {labels_file} cannot be read ({error}); {REMEDY}") from error
    for name, png in attribute_dictionary(picture.with_name(f"{picture.stem}_attr_dict.pkl")).items():
        if name != WHOLE and present[ATTRIBUTES.index(name)]:
            mask = squeezed(decode(png, f"the mask of {name} of {picture}", REMEDY), size)
            parts[ATTRIBUTES.index(name)] = torch.from_numpy(mask.any(axis=2))


def attribute_dictionary(file: Path) -> dict[str, bytes]:
    """Attribute name -> PNG of its mask, of a released dictionary; `entire-object` is a further key.

    The files are pickles; only plain dictionaries of texts are unpickled. Raises GazebookError.
    """
    try:
        with file.open("rb") as stored:
            texts = _Plain(stored).load()
        found = {name: base64.b64decode(text) for name, text in texts.items()}
    except (OSError, pickle.UnpicklingError, EOFError, AttributeError, TypeError, ValueError, binascii.Error) as error:
        raise GazebookError(f"the attribute dictionary {file} is damaged ({error}); {REMEDY}") from error
    if unknown := sorted(set(found) - {*ATTRIBUTES, WHOLE}):
        raise GazebookError(f"the attribute dictionary {file} has unknown {', '.join(unknown)}; {REMEDY}")
    return found


class _Plain(pickle.Unpickler):
    """Unpickles what needs no code: a file from elsewhere may not call anything."""

    def find_class(self, module, name):
        if (module, name) == ("_codecs", "encode"):  # how old protocols write bytes
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _mask_file(picture: Path) -> Path:
    return picture.parent.parent / "entire_object_masks" / picture.name


def _label(picture: Path) -> int:
    for label, synsets in enumerate(SYNSETS.values()):
        if picture.name.startswith(synsets):
            return label
    raise GazebookError(f"{picture} is of none of RIVAL10's classes; remove it")
