"""Adversarial training: each batch is replaced by the worst images near it that a few steps of ascent find."""

from dataclasses import dataclass

import torch
from torch import nn

from gazebook.errors import GazebookError
from gazebook.explain.saliency import eval_mode

STEP = 2.5  # times epsilon / steps: the whole ball can be crossed (Madry et al. 2018)


@dataclass(frozen=True)
class Adversarial:
    """L2 projected gradient ascent (Madry et al. 2018) as an intervention for `fit`.

    `epsilon` is the radius of the ball around each image, in units of pixels in [0, 1]: of the same root mean square,
    radii scale with the side of the image, so that 3 at 224 px is .43 at 32 px and .86 at 64. The ascent starts at a random
    point of the ball, runs in evaluation mode, and stays in [0, 1].
    """

    epsilon: float
    steps: int = 3

    def __post_init__(self):
        if not self.epsilon > 0 or type(self.steps) is not int or self.steps < 1:
            raise GazebookError(
                f"epsilon is {self.epsilon} and steps {self.steps!r}; give a radius above 0 and at least one step"
            )

    def __call__(
        self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """float [N, 3, H, W] in [0, 1], int64 [N] -> worse images of that shape, and the labels."""
        start = torch.randn(images.shape, generator=generator, device=generator.device).to(images.device)
        radius = torch.rand(len(images), generator=generator, device=generator.device).to(images.device)
        change = self.epsilon * radius[:, None, None, None] * _unit(start)
        frozen = [p for p in model.parameters() if p.requires_grad]
        with eval_mode(model), torch.enable_grad():
            for p in frozen:  # gradients of weights are not needed, and cost as much again
                p.requires_grad_(False)
            try:
                for _ in range(self.steps):
                    change = self._climb(model, images, labels, change)
            finally:
                for p in frozen:
                    p.requires_grad_(True)
        return (images + change).clamp(0, 1), labels

    def _climb(self, model, images, labels, change):
        there = (images + change).clamp(0, 1).requires_grad_()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=torch.is_autocast_enabled(images.device.type)):
            loss = model.loss(model(there).float(), labels) * len(images)
        (gradient,) = torch.autograd.grad(loss, there)
        moved = there.detach() - images + STEP * self.epsilon / self.steps * _unit(gradient.float())
        length = moved.flatten(1).norm(dim=1).clamp_min(1e-12)
        return moved * (self.epsilon / length).clamp_max(1)[:, None, None, None]


def _unit(x: torch.Tensor) -> torch.Tensor:
    """Each picture's direction, of L2 length 1; 0 stays 0."""
    return x / x.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None, None]
