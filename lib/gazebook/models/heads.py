"""Heads: features [N, K, h, w] -> class maps [N, C, h, w] -> image logits [N, C], and the loss that trains them."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def lse_pool(maps: torch.Tensor, r: float = 0.5) -> torch.Tensor:
    """LSE pooling (paper 1, section 2.1; Pinheiro & Collobert 2015): [N, C, h, w] -> [N, C], stable in float32.

    s = (1/r) log mean_ij exp(r v_ij): the mean for r -> 0, the maximum for r -> infinity. Raises ValueError for r <= 0.
    """
    if not r > 0:
        raise ValueError(f"r is {r}; LSE pooling needs r > 0")
    flat = maps.flatten(2)
    flat = flat.float() if flat.dtype in (torch.bfloat16, torch.float16) else flat
    return (torch.logsumexp(r * flat, dim=2) - math.log(flat.shape[2])) / r


def implicit_background(maps: torch.Tensor) -> torch.Tensor:
    """Background logit (Lehman et al. 2019): class maps [N, C, h, w] -> [N, h, w], -logsumexp over the classes.

    Its sigmoid is the background probability 1 / (1 + sum exp v) of paper 1, section 2.1.
    """
    return -torch.logsumexp(maps.float() if maps.dtype in (torch.bfloat16, torch.float16) else maps, dim=1)


class SoftmaxHead(nn.Module):
    """Global average pooling and a linear layer, written as class maps and their mean; cross-entropy."""

    def __init__(self, channels: int, num_classes: int):
        super().__init__()
        self.maps = nn.Conv2d(channels, num_classes, 1)

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """Class maps [N, C, h, w] -> image logits [N, C] in float32."""
        return maps.float().mean(dim=(2, 3))

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy of logits [N, C] and labels int64 [N], or shares of each class float [N, C]."""
        return F.cross_entropy(logits, labels)


class ScribeHead(nn.Module):
    """SCrIBE (paper 1, section 2.1): class maps by a 1x1 convolution, LSE pooling, sigmoid cross-entropy for each class.

    The loss is the released notebooks' mean over batch and classes; the background enters at read-out only.
    """

    def __init__(self, channels: int, num_classes: int, r: float = 0.5):
        super().__init__()
        self.maps = nn.Conv2d(channels, num_classes, 1)
        nn.init.kaiming_normal_(self.maps.weight)
        self.r = r

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """Class maps [N, C, h, w] -> image logits [N, C] in float32."""
        return lse_pool(maps, self.r)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean binary cross-entropy of logits [N, C] and one-hot labels from int64 [N]."""
        return F.binary_cross_entropy_with_logits(logits, F.one_hot(labels, logits.shape[1]).to(logits.dtype))
