"""Training: one `fit` for every study."""

from gazebook.train import methods
from gazebook.train.fit import Recipe, fit, precision_on, to_float
from gazebook.train.probe import linear_probe
