"""What is measured of a trained model: one module a ruler."""

from gazebook.measure.ruler import Measured, Ruler, Trained, accuracy_row, checked, measure, probabilities

__all__ = ["Measured", "Ruler", "Trained", "accuracy_row", "checked", "measure", "probabilities"]
