"""`Run`: everything that determines a result, and its key.

A run is plain data. Its key is a hash of its canonical form, which leaves out every field that has its default
value: a later chapter may add a field without changing the keys of published results. Two rules follow: a default
may never change its value, and a change of what training computes raises `FORMAT`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any

from gazebook.errors import GazebookError, check_known

FORMAT = 1
PROFILES = ("demo", "cpu", "paper")
# names that a field may have; the modules that give them their meaning are tested to know just these
NAMES = {
    "optimizer": ("sgd", "adamw"),
    "schedule": ("steps", "cosine"),
    "precision": ("bf16", "fp32"),
    "head": ("softmax", "scribe", "imagenet"),
    "method": ("plain", "adversarial", "contrastive", "distraction", "mixing"),
    "variant": ("original", "only_bg_b", "only_bg_t", "no_fg", "only_fg", "mixed_same", "mixed_rand", "mixed_next"),
    "augmentation": (
        "none", "crop", "flip", "rotate", "perspective", "color", "combined", "resized_crop", "grey", "rotate40",
        "shift_channels", "brightness",
    ),
}  # fmt: skip
# options that are real numbers: 1 and 1.0 are one value of theirs, written 1.0; any other whole number is written 1
REAL_OPTIONS = {"area", "background_correlation", "drop_path", "epsilon", "hidden", "p", "r", "share", "th"}


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training of one model and its evaluation.

    Shares and probabilities are in [0, 1]; `milestones` are shares of the training's length; `lr` is the learning rate at
    the start, `epsilon` AdamW's. `train_images` and `test_images` limit a split to that many images, class-balanced; None
    takes all. `fraction` is the class-balanced, nested, seeded share of those training images, and `variant` what becomes
    of them (see `images.composite`). Exactly one of `epochs` and `updates` gives the training's length; 0 updates leave a
    pretrained model as it is. `method` says what differs from plain training (see `train.methods`); with `probe` a linear
    head is fitted afterwards to the frozen trunk. `evaluation` says what is measured beyond the default; its `data` are
    options of the test images where they differ from `data_options`.
    """

    study: str
    data: str = "scenes"
    data_options: dict[str, Any] = field(default_factory=dict)
    train_images: int | None = None
    test_images: int | None = None
    fraction: float = 1.0
    variant: str = "original"
    augmentation: str = "none"
    trunk: str = "resnet8"
    trunk_options: dict[str, Any] = field(default_factory=dict)
    head: str = "scribe"
    head_options: dict[str, Any] = field(default_factory=dict)
    method: str = "plain"
    method_options: dict[str, Any] = field(default_factory=dict)
    probe: bool = False
    epochs: int | None = 30
    updates: int | None = None
    batch_size: int = 128
    optimizer: str = "sgd"
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    epsilon: float = 1e-8
    milestones: tuple[float, ...] = (2 / 3, 5 / 6)
    gamma: float = 0.1
    schedule: str = "steps"
    precision: str = "bf16"
    seed: int = 0
    evaluation: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        for f in fields(self):
            object.__setattr__(self, f.name, _checked(f, getattr(self, f.name)))
        for name, known in NAMES.items():
            given = getattr(self, name)
            for part in given.split("+") if name == "augmentation" else [given]:
                check_known(name, part, known)
        if not 0 < self.fraction <= 1:
            raise GazebookError(f"fraction is {self.fraction}; give a share in (0, 1]")
        if (self.epochs is None) == (self.updates is None):
            raise GazebookError("give exactly one of epochs and updates; set the other to None")
        for name in ("epochs", "updates", "batch_size", "train_images", "test_images"):
            least = 0 if name == "updates" else 1
            if (value := getattr(self, name)) is not None and value < least:
                raise GazebookError(f"{name} is {value!r}; give a whole number of at least {least}")
        if self.updates == 0 and self.head != "imagenet" and not (self.probe and self.trunk.startswith("pretrained/")):
            raise GazebookError("0 updates are for pretrained models (head imagenet, or a probed pretrained/ trunk); give more")
        if self.method == "contrastive" and not self.probe:
            raise GazebookError("contrastive training leaves the head untrained; set probe to True")

    def canonical(self) -> dict[str, Any]:
        """The fields that differ from their defaults, JSON-ready, in a fixed order."""
        return {
            f.name: _plain(getattr(self, f.name))
            for f in fields(self)
            if (f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING) or not _is_default(self, f)
        }

    @property
    def key(self) -> str:
        """16 hexadecimal digits that name this run's record."""
        text = json.dumps({"format": FORMAT, **self.canonical()}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def training(self) -> Run:
        """The run without what only matters after training: runs that share it share their trained weights."""
        probe = self.probe and (self.method == "contrastive" or self.updates == 0)  # without which there is no such run
        return self.replace(evaluation={}, test_images=None, probe=probe)

    def __hash__(self):
        return hash(self.key)

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-ready."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Run:
        """The run that `to_dict` or `canonical` wrote. Raises GazebookError on a field this version does not know."""
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise GazebookError(f"run has unknown fields {', '.join(unknown)}; update gazebook, or correct the names")
        return cls(**values)

    def replace(self, **changes) -> Run:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def check_overrides(changes: dict[str, Any], varied: set[str]) -> None:
    """Raises GazebookError where `changes` names what is no field of Run, or one that the axes of a study vary."""
    if unknown := sorted((set(changes) - {f.name for f in fields(Run)}) | (set(changes) & varied)):
        raise GazebookError(
            f"overrides cannot set {', '.join(unknown)}; give fields of Run other than {', '.join(sorted(varied))}"
        )


def _checked(f: dataclasses.Field, value: Any) -> Any:
    """A field's value in the one form that its key is made from. Raises GazebookError for a value of another type."""
    kind, _, optional = str(f.type).partition(" | ")
    kind = kind.partition("[")[0]
    if optional and value is None:
        return None
    if kind == "float" and _is_number(value):
        return float(value)
    if kind == "int" and _is_number(value) and isinstance(value, Integral):
        return int(value)
    if kind == "tuple" and isinstance(value, list | tuple) and all(map(_is_number, value)):
        return tuple(map(float, value))
    if (kind == "str" and isinstance(value, str) and value) or (kind == "bool" and isinstance(value, bool)):
        return value
    if kind == "dict" and isinstance(value, dict):
        return _option(f.name, f.name, value)
    wanted = {"float": "a finite number", "int": "a whole number", "tuple": "a list of numbers", "str": "a name"}
    raise GazebookError(f"{f.name} is {value!r}; give {wanted.get(kind, f'a {kind}')}")


def _option(field_name: str, name: str, value: Any) -> Any:
    """An option's value, JSON-ready; equal numbers become the same text. Raises GazebookError for what is not JSON."""
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _option(field_name, key, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_option(field_name, name, inner) for inner in value]
    if value is None or isinstance(value, str | bool):
        return value
    if _is_number(value):
        return int(value) if value == int(value) and name not in REAL_OPTIONS else float(value)
    raise GazebookError(f"{field_name} has {name} {value!r}; give text, finite numbers, lists or dicts of them")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and abs(value) < 1e300  # so not NaN either


def _is_default(run: Run, f: dataclasses.Field) -> bool:
    default = f.default if f.default is not dataclasses.MISSING else f.default_factory()
    return getattr(run, f.name) == default


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
