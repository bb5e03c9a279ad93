"""Contrastive training (SimCLR; Chen et al. 2020): a trunk learns to tell two views of one image from those of others."""

import torch
import torch.nn.functional as F
from torch import nn

from gazebook.errors import GazebookError


class Contrastive:
    """Intervention for `fit`: two augmented views of each image, and as each view's target the place of the other.

    `wrap` gives the module that is trained: a classifier's trunk behind a projection, whose logits are similarities.
    """

    views = 2

    def __init__(self, temperature: float = 0.2, projection: int = 64):
        if not temperature > 0:
            raise GazebookError(f"temperature is {temperature}; give a number above 0")
        self.temperature, self.projection = temperature, projection

    def wrap(self, classifier: nn.Module) -> nn.Module:
        """The similarities of a classifier's views, for training; its head stays as it is."""
        return Similarities(classifier, self.projection, self.temperature)

    def __call__(self, model, images: torch.Tensor, labels: torch.Tensor, generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Views float [2N, 3, H, W], labels (not looked at) -> the views, and the place of each one's twin int64 [2N]."""
        n = len(images)
        return images, (torch.arange(n, device=images.device) + n // 2) % n


class Similarities(nn.Module):
    """Views [M, 3, H, W] -> cosine similarities over temperature [M, M], -inf of a view with itself (NT-Xent's logits)."""

    def __init__(self, classifier: nn.Module, projection: int, temperature: float):
        super().__init__()
        width = classifier.trunk.channels
        self.classifier, self.temperature = classifier, temperature
        self.project = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, projection))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = F.normalize(self.project(self.classifier.features(x).mean(dim=(2, 3))).float(), dim=1)
        with torch.autocast(x.device.type, enabled=False):
            similar = z @ z.T / self.temperature
        return similar.masked_fill(torch.eye(len(x), dtype=torch.bool, device=x.device), float("-inf"))

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """NT-Xent (Chen et al. 2020, equation 1): mean over the views of -log softmax at the twin."""
        return F.cross_entropy(logits, targets)
