"""What is measured, and how sure one may be of it."""

from gazebook.metrics.alignment import SCORES, centred_gaussian, saliency_alignment
from gazebook.metrics.attention import (
    SOFT,
    attention_mse,
    regions_per_image,
    soft_share,
    sparsity,
    sparsity_per_image,
)
from gazebook.metrics.backgrounds import (
    CATEGORIES,
    background_categories,
    background_gap,
    fooled_within,
    saliency_share,
)
from gazebook.metrics.calibration import accuracy, confidence, expected_calibration_error, reliability_bins
from gazebook.metrics.classification import classification_report
from gazebook.metrics.foreground import (
    macro_accuracy,
    relative_foreground_sensitivity,
    warning_zone,
)
from gazebook.metrics.regions import containment, map_entropy
from gazebook.metrics.statistics import (
    bootstrap_interval,
    mean_interval,
    mean_of_means_interval,
    rank_correlation,
    share_interval,
)

__all__ = [
    "CATEGORIES",
    "SCORES",
    "SOFT",
    "accuracy",
    "attention_mse",
    "background_categories",
    "background_gap",
    "bootstrap_interval",
    "centred_gaussian",
    "classification_report",
    "confidence",
    "containment",
    "expected_calibration_error",
    "fooled_within",
    "macro_accuracy",
    "map_entropy",
    "mean_interval",
    "mean_of_means_interval",
    "rank_correlation",
    "regions_per_image",
    "relative_foreground_sensitivity",
    "reliability_bins",
    "saliency_alignment",
    "saliency_share",
    "share_interval",
    "soft_share",
    "sparsity",
    "sparsity_per_image",
    "warning_zone",
]
