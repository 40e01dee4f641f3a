"""What the labels of a segmentation data set mean: names, colours, raw values in its files, mirrored pairs."""

import colorsys
from dataclasses import dataclass

import numpy as np

from ..config import Config
from ..errors import UserError
from . import scene_labels
from .scene_labels import (
    ADE20K_COLOURS,
    ADE20K_NAMES,
    PASCAL_CONTEXT_COLOURS,
    PASCAL_CONTEXT_NAMES,
    VOC_COLOURS,
    VOC_NAMES,
)

UNKNOWN = -1  # marks raw values that a data set does not have
GOLDEN_RATIO = 0.618034

CITYSCAPES = {  # class: (raw label id, RGB), in the order of the train ids (cityscapesScripts' labels.py)
    "road": (7, (128, 64, 128)),
    "sidewalk": (8, (244, 35, 232)),
    "building": (11, (70, 70, 70)),
    "wall": (12, (102, 102, 156)),
    "fence": (13, (190, 153, 153)),
    "pole": (17, (153, 153, 153)),
    "traffic light": (19, (250, 170, 30)),
    "traffic sign": (20, (220, 220, 0)),
    "vegetation": (21, (107, 142, 35)),
    "terrain": (22, (152, 251, 152)),
    "sky": (23, (70, 130, 180)),
    "person": (24, (220, 20, 60)),
    "rider": (25, (255, 0, 0)),
    "car": (26, (0, 0, 142)),
    "truck": (27, (0, 0, 70)),
    "bus": (28, (0, 60, 100)),
    "train": (31, (0, 80, 100)),
    "motorcycle": (32, (0, 0, 230)),
    "bicycle": (33, (119, 11, 32)),
}
CITYSCAPES_IGNORED = (0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30, 255)  # 255 is -1, the license plate
LIP = {  # class: RGB, in the order of the labels (Look into Person, single-person parsing)
    "background": (0, 0, 0),
    "hat": (128, 0, 0),
    "hair": (255, 0, 0),
    "glove": (0, 85, 0),
    "sunglasses": (170, 0, 51),
    "upper-clothes": (255, 85, 0),
    "dress": (0, 0, 85),
    "coat": (0, 119, 221),
    "socks": (85, 85, 0),
    "pants": (0, 85, 85),
    "jumpsuits": (85, 51, 0),
    "scarf": (52, 86, 128),
    "skirt": (0, 128, 0),
    "face": (0, 0, 255),
    "left-arm": (51, 170, 221),
    "right-arm": (0, 255, 255),
    "left-leg": (85, 255, 170),
    "right-leg": (170, 255, 85),
    "left-shoe": (255, 255, 0),
    "right-shoe": (255, 170, 0),
}
LIP_PAIRS = ((14, 15), (16, 17), (18, 19))


@dataclass(frozen=True)
class LabelSet:
    """Classes of one data set.

    names: class names in label order; palette: (C, 3) uint8 RGB; table: (256,) int16 class of each raw value, the
    ignored label, or `UNKNOWN`; pairs: classes that change places in a mirrored image. train_table: the same for files
    that hold train ids, where the data set has such files too.
    """

    names: tuple[str, ...]
    palette: np.ndarray
    table: np.ndarray
    pairs: tuple[tuple[int, int], ...] = ()
    train_table: np.ndarray | None = None

    def mirrored_order(self) -> np.ndarray:
        """(C,) class k of a mirrored image is class `mirrored_order[k]` of the image; its own inverse."""
        order = np.arange(len(self.names))
        for left, right in self.pairs:
            order[[left, right]] = right, left
        return order

    def raw_ids(self) -> np.ndarray:
        """(C,) uint8 the value that each class has in the data set's own label files, the first of several."""
        return np.uint8([int(np.flatnonzero(self.table == k)[0]) for k in range(len(self.names))])

    def swapped(self, label: np.ndarray) -> np.ndarray:
        """(h, w) classes of a mirrored label map -> of the mirror image: left and right parts change their names."""
        table = np.arange(256, dtype=label.dtype)
        table[: len(self.names)] = self.mirrored_order()
        return table[label]


