"""A configuration to start from for objects with masks, or with boxes alone."""

import os
from dataclasses import dataclass, replace

from ...config import Config, has_masks
from ...config.choices import NUM_CLASSES
from ...errors import UserError
from ..formats import open_detection
from ..formats.index import DetectionIndex, ImageRecord
from . import input_size
from .anchors import anchors
from .parting import Parting, Shown, lacking, part, validation
from .recipe import Base, Choice, Choices, Wish, count, schedule, start_weights
from .told import Told
from .typed import changed, merged, network, reading

# GiB a million pixels: `check`'s peak on a CPU, of images of 192 x 192 (tiny) or 512 x 512, rounded up; an estimate.
BASES = {
    ("tiny", True): Base("demo/mask_rcnn_hrnet_shapes.yaml", 8, 1.5, 8, (64, 256), 4800, (6, 60)),
    ("tiny", False): Base("demo/faster_rcnn_hrnet_shapes.yaml", 8, 1.5, 8, (64, 256), 4800, (6, 60)),
    ("small", True): Base("mask_rcnn_hrnetv2p_w18_1x_coco.yaml", 16, 13.0, 8, (256, 800), 120_000, (12, 100), 2.0),
    ("small", False): Base("faster_rcnn_hrnetv2p_w18_1x_coco.yaml", 16, 10.0, 8, (256, 800), 120_000, (12, 100), 2.0),
    ("published", True): Base("mask_rcnn_r50_fpn_1x_coco.yaml", 16, 4.0, 16, None, 240_000, (12, 50), 2.0),
    ("published", False): Base("faster_rcnn_r50_fpn_1x_coco.yaml", 16, 3.0, 16, None, 240_000, (12, 50), 2.0),
}
MASKED = 0.5  # share of the objects that have a mask, from which on masks are learned
MOST_OBJECTS, LEAST_OBJECTS = 300, 8


@dataclass(frozen=True)
class _Data:
    """whole: the training set before anything is held out; train: what is left of it; indices: of the images that are
    learned from; own: the validation set, where there is one; parting: where there is none.
    """

    whole: DetectionIndex
    train: DetectionIndex
    indices: list[int]
    own: DetectionIndex | None
    parting: Parting | None

    def warning(self) -> str:
        """Of the classes that training or validation alone shows."""
        shown = _shown(self.whole)
        if self.own is not None:
            return lacking(shown, _shown(self.own), self.whole.classes, where="of validation")
        if self.parting is None:
            return ""
        train, held = ([shown[index] for index in side] for side in (self.parting.train, self.parting.held))
        return lacking(train, held, self.whole.classes)


def choices(told: Told, wish: Wish) -> Choices:
    """See `STARTS`. UserError for data that cannot be read."""
    cfg = reading(told, wish.overrides)
    names_typed = "coco_classes" in cfg.typed
    kind = cfg.train_data_type if "train_data_type" in cfg.typed else told.kind
    data = _opened(cfg if names_typed else changed(cfg, num_classes=NUM_CLASSES), told)
    records = [data.train.record(index) for index in range(len(data.train))]
    objects = [item for record in records for item in record.objects if not item.crowd]
    masked = sum(item.segmentation is not None for item in objects)
    with_masks = has_masks(cfg) if "detector" in cfg.typed else masked >= MASKED * len(objects)
    base = BASES[wish.preset, with_masks]
    own = network(base, wish.overrides)
    share = f"{masked:,} of {count(len(objects), 'object')} have a mask"
    learned = f"{len(data.indices):,} that show an object" if cfg.filter_empty_gt else f"{len(data.indices):,}"
    found: Choices = {
        "_base_": Choice(base.file, f"{base.load().detector} with {own.backbone.type}, the {wish.preset} preset"),
        "task": Choice("detection", f"the folder holds labels of objects ({told.why})"),
        "detector": Choice(own.detector, f"{share}, {'at least' if with_masks else 'less than'} half"),
        "train_dataset": Choice(told.train, f"{count(len(data.whole), 'image')}; {learned} are learned from"),
        "train_data_type": Choice(kind, "the format of its labels, told by the folder"),
    }
    if data.own is not None:
        found["val_data_type"] = Choice(kind, "as the training data")
    place, images = (told.val, len(data.own)) if data.own is not None else ("", 0)
    found |= validation(place, images, data.parting, len(data.whole), cfg, data.warning())
    classes = list(data.train.classes)
    words = f"{count(len(classes), 'class', 'classes')} of the labels, in their order"
    found["coco_classes"] = Choice(["background", *classes], words)
    words = f"{len(classes)} and the background"
    if names_typed and len(cfg.coco_classes) < 2:  # the names are the labels', which a number would forbid
        words = "as if nobody had said it: the labels do"
    number = cfg.num_classes if names_typed else len(classes) + 1
    found["num_classes"] = Choice(number, words)
    size, of_size = input_size.choices(base, own, records)
    found |= of_size | _objects(own, records) | anchors(own, records, size, wish)
    found |= _without_weights(own, wish)
    return merged(found | start_weights(wish) | schedule(base, own, len(data.indices), size, wish), cfg, own)


