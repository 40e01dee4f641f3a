"""A segmentation network run outside of Python: its inputs as binary files, its outputs read back and scored.

`write_inputs` and `label_maps` drive the same `Segmenter` as eval.py, once with a network that writes what it gets
and once with one that reads what another program answered, so scales, windows and mirror images mean the same.

In a folder: `manifest.json` (see `write_inputs`), `inputs.txt` (a line `NAME<tab>inputs/NAME.bin` for each network
input), `inputs/NAME.bin` (float32, little endian, (1, 3, H, W)). The other program writes `NAME_0.bin` for each line:
float32 logits (1, C, ceil(H / 4), ceil(W / 4)), of segmenter pointrend larger ones (`logits_size`).
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..config import Config
from ..data.formats.places import shown
from ..data.formats.segmentation_list import SegmentationDataset
from ..errors import UserError
from ..files import write_bytes, write_text
from ..reading import is_file, read_json
from .segment import SegmentationSettings, Segmenter, exported_size, logits_size, scored_label
from .visualize import unique_stems

FORMAT = 2
SEEN_BY = ("img_width", "img_height", "keep_ratio", "eval_mode", "eval_scales", "eval_flip", "eval_stride")
ELEMENT = np.dtype("<f4")
PLAIN_NAME = re.compile(r"(?!\.{1,2}$)[^/\0]{1,249}")  # of a file, without folders
MOST = 2**16  # pixels of a side


def write_inputs(cfg: Config, dataset: SegmentationDataset, folder: Path) -> dict[str, Any]:
    """Write the network's inputs for every image of `dataset` into the empty or new `folder`; returns the manifest.

    The manifest holds input_shape, dtype, classes, the keys that decide how an image becomes inputs, and for each
    sample its name, its inputs' names (none where the image cannot be read), its label's path (relative to the list's
    folder where it lies below that), and image_size (h, w).
    UserError: the folder holds something, or an image does not have the exported network's size.
    """
    make_empty(folder)
    inputs = folder / "inputs"
    inputs.mkdir()
    try:
        names = unique_stems([image for image, _ in dataset.samples])
        samples = [_write_sample(cfg, dataset, index, name, inputs) for index, name in enumerate(names)]
    except UserError:
        shutil.rmtree(inputs)  # the next try finds the folder empty
        raise
    shape = [1, 3, *exported_size(cfg)]
    manifest = {"format": FORMAT, "input_shape": shape, "dtype": "float32", "classes": len(dataset.labels.names)}
    manifest |= {"keys": _keys(cfg), "samples": samples}
    lines = [f"{name}\tinputs/{name}.bin\n" for sample in samples for name in sample["inputs"]]
    write_text(folder / "inputs.txt", "".join(lines))
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1))
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest that `write_inputs` left in `folder`; UserError where there is none."""
    path = folder / "manifest.json"
    if not is_file(path):
        raise UserError(f"{path} does not exist; deploy/preprocess.py writes it")
    manifest = read_json(path)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UserError(f"{path} is no manifest of deploy/preprocess.py")
    for name, is_right in CONTENT.items():
        if not is_right(manifest.get(name)):
            raise UserError(f"{path}: its {name} is not as deploy/preprocess.py writes it")
    for number, sample in enumerate(manifest["samples"], start=1):
        if problem := _problem_of_sample(sample):
            raise UserError(f"{path}: sample {number} {problem}")
    return manifest


def _problem_of_sample(sample: object) -> str:
    """What is wrong with a sample of the manifest, or nothing. Its inputs name files that are read and written."""
    if not isinstance(sample, dict) or not isinstance(sample.get("inputs"), list):
        return "has no list of inputs"
    for name in sample["inputs"]:
        if not isinstance(name, str) or PLAIN_NAME.fullmatch(name) is None:
            return f"has the input {shown(name)}, which is not the name of a file in inputs/"
    if not isinstance(sample.get("label"), str):
        return "has no label"
    if sample["inputs"] and not _are_sides(sample.get("image_size"), 2):
        return f"has the image_size {shown(sample.get('image_size'))}"
    return ""


def _are_sides(value: object, count: int) -> bool:
    """Whether it is a list of so many numbers of pixels or channels."""
    return isinstance(value, list) and len(value) == count and all(type(n) is int and 0 < n <= MOST for n in value)


CONTENT = {  # of the manifest
    "samples": lambda value: isinstance(value, list),
    "input_shape": lambda value: _are_sides(value, 4),
    "classes": lambda value: type(value) is int and 0 < value <= 256,
    "keys": lambda value: isinstance(value, dict) and value.keys() >= set(SEEN_BY),
}


