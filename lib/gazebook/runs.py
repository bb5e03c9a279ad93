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
from typing import Any

from gazebook.errors import GazebookError

FORMAT = 1
PROFILES = ("demo", "cpu", "paper")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training of one model and its evaluation.

    Shares and probabilities are in [0, 1]; `milestones` are shares of the training's length; `lr` is the learning
    rate at the start. `train_images` and `test_images` limit a split to that many images, class-balanced; None
    takes all. `fraction` is the class-balanced, nested, seeded share of those training images, and `variant` what becomes
    of them (see `images.composite`). Exactly one of `epochs` and `updates` gives the training's length; 0 updates leave a
    pretrained model as it is. `method` says what differs from plain training (see `train.methods`); with `probe` a linear
    head is fitted afterwards to the frozen trunk. `evaluation` says what is measured beyond the default; its `data`
    are options of the test images where they differ from `data_options`.
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
    milestones: tuple[float, ...] = (2 / 3, 5 / 6)
    gamma: float = 0.1
    schedule: str = "steps"
    precision: str = "bf16"
    seed: int = 0
    evaluation: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "milestones", tuple(self.milestones))
        if not 0 < self.fraction <= 1:
            raise GazebookError(f"fraction is {self.fraction}; give a share in (0, 1]")
        if (self.epochs is None) == (self.updates is None):
            raise GazebookError("give exactly one of epochs and updates; set the other to None")
        for name in ("epochs", "updates", "batch_size", "train_images", "test_images"):
            value = getattr(self, name)
            least = 0 if name == "updates" else 1
            if value is not None and (type(value) is not int or value < least):
                raise GazebookError(f"{name} is {value!r}; give a whole number of at least {least}")
        if self.updates == 0 and self.head != "imagenet" and not (self.probe and self.trunk.startswith("pretrained/")):
            raise GazebookError("0 updates are for pretrained models (head imagenet, or a probed pretrained/ trunk); give more")
        if self.method == "contrastive" and not self.probe:
            raise GazebookError("contrastive training leaves the head untrained; set probe to True")
        if self.precision not in ("bf16", "fp32"):
            raise GazebookError(f"precision is {self.precision!r}; give bf16 or fp32")

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
        return self.replace(evaluation={}, test_images=None, probe=self.method == "contrastive")

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


def _is_default(run: Run, f: dataclasses.Field) -> bool:
    default = f.default if f.default is not dataclasses.MISSING else f.default_factory()
    return getattr(run, f.name) == default


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
