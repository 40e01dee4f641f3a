"""Exported files as models: arrays in, arrays out, whatever runs them.

`open_model` opens what export.py wrote; `run_model` calls such a model and a MindSpore network alike.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..config.choices import MOST_IMAGES
from ..data.formats.fields import identity
from ..errors import UserError
from ..files import EXPORT_FORMAT, require_readable
from ..reading import is_file, no_file

SUFFIXES = {"onnx": ".onnx", "mindir": ".mindir"}
FOUND = ["boxes", "scores", "labels"]  # first outputs of an ONNX detector: what it has found, no `valid` behind them
IMAGES = "images"  # its last output where it takes several images: of which of them each detection is
INSTALL = "pip install -r requirements-export.txt"
MOST_DETECTIONS = 10**5


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


FACTS = {  # that files state of themselves and that are relied on
    "task": lambda value: isinstance(value, str),
    "format": lambda value: type(value) is int,
    "num_classes": _is_count,
    "batch": lambda value: _is_count(value) and value <= MOST_IMAGES,
    "class_names": _are_texts,
    "category_ids": lambda value: isinstance(value, list) and all(identity(one) is not None for one in value),
    "inputs": _are_texts,
    "max_detections": lambda value: _is_count(value) and value <= MOST_DETECTIONS,
    "has_masks": lambda value: isinstance(value, bool),
}


@dataclass(frozen=True)
class Port:
    """An input of an exported model: its name, its fixed shape, the numpy type of its elements."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype


class ExportedModel(ABC):
    """A model in a file; calling it takes one array an input, of exactly its shape, and gives a tuple of arrays.

    inputs: its `Port`s in order; metadata: what export.py wrote beside the network (task, class_names, mean, ...).
    is_detections: its outputs are as long as there are detections of the images that it takes.
    """

    is_detections = False

    def __init__(self, path: Path, inputs: Sequence[Port], metadata: dict[str, Any]):
        check_facts(metadata, path)
        self.path, self.inputs, self.metadata = path, tuple(inputs), metadata

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the image that it takes."""
        return self.inputs[0].shape[-2:]

    def __call__(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """UserError, naming both shapes, for an array that does not fit, and where the file cannot be run."""
        if len(arrays) != len(self.inputs):
            raise UserError(f"{self.path} takes {len(self.inputs)} inputs, not {len(arrays)}")
        for port, array in zip(self.inputs, arrays):
            if tuple(array.shape) != port.shape:
                raise UserError(f"{self.path}: {port.name} must be {list(port.shape)}, not {list(array.shape)}")
        ready = [np.ascontiguousarray(array, port.dtype) for port, array in zip(self.inputs, arrays)]
        try:
            return self._run(ready)
        except Exception as error:  # of onnxruntime or MindSpore, whose exceptions have no common base
            raise UserError(f"{self.path} cannot be run ({_first_line(error)})") from None

    @abstractmethod
    def _run(self, arrays: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        """The outputs for arrays of the right shape and type."""


def open_model(path: str | Path, backend: str) -> ExportedModel:
    """The model in `path`, run by `backend`: onnx (onnxruntime) or mindir (MindSpore's GraphCell).

    UserError, in one line: missing file, one of another kind, damaged, or the package for it is not installed.
    """
    path = Path(path)
    _require_suffix(path, backend)
    model = {"onnx": _OnnxModel, "mindir": _MindirModel}[backend](path)
    if "task" not in model.metadata:
        raise UserError(f"{path} was not written by export.py: its metadata do not say what it is")
    require_readable(model.metadata.get("format"), EXPORT_FORMAT, path)
    for port in model.inputs:
        if not all(isinstance(side, int) and side > 0 for side in port.shape):
            raise UserError(f"{path}: its input {port.name[:60]!r} has no fixed shape")
    return model


def read_metadata(path: str | Path, backend: str) -> dict[str, Any]:
    """What export.py wrote beside the network. UserError as `open_model`."""
    if backend == "onnx":
        return open_model(path, backend).metadata
    from .mindir_file import read_mindir

    _require_suffix(Path(path), backend)
    return _mindir_header(read_mindir(Path(path)), Path(path))[1]


def _require_suffix(path: Path, backend: str) -> None:
    if not is_file(path):
        raise UserError(f"{path} {no_file(path)}")
    if path.suffix.lower() != SUFFIXES[backend]:
        raise UserError(f"{path} is no {SUFFIXES[backend]} file, which backend {backend} runs")


def require_fit(model: ExportedModel, task: str, num_classes: int, image_size: tuple[int, int]) -> None:
    """UserError unless the file is of this task, number of classes (`num_classes`) and (height, width)."""
    if not model.inputs or len(model.inputs[0].shape) != 4:
        raise UserError(f"{model.path} takes no image: its first input must be (B, 3, H, W)")
    facts = (
        ("task", model.metadata.get("task"), task),
        ("num_classes", model.metadata.get("num_classes"), num_classes),
        ("image size", "{1}x{0}".format(*model.image_size), "{1}x{0}".format(*image_size)),
    )
    for what, own, wanted in facts:
        if own is not None and own != wanted:
            raise UserError(f"{model.path} was exported with {what} {own}, but the configuration has {wanted}")


def run_model(model, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Outputs of an `ExportedModel` for a batch of any size, or of a MindSpore network, as arrays."""
    if isinstance(model, Reordered):
        first, *rest = run_model(model.model, *arrays)
        return first[:, list(model.order)], *rest
    if isinstance(model, ExportedModel):
        return _run_in_parts(model, arrays)
    from mindspore import Tensor

    outputs = model(*(Tensor(array) for array in arrays))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return tuple(output.asnumpy() for output in outputs)


def with_network(model: Any, wrap: Callable[[Any], Any]) -> Any:
    """The model with its MindSpore network wrapped, if it has one: then `wrap(network)` is called in its place."""
    if isinstance(model, _MindirModel):
        model.network = wrap(model.network)
        return model
    return model if isinstance(model, ExportedModel) else wrap(model)


@dataclass(frozen=True)
class Reordered:
    """A model whose classes, axis 1 of its first output, are taken in another order."""

    model: Any
    order: tuple[int, ...]


def reordered(model: Any, order: Sequence[int]) -> Any:
    """The model with output k of the class `order[k]` of its own; as it is where `order` is empty."""
    return Reordered(model, tuple(order)) if order else model


def encode_metadata(values: dict[str, Any]) -> dict[str, str]:
    """Every value as JSON: both formats store pairs of texts."""
    return {name: json.dumps(value) for name, value in values.items()}


def decode_metadata(texts: dict[str, str]) -> dict[str, Any]:
    """The inverse of `encode_metadata`; texts of other origin stay texts."""
    values: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            values[name] = json.loads(text)
        except (ValueError, RecursionError):
            values[name] = text
    return values


def check_facts(values: dict[str, Any], path: str | Path) -> None:
    """UserError for a fact about a file's network that others rely on, and that is of another kind."""
    for name, is_right in FACTS.items():
        if values.get(name) is not None and not is_right(values[name]):
            raise UserError(f"{path}: it says of itself {name} {values[name]!r:.60}, which is not written here")


def _run_in_parts(model: ExportedModel, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """The exported batch is fixed: longer batches are cut into parts of it, the last part filled up with zeros."""
    size, total = model.inputs[0].shape[0], len(arrays[0])
    parts = []
    for start in range(0, total, size):
        part = [array[start : start + size] for array in arrays]
        missing = size - len(part[0])
        if missing:
            part = [np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)]) for array in part]
        outputs = model(*part)
        parts.append(_of_images(outputs, model.metadata["max_detections"], size) if model.is_detections else outputs)
    return tuple(np.concatenate(columns)[:total] for columns in zip(*parts))


