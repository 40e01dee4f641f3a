"""Annotated images -> training samples of fixed shape."""

import copy
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from ..config import Config, has_masks
from . import batch_memory
from .augmentation import combine_scenes, draw_transforms, most_objects
from .augmentation.colour import ColourJitter
from .augmentation.geometry import Expand, FitInput, HorizontalFlip
from .augmentation.legacy import legacy_steps
from .augmentation.patch import seen_after
from .augmentation.scale import attempts, draw_fit
from .augmentation.scene import CROWD_LABEL, Scene, has_objects
from .augmentation.transform import Chain, OnRgb, Size
from .decoding import USUAL_RULES, ImageRules
from .formats.index import DetectionIndex, ImageRecord
from .images import differs_in_size, labelled_bgr, why_unreadable
from .masks import pack_layers
from .network_input import ImageSettings, normalise_and_pad
from .readable import ReadableEntries
from .sampling import origins_of
from .streams import SampleStreams

logger = logging.getLogger(__name__)

MASKS = "gt_masks"
COLUMNS = ("image", "image_shape", "gt_boxes", "gt_labels", "gt_valid", MASKS, "sample_seed")
HAS_MASK = "gt_has_mask"  # one more column, where the data have objects without a mask
BLACK = (0, 0, 0)
ORIENTATIONS = ("landscapes", "portraits")
MASK_ROWS = 100  # of gt_masks, if num_gts is not less; more of them only as far as an image has as many objects


