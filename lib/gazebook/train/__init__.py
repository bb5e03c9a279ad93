"""Training: one `fit` for every study."""

from gazebook.train.fit import Recipe, fit, precision_on, to_float

__all__ = ["Recipe", "fit", "precision_on", "to_float"]
