"""Segmentation data sets from lists of image and label files: reading, training samples, training batches."""

import logging
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..config import Config
from ..errors import UserError
from .image_augment import colour_jitter, normalise
from .images import read_bgr
from .label_sets import UNKNOWN, LabelSet, label_set
from .loader import TrainLoader, make_train_loader

logger = logging.getLogger(__name__)

SHOWN = 5  # names a report lists
MAKERS = {"cityscapes": "cityscapes_lst_maker", "lip": "lip_lst_maker"}


class SegmentationDataset:
    """Image and label files that a list names.

    source: a folder with `<split>.lst`, or a list itself. Each line holds the image's and the label's path relative to
    the list's folder, separated by a tab (or white space).
    Attributes: `root`, `samples` (image, label paths), `labels` (LabelSet), `missing` (paths that are not there).
    Raises UserError: no such folder, no list (and how to make it), a line that is none, an empty list.
    """

    def __init__(self, source: str | Path, split: str, labels: LabelSet, maker: str = ""):
        if not str(source):
            raise UserError(f"{split}_dataset is empty: give the folder of the data set, or its {split}.lst")
        source = Path(source)
        is_list = source.suffix == ".lst"
        self.list_file = source if is_list else source / f"{split}.lst"
        self.root, self.labels = self.list_file.parent, labels
        if not is_list and not source.is_dir():
            raise UserError(f"data set folder {source} does not exist")
        self.samples = _read_list(self.list_file, maker)
        self.missing = [path for pair in self.samples for path in pair if not path.is_file()]
        if self.missing:
            names = ", ".join(path.name for path in self.missing[:SHOWN])
            logger.warning(
                "%s: %d of the files it names are missing (%s%s): left out of training; in evaluation a missing image "
                "counts as wrong, a missing label as nothing",
                self.list_file, len(self.missing), names, ", ..." if len(self.missing) > SHOWN else "",
            )  # fmt: skip

    def __len__(self) -> int:
        return len(self.samples)

    def read_image(self, index: int) -> np.ndarray | None:
        """(h, w, 3) uint8 BGR; None where the file is no whole image."""
        return read_bgr(self.samples[index][0])

    def read_label(self, index: int) -> np.ndarray | None:
        """(h, w) uint8 classes or the ignored label; None where the file holds no label image of this data set."""
        raw = read_indices(self.samples[index][1])
        if raw is None:
            return None
        classes = self.labels.table[raw]
        return None if (classes == UNKNOWN).any() else classes.astype(np.uint8)

    def why_unreadable(self, index: int) -> str:
        """One line on what is wrong with an entry's files."""
        image, label = self.samples[index]
        pixels, raw = read_bgr(image), read_indices(label)
        if pixels is None:
            return f"{image} is no image, or cut off"
        if raw is None:
            return f"{label} is no label image (one channel of whole numbers up to 255), or cut off"
        unknown = sorted(set(np.unique(raw).tolist()) - set(np.flatnonzero(self.labels.table != UNKNOWN).tolist()))
        if unknown:
            return f"{label} has the value {unknown[0]}, which is no label of this data set"
        return f"{image} has {pixels.shape[1]}x{pixels.shape[0]} pixels, its label {raw.shape[1]}x{raw.shape[0]}"


def open_segmentation(cfg: Config, source: str, split: str) -> SegmentationDataset:
    """The data set that the configuration describes; split: 'train' or 'val'."""
    return SegmentationDataset(source, split, label_set(cfg), MAKERS.get(cfg.dataset, ""))


def read_indices(path: Path) -> np.ndarray | None:
    """(h, w) uint8 of a grey or palette image; None where the file is missing, cut off or of another kind."""
    try:
        with Image.open(path) as picture:
            values = np.asarray(picture)
    except (OSError, SyntaxError, ValueError):  # what PIL raises for broken files
        return None
    if values.ndim != 2 or values.dtype.kind not in "ui" or values.min(initial=0) < 0 or values.max(initial=0) > 255:
        return None
    return values.astype(np.uint8)


