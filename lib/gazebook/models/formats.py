"""Networks from files that other programs wrote, run by those programs' own runtimes: ONNX, TensorFlow Lite, TorchScript,
torch.export. Nothing is unpickled.
"""

import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from gazebook.errors import GazebookError
from gazebook.files import printable
from gazebook.models.foreign import said
from gazebook.models.pretrained import Pretrained

SIZE = 224  # pixels, of a model that says nothing else
FAINT = 1e-3  # of a quantised output's steps, for classes that are rounded to 0


@dataclass(frozen=True)
class Preprocessing:
    """What a user says of it; None for the model's own: input side in pixels, mean and standard deviation of colours in [0, 1],
    and the middle share of each side that the model sees.
    """

    size: int | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    crop: float | None = None


def is_file_of_a_network(text: str) -> bool:
    """Whether a name ends like a file of one of these formats."""
    return Path(text).suffix.lower() in OPENERS


def open_file(text: str, given: Preprocessing | None = None) -> Pretrained:
    """The network of a file behind its preprocessing: float [N, 3, H, W] in [0, 1] -> scores [N, C]. Raises GazebookError."""
    if not Path(text).is_file():
        raise GazebookError(f"{printable(text)} does not exist; give the path of a file of a network")
    return OPENERS[Path(text).suffix.lower()](text, given or Preprocessing())


def _torchscript(text: str, given: Preprocessing) -> Pretrained:
    with _reading(text, "TorchScript"):
        module = torch.jit.load(text, map_location="cpu")
    return plain(module, given)


def _exported(text: str, given: Preprocessing) -> Pretrained:
    with _reading(text, "torch.export"):
        program = torch.export.load(text)
        (entry,) = program.graph_signature.user_inputs
        shape = next(node.meta["val"].shape for node in program.graph.nodes if node.name == entry)
        module = _Function(program.module())
    fixed = shape[0] if isinstance(shape[0], int) else None
    size = shape[-1] if isinstance(shape[-1], int) else None
    return plain(_Batched(module, fixed), replace(given, size=given.size or size))


def _onnx(text: str, given: Preprocessing) -> Pretrained:
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
    return plain(network, replace(given, size=given.size or (side if isinstance(side, int) else None)))


def _tflite(text: str, given: Preprocessing) -> Pretrained:
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
    return plain(_Batched(network, int(entry["shape"][0])), own)


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


def plain(module: nn.Module, given: Preprocessing) -> Pretrained:
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


OPENERS: dict[str, Callable[[str, Preprocessing], Pretrained]] = {
    ".onnx": _onnx,
    ".tflite": _tflite,
    **dict.fromkeys((".pt", ".pth", ".ts", ".torchscript"), _torchscript),
    **dict.fromkeys((".pt2", ".ep"), _exported),
}
