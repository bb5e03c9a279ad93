"""Where any classifier looks: Grad-CAM and the input gradient."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn

from gazebook.errors import GazebookError
from gazebook.models.heads import SoftmaxHead
from gazebook.models.vit import as_maps


def grad_cam(
    model: nn.Module, images: torch.Tensor, classes: torch.Tensor, layer: nn.Module | None = None, *, scale: bool = True
) -> torch.Tensor:
    """Grad-CAM (Selvaraju et al. 2017) for one class an image: float [N, 3, H, W], int64 [N] -> float32 [N, H, W] in [0, 1].

    ReLU of `class_weighted_maps`, resized bilinearly, then min-max normalised for each image (a constant map becomes 0);
    without `scale` it keeps its own values, at least 0. The model's BatchNorm statistics, its mode and all `.grad` stay as
    they were.
    """
    maps = upsample(F.relu(class_weighted_maps(model, images, classes, layer)), images.shape[-2:])
    return minmax_normalize(maps) if scale else maps


def class_weighted_maps(
    model: nn.Module, images: torch.Tensor, classes: torch.Tensor, layer: nn.Module | None = None
) -> torch.Tensor:
    """Grad-CAM before its ReLU: sum_k alpha_k f_k, float [N, 3, H, W], int64 [N] -> float32 [N, h, w].

    alpha_k is the mean gradient of the class's logit over feature map f_k of `layer` (default: the model's `trunk`, of a
    vision transformer the first norm of its last block, as paper 3 has it; of tokens the patches). The model runs as in
    evaluation. Where features are averaged and then weighed by a linear layer the gradient is known, w_k / (h w), and no
    backward pass is made.
    """
    trunk = getattr(model, "trunk", None)
    layer = getattr(trunk, "cam_layer", trunk) if layer is None else layer
    if layer is None:
        raise GazebookError(f"{type(model).__name__} has no trunk; give the layer whose features Grad-CAM weighs")
    if isinstance(getattr(model, "head", None), SoftmaxHead) and layer is trunk:
        with eval_mode(model), torch.no_grad():
            features = model.features(images).float()
        weights = model.head.maps.weight.detach()[classes, :, 0, 0] / features[0, 0].numel()
        return torch.einsum("nk,nkhw->nhw", weights, features)
    captured: list[torch.Tensor] = []
    hook = layer.register_forward_hook(lambda _module, _inputs, output: captured.append(output))
    try:
        with eval_mode(model), torch.enable_grad():
            score = _score(model, images.detach().requires_grad_(), classes)
            (gradient,) = torch.autograd.grad(score, captured[-1])
    finally:
        hook.remove()
    features, gradient = as_maps(captured[-1].detach().float()), as_maps(gradient.float())
    return (gradient.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1)


def upsample(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Maps [N, h, w] -> [N, H, W], bilinear, pixel centres aligned."""
    return F.interpolate(maps[:, None], tuple(size), mode="bilinear", align_corners=False)[:, 0]


def input_gradient(model: nn.Module, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Saliency (Simonyan et al. 2014): the largest absolute gradient of the class's logit over the colours of a pixel.

    float [N, 3, H, W], int64 [N] -> float32 [N, H, W], not normalised. Leaves the model as `grad_cam` does.
    """
    with eval_mode(model), torch.enable_grad():
        inputs = images.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(_score(model, inputs, classes), inputs)
    return gradient.abs().amax(dim=1).float()


def minmax_normalize(maps: torch.Tensor) -> torch.Tensor:
    """Min-max normalised for each image: float [N, H, W] -> [0, 1]; a constant map becomes 0."""
    flat = maps.flatten(1)
    low, high = flat.amin(dim=1)[:, None, None], flat.amax(dim=1)[:, None, None]
    return torch.where(high > low, (maps - low) / (high - low).clamp_min(torch.finfo(maps.dtype).tiny), 0)


def _score(model: nn.Module, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Sum of the logits of each image's class; images do not mix in evaluation, so one gradient serves them all."""
    return model(images).gather(1, classes[:, None]).sum()


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Every module in evaluation mode, and afterwards in the mode in which it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