def label_set(cfg: Config) -> LabelSet:
    """The label set that `cfg.dataset` names; UserError if it does not have `cfg.num_classes` classes."""
    if cfg.dataset == "custom" and not cfg.class_names:
        raise UserError("class_names is empty: a custom dataset needs the names of its classes in label order")
    found = LABEL_SETS[cfg.dataset](cfg)
    if len(found.names) != cfg.num_classes:
        raise UserError(f"num_classes is {cfg.num_classes}, but dataset {cfg.dataset} has {len(found.names)} classes")
    return found


def _cityscapes(cfg: Config) -> LabelSet:
    table = _table(dict.fromkeys(CITYSCAPES_IGNORED, cfg.ignore_label))
    table[[raw for raw, _ in CITYSCAPES.values()]] = np.arange(len(CITYSCAPES))
    train_table = _table({255: cfg.ignore_label, **{k: k for k in range(len(CITYSCAPES))}})
    palette = np.uint8([colour for _, colour in CITYSCAPES.values()])
    return LabelSet(tuple(CITYSCAPES), palette, table, train_table=train_table)


def _lip(cfg: Config) -> LabelSet:
    table = _table({255: cfg.ignore_label, **{k: k for k in range(len(LIP))}})
    return LabelSet(tuple(LIP), np.uint8(list(LIP.values())), table, LIP_PAIRS)


def _ade20k(cfg: Config) -> LabelSet:
    return _without_zero(cfg, scene_labels.names(ADE20K_NAMES), scene_labels.colours(ADE20K_COLOURS))


def _pascal_context(cfg: Config) -> LabelSet:
    """60 classes with the background; 59 without it, whose pixels do not count then."""
    names, colours = scene_labels.names(PASCAL_CONTEXT_NAMES), scene_labels.colours(PASCAL_CONTEXT_COLOURS)
    if cfg.num_classes == len(names) - 1:
        return _without_zero(cfg, names[1:], colours[1:])
    return _in_order(cfg, names, colours)


def _voc(cfg: Config) -> LabelSet:
    return _in_order(cfg, scene_labels.names(VOC_NAMES), scene_labels.colours(VOC_COLOURS))


def _in_order(cfg: Config, names: tuple[str, ...], colours: np.ndarray) -> LabelSet:
    table = _table({255: cfg.ignore_label, **{k: k for k in range(len(names))}})
    return LabelSet(names, colours, table)


def _without_zero(cfg: Config, names: tuple[str, ...], colours: np.ndarray) -> LabelSet:
    """Labels 1, 2, ...; 0 and 255 do not count: MMSegmentation's `reduce_zero_label`."""
    table = _table({0: cfg.ignore_label, 255: cfg.ignore_label, **{k + 1: k for k in range(len(names))}})
    return LabelSet(names, colours, table)


def _custom(cfg: Config) -> LabelSet:
    count = len(cfg.class_names)
    table = _table({cfg.ignore_label: cfg.ignore_label, **{k: k for k in range(count)}})
    colours = [colorsys.hsv_to_rgb(k * GOLDEN_RATIO % 1, 0.9, (1.0, 0.7)[k // 8 % 2]) for k in range(count)]
    palette = np.uint8(cfg.label_colours[:count] or np.round(np.array(colours) * 255))
    return LabelSet(tuple(cfg.class_names), palette, table)


def _table(classes: dict[int, int]) -> np.ndarray:
    table = np.full(256, UNKNOWN, np.int16)
    for raw, label in classes.items():
        table[raw] = label
    return table


LABEL_SETS = {
    "cityscapes": _cityscapes,
    "lip": _lip,
    "ade20k": _ade20k,
    "pascal_context": _pascal_context,
    "voc": _voc,
    "custom": _custom,
}
