"""Paper 1: SCrIBE (Liu, Lehman, AlRegib 2020), robustness and overfitting of implicit-background models."""

from gazebook.studies.scribe.claims import CLAIMS
from gazebook.studies.scribe.evaluation import evaluate, prepare
from gazebook.studies.scribe.runs import (
    AXES,
    axes,
    checkpoints,
    control,
    grid,
    heads,
    parts,
    published,
    reference,
    single,
    sweeps,
    table1,
)
from gazebook.studies.scribe.tidy import results

TITLE = "SCrIBE: implicit background and overfitting without labels"

__all__ = [
    "AXES", "CLAIMS", "TITLE", "axes", "checkpoints", "control", "evaluate", "grid", "heads", "parts", "prepare", "published",
    "reference", "results", "single", "sweeps", "table1",
]  # fmt: skip
