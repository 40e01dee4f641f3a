"""Annotated images -> a run's training batches; a plain iterable of batches for evaluation."""

import itertools
import logging
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..config import Config, has_masks, trains_by_orientation
from .augmentation import COMBINATIONS
from .augmentation.scene import CROWD_LABEL
from .detection_samples import (
    COLUMNS,
    HAS_MASK,
    MASK_ROWS,
    MASKS,
    ORIENTATIONS,
    DetectionSamples,
    orientations,
    read_image,
    tell_unreadable,
    unreadable_reason,
)
from .formats.index import DetectionIndex, ImageRecord
from .loader import TrainLoader, make_train_loader
from .network_input import ImageSettings, prepare_image
from .read_ahead import read_ahead
from .repeat_factors import RepeatFactors
from .sampling import Sampling, sampling_of
from .whole_batches import kind_lines

__all__ = [
    "COLUMNS", "CROWD_LABEL", "HAS_MASK", "MASKS", "MASK_ROWS", "DetectionSamples", "EvalBatch", "EvalImage",
    "EvalLoader", "build_eval_loader", "build_train_loader", "make_eval_batch", "read_image", "unreadable_reason",
]  # fmt: skip

logger = logging.getLogger(__name__)

GROUPED = 8  # batches' worth of images that are sorted by orientation together

def build_train_loader(
    cfg: Config, dataset: DetectionIndex, rank: int = 0, size: int = 1, start_step: int = 0
) -> TrainLoader:
    """Batches from global step `start_step` to the end of the run, for one of `size` ranks.

    Raises UserError if one global batch is larger than the data set, or if the data do not fit the configuration.
    """
    for kind in COMBINATIONS.values():
        kind.check(cfg, dataset)
    indices = training_images(cfg, dataset)
    sampling, lines = detection_sampling(cfg, dataset, indices)
    for line in lines:
        logger.info(line)
    loader = make_train_loader(cfg, DetectionSamples(dataset, indices, cfg), rank, size, start_step, sampling)
    if has_masks(cfg) and dataset.lacks_masks and not dataset.has_masks:
        logger.warning(
            "%s: no object has a mask: boxes alone are trained; `detector: faster_rcnn` is the detector for them",
            dataset.annotation_file,
        )
    crowded = dataset.images_above(cfg.num_gts)
    if crowded:
        logger.warning(
            "%d images have more than num_gts = %d objects; the rest of their objects are left out",
            crowded,
            cfg.num_gts,
        )
    return loader


def training_images(cfg: Config, dataset: DetectionIndex) -> list[int]:
    """Which of the images take part in training."""
    return dataset.training_indices(cfg.filter_empty_gt, cfg.train_dataset_num, cfg.train_dataset_divider)


def detection_sampling(cfg: Config, dataset: DetectionIndex, indices: Sequence[int]) -> tuple[Sampling, list[str]]:
    """How often an epoch takes which of the images at `indices`, and what there is to say of it."""
    repeats, lines = np.ones(len(indices), int), []
    if cfg.repeat_threshold:
        shown = [{item.label for item in dataset.record(index).objects} for index in indices]
        factors = RepeatFactors.of(shown, cfg.repeat_threshold)
        repeats, lines = factors.repeats, [factors.line(dataset.classes)]
    sets = [dataset.sets[index] for index in indices] if dataset.sets else ()
    sampling, further = sampling_of(cfg, sets, dataset.label_files, repeats)
    return sampling, lines + further


def sampling_lines(cfg: Config, dataset: DetectionIndex) -> list[str]:
    """What there is to say before training of how often an epoch takes which image."""
    indices = training_images(cfg, dataset)
    sampling, lines = detection_sampling(cfg, dataset, indices)
    if not trains_by_orientation(cfg):
        return lines
    counts = sampling.counts(0, 0)
    kinds = np.repeat(orientations(dataset, indices), counts).tolist()
    what = "images" if sampling.is_plain else "samples"
    return lines + list(kind_lines(kinds, cfg.batch_size * cfg.device_num, what, ORIENTATIONS))


# ------------------------------------------------------------------------------------------------------- evaluation


@dataclass
class EvalBatch:
    """A batch of evaluation images, B slots of which the first `count` are real.

    image (B, 3, H, W) float32; image_shape (B, 2) int32 (h, w) before padding; scale_factor (B, 2) float32 (w, h);
    orig_shape (B, 2) int32 (h, w) of the file; image_ids; readable: False where the file is no image (zeros then).
    places: the numbers of the real images in the order that results are wanted in; None: as the batches come.
    """

    image: np.ndarray
    image_shape: np.ndarray
    scale_factor: np.ndarray
    orig_shape: np.ndarray
    image_ids: list
    readable: list[bool]
    count: int
    places: list[int] | None = None


@dataclass(frozen=True)
class EvalImage:
    """One image of an evaluation batch. orig_shape: its (h, w); prepared: what `prepare_image` gives, or whatever else
    it is read for; None if unreadable.
    """

    image_id: Hashable
    orig_shape: tuple[int, int]
    prepared: Any


