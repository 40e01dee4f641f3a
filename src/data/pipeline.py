"""Samples -> batches of fixed shape: `mindspore.dataset` in training, a plain iterable in evaluation."""

import contextlib
import itertools
import logging
import os
import re
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import cv2
import numpy as np

from src.config import Config
from src.data import masks as mask_codec
from src.data import transforms as T
from src.data.coco import CocoDataset, ImageRecord
from src.data.images import read_bgr
from src.errors import UserError

logger = logging.getLogger(__name__)

COLUMNS = ("image", "image_shape", "gt_boxes", "gt_labels", "gt_valid", "gt_masks", "sample_seed")
CROWD_LABEL = -1
MAX_READ_TRIES = 100  # neighbours tried in place of an unreadable image


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training images: probabilities of a horizontal flip and of a larger canvas."""

    flip: float
    expand: float


class TrainSource:
    """Random-access training batches of a whole run for `mindspore.dataset.GeneratorDataset`; item k is step k's batch.

    Every sample is a pure function of (seed, epoch, image): a run that starts at a later step sees what an
    uninterrupted run sees there. Each global batch is a slice of the epoch's permutation, cut into one part a rank.
    """

    def __init__(
        self,
        dataset: CocoDataset,
        indices: list[int],
        settings: T.ImageSettings,
        augmentation: Augmentation,
        num_gts: int,
        seed: int,
        batch_size: int,
        rank: int,
        size: int,
        steps_per_epoch: int,
        first_step: int,
        num_steps: int,
    ):
        self.dataset, self.indices = dataset, indices
        self.settings, self.augmentation, self.num_gts = settings, augmentation, num_gts
        self.seed, self.batch_size, self.rank, self.size = seed, batch_size, rank, size
        self.steps_per_epoch, self.first_step, self.num_steps = steps_per_epoch, first_step, num_steps
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, int))
        self._unreadable: set[str] = set()

    def __len__(self) -> int:
        return self.num_steps

    def __getitem__(self, item: int) -> tuple[np.ndarray, ...]:
        """One batch in the order of `COLUMNS`."""
        epoch, step_of_epoch = divmod(self.first_step + int(item), self.steps_per_epoch)
        start = (step_of_epoch * self.size + self.rank) * self.batch_size
        entries = self._permutation(epoch)[start : start + self.batch_size]
        return tuple(np.stack(column) for column in zip(*(self._sample(epoch, int(entry)) for entry in entries)))

    def _sample(self, epoch: int, entry: int) -> tuple[np.ndarray, ...]:
        record, image = self._read(entry)
        rng = np.random.RandomState([self.seed % 2**32, epoch, self.indices[entry]])
        return make_sample(record, image, self.settings, self.augmentation, self.num_gts, rng)

    def _permutation(self, epoch: int) -> np.ndarray:
        known_epoch, order = self._order  # read once: worker threads may be in two epochs at the same time
        if known_epoch != epoch:
            order = np.random.RandomState([self.seed % 2**32, epoch]).permutation(len(self.indices))
            self._order = (epoch, order)
        return order

    def _read(self, entry: int) -> tuple[ImageRecord, np.ndarray]:
        """The image, or the next readable one in the file's order; each unreadable file is reported once a worker."""
        for offset in range(min(MAX_READ_TRIES, len(self.indices))):
            record = self.dataset.record(self.indices[(entry + offset) % len(self.indices)])
            image = read_image(record)
            if image is not None:
                return record, image
            if record.path.name not in self._unreadable:
                self._unreadable.add(record.path.name)
                logger.warning("%s; the next image takes its place", unreadable_reason(record))
        tries = min(MAX_READ_TRIES, len(self.indices))
        raise UserError(f"{tries} images in a row cannot be read, the last one is {record.path}")


