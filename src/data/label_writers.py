"""An index of checked objects written as label files of others: COCO's, and labelme's."""

import base64
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..files import write_text, written_whole
from .formats.fields import Id
from .formats.index import DetectionIndex, ImageRecord, ObjectRecord
from .formats.mindrecord import RecordFile
from .images import ImageFile
from .masks import to_bitmap

KEPT = ("info", "licenses")  # of a COCO file's other content
LABELME_VERSION = "5.5.0"  # whose form the files have


def file_names(dataset: DetectionIndex) -> list[str]:
    """A name for each image: that of its file, with as many of the last folders as tell all of them apart."""
    paths = [_parts(record.path) for record in _records(dataset)]
    for depth in range(1, max(map(len, paths), default=1) + 1):
        names = ["/".join(parts[-depth:]) for parts in paths]
        if len({name.casefold() for name in names}) == len(names):  # some file systems take A for a
            return names
    return [f"{number}/{parts[-1]}" for number, parts in enumerate(paths, start=1)]


def write_coco(dataset: DetectionIndex, names: Sequence[str], ids: Mapping[str, Id], folder: Path) -> None:
    """Write folder/labels.json, the images being folder/data/<name>. ids: the category id of each class.

    Images keep ids that are numbers; where one is a text they are numbered.
    """
    keeps = all(isinstance(one, int) for one in dataset.image_ids)
    images = dataset.image_ids if keeps else list(range(1, len(dataset) + 1))
    kept = {key: dataset.raw.rest[key] for key in KEPT if key in dataset.raw.rest} if dataset.raw else {}
    entries = (
        {"id": own, "file_name": name, "width": record.width, "height": record.height}
        for own, name, record in zip(images, names, _records(dataset))
    )
    with written_whole(folder / "labels.json") as file:
        file.write(b"{")
        for key, value in kept.items():
            file.write(f"{json.dumps(key)}: {json.dumps(value)},\n".encode())
        for part in _json_list("images", entries):
            file.write(part)
        for part in _json_list("annotations", _annotations(dataset, images, ids)):
            file.write(part)
        categories = [{"id": own, "name": name} for name, own in ids.items()]
        file.write(f'"categories": {json.dumps(categories)}}}\n'.encode())


def write_labelme(dataset: DetectionIndex, names: Sequence[str], folder: Path) -> None:
    """Write a JSON file beside each image folder/<name>: polygons, rectangles (objects without a mask), bitmaps (RLE).

    The polygons of one object share a group_id; a region to ignore (a crowd) has the flag `difficult`.
    """
    stems = [os.path.splitext(name)[0] for name in names]
    is_clear = len({stem.casefold() for stem in stems}) == len(stems)
    for record, name, stem in zip(_records(dataset), names, stems):
        shapes = [
            shape
            for number, item in enumerate(record.objects, start=1)
            for shape in _shapes(item, dataset.classes[item.label], number, record)
        ]
        content = {
            "version": LABELME_VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": name.rpartition("/")[2],
            "imageData": None,
            "imageHeight": record.height,
            "imageWidth": record.width,
        }
        write_text(folder / f"{stem if is_clear else name}.json", json.dumps(content, indent=1))


def _parts(path: ImageFile) -> list[str]:
    """Names that lead nowhere else."""
    text = path.file_name if isinstance(path, RecordFile) else os.path.abspath(path)
    return [part for part in text.replace("\\", "/").split("/") if part not in ("", ".", "..")] or [path.name]


def _records(dataset: DetectionIndex) -> Iterator[ImageRecord]:
    return (dataset.record(index) for index in range(len(dataset)))


def _annotations(dataset: DetectionIndex, images: Sequence[Id], ids: Mapping[str, Id]) -> Iterator[dict]:
    number = 0
    for own, record in zip(images, _records(dataset)):
        for item in record.objects:
            number += 1
            category = ids[dataset.classes[item.label]]
            yield {"id": number} | dataset.annotation(record, item) | {"image_id": own, "category_id": category}


def _json_list(name: str, items: Iterable[Any]) -> Iterator[bytes]:
    """A list of a JSON object, an item a line: a data set's is too large to be one text."""
    yield f"{json.dumps(name)}: [".encode()
    for number, item in enumerate(items):
        yield f"{',' if number else ''}\n{json.dumps(item)}".encode()
    yield b"],\n"


def _shapes(item: ObjectRecord, label: str, number: int, record: ImageRecord) -> Iterator[dict]:
    """labelme's shapes of an object. number: of the object in its image."""
    flags = {"difficult": True} if item.crowd else {}
    if item.segmentation is None:
        x1, y1, x2, y2 = item.box
        yield _shape(label, "rectangle", [[x1, y1], [x2, y2]], flags)
    elif isinstance(item.segmentation, list):
        group = number if len(item.segmentation) > 1 else None
        for polygon in item.segmentation:
            yield _shape(label, "polygon", np.reshape(polygon, (-1, 2)).tolist(), flags, group)
    else:
        yield _bitmap(item.segmentation, label, flags, record)


def _bitmap(code: dict, label: str, flags: dict, record: ImageRecord) -> dict:
    """labelme's bitmap of the part of the image that holds the mask: its corners are the first and the last pixel."""
    mask = to_bitmap(code, record.height, record.width)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom, left, right = (int(one) for one in (rows[0], rows[-1], columns[0], columns[-1]))
    _, content = cv2.imencode(".png", mask[top : bottom + 1, left : right + 1] * 255)
    text = base64.b64encode(content.tobytes()).decode("ascii")
    return _shape(label, "mask", [[left, top], [right, bottom]], flags) | {"mask": text}


def _shape(label: str, kind: str, points: list, flags: dict, group: int | None = None) -> dict:
    return {
        "label": label,
        "points": points,
        "group_id": group,
        "description": "",
        "shape_type": kind,
        "flags": flags,
        "mask": None,
    }