class SegmentationSamples:
    """Training samples, see `loader.Samples`: mirrored, scaled, cropped and padded as the HRNet authors do it."""

    columns = ("image", "label")

    def __init__(self, dataset: SegmentationDataset, cfg: Config):
        missing = set(dataset.missing)
        self.keys = [k for k, pair in enumerate(dataset.samples) if not missing.intersection(pair)]
        if not self.keys:
            raise UserError(f"{dataset.list_file}: none of its {len(dataset)} samples has both its files")
        self.dataset, self.name = dataset, str(dataset.list_file)
        self.size = (cfg.img_height, cfg.img_width)
        self.base_size, self.scale_range, self.keep_ratio = cfg.base_size, cfg.scale_range, cfg.keep_ratio
        self.flip, self.jitter, self.ignore_label = cfg.flip_ratio, cfg.color_jitter, cfg.ignore_label
        self.mean, self.std, self.to_rgb = tuple(cfg.img_mean), tuple(cfg.img_std), cfg.to_rgb

    def read(self, entry: int) -> tuple[np.ndarray, np.ndarray] | None:
        image, label = self.dataset.read_image(self.keys[entry]), self.dataset.read_label(self.keys[entry])
        if image is None or label is None or image.shape[:2] != label.shape:
            return None
        return image, label

    def why_unreadable(self, entry: int) -> str:
        return self.dataset.why_unreadable(self.keys[entry])

    def make(self, item: tuple[np.ndarray, np.ndarray], rng: np.random.RandomState) -> tuple[np.ndarray, ...]:
        """image (3, H, W) float32 normalised, label (H, W) int32."""
        image, label = item
        if rng.rand() < self.flip:
            image, label = image[:, ::-1], self.dataset.labels.mirror(label)
        if not self.keep_ratio:
            image, label = resize_pair(image, label, self.size)
        size = scaled_size(label.shape, draw_scale(self.scale_range, rng), self.base_size)
        image, label = resize_pair(image, label, size)
        image, label = random_crop(image, label, self.size, self.ignore_label, rng)
        rgb = image[..., ::-1]
        if self.jitter:
            rgb = colour_jitter(rgb, rng, self.jitter, self.jitter, self.jitter)
        return normalise(rgb if self.to_rgb else rgb[..., ::-1], self.mean, self.std), label.astype(np.int32)

    def mix(self, batch: tuple[np.ndarray, ...], rng: np.random.RandomState) -> tuple[np.ndarray, ...]:
        return batch


def draw_scale(scale_range: Sequence[float], rng: np.random.RandomState) -> float:
    """One of the scales low, low + 0.1, ..., high."""
    low, high = scale_range
    return low + 0.1 * rng.randint(0, int(round((high - low) * 10)) + 1)


def scaled_size(size: tuple[int, int], scale: float, base_size: int = 0) -> tuple[int, int]:
    """(h, w) at which the longer side of (h, w) `size` is `base_size` x scale; 0 stands for the longer side itself."""
    height, width = size
    longer = int((base_size or max(height, width)) * scale + 0.5)
    if height > width:
        return longer, max(int(width * longer / height + 0.5), 1)
    return max(int(height * longer / width + 0.5), 1), longer


def resize_pair(image: np.ndarray, label: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Image bilinear, label nearest neighbour, to (h, w) `size`."""
    if image.shape[:2] == tuple(size):
        return image, label
    target = (size[1], size[0])
    resized = cv2.resize(np.ascontiguousarray(image), target, interpolation=cv2.INTER_LINEAR)
    return resized, cv2.resize(np.ascontiguousarray(label), target, interpolation=cv2.INTER_NEAREST)


def random_crop(
    image: np.ndarray, label: np.ndarray, size: tuple[int, int], ignore_label: int, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """A window of (h, w) `size` anywhere in the image; a smaller image is padded with black, its label with ignore."""
    missing = [max(wanted - have, 0) for wanted, have in zip(size, label.shape)]
    if any(missing):
        border = [(0, missing[0]), (0, missing[1])]
        image, label = np.pad(image, [*border, (0, 0)]), np.pad(label, border, constant_values=ignore_label)
    top, left = (rng.randint(have - wanted + 1) for have, wanted in zip(label.shape, size))
    window = slice(top, top + size[0]), slice(left, left + size[1])
    return image[window], label[window]


def build_segmentation_loader(
    cfg: Config, dataset: SegmentationDataset, rank: int = 0, size: int = 1, start_step: int = 0
) -> TrainLoader:
    """Training batches from global step `start_step` to the end of the run, for one of `size` ranks."""
    return make_train_loader(cfg, SegmentationSamples(dataset, cfg), rank, size, start_step)


def _read_list(path: Path, maker: str) -> list[tuple[Path, Path]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        hint = f"; make it by: python -m src.data.{maker} --root {path.parent}" if maker else ""
        raise UserError(f"{path} does not exist{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    samples = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        fields = line.strip().split("\t") if "\t" in line.strip() else line.split()
        if len(fields) != 2:
            raise UserError(f"{path}, line {number}: expected an image and a label path, found {len(fields)} fields")
        samples.append(tuple(path.parent / field.strip() for field in fields))
    if not samples:
        raise UserError(f"{path} names no samples")
    return samples
