"""Paper 1: SCrIBE (Liu, Lehman, AlRegib 2020), robustness and overfitting of implicit-background models."""

from gazebook.papers.scribe.claims import CLAIMS
from gazebook.papers.scribe.grid import (
    AXES,
    RULERS,
    axes,
    checkpoints,
    control,
    grid,
    heads,
    parts,
    published,
    scales,
    shown,
    single,
    sizes,
    sweeps,
)
from gazebook.papers.scribe.results import gate, results

TITLE = "SCrIBE: implicit background and overfitting without labels"
