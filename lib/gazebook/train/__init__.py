"""Training: one `fit` for every study."""

from gazebook.train.fit import Recipe, autocast, fit, to_float

__all__ = ["Recipe", "autocast", "fit", "to_float"]
