"""COCO label files: everything in them checked once, everything odd counted and reported."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from pycocotools.coco import COCO

from ...config import Config
from ...errors import UserError
from ..images import ImageFile
from ..masks import is_segmentation
from .index import DetectionIndex, ImageRecord, ObjectRecord, Report, clipped_box, index_content


def open_coco(cfg: Config, split: str) -> DetectionIndex:
    """The COCO subset that `train_dataset` ('train') or `val_dataset` ('val') names."""
    return read_coco(getattr(cfg, f"{split}_dataset"), cfg.coco_classes[1:], split)


def read_coco(folder: str | Path, classes: Sequence[str], split_hint: str = "train") -> DetectionIndex:
    """A COCO-format subset.

    folder: F with F/labels.json and F/data/, or F = ROOT/train2017 with ROOT/annotations/instances_train2017.json.
    classes: names in label order, without background; they must be exactly the file's categories (in any order).
    split_hint: 'train' or 'val': which subset to take when `folder` is the classic layout's ROOT.

    Raises UserError: folder or label file missing, not COCO JSON, or class names that do not match.
    """
    annotation_file, images = _find_files(Path(folder), split_hint)
    return read_content(_read_labels(annotation_file), images, classes, annotation_file)


def read_content(content: object, images, classes: Sequence[str], annotation_file: Path) -> DetectionIndex:
    """The index of a label file's content; `images / file_name` is an image's file. UserError as `read_coco`."""
    coco = _make_index(content, annotation_file)
    category_ids = _match_categories(coco, tuple(classes), annotation_file)
    reader = _Reader(coco, images, category_ids, annotation_file)
    records = [reader.record(image_id) for image_id in sorted(coco.imgs)]
    reader.count_strays()
    return DetectionIndex(annotation_file, classes, records, category_ids, reader.report, coco)


class _Reader:
    """Records of the images of one label file; `report` names what was left out of them."""

    def __init__(self, coco: COCO, images, category_ids: list[int], annotation_file: Path):
        self.coco, self.images, self.annotation_file = coco, images, annotation_file
        self.report = Report()
        self._label_of = {category: label for label, category in enumerate(category_ids)}

    def record(self, image_id: int) -> ImageRecord:
        image = self.coco.imgs[image_id]
        width, height = (int(side) if side >= 1 else 0 for side in _numbers([image["width"], image["height"]], 2))
        if not (width and height):
            raise UserError(
                f"{self.annotation_file}: image {image_id} has width and height {image['width']}, {image['height']}"
            )
        path: ImageFile = self.images / image["file_name"]
        found = [self._object(annotation, width, height) for annotation in self.coco.imgToAnns.get(image_id, [])]
        return ImageRecord(path, image_id, width, height, tuple(item for item in found if item is not None))

    def count_strays(self) -> None:
        """Annotations of images that the file does not have."""
        for image_id, annotations in self.coco.imgToAnns.items():
            if image_id not in self.coco.imgs:
                self.report.unknown_references += [f"annotation {item.get('id')}" for item in annotations]

    def _object(self, annotation: dict, width: int, height: int) -> ObjectRecord | None:
        label = self._label_of.get(annotation.get("category_id"))
        if label is None:
            self.report.unknown_references.append(f"annotation {annotation.get('id')}")
            return None
        box = clipped_box(_numbers(annotation.get("bbox"), 4), width, height)
        (area,) = _numbers([annotation.get("area", 1)], 1)
        if box is None or not area > 0 or not is_segmentation(annotation.get("segmentation"), height, width):
            self.report.degenerate_boxes.append(f"annotation {annotation.get('id')}")
            return None
        return ObjectRecord(box, label, bool(annotation.get("iscrowd", 0)), annotation["segmentation"])


def _find_files(folder: Path, split_hint: str) -> tuple[Path, Path]:
    """The label file and the image folder of either layout."""
    if not str(folder) or str(folder) == ".":
        raise UserError(f"{split_hint}_dataset is empty: give the folder of the images")
    if not folder.is_dir():
        raise UserError(f"data set folder {folder} does not exist")
    candidates = [
        (folder / "labels.json", folder / "data"),
        (folder.parent / "annotations" / f"instances_{folder.name}.json", folder),
        (folder / "annotations" / f"instances_{split_hint}2017.json", folder / f"{split_hint}2017"),
    ]
    for labels, images in candidates:
        if labels.is_file():
            if not images.is_dir():
                raise UserError(f"{labels} is there, but the image folder {images} is not")
            return labels, images
    raise UserError(f"no label file found: neither {candidates[0][0]} nor {candidates[1][0]} exists")


def _read_labels(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON (line {error.lineno}: {error.msg}); is it cut off?") from None


def _make_index(content: object, path: Path) -> COCO:
    """pycocotools' index of a label file's content. UserError, naming `path`, if it is no COCO content."""
    wanted = {
        "images": ("id", "file_name", "width", "height"),
        "categories": ("id", "name"),
        "annotations": ("id", "image_id", "category_id"),
    }
    for name, keys in wanted.items():
        items = content.get(name) if isinstance(content, dict) else None
        if not isinstance(items, list):
            raise UserError(f"{path} is not a COCO label file: it has no list '{name}'")
        for item in items:
            if not isinstance(item, dict) or any(part not in item for part in keys):
                raise UserError(f"{path} is not a COCO label file: an entry of '{name}' lacks one of {', '.join(keys)}")
    if not content["images"]:
        raise UserError(f"{path} lists no images")
    try:
        return index_content(content)
    except TypeError as error:
        raise UserError(f"{path} is not a COCO label file: an id is neither a number nor a text ({error})") from None


def _numbers(values: object, count: int) -> list[float]:
    """`count` finite numbers, or so many zeros where the file has something else."""
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        return [0.0] * count
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else [0.0] * count


def _match_categories(coco: COCO, classes: tuple[str, ...], path: Path) -> list[int]:
    """The file's category id of each class, matched by name."""
    id_of = {category["name"]: category["id"] for category in coco.dataset["categories"]}
    if len(id_of) != len(coco.dataset["categories"]):
        raise UserError(f"{path} has two categories of the same name")
    if set(id_of) != set(classes):
        wanted = sorted(set(classes) - set(id_of))
        found = sorted(set(id_of) - set(classes))
        raise UserError(
            f"coco_classes does not match the categories of {path}: only in coco_classes: {_shorten(wanted)}; "
            f"only in the file: {_shorten(found)}"
        )
    return [id_of[name] for name in classes]


def _shorten(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:20])
    return f"[{shown}{', ...' if len(names) > 20 else ''}]"