@dataclass
class TrainLoader:
    """Batches of the remaining steps of a run: iterating yields tuples of tensors in the order of `columns`."""

    source: TrainSource
    num_workers: int
    use_processes: bool
    columns: tuple[str, ...] = COLUMNS
    steps_per_epoch: int = field(init=False)

    def __post_init__(self):
        self.steps_per_epoch = self.source.steps_per_epoch

    def __len__(self) -> int:
        return self.source.num_steps

    def __iter__(self) -> Iterator[tuple]:
        import mindspore.dataset as ds

        if not len(self.source):  # a finished run that is resumed; the framework refuses an empty source
            return
        with _user_errors_of_workers(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            batches = ds.GeneratorDataset(
                self.source,
                list(self.columns),
                shuffle=False,
                num_parallel_workers=self.num_workers,
                python_multiprocessing=self.use_processes and self.num_workers > 1,
            )
            yield from batches.create_tuple_iterator(num_epochs=1)


def build_train_loader(
    cfg: Config, dataset: CocoDataset, rank: int = 0, size: int = 1, start_step: int = 0
) -> TrainLoader:
    """Batches from global step `start_step` to the end of the run, for one of `size` ranks.

    Raises UserError if one global batch is larger than the data set.
    """
    indices = dataset.training_indices(cfg.filter_empty_gt, cfg.train_dataset_num, cfg.train_dataset_divider)
    global_batch = cfg.batch_size * size
    if global_batch > len(indices):
        raise UserError(
            f"batch_size {cfg.batch_size} x {size} device(s) is larger than the {len(indices)} training images of "
            f"{dataset.annotation_file}"
        )
    crowded = dataset.images_above(cfg.num_gts)
    if crowded:
        logger.warning(
            "%d images have more than num_gts = %d objects; the rest of their objects are left out",
            crowded,
            cfg.num_gts,
        )
    steps_per_epoch = len(indices) // global_batch
    left_out = len(indices) - steps_per_epoch * global_batch
    if left_out:
        logger.info("%d of %d images are left out of each epoch (another choice every time)", left_out, len(indices))
    source = TrainSource(
        dataset,
        indices,
        T.ImageSettings.from_config(cfg),
        Augmentation(cfg.flip_ratio, cfg.expand_ratio),
        cfg.num_gts,
        cfg.seed,
        cfg.batch_size,
        rank,
        size,
        steps_per_epoch,
        start_step,
        max(cfg.epoch_size * steps_per_epoch - start_step, 0),
    )
    workers = min(cfg.num_parallel_workers, os.cpu_count() or 1)  # the framework refuses more workers than cores
    if workers < cfg.num_parallel_workers:
        logger.info("num_parallel_workers %d is cut to the %d cores of this machine", cfg.num_parallel_workers, workers)
    return TrainLoader(source, workers, cfg.python_multiprocessing)


def read_image(record: ImageRecord) -> np.ndarray | None:
    """(h, w, 3) uint8 BGR in the labels' size, or None if the file is no whole image or of another size."""
    image = read_bgr(record.path)
    if image is None or image.shape[:2] != (record.height, record.width):
        return None
    return image


def unreadable_reason(record: ImageRecord) -> str:
    """Why `read_image` gave None, for a log line."""
    if not record.path.is_file():
        return f"{record.path} is missing"
    image = read_bgr(record.path)
    if image is None:
        return f"{record.path} is no image, or cut off"
    found = f"{image.shape[1]} x {image.shape[0]}"
    return f"{record.path} has {found} pixels, its entry in the label file {record.width} x {record.height}"


@contextlib.contextmanager
def _user_errors_of_workers() -> Iterator[None]:
    """A UserError that a worker raised arrives inside the framework's long RuntimeError: raise it as itself."""
    try:
        yield
    except RuntimeError as error:
        found = re.findall(r"^(?:\w+\.)*UserError: (.+)$", str(error), re.MULTILINE)  # a worker's traceback ends so
        if not found:
            raise
        raise UserError(found[-1]) from None


def make_sample(
    record: ImageRecord,
    image: np.ndarray,
    settings: T.ImageSettings,
    augmentation: Augmentation,
    num_gts: int,
    rng: np.random.RandomState,
) -> tuple[np.ndarray, ...]:
    """One training sample in the order of `COLUMNS` (shapes as in the batch, without its first axis)."""
    flip, expand = rng.rand() < augmentation.flip, rng.rand() < augmentation.expand
    expansion = T.draw_expansion(*image.shape[:2], rng) if expand else None
    sample_seed = np.int32(rng.randint(0, 2**31 - 1))
    if expansion:
        image = T.expand_image(image, expansion, settings)
    old_size = (image.shape[1], image.shape[0])
    image = T.resize_image(image, settings)
    height, width = image.shape[:2]
    image = cv2.flip(image, 1) if flip else image

    boxes = np.zeros((num_gts, 4), np.float32)
    labels = np.zeros(num_gts, np.int32)
    packed = np.zeros((num_gts, settings.height, settings.width // 8), np.uint8)
    row = 0
    for item in sorted(record.objects, key=lambda item: item.crowd):  # crowds last, otherwise the file's order
        if row == num_gts:
            break
        box = np.float32([item.box])
        if expansion:
            box = box + np.float32([expansion.left, expansion.top] * 2)
        box = T.resize_boxes(box, old_size, (width, height))
        box = T.flip_boxes(box, width) if flip else box
        if box[0, 2] <= box[0, 0] or box[0, 3] <= box[0, 1]:
            continue
        if not item.crowd:
            bitmap = _resized_bitmap(item.segmentation, record, expansion, (width, height), flip)
            if bitmap is None:
                continue
            full = np.zeros((height, settings.width), np.uint8)
            full[:, :width] = bitmap
            packed[row, :height] = mask_codec.pack(full)
        boxes[row] = box
        labels[row] = CROWD_LABEL if item.crowd else item.label + 1
        row += 1
    image = T.normalise_and_pad(image, settings)
    return image, np.int32([height, width]), boxes, labels, labels > 0, packed, sample_seed


def _resized_bitmap(
    segmentation: object, record: ImageRecord, expansion: T.Expansion | None, size: tuple[int, int], flip: bool
) -> np.ndarray | None:
    """The object's mask in the network's input, or None if its segmentation cannot be decoded."""
    try:
        bitmap = mask_codec.to_bitmap(segmentation, record.height, record.width)
    except (ValueError, TypeError) as error:
        logger.warning("%s: an object's segmentation is left out: %s", record.path.name, error)
        return None
    if expansion:
        bitmap = T.expand_mask(bitmap, expansion)
    bitmap = T.resize_mask(bitmap, size)
    return bitmap[:, ::-1] if flip else bitmap


# ------------------------------------------------------------------------------------------------------- evaluation


@dataclass
class EvalBatch:
    """A batch of evaluation images, B slots of which the first `count` are real.

    image (B, 3, H, W) float32; image_shape (B, 2) int32 (h, w) before padding; scale_factor (B, 2) float32 (w, h);
    orig_shape (B, 2) int32 (h, w) of the file; image_ids; readable: False where the file is no image (zeros then).
    """

    image: np.ndarray
    image_shape: np.ndarray
    scale_factor: np.ndarray
    orig_shape: np.ndarray
    image_ids: list
    readable: list[bool]
    count: int


class EvalLoader:
    """Every image of a data set once, in order; the last batch is filled up with empty slots. len() counts images."""

    def __init__(self, dataset: CocoDataset, settings: T.ImageSettings, batch_size: int, num_workers: int):
        self.dataset, self.settings = dataset, settings
        self.batch_size, self.num_workers = batch_size, num_workers

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[EvalBatch]:
        ahead = self.batch_size + 2 * self.num_workers  # images decoded or being decoded, the batch in use included
        upcoming = iter(range(len(self)))
        waiting: deque = deque()
        with ThreadPoolExecutor(self.num_workers, thread_name_prefix="decode") as pool:
            for start in range(0, len(self), self.batch_size):
                for i in itertools.islice(upcoming, ahead - len(waiting)):
                    waiting.append(pool.submit(self._load, self.dataset.record(i)))
                records = [self.dataset.record(i) for i in range(start, min(start + self.batch_size, len(self)))]
                yield self._make_batch(records, [waiting.popleft().result() for _ in records])

    def _load(self, record: ImageRecord) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        image = read_image(record)
        if image is None:
            logger.warning("%s; it counts without predictions", unreadable_reason(record))
            return None
        return T.prepare_image(image, self.settings)

    def _make_batch(self, records: list[ImageRecord], loaded: list) -> EvalBatch:
        size = (self.settings.height, self.settings.width)
        batch = EvalBatch(
            image=np.zeros((self.batch_size, 3, *size), np.float32),
            image_shape=np.tile(np.int32(size), (self.batch_size, 1)),
            scale_factor=np.ones((self.batch_size, 2), np.float32),
            orig_shape=np.tile(np.int32(size), (self.batch_size, 1)),
            image_ids=[record.image_id for record in records] + [-1] * (self.batch_size - len(records)),
            readable=[item is not None for item in loaded] + [False] * (self.batch_size - len(records)),
            count=len(records),
        )
        for slot, (record, item) in enumerate(zip(records, loaded)):
            batch.orig_shape[slot] = record.height, record.width
            if item is not None:
                batch.image[slot], batch.image_shape[slot], batch.scale_factor[slot] = item
        return batch


def build_eval_loader(cfg: Config, dataset: CocoDataset, batch_size: int | None = None) -> EvalLoader:
    """Evaluation batches of `batch_size` (default `cfg.test_batch_size`) slots."""
    settings = T.ImageSettings.from_config(cfg)
    return EvalLoader(dataset, settings, batch_size or cfg.test_batch_size, cfg.num_parallel_workers)
