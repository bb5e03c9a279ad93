"""How well classes are told apart: accuracy, and precision, recall and F1 as macro and weighted averages."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gazebook.metrics.checks import predictions

AVERAGES = ("macro", "weighted")
SCORES = ("precision", "recall", "f1")


def classification_report(p: ArrayLike, y: ArrayLike) -> dict:
    """Probabilities float [N, C] and labels int [N] -> accuracy; macro_precision to weighted_f1; recall, a list of C.

    Macro averages give each class that has images the same weight, weighted ones its number of images. A class that is
    never predicted has precision 0; the recall of a class without images is NaN. Weighted recall is accuracy.
    """
    from sklearn.metrics import precision_recall_fscore_support  # takes seconds, and only evaluation needs it

    p, y = predictions(p, y)
    predicted, there = p.argmax(axis=1), np.unique(y)
    report = {"accuracy": float((predicted == y).mean())}
    for average in AVERAGES:
        scores = precision_recall_fscore_support(y, predicted, labels=there, average=average, zero_division=0)
        report |= {f"{average}_{name}": float(value) for name, value in zip(SCORES, scores[:3], strict=True)}
    recall = np.full(p.shape[1], np.nan)
    for c in there:
        recall[c] = (predicted[y == c] == c).mean()
    return report | {"recall": recall.tolist()}
