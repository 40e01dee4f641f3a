"""labelme's files (also those of X-AnyLabeling): a folder of JSON files beside their images, or with folders in it.

A file names its image (`imagePath`, relative to the file) and holds shapes: polygons, rectangles, circles, bitmaps.
Shapes of one label and one `group_id` are one object, as in labelme's own conversion to COCO. A rectangle is a box
whose mask nobody drew. The copy of the image in `imageData` is not read.
"""

import base64
import binascii
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from ...config import Config
from ...errors import UserError, short
from ...reading import read_json
from ..images import IMAGE_SUFFIXES
from . import fields
from .assembly import FoundImage, FoundObject, Tally, assemble
from .id_images import decoded_ids
from .index import DetectionIndex
from .label_folders import data_folder, files_below, read_all, some_below, split_folder
from .outlines import box_around, ellipse, encoded, flat_points, merged
from .rules import Rules

MARKS = "labelme's JSON files beside the images"
MOST_BYTES = 2**28  # of a label file, which may hold its image too
OUTLINES = ("polygon", "rotation", "oriented_rectangle")
PASSED = ("point", "points", "line", "linestrip")  # nothing that has an area
IGNORED = "__ignore__"  # labelme's name for what is no object
BROKEN = "none"  # in the place of a segmentation that cannot be read: counted as such


def open_labelme(cfg: Config, split: str) -> DetectionIndex:
    """The labelme files in `train_dataset` or `val_dataset`."""
    folder = split_folder(data_folder(cfg, split), split)
    return read_labelme(folder, cfg.coco_classes[1:], Rules.from_config(cfg))


def found_labelme(folder: Path, split: str) -> bool:
    """Whether one of the folder's first JSON files looks like labelme's."""
    return some_below(split_folder(folder, split), (".json",), lambda start: b'"shapes"' in start)


def read_labelme(folder: Path, classes: Sequence[str], rules: Rules) -> DetectionIndex:
    """The index of the labelme files in a folder and those within. Its classes are the labels, sorted.

    UserError for a file that is broken or contradicts itself, and for a folder without any.
    """
    pictures, images, tally = set(files_below(folder, IMAGE_SUFFIXES)), [], Tally()
    reader = _Reader(folder, pictures, tally)
    paths = list(files_below(folder, (".json",)))
    for path, content in zip(paths, read_all(paths, _content)):
        if content is None:
            tally.add("JSON files are none of labelme's: passed over", path.name)
        else:
            images.append(reader.image(path, content))
    if not images:
        raise UserError(f"{folder} holds no labelme file (.json with 'shapes')")
    return assemble(folder, folder, images, classes, rules, tally, pictures=pictures)


def _content(path: Path) -> dict | None:
    """What a labelme file holds, without the image; None for other JSON."""
    content = read_json(path, MOST_BYTES)
    if not isinstance(content, dict) or "shapes" not in content:
        return None
    if not isinstance(content["shapes"], list):
        raise UserError(f"{path}: shapes is {short(content['shapes'])}; it must be a list")
    return content | {"imageData": bool(content.get("imageData"))}


@dataclass
class _Drawn:
    """The shapes of one object. boxes: xyxy; polygons: x, y, ...; bitmaps: functions of (height, width) to an RLE."""

    where: str
    kind: str
    crowd: bool = False
    boxes: list = field(default_factory=list)
    polygons: list = field(default_factory=list)
    bitmaps: list = field(default_factory=list)

    def as_object(self) -> FoundObject:
        box, segmentation = None, self.polygons or None
        if self.boxes:
            x1, y1, x2, y2 = box_around([*self.boxes, *self.polygons])
            box = (x1, y1, x2 - x1, y2 - y1)
        if self.bitmaps:
            segmentation = partial(_joined, self.polygons, self.bitmaps)
        return FoundObject(self.where, self.kind, box, segmentation, self.crowd)


