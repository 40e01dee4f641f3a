"""A configuration to start from for objects with masks, or with boxes alone."""

from dataclasses import dataclass, replace

import numpy as np

from ...config import Config
from ...errors import UserError
from ..formats import open_detection
from ..formats.index import DetectionIndex
from ..inspection import anchor_fit
from .recipe import VAL_SPLIT, Base, Choice, Choices, Wish, count, rounded_up, schedule, start_weights, validation
from .told import Told, config_of

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
QUARTER = 0.25  # of the objects, at most, are smaller than the smallest anchor
MOST_ZOOM = 2.0  # images are made larger by no more
ODD_SHARE = 0.1  # of images that stand among lying ones, or the other way round, for which there must be room
LEAST_GAIN = 0.1  # of the share of objects with a fitting anchor, for other anchors than the usual
SCALES = ([8], [4], [4, 8], [2, 4, 8])  # of anchors, in strides
MOST_OBJECTS, LEAST_OBJECTS = 300, 8


@dataclass(frozen=True)
class _Data:
    """train: the images that are learned from; val: where their own validation set is; held: its images, or those that
    are held out; total: of the training set before that.
    """

    train: DetectionIndex
    indices: list[int]
    val: str
    held: int
    total: int


def choices(told: Told, wish: Wish) -> Choices:
    """See `STARTS`. UserError for data that cannot be read."""
    cfg = config_of(told, wish.overrides)
    data = _opened(cfg, told)
    records = [data.train.record(index) for index in range(len(data.train))]
    objects = [item for record in records for item in record.objects if not item.crowd]
    masked = sum(item.segmentation is not None for item in objects)
    with_masks = masked >= MASKED * len(objects)
    base = BASES[wish.preset, with_masks]
    own = base.load()
    kind = f"{masked:,} of {count(len(objects), 'object')} have a mask"
    found: Choices = {
        "_base_": Choice(base.file, f"{own.detector} with {own.backbone.type}, the {wish.preset} preset"),
        "task": Choice("detection", f"the folder holds labels of objects ({told.why})"),
        "detector": Choice(own.detector, f"{kind}, {'at least' if with_masks else 'less than'} half"),
        "train_dataset": Choice(
            told.train, f"{count(data.total, 'image')}; {len(data.indices):,} that show an object are learned from"
        ),
        "train_data_type": Choice(told.kind, "the format of its labels, told by the folder"),
    }
    if data.val:
        found["val_data_type"] = Choice(told.kind, "as the training data")
    found |= validation(data.val, data.held, data.held, data.total)
    classes = list(data.train.classes)
    words = f"{count(len(classes), 'class', 'classes')} of the labels, in their order"
    found["coco_classes"] = Choice(["background", *classes], words)
    found["num_classes"] = Choice(len(classes) + 1, f"{len(classes)} and the background")
    size, why = _size(base, own, records)
    found["img_width"], found["img_height"] = Choice(size[0], why), Choice(size[1], "as above")
    found |= _objects(own, records)
    found |= _anchors(own, records, size, wish)
    found |= _without_weights(own, wish)
    return found | start_weights(wish) | schedule(base, own, len(data.indices), size, wish)


def _opened(cfg: Config, told: Told) -> _Data:
    """The sets, parted where there is no validation set that has other images."""
    train = open_detection(replace(cfg, val_dataset=""), "train")
    try:
        val = open_detection(replace(cfg, train_dataset=""), "val") if told.val else None
    except UserError:
        if told.val != told.train:
            raise
        val = None
    if val is not None and not val.paths() & train.paths():
        return _Data(train, train.training_indices(cfg.filter_empty_gt), told.val, len(val), len(train))
    try:
        parted = replace(cfg, val_dataset="", val_split=VAL_SPLIT)
        part, held = open_detection(parted, "train"), open_detection(parted, "val")
        if part.classes == train.classes:
            return _Data(part, part.training_indices(cfg.filter_empty_gt), "", len(held), len(train))
    except UserError:  # too few images
        pass
    return _Data(train, train.training_indices(cfg.filter_empty_gt), "", 0, len(train))


