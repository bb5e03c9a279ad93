"""Paper 1: SCrIBE (Liu, Lehman, AlRegib 2020), robustness and overfitting of implicit-background models."""

from gazebook.studies.scribe.evaluation import evaluate
from gazebook.studies.scribe.runs import AXES, control, grid, heads, table1

TITLE = "SCrIBE: implicit background and overfitting without labels"

__all__ = ["AXES", "TITLE", "control", "evaluate", "grid", "heads", "table1"]