def make_eval_batch(
    images: Sequence[EvalImage], batch_size: int, settings: ImageSettings, empty_id: Hashable
) -> EvalBatch:
    """A batch of `batch_size` slots from at most as many images; an unreadable or empty slot is black.

    empty_id: image id of the slots without an image.
    """
    size = (settings.height, settings.width)
    empty = batch_size - len(images)
    batch = EvalBatch(
        image=np.zeros((batch_size, 3, *size), np.float32),
        image_shape=np.tile(np.int32(size), (batch_size, 1)),
        scale_factor=np.ones((batch_size, 2), np.float32),
        orig_shape=np.tile(np.int32(size), (batch_size, 1)),
        image_ids=[image.image_id for image in images] + [empty_id] * empty,
        readable=[image.prepared is not None for image in images] + [False] * empty,
        count=len(images),
    )
    for slot, image in enumerate(images):
        batch.orig_shape[slot] = image.orig_shape
        if image.prepared is not None:
            batch.image[slot], batch.image_shape[slot], batch.scale_factor[slot] = image.prepared
    return batch


def eval_batches(
    images: Iterable[EvalImage], batch_size: int, settings: ImageSettings, empty_id: Hashable
) -> Iterator[EvalBatch]:
    """All images in batches of `batch_size` slots, the last one filled up with empty slots; see `eval_groups`."""
    for group in eval_groups(images, batch_size, settings.turns):
        yield batch_of_group(*group, batch_size, settings, empty_id)


def eval_groups(
    images: Iterable[EvalImage], batch_size: int, turns: bool
) -> Iterator[tuple[list[int] | None, list[EvalImage]]]:
    """The images of each batch, and their numbers where these do not follow one another; turns: see `ImageSettings`.

    Where the input turns with the image, a batch holds one orientation. Then each stretch of `group_size` images has
    batches of its own, so that the order of batches and how many images wait follow the stretch alone.
    """
    if not turns:
        images = iter(images)
        while group := list(itertools.islice(images, batch_size)):
            yield None, group
        return
    waiting: dict[bool, list[tuple[int, EvalImage]]] = {False: [], True: []}

    def taken(is_portrait: bool) -> tuple[list[int], list[EvalImage]]:
        places, group = zip(*waiting[is_portrait])
        waiting[is_portrait].clear()
        return list(places), list(group)

    for place, image in enumerate(images):
        height, width = image.orig_shape
        waiting[height > width].append((place, image))
        if len(waiting[height > width]) == batch_size:
            yield taken(height > width)
        if (place + 1) % group_size(batch_size, turns) == 0:
            yield from [taken(kind) for kind, group in waiting.items() if group]
    yield from [taken(kind) for kind, group in waiting.items() if group]


def batch_of_group(
    places: list[int] | None, group: Sequence[EvalImage], batch_size: int, settings: ImageSettings, empty_id: Hashable
) -> EvalBatch:
    """The batch of what `eval_groups` gives."""
    if places is not None:
        height, width = group[0].orig_shape
        settings = settings.for_image(width, height)
    return replace(make_eval_batch(group, batch_size, settings, empty_id), places=places)


def group_size(batch_size: int, turns: bool) -> int:
    """How many images, one after the other, share batches; turns: see `ImageSettings`."""
    return batch_size * GROUPED if turns and batch_size > 1 else batch_size


class EvalLoader:
    """Every image once, in order (but see `eval_batches`); the last batch is filled up with empty slots. len() counts
    images.

    indices: positions of the images in the data set, by default all of them.
    """

    def __init__(
        self,
        dataset: DetectionIndex,
        settings: ImageSettings,
        batch_size: int,
        num_workers: int,
        indices: Sequence[int] | None = None,
    ):
        self.dataset, self.settings = dataset, settings
        self.batch_size, self.num_workers = batch_size, num_workers
        self.indices = range(len(dataset)) if indices is None else indices

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[EvalBatch]:
        images = self.images(partial(prepare_image, settings=self.settings))
        yield from eval_batches(images, self.batch_size, self.settings, empty_id=-1)

    def images(self, prepare: Callable[[np.ndarray], Any]) -> Iterator[EvalImage]:
        """Every image in order, `prepared` from its pixels (h, w, 3) uint8 BGR."""
        records = (self.dataset.record(i) for i in self.indices)
        return read_ahead(partial(self._load, prepare), records, self.num_workers, ahead=2 * self.num_workers)

    def _load(self, prepare: Callable[[np.ndarray], Any], record: ImageRecord) -> EvalImage:
        image = read_image(record, self.settings.reading)
        if image is None:
            tell_unreadable(record)
        prepared = None if image is None else prepare(image)
        return EvalImage(record.image_id, (record.height, record.width), prepared)


def build_eval_loader(
    cfg: Config, dataset: DetectionIndex, batch_size: int | None = None, indices: Sequence[int] | None = None
) -> EvalLoader:
    """Evaluation batches of `batch_size` (default `cfg.test_batch_size`) slots over the images at `indices` (all)."""
    settings = ImageSettings.from_config(cfg)
    return EvalLoader(dataset, settings, batch_size or cfg.test_batch_size, cfg.num_parallel_workers, indices)
