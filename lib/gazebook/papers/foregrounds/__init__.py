"""Paper 3: sensitivity to foregrounds, backgrounds and visual attributes (RIVAL10; Moayeri et al. 2022)."""

from gazebook.papers.foregrounds.claims import CLAIMS
from gazebook.papers.foregrounds.grid import (
    AXES,
    MODELS,
    PROBED,
    RESNET,
    RULERS,
    SIMCLR,
    VIT,
    Axes,
    axes,
    checkpoints,
    cues,
    grid,
    images,
    on_images,
    on_scenes,
    parts,
    pretrained,
    probed,
    scenes,
    with_cue,
)
from gazebook.papers.foregrounds.results import gate, results

TITLE = "RIVAL10: sensitivity to foregrounds, backgrounds and attributes"