def read_input(folder: Path, manifest: dict[str, Any], name: str) -> np.ndarray:
    """(1, 3, H, W) float32 of one input."""
    return _read(folder / "inputs" / f"{name}.bin", tuple(manifest["input_shape"]))


def label_maps(
    cfg: Config, dataset: SegmentationDataset, manifest: dict[str, Any], results: Path
) -> Iterator[tuple[int, np.ndarray | None, np.ndarray | None]]:
    """(index, label, predicted classes) of every sample from the binary results; None for what cannot be read.

    UserError: the manifest is of another data set or of other keys, or a result is missing or has another size.
    """
    for key, value in _keys(cfg).items():
        if manifest["keys"][key] != value:
            raise UserError(f"{key} is {value}, but was {manifest['keys'][key]} when the images were preprocessed")
    expected = [_relative(dataset, index) for index in range(len(dataset))]
    if [sample["label"] for sample in manifest["samples"]] != expected:
        raise UserError(f"{dataset.list_file} does not name the samples that were preprocessed")
    shape = (1, manifest["classes"], *logits_size(cfg, manifest["input_shape"][2:]))
    for index, sample in enumerate(manifest["samples"]):
        label = dataset.read_label(index)
        if label is not None and sample["inputs"] and list(label.shape) != sample["image_size"]:
            label = None  # as in `SegmentationDataset.read`
        label = scored_label(cfg, label)
        if not sample["inputs"] or label is None:
            yield index, label, None
            continue
        reader = _Reader(results, sample["inputs"], shape)
        blank = np.zeros((*sample["image_size"], 3), np.uint8)  # only its size is looked at
        yield index, label, _segmenter(cfg, dataset, reader).scores(blank).label_map(label.shape)


def result_path(results: Path, name: str) -> Path:
    """Where the answer to the input `name` lies."""
    return results / f"{name}_0.bin"


def make_empty(folder: Path) -> None:
    """Make a folder; UserError if it holds something already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already and not an empty folder: nothing is written over")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror}") from None


def _write_sample(cfg: Config, dataset: SegmentationDataset, index: int, name: str, inputs: Path) -> dict[str, Any]:
    image = dataset.read_image(index)
    sample = {"name": name, "inputs": [], "label": _relative(dataset, index), "image_size": None}
    if image is None:
        return sample
    writer = _Writer(inputs, name, exported_size(cfg), len(dataset.labels.names))
    _segmenter(cfg, dataset, writer).scores(image)
    return sample | {"inputs": writer.finish(), "image_size": list(image.shape[:2])}


class _Writer:
    """A network that writes its inputs and answers nothing of worth."""

    def __init__(self, folder: Path, name: str, size: tuple[int, int], num_classes: int):
        self.folder, self.name, self.size, self.num_classes = folder, name, size, num_classes
        self.inputs: list[np.ndarray] = []

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        if batch.shape[2:] != self.size:
            raise UserError(
                f"{self.name} needs a network input of {batch.shape[3]}x{batch.shape[2]}, but the exported network "
                f"takes {self.size[1]}x{self.size[0]}: set eval_width and eval_height, or use --eval_mode slide"
            )
        self.inputs.extend(batch)
        return np.zeros((len(batch), self.num_classes, 1, 1), np.float32)

    def finish(self) -> list[str]:
        """Write the files; their names."""
        several = len(self.inputs) > 1
        names = [f"{self.name}-{k}" if several else self.name for k in range(len(self.inputs))]
        for name, pixels in zip(names, self.inputs):
            write_bytes(self.folder / f"{name}.bin", pixels[None].astype(ELEMENT).tobytes())
        return names


class _Reader:
    """A network that answers from files, in the order in which `_Writer` wrote."""

    def __init__(self, results: Path, names: list[str], shape: tuple[int, ...]):
        self.results, self.names, self.shape = results, iter(names), shape

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        return np.concatenate([_read(result_path(self.results, next(self.names)), self.shape) for _ in batch])


def _keys(cfg: Config) -> dict[str, Any]:
    return {key: getattr(cfg, key) for key in SEEN_BY}


def _segmenter(cfg: Config, dataset: SegmentationDataset, network) -> Segmenter:
    settings = SegmentationSettings.from_config(cfg, dataset.labels.mirrored_order())
    return Segmenter(network, settings)


def _relative(dataset: SegmentationDataset, index: int) -> str:
    label = dataset.samples[index][1]
    return (label.relative_to(dataset.root) if label.is_relative_to(dataset.root) else label).as_posix()


def _read(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        values = np.fromfile(path, ELEMENT)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if values.size != np.prod(shape):
        raise UserError(f"{path} holds {values.size} numbers, not the {int(np.prod(shape))} of shape {list(shape)}")
    return values.reshape(shape).astype(np.float32)
