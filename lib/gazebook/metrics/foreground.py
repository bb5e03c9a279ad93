"""Relative foreground sensitivity (paper 3): how much more noise in the foreground harms than noise in the background."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gazebook.metrics.checks import array, shares

BOTH_RIGHT = 0.02  # errors below it: a ratio of rare errors, which a few images decide
NEAR_CHANCE = 0.05  # above chance: accuracies that hardly differ from guessing


def relative_foreground_sensitivity(acc_fg: ArrayLike, acc_bg: ArrayLike) -> float | np.ndarray:
    """RFS = (a_bg - a_fg) / (2 min(a, 1 - a)), a the mean of the two (paper 3, released code); in [-1, 1].

    `acc_fg` and `acc_bg` are accuracies, or probabilities of the true class, in [0, 1], under noise in the foreground and in
    the background; numbers or arrays of one shape. 0 where both are 0 or both are 1. Above 0: the foreground matters more.
    """
    fg, bg = shares(acc_fg, "accuracies"), shares(acc_bg, "accuracies")
    mean = (fg + bg) / 2
    room = 2 * np.minimum(mean, 1 - mean)
    ratio = np.divide(bg - fg, room, out=np.zeros(np.broadcast(fg, bg).shape), where=room > 0)
    ratio = np.clip(ratio, -1, 1)  # of rounding
    return float(ratio) if ratio.ndim == 0 else ratio


def macro_accuracy(right: ArrayLike, labels: ArrayLike) -> float:
    """Mean over classes of the mean of `right` [N] in each; NaN without images."""
    right, labels = shares(right, "what is right"), array(labels)
    classes = np.unique(labels)
    return float(np.mean([right[labels == c].mean() for c in classes])) if len(classes) else float("nan")


def warning_zone(acc_fg: float, acc_bg: float, chance: float) -> str:
    """Where RFS says little: "both right" (errors under 2%), "near chance" (both less than five points above); else ""."""
    acc_fg, acc_bg = float(shares(acc_fg, "accuracies")), float(shares(acc_bg, "accuracies"))
    if 1 - acc_fg < BOTH_RIGHT and 1 - acc_bg < BOTH_RIGHT:
        return "both right"
    if acc_fg < chance + NEAR_CHANCE and acc_bg < chance + NEAR_CHANCE:
        return "near chance"
    return ""
