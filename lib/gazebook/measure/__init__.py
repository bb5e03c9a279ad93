"""What is measured of a trained model: one module a ruler; `survey` applies those that fit to any classifier."""

from gazebook.measure.opened import as_model, open_model
from gazebook.measure.ruler import Measured, Ruler, Trained, accuracy_row, checked, measure, probabilities
from gazebook.measure.survey import report
