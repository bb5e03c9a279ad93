"""Classifiers from anywhere, behind one face: images in [0, 1] -> probabilities.

A name of timm or torchvision, an own module (PACKAGE.MODULE:NAME), a checkpoint of this book, or a file: ONNX, TensorFlow Lite,
TorchScript, torch.export. Nothing is unpickled.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn

from gazebook.data.class_map import imagenet_names
from gazebook.errors import GazebookError
from gazebook.files import printable
from gazebook.models import pretrained
from gazebook.models.foreign import ForeignMaps, module_from_python, said
from gazebook.models.pretrained import Pretrained
from gazebook.train import checkpoint

SIZE = 224  # pixels, of a model that says nothing else
BOOK_SIZE = 32  # of the image sets that this project trains on by default
NEAR_ONE = 0.01  # how far sums of probabilities may be from 1
FAINT = 1e-3  # of a quantised output's steps, for classes that are rounded to 0
KINDS = "a name of timm, torchvision/NAME, PACKAGE.MODULE:NAME, or a .safetensors, .onnx, .tflite, .pt or .pt2 file"
TORCHSCRIPT, EXPORTED = (".pt", ".pth", ".ts", ".torchscript"), (".pt2", ".ep")


@dataclass(frozen=True)
class Preprocessing:
    """What a user says of it; None for the model's own: input side in pixels, mean and standard deviation of colours in [0, 1],
    and the middle share of each side that the model sees.
    """

    size: int | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    crop: float | None = None


@dataclass(frozen=True)
class Opened:
    """A classifier: `probabilities` of images float [N, 3, H, W] in [0, 1], of any size.

    `network` holds its preprocessing; `explainable` says whether gradients of its layers can be had; `class_names` are None
    where nobody knows them.
    """

    name: str
    network: Pretrained
    class_names: tuple[str, ...] | None
    num_classes: int
    explainable: bool = True

    @cached_property
    def maps(self) -> ForeignMaps:
        """Its class maps, checked. Raises GazebookError where they are none."""
        return ForeignMaps(self.name, self.network.network, self.size)

    @property
    def size(self) -> int:
        """Side of the images that it wants, in pixels."""
        return max(self.network.size)

    @torch.no_grad()
    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """float [N, 3, H, W] in [0, 1] -> float32 [N, C] on the CPU. Raises GazebookError that names the model."""
        return probabilities(self.name, self.network, images, self.num_classes)


def probabilities(name: str, network: nn.Module, images: torch.Tensor, count: int | None = None) -> torch.Tensor:
    """What a network says of images, checked: scores become shares by a softmax unless they are shares already."""
    try:
        scores = network(images)
    except GazebookError:
        raise
    except (Exception, SystemExit) as error:
        raise GazebookError(
            f"{name} failed on {len(images)} images of {images.shape[-1]} px ({said(error)}); give its --size, or correct it"
        ) from error
    if fault := _fault(scores, images, count):
        raise GazebookError(f"{name} gives {fault}; expected finite scores of classes [N, C]")
    scores = scores.detach().float().cpu()
    is_share = (scores >= 0).all() and ((scores.sum(dim=1) - 1).abs() < NEAR_ONE).all()
    return scores / scores.sum(dim=1, keepdim=True) if is_share else scores.softmax(dim=1)


def _fault(scores: object, images: torch.Tensor, count: int | None) -> str | None:
    """What is wrong with a network's output; None where nothing is."""
    if not isinstance(scores, torch.Tensor):
        return f"a {type(scores).__name__}"
    if scores.ndim != 2 or len(scores) != len(images) or scores.shape[1] < 2 or not scores.is_floating_point():
        return f"{scores.dtype} of shape {list(scores.shape)} for {len(images)} images"
    if count is not None and scores.shape[1] != count:
        return f"{scores.shape[1]} classes, and {count} for other images"
    return None if scores.isfinite().all() else "NaN or infinite values"


def open_model(
    spec: str | Path, given: Preprocessing | None = None, *, labels: tuple[str, ...] | None = None, device: str = "cpu"
) -> Opened:
    """The classifier that a text names (see KINDS), tried on two images. Raises GazebookError with the remedy."""
    text, given = str(spec), given or Preprocessing()
    for share in filter(None, [given.crop]):
        if not 0 < share <= 1:
            raise GazebookError(f"crop is {share}; give the middle share of each side that the model sees, in (0, 1]")
    if given.std and min(given.std) <= 0:
        raise GazebookError(f"std is {given.std}; give standard deviations above 0")
    network, names, explainable = _opener(text)(text, given)
    network.crop = given.crop or network.crop
    short = Path(text).stem if Path(text).suffix and ":" not in text and Path(text).is_file() else text
    return replace(_tried(text, network.to(device), labels or names, explainable), name=short)


