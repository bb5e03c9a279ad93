"""Paper 4: training that hides what the model looks at (Morales et al. 2021)."""

from gazebook.studies.distraction.claims import CLAIMS
from gazebook.studies.distraction.evaluation import evaluate
from gazebook.studies.distraction.runs import (
    AXES,
    METHODS,
    axes,
    checkpoints,
    fine_tuned,
    grid,
    leaky,
    main,
    of_part,
    sweep,
)
from gazebook.studies.distraction.tidy import results

TITLE = "Playing to distraction: training that hides what the model looks at"

__all__ = [
    "AXES", "CLAIMS", "METHODS", "TITLE", "axes", "checkpoints", "evaluate", "fine_tuned", "grid", "leaky", "main", "of_part",
    "results", "sweep",
]  # fmt: skip
