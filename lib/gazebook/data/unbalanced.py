"""Unbalanced classes: long tails, and oversampling against them."""

import numpy as np
import torch

from gazebook.errors import GazebookError


def long_tail(largest: int, imbalance: float, num_classes: int, seed: int = 0) -> np.ndarray:
    """Sizes of classes that fall exponentially from `largest` by a factor of `imbalance` (Cui et al. 2019): int64 [C], at least
    1 each; a seed decides which class is how large.
    """
    if largest < 1 or not imbalance >= 1:
        raise GazebookError(f"largest is {largest} and imbalance {imbalance}; give numbers of at least 1")
    falling = largest * imbalance ** -(np.arange(num_classes) / max(1, num_classes - 1))
    return np.maximum(1, np.round(falling)).astype(np.int64)[np.random.default_rng(seed).permutation(num_classes)]


def oversampled(labels: torch.Tensor, rank: int = 4, seed: int = 0) -> torch.Tensor:
    """Indices int64 [M] in which classes smaller than the `rank`-th largest are repeated up to its size (paper 4, section 5.2).

    Every image of such a class appears equally often, give or take one; larger classes stay as they are.
    """
    sizes = torch.bincount(labels)
    target = int(sizes.sort(descending=True).values[min(rank, len(sizes)) - 1])
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for c in sizes.nonzero()[:, 0].tolist():
        own = (labels == c).nonzero()[:, 0]
        rounds, rest = divmod(max(target, len(own)), len(own))
        chosen += [own] * rounds + [own[torch.randperm(len(own), generator=generator)[:rest]]]
    return torch.cat(chosen)
