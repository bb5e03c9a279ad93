"""Paper 2: Noise or Signal (Xiao, Engstrom, Ilyas, Madry 2020), the role of image backgrounds."""

from gazebook.studies.backgrounds.claims import CLAIMS
from gazebook.studies.backgrounds.evaluation import evaluate
from gazebook.studies.backgrounds.runs import (
    AXES,
    LARGE,
    TRAINING_SETS,
    axes,
    checkpoints,
    family,
    grid,
    parts,
    pretrained,
    reference,
    released,
    scenes,
    sets,
    trained_on,
)
from gazebook.studies.backgrounds.tidy import results

TITLE = "Noise or Signal: the role of image backgrounds"

__all__ = [
    "AXES", "CLAIMS", "LARGE", "TITLE", "TRAINING_SETS", "axes", "checkpoints", "evaluate", "family", "grid", "parts",
    "pretrained", "reference", "released", "results", "scenes", "sets", "trained_on",
]  # fmt: skip