def _opened(cfg: Config, told: Told) -> _Data:
    """The sets, parted where there is no validation set that has other images."""
    whole = open_detection(replace(cfg, val_dataset="", val_split=0.0), "train")
    try:
        val = open_detection(replace(cfg, train_dataset="", val_split=0.0), "val") if told.val else None
    except UserError:
        if told.val != told.train:
            raise
        val = None
    is_given = "val_dataset" in cfg.typed and os.path.realpath(told.val) != os.path.realpath(told.train)
    if val is not None and (is_given or not val.paths() & whole.paths()):
        return _Data(whole, whole, _learned(whole, cfg), val, None)
    names = [whole.record(index).path.name for index in range(len(whole))]
    there = [() if index in whole.missing else labels for index, labels in enumerate(_shown(whole))]
    parting = part(names, there, cfg, whole.annotation_file)
    train = whole if parting is None else whole.part(parting.train)
    return _Data(whole, train, _learned(train, cfg), None, parting)


def _learned(train: DetectionIndex, cfg: Config) -> list[int]:
    return train.training_indices(cfg.filter_empty_gt, cfg.train_dataset_num, cfg.train_dataset_divider)


def _shown(data: DetectionIndex) -> Shown:
    """The classes of each image's objects, crowds apart."""
    records = (data.record(index) for index in range(len(data)))
    return [{item.label for item in record.objects if not item.crowd} for record in records]


def _objects(own: Config, records: list[ImageRecord]) -> Choices:
    most = max(len(record.objects) for record in records)
    room = min(max(LEAST_OBJECTS, -(-most // 8) * 8), MOST_OBJECTS)
    words = "and {} are room enough" if most <= MOST_OBJECTS else "of which {} are learned from"
    found = {"num_gts": Choice(room, f"an image has {most} objects at most, {words.format(MOST_OBJECTS)}")}
    room = own.num_gts if "num_gts" in own.typed else room
    if own.test_cfg.rcnn.max_per_img < room:
        proposals = own.test_cfg.rpn.max_per_img
        words = f"as many as it may have objects, {room}" if room <= proposals else f"as many as proposals, {proposals}"
        words = f"detections of an image: {words}; {own.test_cfg.rcnn.max_per_img} in the base"
        found["test_cfg.rcnn.max_per_img"] = Choice(min(room, proposals), words)
    return found


def _without_weights(own: Config, wish: Wish) -> Choices:
    """What a network from scratch must not have."""
    if wish.weights or own.backbone.pretrained or own.pre_trained or own.checkpoint_path:
        return {}
    found = {}
    if own.backbone.norm_eval:
        words = "without pretrained weights there are no statistics to keep; --pre_trained FILE names some"
        found["backbone.norm_eval"] = Choice(False, words)
    if getattr(own.backbone, "frozen_stages", 0) > 0:
        words = f"without pretrained weights nothing is frozen; {own.backbone.frozen_stages} in the base"
        found["backbone.frozen_stages"] = Choice(0, words)
    return found
