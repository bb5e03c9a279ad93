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
    saliency_share,
)
from gazebook.metrics.calibration import accuracy, expected_calibration_error, reliability_bins
from gazebook.metrics.classification import classification_report
from gazebook.metrics.foreground import (
    macro_accuracy,
    relative_foreground_sensitivity,
    warning_zone,
)
from gazebook.metrics.regions import containment, map_entropy
from gazebook.metrics.statistics import (
    mean_interval,
    mean_of_means_interval,
    rank_correlation,
    share_interval,
)
