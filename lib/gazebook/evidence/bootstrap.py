"""Where seeds and images both matter: resample seeds, then the images of each."""

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import ArrayLike

from gazebook.evidence.estimate import Estimate


def hierarchical_interval(seeds: Sequence[ArrayLike], resamples: int = 2000, seed: int = 0) -> Estimate:
    """The mean over seeds of the mean over images, values [N_s] for each seed, with a 95% bootstrap-t interval.

    Each resample draws seeds, then images within each. A percentile interval of so few seeds is too narrow: here the
    resampled means are studentised by the spread of their seeds' means, and the interval is never narrower than Student's over
    seeds. NaN bounds for fewer than three seeds.
    """
    groups = [np.asarray(g, np.float64) for g in seeds]
    means = np.array([g.mean() for g in groups])
    own = Estimate.of(means)
    if not own.decides or not np.ptp(means):
        return own
    random = np.random.default_rng(seed)
    count = len(groups)
    drawn = np.stack([_resampled_means(g, (resamples, count), random) for g in groups])  # of each seed, for each place
    chosen = random.integers(count, size=(resamples, count))
    sample = np.take_along_axis(drawn, chosen[None], axis=0)[0]
    spread = sample.std(axis=1, ddof=1) / np.sqrt(count)
    usable = spread > 0
    t = (sample.mean(axis=1)[usable] - own.value) / spread[usable]
    low, high = np.quantile(t, [0.025, 0.975])
    least = scipy.special.stdtrit(count - 1, 0.975)
    return Estimate(
        own.value, own.value - max(high, least) * own.error, own.value - min(low, -least) * own.error, count, own.unit
    )


def _resampled_means(values: np.ndarray, shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Means of bootstrap samples of values [N], float of that shape."""
    if len(values) > 400:  # the mean of so many is normal: no need to draw them one by one
        return values.mean() + values.std() / np.sqrt(len(values)) * random.standard_normal(shape)
    return values[random.integers(len(values), size=(*shape, len(values)))].mean(axis=2)