def as_model(
    module: nn.Module, name: str = "model", *, size: int = SIZE, mean: tuple[float, float, float] = (0.0,) * 3,
    std: tuple[float, float, float] = (1.0,) * 3, class_names: tuple[str, ...] | None = None, device: str = "cpu",
) -> Opened:  # fmt: skip
    """A torch module that gives scores [N, C] of images, which it wants at `size` pixels, normalised. Raises GazebookError."""
    return _tried(name, _plain(module, Preprocessing(size, mean, std)).to(device), class_names, True)


def _tried(name: str, network: Pretrained, names: tuple[str, ...] | None, explainable: bool) -> Opened:
    """A network that was shown two images."""
    side, device = max(network.eval().size), network.mean.device
    found = probabilities(name, network, torch.linspace(0, 1, 6 * side * side, device=device).view(2, 3, side, side))
    names = names or imagenet_names(found.shape[1])
    if names is not None and len(names) != found.shape[1]:
        raise GazebookError(f"{name} has {found.shape[1]} classes, and {len(names)} labels are given; correct --labels")
    return Opened(name, network, names, found.shape[1], explainable)


def unique_names(models: list[Opened]) -> list[Opened]:
    """The models with names that differ: where several have the same name, numbers are added."""
    names = [model.name for model in models]
    return [
        replace(model, name=f"{model.name} ({names[: i + 1].count(model.name)})") if names.count(model.name) > 1 else model
        for i, model in enumerate(models)
    ]


def _opener(text: str) -> Callable[[str, Preprocessing], tuple[Pretrained, tuple[str, ...] | None, bool]]:
    """How a spec is opened: network, class names, whether its layers can be looked into."""
    suffix = Path(text).suffix.lower()
    for suffixes, opener in (
        ((".safetensors",), _checkpoint), ((".onnx",), _onnx), ((".tflite",), _tflite),
        (TORCHSCRIPT, _torchscript), (EXPORTED, _exported),
    ):  # fmt: skip
        if suffix in suffixes:
            if not Path(text).is_file():
                raise GazebookError(f"{printable(text)} does not exist; give {KINDS}")
            return opener
    return _python if ":" in text else _named


def _named(text: str, given: Preprocessing):
    own = pretrained.load(text.removeprefix("timm/"))
    mean, std = (tuple(v.flatten().tolist()) for v in (own.mean, own.std))
    size = own.size if given.size is None else (given.size, given.size)
    return Pretrained(own.network, size, given.mean or mean, given.std or std), None, True


def _python(text: str, given: Preprocessing):
    module = module_from_python(text)
    names = getattr(module, "class_names", None)
    return _plain(module, given), tuple(map(str, names)) if names else None, True


def _checkpoint(text: str, given: Preprocessing):
    module, _, names = checkpoint.load_model(Path(text))
    return _plain(module, replace(given, size=given.size or BOOK_SIZE)), names, True


def _torchscript(text: str, given: Preprocessing):
    with _reading(text, "TorchScript"):
        module = torch.jit.load(text, map_location="cpu")
    return _plain(module, given), None, False


def _exported(text: str, given: Preprocessing):
    with _reading(text, "torch.export"):
        program = torch.export.load(text)
        (entry,) = program.graph_signature.user_inputs
        shape = next(node.meta["val"].shape for node in program.graph.nodes if node.name == entry)
        module = _Function(program.module())
    fixed = shape[0] if isinstance(shape[0], int) else None
    size = shape[-1] if isinstance(shape[-1], int) else None
    return _plain(_Batched(module, fixed), replace(given, size=given.size or size)), None, False


def _onnx(text: str, given: Preprocessing):
    runtime = _package("onnxruntime", text)
    with _reading(text, "ONNX"):
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = runtime.InferenceSession(text, options, providers=["CPUExecutionProvider"])
        (entry,) = session.get_inputs()
    dtype = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}.get(entry.type)
    if dtype is None or len(entry.shape) != 4 or 3 not in (entry.shape[1], entry.shape[3]):
        raise GazebookError(f"{text} takes {entry.type} {entry.shape}; expected images [N, 3, H, W] or [N, H, W, 3]")
    last = entry.shape[1] != 3
    side = entry.shape[2]
    run = lambda x: session.run(None, {entry.name: x})[0]  # noqa: E731
    fixed = entry.shape[0] if isinstance(entry.shape[0], int) else None
    network = _Batched(_Foreign(run, dtype, last, given.mean is None), fixed)
    return _plain(network, replace(given, size=given.size or (side if isinstance(side, int) else None))), None, False


