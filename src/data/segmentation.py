"""Segmented images: training samples, training batches."""

from collections.abc import Sequence

import cv2
import numpy as np

from ..config import Config
from ..errors import UserError
from .formats.segmentation_list import SegmentationDataset
from .image_augment import colour_jitter
from .loader import TrainLoader, make_train_loader
from .normalisation import PixelNormalisation


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
        self.normalisation = PixelNormalisation.from_config(cfg)

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
        return self.normalisation.divided(rgb), label.astype(np.int32)

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
