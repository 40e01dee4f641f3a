"""Annotated images -> samples of fixed shape for training, a plain iterable of batches for evaluation."""

import itertools
import logging
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..config import Config, has_masks
from . import masks as mask_codec
from .augmentation import draw_transforms
from .augmentation.geometry import Expand, FitInput, HorizontalFlip
from .augmentation.legacy import legacy_steps
from .augmentation.transform import Chain, Size
from .decoding import USUAL_RULES, ImageRules
from .formats.index import DetectionIndex, ImageRecord
from .images import differs_in_size, labelled_bgr, why_unreadable
from .loader import TrainLoader, make_train_loader
from .network_input import ImageSettings, normalise_and_pad, prepare_image
from .read_ahead import read_ahead
from .streams import SampleStreams

logger = logging.getLogger(__name__)

MASKS = "gt_masks"
COLUMNS = ("image", "image_shape", "gt_boxes", "gt_labels", "gt_valid", MASKS, "sample_seed")
HAS_MASK = "gt_has_mask"  # one more column, where the data have objects without a mask
CROWD_LABEL = -1
BLACK = (0, 0, 0)
GROUPED = 8  # batches' worth of images that are sorted by orientation together
MASK_ROWS = 100  # of gt_masks, if num_gts is not less; more of them only as far as an image has as many objects


