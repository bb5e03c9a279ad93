"""Where any classifier looks: Grad-CAM and the input gradient."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from gazebook.errors import GazebookError, first_line
from gazebook.models.heads import SoftmaxHead
from gazebook.models.layout import as_maps, layout_of
from gazebook.models.pretrained import Pretrained

Reshape = Callable[[torch.Tensor], torch.Tensor]


def grad_cam(
    model: nn.Module,
    images: torch.Tensor,
    classes: torch.Tensor,
    layer: nn.Module | None = None,
    *,
    scale: bool = True,
    reshape: Reshape | None = None,
) -> torch.Tensor:
    """Grad-CAM (Selvaraju et al. 2017) for one class an image: float [N, 3, H, W], int64 [N] -> float32 [N, H, W] in [0, 1].

    ReLU of `class_weighted_maps`, resized bilinearly, then min-max normalised for each image (a constant map becomes 0);
    without `scale` it keeps its own values, at least 0. The model's BatchNorm statistics, its mode and all `.grad` stay as
    they were.
    """
    maps = upsample(F.relu(class_weighted_maps(model, images, classes, layer, reshape)), images.shape[-2:])
    return minmax_normalize(maps) if scale else maps


def class_weighted_maps(
    model: nn.Module,
    images: torch.Tensor,
    classes: torch.Tensor,
    layer: nn.Module | None = None,
    reshape: Reshape | None = None,
) -> torch.Tensor:
    """Grad-CAM before its ReLU: sum_k alpha_k f_k, float [N, 3, H, W], int64 [N] -> float32 [N, h, w].

    alpha_k is the mean gradient of the class's logit over feature map f_k of `layer` (default: the model's `trunk`, of a
    vision transformer the first norm of its last block, as paper 3 has it; of tokens the patches). `reshape` makes maps
    [N, K, h, w] of the layer's output where it has a layout of its own. The model runs as in evaluation. Where features are
    averaged and then weighed by a linear layer the gradient is known, w_k / (h w), and no backward pass is made.
    Raises GazebookError where there are no maps, no gradient, or no numbers.
    """
    trunk = getattr(model, "trunk", None)
    layer = getattr(trunk, "cam_layer", trunk) if layer is None else layer
    if layer is None:
        raise GazebookError(f"{type(model).__name__} has no trunk; give the layer whose features Grad-CAM weighs")
    if isinstance(getattr(model, "head", None), SoftmaxHead) and layer is trunk:
        with eval_mode(model), torch.no_grad():
            features = model.features(images).float()
        weights = model.head.maps.weight.detach()[classes, :, 0, 0] / features[0, 0].numel()
        return _finite(torch.einsum("nk,nkhw->nhw", weights, features))
    features, gradient = _features_and_gradient(model, images, classes, layer)
    if reshape is None:
        size = next((m.size for m in (model, trunk) if isinstance(m, Pretrained)), tuple(images.shape[-2:]))
        reshape = partial(as_maps, size=size, layout=layout_of(model))
    maps, slope = reshape(features).float(), reshape(gradient).float()
    if features.ndim == 3 and gradient.any() and not slope.any():
        raise GazebookError(
            "the class's logit does not depend on the patches of this layer: after it only the class token is read; give one "
            "before the last attention, such as model.blocks[-1].norm1"
        )
    return _finite((slope.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1))


def default_layer(model: nn.Module, images: torch.Tensor) -> nn.Module:
    """The layer of any network that Grad-CAM weighs: of this book's the trunk's own; of a vision transformer the first norm of
    its last block; else the last module whose output is still a map, found with one image float [1, 3, H, W] or more.

    Raises GazebookError where there is none.
    """
    network = getattr(model, "network", model)
    trunk = getattr(network, "trunk", None)
    if trunk is not None:
        return getattr(trunk, "cam_layer", trunk)
    blocks = getattr(network, "blocks", None)
    if isinstance(blocks, nn.Module) and hasattr(network, "cls_token") and hasattr(blocks[-1], "norm1"):
        return blocks[-1].norm1
    encoder = getattr(getattr(network, "encoder", None), "layers", None)  # torchvision's vision transformers
    if encoder is not None and hasattr(encoder[-1], "ln_1"):
        return encoder[-1].ln_1
    last: list[nn.Module] = []

    def note(module, _inputs, output):
        if isinstance(output, torch.Tensor) and output.ndim == 4:
            side = output.shape[1:3] if layout_of(model).channels_last else output.shape[2:]
            if min(side) > 1:
                last[:] = [module]

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    try:
        with eval_mode(model), torch.no_grad():
            model(images[:1])
    finally:
        for hook in hooks:
            hook.remove()
    if not last:
        raise GazebookError(f"no layer of {type(network).__name__} gives maps; Grad-CAM needs one")
    return last[0]


def _features_and_gradient(
    model: nn.Module, images: torch.Tensor, classes: torch.Tensor, layer: nn.Module
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a layer puts out, and the gradient of each image's logit with respect to it."""
    captured: list[torch.Tensor] = []

    def capture(_module, _inputs, output):
        captured.append(output)
        return output.clone() if isinstance(output, torch.Tensor) else None  # what follows may change it in place

    hook = layer.register_forward_hook(capture)
    try:
        with eval_mode(model), torch.enable_grad():
            score = _score(model, images.detach().requires_grad_(), classes)
            if not captured:
                raise GazebookError(f"{type(layer).__name__} was not called for these images; give a layer that is")
            if not isinstance(captured[-1], torch.Tensor):
                raise GazebookError(f"{type(layer).__name__} gives a {type(captured[-1]).__name__}; give a layer of one tensor")
            (gradient,) = torch.autograd.grad(score, captured[-1])
    except RuntimeError as error:
        raise GazebookError(
            f"no gradient of the logit reaches {type(layer).__name__} ({first_line(error)}); give another layer, or a "
            "model whose forward works under autograd"
        ) from error
    finally:
        hook.remove()
    return captured[-1].detach(), gradient


def _finite(maps: torch.Tensor) -> torch.Tensor:
    if not maps.isfinite().all():
        raise GazebookError("saliency is not finite: the model's weights or features are NaN, or too large for its precision")
    return maps


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
    return _finite(gradient.abs().amax(dim=1).float())


def minmax_normalize(maps: torch.Tensor) -> torch.Tensor:
    """Min-max normalised for each image: float [N, H, W] -> [0, 1]; a constant map becomes 0."""
    flat = maps.flatten(1)
    low, high = flat.amin(dim=1)[:, None, None], flat.amax(dim=1)[:, None, None]
    return torch.where(high > low, (maps - low) / (high - low).clamp_min(torch.finfo(maps.dtype).tiny), 0)


def _score(model: nn.Module, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Sum of the logits of each image's class; images do not mix in evaluation, so one gradient serves them all."""
    logits = model(images)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != len(images):
        what = f"shape {list(logits.shape)}" if isinstance(logits, torch.Tensor) else f"a {type(logits).__name__}"
        raise GazebookError(f"the model gives {what}, not logits [N, C]; wrap it in a module that returns them")
    if not ((classes >= 0) & (classes < logits.shape[1])).all():
        raise GazebookError(f"classes are not all from 0 to {logits.shape[1] - 1}; give an index of the model's own classes")
    return logits.gather(1, classes[:, None]).sum()


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
