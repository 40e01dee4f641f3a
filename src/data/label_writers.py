"""Label files of others, written: COCO's, and labelme's; of an index of checked objects, or of what is given."""

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
    write_coco_file(folder / "labels.json", kept, entries, _annotations(dataset, images, ids), ids)


def write_coco_file(
    path: Path, about: Mapping[str, Any], images: Iterable[dict], annotations: Iterable[dict], ids: Mapping[str, Id]
) -> None:
    """Write a COCO label file, an item a line. about: what stands before its lists. ids: of each class."""
    with written_whole(path) as file:
        file.write(b"{")
        for key, value in about.items():
            file.write(f"{json.dumps(key)}: {json.dumps(value)},\n".encode())
        for name, items in (("images", images), ("annotations", annotations)):
            file.write(f"{json.dumps(name)}: ".encode())
            for part in json_list(items):
                file.write(part)
            file.write(b",\n")
        categories = [{"id": own, "name": name} for name, own in ids.items()]
        file.write(f'"categories": {json.dumps(categories)}}}\n'.encode())


def write_labelme(dataset: DetectionIndex, names: Sequence[str], folder: Path) -> None:
    """Write a JSON file beside each image folder/<name>: polygons, rectangles (objects without a mask), bitmaps (RLE).

    The polygons of one object share a group_id; a region to ignore (a crowd) has the flag `difficult`.
    """
    for record, name, file in zip(_records(dataset), names, labelme_names(names)):
        shapes = [
            shape
            for number, item in enumerate(record.objects, start=1)
            for shape in _shapes(item, dataset.classes[item.label], number, record)
        ]
        write_text(folder / file, labelme_text(name.rpartition("/")[2], record.height, record.width, shapes))


def labelme_names(names: Sequence[str]) -> list[str]:
    """The label file's name of each image: with .json for the image's suffix, or after that where two would be one."""
    stems = [os.path.splitext(name)[0] for name in names]
    is_clear = len({stem.casefold() for stem in stems}) == len(stems)
    return [f"{stem if is_clear else name}.json" for name, stem in zip(names, stems)]


def labelme_text(image: str, height: int, width: int, shapes: Sequence[dict]) -> str:
    """A label file's content. image: where it is, seen from the label file. shapes: see `labelme_shape`."""
    content = {
        "version": LABELME_VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": image,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }
    return json.dumps(content, indent=1)


def labelme_shape(
    label: str, kind: str, points: list, flags: dict, group: int | None = None, description: str = ""
) -> dict:
    """kind: polygon, rectangle or mask. points: [x, y] each. group: that the shapes of one object share."""
    return {
        "label": label,
        "points": points,
        "group_id": group,
        "description": description,
        "shape_type": kind,
        "flags": flags,
        "mask": None,
    }


def json_list(items: Iterable[Any]) -> Iterator[bytes]:
    """A JSON list, an item a line: a data set's is too large to be one text."""
    yield b"["
    for number, item in enumerate(items):
        yield f"{',' if number else ''}\n{json.dumps(item)}".encode()
    yield b"]"


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


def _shapes(item: ObjectRecord, label: str, number: int, record: ImageRecord) -> Iterator[dict]:
    """labelme's shapes of an object. number: of the object in its image."""
    flags = {"difficult": True} if item.crowd else {}
    if item.segmentation is None:
        x1, y1, x2, y2 = item.box
        yield labelme_shape(label, "rectangle", [[x1, y1], [x2, y2]], flags)
    elif isinstance(item.segmentation, list):
        group = number if len(item.segmentation) > 1 else None
        for polygon in item.segmentation:
            yield labelme_shape(label, "polygon", np.reshape(polygon, (-1, 2)).tolist(), flags, group)
    else:
        yield _bitmap(item.segmentation, label, flags, record)


def _bitmap(code: dict, label: str, flags: dict, record: ImageRecord) -> dict:
    """labelme's bitmap of the part of the image that holds the mask: its corners are the first and the last pixel."""
    mask = to_bitmap(code, record.height, record.width)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom, left, right = (int(one) for one in (rows[0], rows[-1], columns[0], columns[-1]))
    _, content = cv2.imencode(".png", mask[top : bottom + 1, left : right + 1] * 255)
    text = base64.b64encode(content.tobytes()).decode("ascii")
    return labelme_shape(label, "mask", [[left, top], [right, bottom]], flags) | {"mask": text}
