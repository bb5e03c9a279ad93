"""Paper 2: Noise or Signal (Xiao, Engstrom, Ilyas, Madry 2020), the role of image backgrounds."""

from gazebook.papers.backgrounds.claims import CLAIMS
from gazebook.papers.backgrounds.grid import (
    AXES,
    LARGE,
    RULERS,
    TRAINING_SETS,
    axes,
    checkpoints,
    family,
    grid,
    parts,
    picture,
    pretrained,
    reference,
    released,
    samples,
    scenes,
    sets,
    trained_on,
)
from gazebook.papers.backgrounds.results import gate, results

TITLE = "Noise or Signal: the role of image backgrounds"