def _tflite(text: str, given: Preprocessing):
    interpreter = _package("ai_edge_litert.interpreter", text, "ai-edge-litert")
    with _reading(text, "TensorFlow Lite"):
        model = interpreter.Interpreter(text, num_threads=torch.get_num_threads())
        model.allocate_tensors()
        (entry,), exit = model.get_input_details(), model.get_output_details()[0]
    if len(entry["shape"]) != 4 or entry["shape"][3] != 3:
        raise GazebookError(f"{text} takes {list(entry['shape'])}; expected images [N, H, W, 3]")

    def run(x: np.ndarray) -> np.ndarray:
        model.set_tensor(entry["index"], x)
        model.invoke()
        found, (scale, zero) = model.get_tensor(exit["index"]).astype(np.float32), exit["quantization"]
        if scale and not zero and scale * 255 <= 1:  # shares, of which those below a step were rounded to 0
            return (found + FAINT) / (found + FAINT).sum(axis=1, keepdims=True)
        return (found - zero) * scale if scale else found

    network = _Foreign(run, entry["dtype"], True, given.mean is None, entry["quantization"])
    own = replace(given, size=given.size or int(entry["shape"][1]))
    if entry["dtype"] == np.float32 and given.mean is None:  # what TensorFlow's own mobile networks are trained with
        own = replace(own, mean=(0.5,) * 3, std=(0.5,) * 3)
    return _plain(_Batched(network, int(entry["shape"][0])), own), None, False


class _Foreign(nn.Module):
    """A runtime as a module: float [N, 3, H, W] -> scores. Quantised input takes the pixels themselves where `raw`, else
    preprocessed values by its own scale and zero.
    """

    def __init__(self, run: Callable, dtype: type, channels_last: bool, raw: bool, quantisation: tuple[float, int] = (0, 0)):
        super().__init__()
        self.run, self.dtype, self.channels_last = run, dtype, channels_last
        self.raw, (self.scale, self.zero) = raw, quantisation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = x.detach().cpu().numpy()
        values = values.transpose(0, 2, 3, 1) if self.channels_last else values
        if np.issubdtype(self.dtype, np.integer):
            low, high = np.iinfo(self.dtype).min, np.iinfo(self.dtype).max
            values = values * 255 + low if self.raw or not self.scale else values / self.scale + self.zero
            values = values.round().clip(low, high)
        found = self.run(np.ascontiguousarray(values.astype(self.dtype)))
        return torch.from_numpy(np.asarray(found, np.float32)).to(x.device)


class _Function(nn.Module):
    """An exported program, on the CPU: it knows neither modes nor devices."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]):
        super().__init__()
        self.functions = (function,)  # not as a module of this one

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.functions[0](x.cpu()).to(x.device)


class _Batched(nn.Module):
    """A module that takes batches of a fixed size, or of any where that is None."""

    def __init__(self, module: nn.Module, fixed: int | None):
        super().__init__()
        self.module, self.fixed = module, fixed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.fixed is None:
            return self.module(x)
        padded = torch.cat([x, x[:1].expand(-len(x) % self.fixed, -1, -1, -1)])
        return torch.cat([self.module(part) for part in padded.split(self.fixed)])[: len(x)]


def _plain(module: nn.Module, given: Preprocessing) -> Pretrained:
    """A module behind what the user says of its preprocessing; without that it gets images in [0, 1]."""
    size = given.size or SIZE
    return Pretrained(module, (size, size), given.mean or (0.0,) * 3, given.std or (1.0,) * 3)


def _package(name: str, text: str, shown: str | None = None):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise GazebookError(f"{text} needs {shown or name}: pip install 'gazebook[runtimes]'") from error


@contextmanager
def _reading(text: str, kind: str) -> Iterator[None]:
    """What a runtime raises and logs for a file that it cannot read becomes one line."""
    logging.disable(logging.WARNING)
    try:
        yield
    except Exception as error:
        raise GazebookError(f"{text} is no {kind} file that can be read ({said(error)}); export it again") from error
    finally:
        logging.disable(logging.NOTSET)