def _size(base: Base, own: Config, records) -> tuple[tuple[int, int], str]:
    """(w, h) of the network's input, and why."""
    width, height = (float(np.median([getattr(one, side) for one in records])) for side in ("width", "height"))
    images = f"the images are {width:g}x{height:g} at the median"
    sides = np.array([side for record in records for side in _sides(record)])
    smallest = round(own.rpn.anchor_generator.scales[0] * own.rpn.anchor_generator.strides[0])
    if base.sides is None:
        size, rule = (own.img_width, own.img_height), "the published size"
    else:
        wanted = smallest / max(float(np.quantile(sides, QUARTER)), 1e-6) if len(sides) else 1.0
        scale = min(wanted, MOST_ZOOM)
        longer = max(width, height)
        scale = min(max(scale, base.sides[0] / longer), base.sides[1] / longer)
        standing = sum(one.height > one.width for one in records) / len(records)
        lying = sum(one.width > one.height for one in records) / len(records)
        if min(standing, lying) >= ODD_SHARE:
            width = height = longer
        size = max(64, rounded_up(width * scale)), max(64, rounded_up(height * scale))
        rule = (
            f"so large that a quarter of the objects at most is below {smallest} px, the smallest anchor's side, with "
            f"a longer side of {base.sides[0]} to {base.sides[1]} px and images no more than {MOST_ZOOM:g} times as "
            "large"
        )
    if not len(sides):
        return size, f"{images}; {rule}"
    fits = [min(size[0] / one.width, size[1] / one.height) for one in records]
    scaled = np.array([side * fit for one, fit in zip(records, fits) for side in _sides(one)])
    told = (
        f"{images}, the objects' sides {np.median(sides):.0f} px (root of the box's area); at {size[0]}x{size[1]} they "
        f"become {np.median(scaled):.0f} px, and {(scaled < smallest).mean():.0%} are below {smallest} px"
    )
    return size, f"{told}. {rule[0].upper()}{rule[1:]}"


def _sides(record) -> list[float]:
    boxes = [item.box for item in record.objects if not item.crowd]
    return [((x2 - x1) * (y2 - y1)) ** 0.5 for x1, y1, x2, y2 in boxes]


def _objects(own: Config, records) -> Choices:
    most = max(len(record.objects) for record in records)
    room = min(max(LEAST_OBJECTS, -(-most // 8) * 8), MOST_OBJECTS)
    found = {"num_gts": Choice(room, f"an image has {most} objects at most, and {MOST_OBJECTS} are room enough")}
    if own.test_cfg.rcnn.max_per_img < room:
        words = f"detections of an image: as many as it may have objects, {own.test_cfg.rcnn.max_per_img} in the base"
        found["test_cfg.rcnn.max_per_img"] = Choice(min(room, own.test_cfg.rpn.max_per_img), words)
    return found


def _anchors(own: Config, records, size: tuple[int, int], wish: Wish) -> Choices:
    """Other scales where the usual ones fit the objects badly; none where weights of heads may be loaded."""
    generator, threshold = own.rpn.anchor_generator, own.train_cfg.rpn.assigner.pos_iou_thr
    shares = {}
    for scales in SCALES:
        best, _ = anchor_fit(records, size[::-1], replace(generator, scales=scales))
        shares[tuple(scales)] = float((best >= threshold).mean()) if len(best) else 0.0
    usual, best = tuple(generator.scales), max(shares, key=shares.get)  # of equal ones the first, which are fewer
    if wish.preset == "published" or shares[best] < shares[usual] + LEAST_GAIN:
        return {}
    words = (
        f"{shares[best]:.0%} of the objects can reach IoU {threshold:g} with an anchor at {size[0]}x{size[1]}; with "
        f"the usual {', '.join(f'{one:g}' for one in usual)} {shares[usual]:.0%}"
    )
    return {"rpn.anchor_generator.scales": Choice(list(best), words)}


def _without_weights(own: Config, wish: Wish) -> Choices:
    """What a network from scratch must not have."""
    if wish.weights:
        return {}
    found = {}
    if own.backbone.norm_eval:
        words = "without pretrained weights there are no statistics to keep; --pre_trained FILE names some"
        found["backbone.norm_eval"] = Choice(False, words)
    if getattr(own.backbone, "frozen_stages", 0) > 0:
        words = f"without pretrained weights nothing is frozen; {own.backbone.frozen_stages} in the base"
        found["backbone.frozen_stages"] = Choice(0, words)
    return found