class DetectionSamples:
    """Training samples of detection data, see `loader.Samples`; `indices` are the images that take part.

    A detector without masks gets none: they are not made then.
    """

    sparse = {MASKS: "gt_labels"}
    kind_names = ORIENTATIONS
    pixel_columns = ("image", "image_shape")
    _sends_pixels = False

    def __init__(self, dataset: DetectionIndex, indices: list[int], cfg: Config):
        self.dataset, self.keys, self.name, self.cfg = dataset, indices, str(dataset.annotation_file), cfg
        self.origins = origins_of(dataset.sets, indices)
        self.settings, self.entries = ImageSettings.for_training(cfg), ReadableEntries(self)
        self.kinds = orientations(dataset, indices) if self.settings.turns else None
        self.is_legacy = cfg.box_style == "legacy"
        self.columns = (*COLUMNS, HAS_MASK) if dataset.lacks_masks else COLUMNS
        if not has_masks(cfg):
            self.columns = tuple(name for name in COLUMNS if name != MASKS)
        most = max(sum(not item.crowd for item in dataset.record(index).objects) for index in indices)
        self.mask_rows = min(cfg.num_gts, max(most_objects(cfg, most), MASK_ROWS))

    def read(self, entry: int) -> tuple[ImageRecord, np.ndarray] | None:
        record = self.dataset.record(self.keys[entry])
        image = read_image(record, self.settings.reading)
        return None if image is None else (record, image)

    def why_unreadable(self, entry: int) -> str:
        return unreadable_reason(self.dataset.record(self.keys[entry]))

    def make(self, item: tuple[ImageRecord, np.ndarray], streams: SampleStreams) -> tuple[np.ndarray, ...]:
        """In the order of `columns`, shapes as in the batch without its first axis."""
        count = len(self.keys)
        scene = combine_scenes(self._scene(item), self.cfg, streams, count, self._original, on_original=True)
        scene, streams = self._changed(scene, streams)
        sample_seed = np.int32(streams.shared.randint(0, 2**31 - 1))
        scene = combine_scenes(scene, self.cfg, streams, count, self._partner, on_original=False)
        return self._sample(scene, self._settings(item[0]), sample_seed)

    def plain(self, item: tuple[ImageRecord, np.ndarray], streams: SampleStreams) -> tuple[np.ndarray, ...]:
        """The same without augmentation: the image as it is evaluated."""
        settings = self._settings(item[0])
        steps = legacy_steps(None, settings, None) if self.is_legacy else [FitInput(settings)]
        scene = self._scene(item).changed(Chain.of(steps))
        return self._sample(scene, settings, np.int32(streams.shared.randint(0, 2**31 - 1)))

    def mix(self, batch: tuple[np.ndarray, ...], rng: np.random.RandomState) -> tuple[np.ndarray, ...]:
        return batch

    def in_pixels(self) -> "DetectionSamples":
        """The same samples with images (H, W, 3) uint8 BGR; what lies right of and below `image_shape` is anything."""
        samples = copy.copy(self)
        samples._sends_pixels = True
        return samples

    def from_pixels(self, pixels: np.ndarray, shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B, H, W, 3) of samples `in_pixels`, (B, 2) their `image_shape` -> (B, 3, H, W) as `make` has it, shapes."""
        settings = replace(self.settings, height=pixels.shape[1], width=pixels.shape[2])
        with batch_memory.side_by_side(len(pixels)):
            images = [normalise_and_pad(one[:h, :w], settings) for one, (h, w) in zip(pixels, shapes)]
            return batch_memory.stacked(tuple(images)), shapes

    def _own(self, size: Size, rng: np.random.RandomState, streams: SampleStreams, attempt: int) -> Chain:
        """Drawn in another order than they act. attempt: see `draw_fit`."""
        flip, expand = HorizontalFlip.draw(self.cfg, size, rng), Expand.draw(self.cfg, size, rng)
        if expand is not None and self.settings.black:
            expand = replace(expand, colour=BLACK)
        jitter = ColourJitter.draw(self.cfg, size, streams.of("color_jitter"))
        first = (jitter and OnRgb(jitter), expand)
        if self.is_legacy:
            return Chain.of((first[0], *legacy_steps(expand, self.settings, flip)))
        size = Chain.of(first).new_size(size)
        settings = replace(self.settings.for_image(size[1], size[0]), turns=False)
        return Chain.of((*first, draw_fit(self.cfg, settings, size, streams, attempt), flip))

    def _settings(self, record: ImageRecord) -> ImageSettings:
        """Those of the image's own orientation, whatever becomes of it."""
        return replace(self.settings.for_image(record.width, record.height), turns=False)

    def _changed(self, scene: Scene, streams: SampleStreams) -> tuple[Scene, SampleStreams]:
        """At the network's size, as chance has it; and the streams, as far as they were drawn from."""
        for attempt in range(attempts(self.cfg)):
            again = replace(streams)  # from the start: only the resizing is another one
            own = partial(self._own, streams=again, attempt=attempt)
            change = draw_transforms(own, self.cfg, scene.size, again, bgr=True)
            changed = seen_after(change, scene.changed(change), MASKS in self.columns)
            if has_objects(changed) or not has_objects(scene):
                break
        return changed, again

    def _partner(self, entry: int, streams: SampleStreams) -> Scene:
        return self._changed(self._original(entry, streams), streams)[0]

    def _original(self, entry: int, streams: SampleStreams) -> Scene:
        return self._scene(self.entries.read(entry))

    def _scene(self, item: tuple[ImageRecord, np.ndarray]) -> Scene:
        return Scene.of(*item, np.float64 if self.is_legacy else np.float32)  # which would make 31 of 30.99999999

    def _sample(self, scene: Scene, settings: ImageSettings, sample_seed: np.int32) -> tuple[np.ndarray, ...]:
        found = self._truth(scene, settings)
        image = (_padded if self._sends_pixels else normalise_and_pad)(scene.image, settings)
        found |= {"image": image, "image_shape": np.int32(scene.size)}
        found |= {"gt_valid": found["gt_labels"] > 0, "sample_seed": sample_seed}
        return tuple(found[name] for name in self.columns)

    def _truth(self, scene: Scene, settings: ImageSettings) -> dict[str, np.ndarray]:
        """gt_boxes, gt_labels, and where they are columns gt_masks and gt_has_mask, of the objects that are left.

        Crowds come last, otherwise they stand in the scene's order.
        """
        num_gts = self.cfg.num_gts
        boxes, labels = np.zeros((num_gts, 4), np.float32), np.zeros(num_gts, np.int32)
        has_mask = np.zeros(num_gts, bool)
        found = [k for k, box in enumerate(scene.boxes) if not self._has_no_area(box)]
        found = sorted(found, key=lambda k: scene.labels[k] == CROWD_LABEL)[:num_gts]
        drawn = scene.masks.drawn
        for row, k in enumerate(found):
            boxes[row], labels[row] = scene.boxes[k], scene.labels[k]
            has_mask[row] = drawn[k] and labels[row] != CROWD_LABEL
        truth = {"gt_boxes": boxes, "gt_labels": labels, HAS_MASK: has_mask}
        if MASKS in self.columns:
            shape = self.mask_rows, settings.height, settings.width // 8
            rows = np.flatnonzero(has_mask)
            truth[MASKS] = pack_layers(rows, lambda group: scene.masks.layers([found[rows[k]] for k in group]), shape)
        return truth

    def _has_no_area(self, box: np.ndarray) -> bool:
        """A legacy box of one column or row has x1 == x2 or y1 == y2."""
        wide, high = box[2] - box[0], box[3] - box[1]
        return (wide < 0 or high < 0) if self.is_legacy else (wide <= 0 or high <= 0)


def _padded(image: np.ndarray, settings: ImageSettings) -> np.ndarray:
    """(h, w, 3) uint8 -> (H, W, 3), anything beside the image."""
    out = batch_memory.empty((settings.height, settings.width, 3), np.uint8)
    out[: image.shape[0], : image.shape[1]] = image
    return out


def orientations(dataset: DetectionIndex, indices: Sequence[int]) -> list[int]:
    """Of the images at `indices`: a place in ORIENTATIONS; a square one is a landscape."""
    return [int(record.height > record.width) for record in map(dataset.record, indices)]


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


def tell_unreadable(record: ImageRecord, reason: str = "") -> None:
    """Say of an image that is evaluated and cannot be read why, and what becomes of it."""
    takes_part = differs_in_size(record.path, record.height, record.width) is None
    fate = "it counts without predictions" if takes_part else "it is left out with its objects"
    logger.warning("%s; %s", reason or unreadable_reason(record), fate)