def _of_images(outputs: tuple[np.ndarray, ...], slots: int, images: int) -> tuple[np.ndarray, ...]:
    """`_as_slots` of each of several images; the last output says of which image, from 0, a detection is."""
    if images == 1:
        return _as_slots(outputs, slots)
    *found, owner = outputs
    each = [_as_slots(tuple(one[owner == image] for one in found), slots) for image in range(images)]
    return tuple(np.concatenate(columns) for columns in zip(*each))


def _as_slots(outputs: tuple[np.ndarray, ...], slots: int) -> tuple[np.ndarray, ...]:
    """An ONNX detector's boxes (N, 4), scores, labels and, where it gives them, masks (N, M, M) -> what a network gives
    for a batch of one: boxes (1, slots, 4), scores, labels, valid (1, slots), masks (1, slots, M, M).
    """
    boxes, scores, labels, *masks = (
        np.pad(array, [(0, slots - len(array))] + [(0, 0)] * (array.ndim - 1))[None] for array in outputs
    )
    valid = np.arange(slots)[None] < len(outputs[0])
    return boxes, scores, labels.astype(np.int32), valid, *masks


class _OnnxModel(ExportedModel):
    """onnxruntime on the CPU."""

    def __init__(self, path: Path):
        try:
            import onnxruntime
        except ImportError:
            raise UserError(f"{path}: running ONNX files needs the package onnxruntime: {INSTALL}") from None
        try:
            self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions have no common base
            raise UserError(f"{path} is no ONNX model, or damaged ({_first_line(error)})") from None
        ports = [Port(i.name, tuple(i.shape), _numpy_type(i.type)) for i in self.session.get_inputs()]
        self.is_detections = [one.name for one in self.session.get_outputs()][: len(FOUND)] == FOUND
        texts = self.session.get_modelmeta().custom_metadata_map
        super().__init__(path, ports, decode_metadata(texts))

    def _run(self, arrays: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        feed = {port.name: array for port, array in zip(self.inputs, arrays)}
        return tuple(self.session.run(None, feed))


class _MindirModel(ExportedModel):
    """MindSpore on its current device."""

    def __init__(self, path: Path):
        import mindspore as ms

        from .mindir_file import load_graph, read_mindir

        model = read_mindir(path)
        inputs, metadata = _mindir_header(model, path)
        self.network = ms.nn.GraphCell(load_graph(model, path))
        super().__init__(path, inputs, metadata)

    def _run(self, arrays: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        return run_model(self.network, *arrays)


def _mindir_header(model, path: Path) -> tuple[list[Port], dict[str, Any]]:
    """Inputs and metadata of a MINDIR file's content; the names of the inputs are among the metadata."""
    from mindspore.train.mind_ir_pb2 import TensorProto

    types = {TensorProto.FLOAT: np.dtype(np.float32), TensorProto.INT32: np.dtype(np.int32)}
    metadata = decode_metadata({entry.key: entry.value for entry in model.user_info})
    check_facts(metadata, path)
    tensors = [value.tensor[0] for value in model.graph.input if value.tensor]
    names = metadata.get("inputs") or [f"input_{k}" for k in range(len(tensors))]
    ports = [
        Port(name, tuple(tensor.dims), types.get(tensor.data_type, np.dtype(np.float32)))
        for name, tensor in zip(names, tensors)
    ]
    return ports, metadata


def _numpy_type(name: str) -> np.dtype:
    """onnxruntime's 'tensor(float)' and the like."""
    return np.dtype({"tensor(int32)": np.int32, "tensor(int64)": np.int64}.get(name, np.float32))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
