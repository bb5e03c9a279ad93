"""Paper 3: sensitivity to foregrounds, backgrounds and visual attributes (RIVAL10; Moayeri et al. 2022)."""

from gazebook.studies.foregrounds.claims import CLAIMS
from gazebook.studies.foregrounds.evaluation import evaluate
from gazebook.studies.foregrounds.runs import (
    AXES,
    MODELS,
    axes,
    checkpoints,
    cues,
    grid,
    on_pictures,
    on_scenes,
    parts,
    pictures,
    pretrained,
    scenes,
    with_cue,
)
from gazebook.studies.foregrounds.tidy import results

TITLE = "RIVAL10: sensitivity to foregrounds, backgrounds and attributes"

__all__ = [
    "AXES", "CLAIMS", "MODELS", "TITLE", "axes", "checkpoints", "cues", "evaluate", "grid", "on_pictures", "on_scenes", "parts",
    "pictures", "pretrained", "results", "scenes", "with_cue",
]  # fmt: skip