class DetectionSamples:
    """Training samples of detection data, see `loader.Samples`; `indices` are the images that take part.

    A detector without masks gets none: they are not made then.
    """

    sparse = (MASKS,)

    def __init__(self, dataset: DetectionIndex, indices: list[int], cfg: Config):
        self.dataset, self.keys, self.name, self.cfg = dataset, indices, str(dataset.annotation_file), cfg
        self.settings = ImageSettings.for_training(cfg)
        self.kinds = self._orientations() if self.settings.turns else None
        self.is_legacy = cfg.box_style == "legacy"
        self.columns = (*COLUMNS, HAS_MASK) if dataset.lacks_masks else COLUMNS
        if not has_masks(cfg):
            self.columns = tuple(name for name in COLUMNS if name != MASKS)
        most = max(sum(not item.crowd for item in dataset.record(index).objects) for index in indices)
        self.mask_rows = min(cfg.num_gts, max(most, MASK_ROWS))

    def read(self, entry: int) -> tuple[ImageRecord, np.ndarray] | None:
        record = self.dataset.record(self.keys[entry])
        image = read_image(record, self.settings.reading)
        return None if image is None else (record, image)

    def why_unreadable(self, entry: int) -> str:
        return unreadable_reason(self.dataset.record(self.keys[entry]))

    def make(self, item: tuple[ImageRecord, np.ndarray], streams: SampleStreams) -> tuple[np.ndarray, ...]:
        """In the order of `columns`, shapes as in the batch without its first axis."""
        record, image = item
        transforms = draw_transforms(self._own, self.cfg, image.shape[:2], streams, bgr=True)
        return self._sample(record, image, transforms, np.int32(streams.shared.randint(0, 2**31 - 1)))

    def plain(self, item: tuple[ImageRecord, np.ndarray], streams: SampleStreams) -> tuple[np.ndarray, ...]:
        """The same without augmentation: the image as it is evaluated."""
        settings = self._settings(item[0])
        steps = legacy_steps(None, settings, None) if self.is_legacy else [FitInput(settings)]
        return self._sample(*item, Chain.of(steps), np.int32(streams.shared.randint(0, 2**31 - 1)))

    def _sample(
        self, record: ImageRecord, image: np.ndarray, transforms: Chain, sample_seed: np.int32
    ) -> tuple[np.ndarray, ...]:
        image = transforms.image(image)
        found = self._truth(record, transforms)
        settings = self._settings(record)
        found |= {"image": normalise_and_pad(image, settings), "image_shape": np.int32(image.shape[:2])}
        found |= {"gt_valid": found["gt_labels"] > 0, "sample_seed": sample_seed}
        return tuple(found[name] for name in self.columns)

    def mix(self, batch: tuple[np.ndarray, ...], rng: np.random.RandomState) -> tuple[np.ndarray, ...]:
        return batch

    def _own(self, size: Size, rng: np.random.RandomState) -> Chain:
        """Drawn in another order than they act."""
        flip, expand = HorizontalFlip.draw(self.cfg, size, rng), Expand.draw(self.cfg, size, rng)
        if expand is not None and self.settings.black:
            expand = replace(expand, colour=BLACK)
        if self.is_legacy:
            return Chain.of(legacy_steps(expand, self.settings, flip))
        fit = FitInput(replace(self.settings.for_image(size[1], size[0]), turns=False))
        return Chain.of((expand, fit, flip))

    def _settings(self, record: ImageRecord) -> ImageSettings:
        """Those of the image's own orientation, whatever becomes of it."""
        return replace(self.settings.for_image(record.width, record.height), turns=False)

    def _orientations(self) -> list[int]:
        records = map(self.dataset.record, self.keys)
        return [int(record.height > record.width) for record in records]

    def _truth(self, record: ImageRecord, transforms: Chain) -> dict[str, np.ndarray]:
        """gt_boxes, gt_labels, and where they are columns gt_masks and gt_has_mask, of the objects that are left.

        Crowds come last, otherwise they stand in the file's order.
        """
        num_gts = self.cfg.num_gts
        boxes, labels = np.zeros((num_gts, 4), np.float32), np.zeros(num_gts, np.int32)
        shown: list[tuple[int, object]] = []  # row and mask
        objects = sorted(record.objects, key=lambda item: item.crowd)
        precision = np.float64 if self.is_legacy else np.float32  # which would make 31 of 30.99999999
        moved = np.array([item.box for item in objects], precision).reshape(-1, 4)
        moved = transforms.boxes(moved, (record.height, record.width))
        row = 0
        for item, box in zip(objects, moved):
            if row == num_gts:
                break
            if self._has_no_area(box):
                continue
            if not item.crowd and item.segmentation is not None:
                shown.append((row, item.segmentation))
            boxes[row] = box
            labels[row] = CROWD_LABEL if item.crowd else item.label + 1
            row += 1
        truth = {"gt_boxes": boxes, "gt_labels": labels}
        return truth | self._masks(record, transforms, shown) if MASKS in self.columns else truth

    def _masks(
        self, record: ImageRecord, transforms: Chain, shown: Sequence[tuple[int, object]]
    ) -> dict[str, np.ndarray]:
        """gt_masks with these masks in these rows, and gt_has_mask."""
        settings = self._settings(record)
        width = settings.width
        packed = np.zeros((self.mask_rows, settings.height, width // 8), np.uint8)
        has_mask = np.zeros(self.cfg.num_gts, bool)
        for row, segmentation in shown:
            bitmap = transforms.masks(mask_codec.to_bitmap(segmentation, record.height, record.width))
            full = np.zeros((bitmap.shape[0], width), np.uint8)
            full[:, : bitmap.shape[1]] = bitmap
            packed[row, : bitmap.shape[0]] = mask_codec.pack(full)
            has_mask[row] = True
        return {MASKS: packed, HAS_MASK: has_mask}

    def _has_no_area(self, box: np.ndarray) -> bool:
        """A legacy box of one column or row has x1 == x2 or y1 == y2."""
        wide, high = box[2] - box[0], box[3] - box[1]
        return (wide < 0 or high < 0) if self.is_legacy else (wide <= 0 or high <= 0)


def build_train_loader(
    cfg: Config, dataset: DetectionIndex, rank: int = 0, size: int = 1, start_step: int = 0
) -> TrainLoader:
    """Batches from global step `start_step` to the end of the run, for one of `size` ranks.

    Raises UserError if one global batch is larger than the data set.
    """
    indices = dataset.training_indices(cfg.filter_empty_gt, cfg.train_dataset_num, cfg.train_dataset_divider)
    loader = make_train_loader(cfg, DetectionSamples(dataset, indices, cfg), rank, size, start_step)
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


def read_image(record: ImageRecord, rules: ImageRules = USUAL_RULES) -> np.ndarray | None:
    """(h, w, 3) uint8 BGR in the labels' size, or None if the file is no whole image or of another size."""
    return labelled_bgr(record.path, record.height, record.width, rules)


def unreadable_reason(record: ImageRecord) -> str:
    """Why `read_image` gave None, for a log line."""
    size = differs_in_size(record.path, record.height, record.width)
    if size is None:
        return why_unreadable(record.path, record.height * record.width)
    found = f"{size[1]} x {size[0]}"
    return f"{record.path} has {found} pixels, its entry in the label file {record.width} x {record.height}"


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
    """One image of an evaluation batch. orig_shape: its (h, w); prepared: by `prepare_image`, None if unreadable."""

    image_id: Hashable
    orig_shape: tuple[int, int]
    prepared: tuple[np.ndarray, np.ndarray, np.ndarray] | None


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
    """All images in batches of `batch_size` slots, the last one filled up with empty slots.

    Where the input turns with the image, a batch holds one orientation. Then each stretch of `group_size` images has
    batches of its own, so that the order of batches and how many images wait follow the stretch alone.
    """
    if not settings.turns:
        images = iter(images)
        while group := list(itertools.islice(images, batch_size)):
            yield make_eval_batch(group, batch_size, settings, empty_id)
        return
    waiting: dict[bool, list[tuple[int, EvalImage]]] = {False: [], True: []}

    def batch(is_portrait: bool) -> EvalBatch:
        places, group = zip(*waiting[is_portrait])
        waiting[is_portrait].clear()
        height, width = group[0].orig_shape
        own = settings.for_image(width, height)
        return replace(make_eval_batch(group, batch_size, own, empty_id), places=list(places))

    for place, image in enumerate(images):
        height, width = image.orig_shape
        waiting[height > width].append((place, image))
        if len(waiting[height > width]) == batch_size:
            yield batch(height > width)
        if (place + 1) % group_size(batch_size, settings.turns) == 0:
            yield from [batch(kind) for kind, group in waiting.items() if group]
    yield from [batch(kind) for kind, group in waiting.items() if group]


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
        records = (self.dataset.record(i) for i in self.indices)
        images = read_ahead(self._load, records, self.num_workers, ahead=2 * self.num_workers)
        yield from eval_batches(images, self.batch_size, self.settings, empty_id=-1)

    def _load(self, record: ImageRecord) -> EvalImage:
        image = read_image(record, self.settings.reading)
        if image is None:
            takes_part = differs_in_size(record.path, record.height, record.width) is None
            fate = "it counts without predictions" if takes_part else "it is left out with its objects"
            logger.warning("%s; %s", unreadable_reason(record), fate)
        prepared = None if image is None else prepare_image(image, self.settings)
        return EvalImage(record.image_id, (record.height, record.width), prepared)


def build_eval_loader(
    cfg: Config, dataset: DetectionIndex, batch_size: int | None = None, indices: Sequence[int] | None = None
) -> EvalLoader:
    """Evaluation batches of `batch_size` (default `cfg.test_batch_size`) slots over the images at `indices` (all)."""
    settings = ImageSettings.from_config(cfg)
    return EvalLoader(dataset, settings, batch_size or cfg.test_batch_size, cfg.num_parallel_workers, indices)
