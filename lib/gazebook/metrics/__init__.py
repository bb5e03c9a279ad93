"""What is measured, and how sure one may be of it."""

from gazebook.metrics.attention import (
    SOFT,
    attention_mse,
    classes_per_image,
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
from gazebook.metrics.statistics import bootstrap_interval, mean_interval, rank_correlation

__all__ = [
    "CATEGORIES",
    "SOFT",
    "accuracy",
    "attention_mse",
    "background_categories",
    "background_gap",
    "bootstrap_interval",
    "classes_per_image",
    "confidence",
    "expected_calibration_error",
    "fooled_within",
    "mean_interval",
    "rank_correlation",
    "regions_per_image",
    "reliability_bins",
    "saliency_share",
    "soft_share",
    "sparsity",
    "sparsity_per_image",
]
