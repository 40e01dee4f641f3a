"""Cityscapes' instances: gtFine/SPLIT/CITY/*_gtFine_polygons.json, images in leftImg8bit/SPLIT/CITY/.

Polygons are painted one over the other in the order of the file, as the data set's own scripts do for the pictures of
ids that it is scored with (cityscapesscripts, json2instanceImg.py): what a later one covers is not the object's. The 8
classes with objects, in MMDetection's order and with the data set's own ids; groups (persongroup, cargroup, ...) are
crowds, one of a class and image.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ...config import Config
from ...errors import UserError, short
from ...reading import is_folder, read_json
from ..mask_checks import polygon_extent
from . import fields
from .assembly import FoundImage, FoundObject, Tally, assemble
from .categories import Category
from .id_images import masks_by_id
from .index import DetectionIndex
from .label_folders import data_folder, files_below, read_all
from .outlines import flat_points
from .rules import Rules

MARKS = "gtFine/ with Cityscapes' polygons"
LABELS, IMAGES = "gtFine", "leftImg8bit"
ENDING, PICTURE = "_gtFine_polygons.json", "_leftImg8bit.png"
MOST_BYTES = 2**26
MOST_PAINTED = 3e10  # pixels of all polygons of an image: some minutes
CATEGORIES = [
    Category(24, "person"), Category(25, "rider"), Category(26, "car"), Category(27, "truck"), Category(28, "bus"),
    Category(31, "train"), Category(32, "motorcycle"), Category(33, "bicycle"),
]  # fmt: skip
CLASSES = tuple(one.name for one in CATEGORIES)
NOT_PAINTED = ("license plate",)  # its id is negative: the scripts leave it out
GROUP = "group"


def open_cityscapes(cfg: Config, split: str) -> DetectionIndex:
    """The split of the Cityscapes tree that `train_dataset` or `val_dataset` names."""
    return read_cityscapes(data_folder(cfg, split), cfg.coco_classes[1:], split, Rules.from_config(cfg))


def found_cityscapes(folder: Path, split: str) -> bool:
    """Whether the folder is Cityscapes' own, or its folder of a split."""
    root, name = _root(folder, split)
    return is_folder(root / LABELS / name)


def root_of(cfg: Config, split: str) -> Path:
    """The tree, which has all files of `open_cityscapes`."""
    return _root(data_folder(cfg, split), split)[0]


def read_cityscapes(folder: Path, classes: Sequence[str], split: str, rules: Rules) -> DetectionIndex:
    """The index of a split. folder: the tree, or gtFine/SPLIT or leftImg8bit/SPLIT in it.

    UserError for files that are broken, or none.
    """
    root, name = _root(folder, split)
    labels = root / LABELS / name
    if not is_folder(labels):
        raise UserError(f"{labels} does not exist: {folder} is no Cityscapes tree")
    paths = list(files_below(labels, (ENDING,)))
    if not paths:
        raise UserError(f"{labels} holds no *{ENDING}")
    tally, images = Tally(), []
    for path, (size, objects, odd) in zip(paths, read_all(paths, partial(_painted, max_pixels=rules.max_pixels))):
        stem = str(path.relative_to(labels))[: -len(ENDING)]
        found = [FoundObject(f"{kind} of {path.name}", kind, None, code, crowd) for kind, code, crowd in objects]
        images.append(FoundImage(f"{IMAGES}/{name}/{stem}{PICTURE}", path.name, size, found))
        for reason, label in odd:
            tally.add(reason, f"{label} in {path.name}")
    return assemble(labels, root, images, classes, rules, tally, categories=CATEGORIES)


def _root(folder: Path, split: str) -> tuple[Path, str]:
    """The tree, and the name of the split's folders."""
    is_part = folder.parent.name in (LABELS, IMAGES)
    return (folder.parent.parent, folder.name) if is_part else (folder, split)


def _painted(path: Path, max_pixels: int) -> tuple[tuple, list[tuple[str, dict, bool]], list[tuple[str, str]]]:
    """Size (width, height), objects (class, RLE, whether it is a group), and what is left out (reason, label)."""
    content = read_json(path, MOST_BYTES)
    objects = content.get("objects") if isinstance(content, dict) else None
    if not isinstance(objects, list):
        raise UserError(f"{path} is no label file of Cityscapes: it has no list 'objects'")
    size = (content.get("imgWidth"), content.get("imgHeight"))
    width, height = (int(fields.number(side) or 0) for side in size)
    if min(width, height) < 1 or width * height > max_pixels:
        return size, [], []  # which `assemble` refuses
    parts, odd = _parts(objects, height, width, path)
    numbers: dict[tuple, int] = {}  # of each object; 0 is what is none
    keys = [_key(kind, is_group, place) for place, (kind, is_group, _) in enumerate(parts)]
    for key in keys:
        if key is not None:
            numbers.setdefault(key, len(numbers) + 1)
    picture = Image.new("L" if len(numbers) < 256 else "I", (width, height))
    draw = ImageDraw.Draw(picture)
    for key, (_, _, points) in zip(keys, parts):
        draw.polygon(points, fill=numbers.get(key, 0))
    masks = masks_by_id(np.asarray(picture))
    found = [(key[0], masks[number], key[1]) for key, number in numbers.items() if number in masks]
    hidden = [key[0] for key, number in numbers.items() if number not in masks]
    return size, found, odd + [("objects are covered by others altogether: left out", kind) for kind in hidden]


def _key(kind: str, is_group: bool, place: int) -> tuple | None:
    """What is one object: all groups of a class, each thing; None for what is none."""
    if kind not in CLASSES:
        return None
    return (kind, True, -1) if is_group else (kind, False, place)


def _parts(objects: list, height: int, width: int, path: Path) -> tuple[list[tuple], list[tuple[str, str]]]:
    """(label without 'group', whether it has that, points) of what is painted, and what is left out."""
    parts, odd, painted = [], [], 0.0
    for item in objects:
        kind = fields.name(item.get("label")) if isinstance(item, dict) else None
        if kind is None:
            odd.append(("objects have no label: left out", short(item)))
            continue
        if kind in NOT_PAINTED or item.get("deleted"):
            continue
        points = flat_points(item.get("polygon"))
        extent = points and polygon_extent(points, height, width)
        if not extent:
            odd.append(("polygons cannot be used: left out", kind))
            continue
        x1, y1, x2, y2 = extent
        painted += max(min(x2, width) - max(x1, 0), 0) * max(min(y2, height) - max(y1, 0), 0)
        if painted > MOST_PAINTED:
            raise UserError(f"{path}: its polygons have more than {MOST_PAINTED:.0e} pixels together")
        is_group = kind.endswith(GROUP) and kind.removesuffix(GROUP) in CLASSES
        parts.append((kind.removesuffix(GROUP) if is_group else kind, is_group, points))
    return parts, odd
