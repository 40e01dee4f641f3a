"""COCO-format data sets: an index of images and objects, checked once, with everything odd counted and reported."""

import contextlib
import io
import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pycocotools.coco import COCO

from ...config import Config
from ...errors import UserError
from ..images import ImageFile
from ..masks import is_segmentation
from .mindrecord import MANIFEST, read_records

logger = logging.getLogger(__name__)

MIN_SIDE = 1.0  # pixels; smaller boxes are degenerate
SHOWN = 5  # names a report lists


@dataclass(frozen=True)
class ObjectRecord:
    """One annotation. box: xyxy pixels; label: 0-based class; crowd: a region of many objects."""

    box: tuple[float, float, float, float]
    label: int
    crowd: bool
    segmentation: object


@dataclass(frozen=True)
class ImageRecord:
    """One image with its usable objects."""

    path: ImageFile
    image_id: int
    width: int
    height: int
    objects: tuple[ObjectRecord, ...]


@dataclass
class Report:
    """What was odd about a data set: numbers, and the first few names."""

    missing_files: list[str] = field(default_factory=list)
    empty_images: list[str] = field(default_factory=list)
    degenerate_boxes: list[str] = field(default_factory=list)
    unknown_references: list[str] = field(default_factory=list)
    crowds: int = 0

    def lines(self) -> list[str]:
        """One line for each kind of oddity that occurred."""
        texts = {
            "missing_files": "image files are missing: left out of training, counted without predictions in evaluation",
            "degenerate_boxes": "annotations have no area inside their image or no usable segmentation: ignored",
            "unknown_references": "annotations name an image or a category that the file does not have: ignored",
        }
        return [
            f"{len(names)} {text} ({', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''})"
            for kind, text in texts.items()
            if (names := getattr(self, kind))
        ]


class CocoDataset:
    """A COCO-format subset.

    folder: F with F/labels.json and F/data/, or F = ROOT/train2017 with ROOT/annotations/instances_train2017.json.
    classes: names in label order, without background; they must be exactly the file's categories (in any order).
    split_hint: 'train' or 'val': which subset to take when `folder` is the classic layout's ROOT.
    data_type: 'coco', or 'mindrecord' where `folder` is what `src.data.mindrecord` made of such a subset.

    Attributes: `category_ids` (the file's own id of each class), `image_ids`, `coco` (pycocotools index), `report`.
    Raises UserError: folder or label file missing, not COCO JSON, or class names that do not match.
    """

    def __init__(self, folder: str, classes: Sequence[str], split_hint: str = "train", data_type: str = "coco"):
        self.folder = Path(folder)
        if data_type == "mindrecord":
            self.annotation_file = self.folder / MANIFEST
            content, self.image_folder = read_records(self.folder)
        else:
            self.annotation_file, self.image_folder = _find_files(self.folder, split_hint)
            content = _read_labels(self.annotation_file)
        self.classes = tuple(classes)
        self.coco = _make_index(content, self.annotation_file)
        self.category_ids = _match_categories(self.coco, self.classes, self.annotation_file)
        self.image_ids = sorted(self.coco.imgs)
        self.report = Report()
        self._missing: set[int] = set()  # indices of images without a file
        self._label_of = {category: label for label, category in enumerate(self.category_ids)}
        self._records = [self._make_record(index, image_id) for index, image_id in enumerate(self.image_ids)]
        self._count_unknown_references()
        for line in self.report.lines():
            logger.warning("%s: %s", self.annotation_file, line)

    def __len__(self) -> int:
        return len(self._records)

    def record(self, index: int) -> ImageRecord:
        """Image number `index` in the order of `image_ids`."""
        return self._records[index]

    def training_indices(self, filter_empty: bool, number: int = 0, divider: int = 0) -> list[int]:
        """Images to train on: those whose file is there and, with `filter_empty`, that show an object (not a crowd).

        number: only the first so many; divider: only every so-manieth; 0 for all.
        """
        indices = list(range(len(self)))
        indices = indices[::divider] if divider > 0 else indices
        indices = indices[:number] if number > 0 else indices
        indices = [i for i in indices if i not in self._missing]
        if filter_empty:
            indices = [i for i in indices if any(not item.crowd for item in self._records[i].objects)]
        if not indices:
            raise UserError(f"{self.annotation_file}: no image to train on is left (missing files, no objects)")
        return indices

    def images_above(self, num_gts: int) -> int:
        """How many images have more objects (crowds included) than `num_gts`."""
        return sum(len(record.objects) > num_gts for record in self._records)

    def _make_record(self, index: int, image_id: int) -> ImageRecord:
        image = self.coco.imgs[image_id]
        width, height = (int(side) if side >= 1 else 0 for side in _numbers([image["width"], image["height"]], 2))
        if not (width and height):
            raise UserError(
                f"{self.annotation_file}: image {image_id} has width and height {image['width']}, {image['height']}"
            )
        path = self.image_folder / image["file_name"]
        if not path.is_file():
            self.report.missing_files.append(path.name)
            self._missing.add(index)
        objects = []
        for annotation in self.coco.imgToAnns.get(image_id, []):
            item = self._make_object(annotation, width, height)
            if item is not None:
                objects.append(item)
        if not objects:
            self.report.empty_images.append(path.name)
        return ImageRecord(path, image_id, width, height, tuple(objects))

    def _make_object(self, annotation: dict, width: int, height: int) -> ObjectRecord | None:
        label = self._label_of.get(annotation.get("category_id"))
        if label is None:
            self.report.unknown_references.append(f"annotation {annotation.get('id')}")
            return None
        crowd = bool(annotation.get("iscrowd", 0))
        x, y, w, h = _numbers(annotation.get("bbox"), 4)
        x1, y1, x2, y2 = max(x, 0.0), max(y, 0.0), min(x + w, width), min(y + h, height)
        degenerate = not (w >= MIN_SIDE and h >= MIN_SIDE and x2 - x1 > 0 and y2 - y1 > 0)
        (area,) = _numbers([annotation.get("area", 1)], 1)
        if degenerate or not area > 0 or not is_segmentation(annotation.get("segmentation"), height, width):
            self.report.degenerate_boxes.append(f"annotation {annotation.get('id')}")
            return None
        self.report.crowds += crowd
        return ObjectRecord((x1, y1, x2, y2), label, crowd, annotation["segmentation"])

    def _count_unknown_references(self) -> None:
        known = set(self.image_ids)
        for image_id, annotations in self.coco.imgToAnns.items():
            if image_id not in known:
                self.report.unknown_references += [f"annotation {item.get('id')}" for item in annotations]


def open_coco(cfg: Config, split: str) -> CocoDataset:
    """The configuration's training ('train') or validation ('val') data. UserError for what is wrong with it."""
    return CocoDataset(coco_folder(cfg, split), cfg.coco_classes[1:], split, getattr(cfg, f"{split}_data_type"))


def coco_folder(cfg: Config, split: str) -> str:
    """Where `open_coco` looks; empty where the configuration names nothing."""
    if getattr(cfg, f"{split}_data_type") == "mindrecord" and cfg.mindrecord_dir:
        return str(Path(cfg.mindrecord_dir) / {"train": "train", "val": "validation"}[split])
    return getattr(cfg, f"{split}_dataset")


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
    coco = COCO()
    coco.dataset = content
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
    except TypeError as error:
        raise UserError(f"{path} is not a COCO label file: an id is neither a number nor a text ({error})") from None
    return coco


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
