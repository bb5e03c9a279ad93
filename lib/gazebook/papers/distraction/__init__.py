"""Paper 4: training that hides what the model looks at (Morales et al. 2021)."""

from gazebook.papers.distraction.claims import CLAIMS
from gazebook.papers.distraction.grid import (
    AXES,
    METHODS,
    RULERS,
    axes,
    checkpoints,
    fine_tuned,
    grid,
    leaky,
    main,
    on_set,
    sweep,
)
from gazebook.papers.distraction.results import gate, results

TITLE = "Playing to distraction: training that hides what the model looks at"