class _Reader:
    """Images of the label files of one folder; `tally` gets what is passed over. pictures: its image files."""

    def __init__(self, folder: Path, pictures: set[Path], tally: Tally):
        self.folder, self.tally = folder, tally
        self._names = {path.name for path in pictures}
        self._by_stem = {path.with_suffix(""): path for path in sorted(pictures)}

    def image(self, path: Path, content: dict) -> FoundImage:
        label = str(path.relative_to(self.folder))
        size = (content.get("imageWidth"), content.get("imageHeight"))
        objects: dict[object, _Drawn] = {}
        for number, shape in enumerate(content["shapes"], start=1):
            self._add(shape, f"shape {number} of {label}", number, objects)
        name = self._image_name(path, content.get("imagePath"))
        if content["imageData"] and _last(name) not in self._names:
            self.tally.add("label files hold a copy of their image, which is not read, and the image is missing", label)
        return FoundImage(name, label, None if None in size else size, [one.as_object() for one in objects.values()])

    def _image_name(self, path: Path, value: object) -> str:
        """The image's name, relative to the folder: the one written, or the one of the label file."""
        beside = self._by_stem.get(path.with_suffix(""))
        written = fields.name(value)
        if written is not None and (beside is None or _last(written) in self._names):
            return (
                written if path.parent == self.folder else os.path.join(path.parent.relative_to(self.folder), written)
            )
        if written is not None:
            self.tally.add("label files name an image that is not there: the one of their own name is taken", path.name)
        return str((beside or path.with_suffix(".jpg")).relative_to(self.folder))

    def _add(self, shape: object, where: str, number: int, objects: dict[object, _Drawn]) -> None:
        """Put a shape to its object."""
        if not isinstance(shape, dict):
            return self.tally.add("shapes are none: left out", where)
        kind = fields.class_name(shape.get("label"))
        form = shape.get("shape_type") or "polygon"  # old files have polygons alone
        if kind is None:
            return self.tally.add("shapes have no label: left out", where)
        if kind == IGNORED:
            return self.tally.add(f"shapes have the label {IGNORED}: left out", where)
        if form in PASSED:
            return self.tally.add("shapes are points or lines: left out", where)
        if form not in (*OUTLINES, "rectangle", "circle", "mask"):
            return self.tally.add("shapes are of an unknown shape_type: left out", f"{where}: {short(form)}")
        group = fields.identity(shape.get("group_id"))
        key = number if group is None else (kind, group)
        drawn = objects.setdefault(key, _Drawn(where, kind))
        drawn.crowd |= _is_difficult(shape)
        _draw(shape, form, drawn)
        return None


def _last(name: str) -> str:
    return re.split(r"[\\/]", name)[-1]


def _is_difficult(shape: dict) -> bool:
    flags = shape.get("flags")
    return any(fields.flag(one.get("difficult")) for one in (shape, flags) if isinstance(one, dict))


def _draw(shape: dict, form: str, drawn: _Drawn) -> None:
    """Put a shape of a known form into its object; what cannot be read counts as a polygon that cannot be used."""
    points = flat_points(shape.get("points"))
    if form == "rectangle" and points and len(points) in (4, 8):
        drawn.boxes.append(box_around([points]))
    elif form == "circle" and points and len(points) == 4:
        radius = math.dist(points[:2], points[2:])
        drawn.polygons.append(ellipse(points[:2], (radius, radius)))
    elif form == "mask" and points and len(points) == 4:
        drawn.bitmaps.append(partial(_bitmap, shape.get("mask"), *map(int, points[:2])))
    else:
        drawn.polygons.append(points if form in OUTLINES and points else [])


def _bitmap(text: object, left: int, top: int, height: int, width: int) -> object:
    """The RLE of a PNG in base64 whose first pixel is at (left, top)."""
    try:
        content = base64.b64decode(text) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return BROKEN
    bits = decoded_ids(content, max(height * width, 1) * 4)
    if isinstance(bits, str):
        return BROKEN
    whole = np.zeros((height, width), np.uint8)
    bits = bits[max(-top, 0) :, max(-left, 0) :]
    inside = whole[max(top, 0) :, max(left, 0) :][: bits.shape[0], : bits.shape[1]]
    inside[:] = bits[: inside.shape[0], : inside.shape[1]] > 0
    return encoded(whole)


def _joined(polygons: list, bitmaps: list, height: int, width: int) -> object:
    parts = [bitmap(height, width) for bitmap in bitmaps] + [[one] for one in polygons]
    try:
        return merged(parts, height, width)
    except ValueError:
        return BROKEN
