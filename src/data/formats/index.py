"""The common index of detection data: what every label format is read into, and all that the rest asks of one."""

import contextlib
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from ...errors import UserError
from ..images import ImageFile
from ..masks import to_rle

logger = logging.getLogger(__name__)

MIN_SIDE = 1.0  # pixels; smaller boxes are degenerate
SHOWN = 5  # names a report lists


@dataclass(frozen=True)
class ObjectRecord:
    """One annotation. box: xyxy pixels; label: 0-based class; crowd: a region of many objects.

    segmentation: as COCO has it: polygons [[x, y, x, y, ...], ...] or RLE; `outline` makes one of a box alone.
    """

    box: tuple[float, float, float, float]
    label: int
    crowd: bool
    segmentation: object


@dataclass(frozen=True)
class ImageRecord:
    """One image with its usable objects. image_id: a whole number that the image keeps for good."""

    path: ImageFile
    image_id: int
    width: int
    height: int
    objects: tuple[ObjectRecord, ...]


@dataclass
class Report:
    """What was odd about a data set: numbers, and the first few names.

    A reader fills in `degenerate_boxes` and `unknown_references` (what it left out), the index the others.
    """

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


class DetectionIndex:
    """Images and their objects, whatever format they were read from.

    annotation_file: where the labels stand, for messages. classes: names in label order, without background.
    records: the images in the order of the index. category_ids: the format's own number of each class, 1, 2, ... where
    it has none. report: what the reader left out. coco: pycocotools' index of the annotations as the format has them;
    without one it is made of the records when evaluation asks for it.

    Raises UserError if two images have the same id. What is odd is logged.
    """

    def __init__(
        self,
        annotation_file: Path,
        classes: Sequence[str],
        records: Sequence[ImageRecord],
        category_ids: Sequence[int] = (),
        report: Report | None = None,
        coco: COCO | None = None,
    ):
        self.annotation_file, self.classes = annotation_file, tuple(classes)
        self.category_ids = list(category_ids) or list(range(1, len(self.classes) + 1))
        self.image_ids = [record.image_id for record in records]
        self.report = report or Report()
        self._records = list(records)
        self._coco = coco
        self._missing = {index for index, record in enumerate(records) if not record.path.is_file()}
        if len(set(self.image_ids)) != len(self.image_ids):
            raise UserError(f"{annotation_file}: two images have the same id")
        self._complete_report()
        for line in self.report.lines():
            logger.warning("%s: %s", annotation_file, line)

    def __len__(self) -> int:
        return len(self._records)

    def record(self, index: int) -> ImageRecord:
        """Image number `index` in the order of `image_ids`."""
        return self._records[index]

    @cached_property
    def coco(self) -> COCO:
        """pycocotools' index of the annotations, with the content of a COCO label file as its `dataset`."""
        return self._coco or index_content(self._as_coco())

    def training_indices(self, filter_empty: bool, number: int = 0, divider: int = 0) -> list[int]:
        """Images to train on: those whose file is there and, with `filter_empty`, that show an object (not a crowd).

        number: only the first so many; divider: only every n-th; 0 for all.
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

    def _complete_report(self) -> None:
        names = [record.path.name for record in self._records]
        paths = [self._records[index].path for index in sorted(self._missing)]
        self.report.missing_files = [str(path) if isinstance(path, Path) else path.name for path in paths]
        self.report.empty_images = [name for name, record in zip(names, self._records) if not record.objects]
        self.report.crowds = sum(item.crowd for record in self._records for item in record.objects)

    def _as_coco(self) -> dict:
        """The label file that COCO would have of these records. UserError for a segmentation that is none of COCO's."""
        images = [
            {"id": one.image_id, "file_name": one.path.name, "width": one.width, "height": one.height}
            for one in self._records
        ]
        annotations = [self._annotation(record, item) for record in self._records for item in record.objects]
        return {
            "images": images,
            "annotations": [{"id": number} | item for number, item in enumerate(annotations, start=1)],
            "categories": [{"id": number, "name": name} for number, name in zip(self.category_ids, self.classes)],
        }

    def _annotation(self, record: ImageRecord, item: ObjectRecord) -> dict:
        try:
            area = coco_mask.area(to_rle(item.segmentation, record.height, record.width))
        except (ValueError, TypeError) as error:
            raise UserError(f"{self.annotation_file}: an object of {record.path.name}: {error}") from None
        x1, y1, x2, y2 = item.box
        return {
            "image_id": record.image_id,
            "category_id": self.category_ids[item.label],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": float(area),
            "iscrowd": int(item.crowd),
            "segmentation": item.segmentation,
        }


def index_content(content: dict) -> COCO:
    """pycocotools' index of the content of a COCO label file, without the lines that it prints."""
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def clipped_box(box: Sequence[float], width: int, height: int) -> tuple[float, float, float, float] | None:
    """(x, y, w, h) pixels -> xyxy inside the image, or None for a degenerate box (below a pixel, or outside)."""
    x, y, w, h = box
    x1, y1, x2, y2 = max(x, 0.0), max(y, 0.0), min(x + w, width), min(y + h, height)
    return (x1, y1, x2, y2) if w >= MIN_SIDE and h >= MIN_SIDE and x2 - x1 > 0 and y2 - y1 > 0 else None


def outline(box: Sequence[float]) -> list[list[float]]:
    """The segmentation of an xyxy box of which nothing more is known: its own outline as a polygon."""
    x1, y1, x2, y2 = box
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]
