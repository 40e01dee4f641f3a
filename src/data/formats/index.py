"""The common index of detection data: what every label format is read into, and all that the rest asks of one."""

import contextlib
import copy
import io
import logging
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from ...errors import UserError
from ..images import ImageFile, differs_in_size, is_there
from ..masks import checked_segmentation, to_rle
from .fields import Id
from .report import Report, named, unsaid

__all__ = ["DetectionIndex", "ImageRecord", "ObjectRecord", "RawLabels", "Report", "clipped_box", "outline"]

logger = logging.getLogger(__name__)

MIN_SIDE = 1.0  # pixels; smaller boxes are degenerate
READERS = 8  # image files looked at together


@dataclass(frozen=True)
class ObjectRecord:
    """One annotation. box: xyxy pixels, inside the image; label: 0-based class; crowd: a region of many objects.

    segmentation: as COCO has it: polygons [[x, y, x, y, ...], ...] or RLE; None for an object whose mask nobody drew;
    `outline` takes a box for a mask. written_box: (x, y, w, h) as the label file has it, and area in pixels: what
    evaluation uses; without them they follow from box and mask.
    """

    box: tuple[float, float, float, float]
    label: int
    crowd: bool
    segmentation: object
    written_box: tuple[float, float, float, float] | None = None
    area: float | None = None


@dataclass(frozen=True)
class ImageRecord:
    """One image with its usable objects. image_id: a number or a text that the image keeps for good."""

    path: ImageFile
    image_id: Id
    width: int
    height: int
    objects: tuple[ObjectRecord, ...]


@dataclass(frozen=True)
class RawLabels:
    """A label file's own content, for what must keep it as it is.

    rest: what belongs to no image; images: each record's entry and its annotations; strays: annotations of no image.
    """

    rest: dict
    images: list[tuple[dict, list[dict]]]
    strays: list[dict]


