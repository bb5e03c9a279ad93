"""Models from outside: checked before any work with two images of different sizes, and again at every batch."""

import importlib
import sys

import torch
from torch import nn

from gazebook.errors import GazebookError, first_line
from gazebook.files import printable
from gazebook.models.heads import ScribeHead, SoftmaxHead, lse_pool


class ForeignMaps(nn.Module):
    """A module whose `.cam(images)` gives class maps, as one that keeps what it promises.

    `cam` takes float32 [N, 3, H, W] in [0, 1], hands them on in the module's own precision, and gives float32 maps
    [N, C, h, w] with C = `num_classes`, finite and on the images' device; anything else raises GazebookError.
    """

    def __init__(self, name: str, module: nn.Module, size: int):
        super().__init__()
        self.name, self.module, self.num_classes = name, module.eval(), None
        self.num_classes = self.cam(torch.zeros(2, 3, size, size)).shape[1]
        try:
            other = self.module.cam(torch.zeros(1, 3, 2 * size, 2 * size, dtype=self._precision()))
        except Exception:  # noqa: BLE001 (many networks take one size alone)
            return
        if not isinstance(other, torch.Tensor) or other.ndim != 4 or other.shape[1] != self.num_classes:
            raise GazebookError(f"{name}.cam has classes that depend on the image's size; give class maps [N, C, h, w]")

    @torch.no_grad()
    def cam(self, images: torch.Tensor) -> torch.Tensor:
        try:
            maps = self.module.eval().cam(images.to(self._precision()))
        except (Exception, SystemExit) as error:
            raise GazebookError(
                f"{self.name}.cam failed on {len(images)} images of {images.shape[-1]} px ({said(error)}); "
                "give its --size, or correct the model"
            ) from error
        fault = self._fault(maps, images)
        if fault:
            raise GazebookError(f"{self.name}.cam gives {fault}; expected finite class maps [N, C, h, w]")
        return maps.float()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.pool(self.cam(images))

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """Image logits of class maps: by the module's own head, where it has one that this project knows."""
        head = getattr(self.module, "head", None)
        return head.pool(maps) if isinstance(head, ScribeHead | SoftmaxHead) else lse_pool(maps)

    def _precision(self) -> torch.dtype:
        tensors = (*self.module.parameters(), *self.module.buffers())
        return next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)

    def _fault(self, maps: object, images: torch.Tensor) -> str | None:
        """What is wrong with the maps of images; None where nothing is."""
        if not isinstance(maps, torch.Tensor):
            return f"a {type(maps).__name__}"
        if not maps.is_floating_point():
            return f"numbers of type {maps.dtype}"
        if maps.ndim != 4 or len(maps) != len(images) or not maps.numel() or maps.shape[2] != maps.shape[3]:
            return f"shape {list(maps.shape)} for {len(images)} square images"
        if self.num_classes is not None and maps.shape[1] != self.num_classes:
            return f"{maps.shape[1]} classes, and {self.num_classes} for other images"
        if maps.device != images.device:
            return f"maps on {maps.device} for images on {images.device}"
        if not maps.isfinite().all():
            return "NaN or infinite values"
        return None


def module_from_python(text: str) -> nn.Module:
    """PACKAGE.MODULE:NAME, where NAME is a torch module, or a function that returns one; the current folder is looked in too.
    Raises GazebookError, whatever the code does.
    """
    module_name, _, attribute = text.rpartition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")  # a module beside the user
    try:
        found = getattr(importlib.import_module(module_name), attribute)
        module = found if isinstance(found, nn.Module) else found()
    except (Exception, SystemExit) as error:
        raise GazebookError(f"{text} could not be loaded ({said(error)}); correct PACKAGE.MODULE:NAME") from error
    if not isinstance(module, nn.Module):
        raise GazebookError(f"{text} is no torch module and no function that returns one; correct PACKAGE.MODULE:NAME")
    return module.eval()


def said(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {printable(first_line(error))[:200]}"