class DetectionIndex:
    """Images and their objects, whatever format they were read from.

    annotation_file: where the labels stand, for messages. classes: names in label order, without background.
    records: the images in the order of the index. category_ids: the format's own number of each class, 1, 2, ... where
    it has none. report: what the reader left out or mended. raw: the label file's own content, where it was COCO's.
    missing: indices of the records whose file is not there, where the reader has looked already. is_checked: the
    segmentations are COCO's, which has been looked at.
    sets: of several data sets that are joined, the number of each record's; empty of a single one. label_files: where
    labels stand, to tell whether they are others now.

    Training, evaluation and everything else take the objects from here. Raises UserError if two images have the same
    id, and for a segmentation that is none of COCO's. What is odd is logged.
    """

    def __init__(
        self,
        annotation_file: Path,
        classes: Sequence[str],
        records: Sequence[ImageRecord],
        category_ids: Sequence[Id] = (),
        report: Report | None = None,
        raw: RawLabels | None = None,
        missing: Collection[int] | None = None,
        is_checked: bool = False,
    ):
        self.annotation_file, self.classes = annotation_file, tuple(classes)
        self.category_ids = list(category_ids) or list(range(1, len(self.classes) + 1))
        self.image_ids = [record.image_id for record in records]
        self.report = report or Report()
        self.raw = raw
        self.sets: Sequence[int] = ()
        self.label_files: tuple[Path, ...] = (annotation_file,)
        self._records = list(records)
        if missing is None:
            missing = {index for index, record in enumerate(records) if not is_there(record.path)}
        self._missing = set(missing)
        if len(set(self.image_ids)) != len(self.image_ids):
            raise UserError(f"{annotation_file}: two images have the same id")
        if raw is None and not is_checked:
            self._check_segmentations()  # COCO's reader has looked at those of a label file
        self._complete_report()
        for line in unsaid(annotation_file, self.report.lines()):
            logger.warning("%s: %s", annotation_file, line)

    def __len__(self) -> int:
        return len(self._records)

    def record(self, index: int) -> ImageRecord:
        """Image number `index` in the order of `image_ids`."""
        return self._records[index]

    @cached_property
    def coco(self) -> COCO:
        """The ground truth as pycocotools has it, with the content of a COCO label file as its `dataset`.

        Images of another size than their entry's are not in it: their files are opened here. An object without a mask
        has an empty segmentation.
        """
        return index_content(self._as_coco())

    @property
    def has_masks(self) -> bool:
        """Whether an object has a mask."""
        return any(item.segmentation is not None for one in self._records for item in one.objects if not item.crowd)

    @property
    def lacks_masks(self) -> bool:
        """Whether an object has none."""
        return self.report.without_mask > 0

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

    def annotation(self, record: ImageRecord, item: ObjectRecord) -> dict:
        """An object as a COCO label file has it, but for its id."""
        x1, y1, x2, y2 = item.box
        x, y, w, h = item.written_box or (x1, y1, x2 - x1, y2 - y1)
        area = item.area
        if area is None and item.segmentation is None:
            area = (x2 - x1) * (y2 - y1)
        elif area is None:
            area = coco_mask.area(to_rle(item.segmentation, record.height, record.width))
        return {
            "image_id": record.image_id,
            "category_id": self.category_ids[item.label],
            "bbox": [x, y, w, h],
            "area": float(area),
            "iscrowd": int(item.crowd),
            "segmentation": [] if item.segmentation is None else item.segmentation,
        }

    def part(self, indices: Sequence[int]) -> "DetectionIndex":
        """The index of these images alone; what was odd about all of them has been said, and nothing is said again."""
        missing = {place for place, index in enumerate(indices) if index in self._missing}
        sets = [self.sets[index] for index in indices] if self.sets else ()
        raw = self.raw
        if raw is not None:
            raw = replace(raw, images=[raw.images[index] for index in indices], strays=[])
        return self.with_records([self._records[index] for index in indices], missing, sets=sets, raw=raw)

    def with_records(self, records: Sequence[ImageRecord], missing: Collection[int], **changes) -> "DetectionIndex":
        """The same of other records that have been looked at, and with other attributes; nothing is said again."""
        found = copy.copy(self)
        found.__dict__.pop("coco", None)
        found.__dict__.update(changes)
        found._records, found._missing = list(records), set(missing)
        found.image_ids = [record.image_id for record in records]
        found.report = replace(found.report)
        found._complete_report()
        return found

    @property
    def missing(self) -> set[int]:
        """Indices of the records whose file is not there."""
        return self._missing

    def paths(self) -> set[str]:
        """Where the images' files are."""
        return {str(record.path) for record in self._records}

    def images_above(self, num_gts: int) -> int:
        """How many images have more objects (crowds included) than `num_gts`."""
        return sum(len(record.objects) > num_gts for record in self._records)

    def _check_segmentations(self) -> None:
        for record in self._records:
            for item in record.objects:
                if item.segmentation is None:
                    continue
                try:
                    checked_segmentation(item.segmentation, record.height, record.width)
                except ValueError as error:
                    raise UserError(f"{self.annotation_file}: an object of {record.path.name}: {error}") from None

    def _complete_report(self) -> None:
        names = [record.path.name for record in self._records]
        objects = [item for record in self._records for item in record.objects]
        paths = [self._records[index].path for index in sorted(self._missing)]
        self.report.missing_files = [path.name for path in paths]
        self.report.looked_for = next((str(path) for path in paths if isinstance(path, Path)), "")
        self.report.empty_images = [name for name, record in zip(names, self._records) if not record.objects]
        self.report.objects = len(objects)
        self.report.crowds = sum(item.crowd for item in objects)
        self.report.without_mask = sum(item.segmentation is None and not item.crowd for item in objects)

    def _fitting_records(self) -> list[ImageRecord]:
        """Those whose file has the size of its entry, or cannot be read; the others are named."""
        with ThreadPoolExecutor(READERS) as pool:  # network drives answer slowly, but many at a time
            sizes = list(pool.map(lambda one: differs_in_size(one.path, one.height, one.width), self._records))
        others = [
            f"{record.path.name} has {size[1]} x {size[0]} pixels, its entry {record.width} x {record.height}"
            for record, size in zip(self._records, sizes)
            if size is not None
        ]
        if others:
            logger.warning(
                "%s: %d images are of another size than their entry says: left out of evaluation with their objects "
                "(%s)",
                self.annotation_file,
                len(others),
                named(others),
            )
        return [record for record, size in zip(self._records, sizes) if size is None]

    def _as_coco(self) -> dict:
        """The label file that COCO would have of these records."""
        records = self._fitting_records()
        images = [
            {"id": one.image_id, "file_name": one.path.name, "width": one.width, "height": one.height}
            for one in records
        ]
        annotations = [self.annotation(record, item) for record in records for item in record.objects]
        return (self.raw.rest if self.raw else {}) | {
            "images": images,
            "annotations": [{"id": number} | item for number, item in enumerate(annotations, start=1)],
            "categories": [{"id": number, "name": name} for number, name in zip(self.category_ids, self.classes)],
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
