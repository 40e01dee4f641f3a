"""From what a reader found in label files of whatever kind to the common index.

A reader says of each image where its file is and which objects it shows, by the names of their classes. Here the files
are looked for, sizes that the labels do not have are taken from the images' headers, classes are matched by name, and
every object is checked by `read_object`.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import UserError, short
from ..images import is_there
from .categories import Category, ClassMap, match_categories
from .crowds import settle_crowds
from .fields import name, number
from .image_sizes import upright_size
from .index import READERS, DetectionIndex, ImageRecord, ObjectRecord
from .objects import Annotation, read_object
from .places import locate, note
from .report import Report, named
from .rules import Rules

MAX_SIDE = 10**6  # pixels of an image

Segment = Callable[[int, int], object]


@dataclass(frozen=True)
class FoundObject:
    """An object as a label file has it.

    where: for reports. kind: the name of its class. box: x, y, width, height in pixels; None takes it from the mask.
    segmentation: in one of COCO's forms, None where there is none, or a function of the image's height and width that
    gives one. crowd: a region to ignore.
    """

    where: str
    kind: str
    box: object = None
    segmentation: object | Segment = None
    crowd: bool = False


@dataclass(frozen=True)
class FoundImage:
    """An image as a label file has it.

    name: of its file, relative to the data set's folder. label: of what names it, for messages. size: (width, height)
    as written, whatever that is; None takes them from the file.
    """

    name: str
    label: str
    size: tuple[object, object] | None
    objects: Sequence[FoundObject]


@dataclass
class Tally:
    """What a reader passes over, by the reason: a line each."""

    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, name: str) -> None:
        self.names.setdefault(reason, []).append(name)

    def lines(self) -> list[str]:
        return [f"{len(names)} {reason} ({named(names)})" for reason, names in self.names.items()]


def assemble(
    source: Path,
    folder: Path,
    images: Sequence[FoundImage],
    classes: Sequence[str],
    rules: Rules,
    tally: Tally,
    categories: Sequence[Category] = (),
    pictures: Collection[Path] = (),
) -> DetectionIndex:
    """The index of the images. An image's id is its file's name.

    source: for messages. folder: of the images. classes: those of the configuration, without background. categories:
    those that the format has, in its order; without them the objects' own, sorted by name. pictures: image files that
    are there; those that no label names are noted. UserError for two entries of one image, an image of an impossible
    size, and classes that do not match.
    """
    report = Report(notes=tally.lines())
    names = [_as_path(one.name, folder) for one in images]
    places = locate(names, folder, source, lambda i: images[i].label, allow_outside=rules.allow_outside)
    _refuse_two_of_one(images, places.paths, source)
    report.notes += note(places)
    alone = sorted(set(pictures) - set(places.paths))
    if alone:
        report.notes.append(f"{len(alone)} images have no labels: left out ({named([one.name for one in alone])})")
    sizes = _sizes(images, places.paths)
    kept = _with_size(names, sizes, report)
    if not kept:
        raise UserError(f"{source} names no image that can be read (looked for {places.paths[0]})")
    found, labels = _classes(images, categories, classes, rules, source, report)
    maker = _Maker(source, folder, rules, labels, report)
    records = [maker.record(images[index], places.paths[index], sizes[index]) for index in kept]
    records = settle_crowds(records, rules.crowd_rle, report)
    missing = [place for place, index in enumerate(kept) if index in places.missing]
    return DetectionIndex(source, found.names, records, found.ids, report, missing=missing)


class _Maker:
    """Records of images; `report` gets what is odd. labels: of each class name, None for what is left out."""

    def __init__(self, source: Path, folder: Path, rules: Rules, labels: dict[str, int | None], report: Report):
        self.source, self.folder, self.rules, self.labels, self.report = source, folder, rules, labels, report

    def record(self, image: FoundImage, path: Path, size: tuple[object, object]) -> ImageRecord:
        width, height = (self._side(image, value, what) for what, value in zip(("width", "height"), size))
        if width * height > self.rules.max_pixels:
            raise UserError(
                f"{self.source}: {image.label} has {width} x {height} pixels, and max_image_pixels is "
                f"{self.rules.max_pixels}"
            )
        objects: list[ObjectRecord] = []
        seen: dict[tuple, ObjectRecord] = {}  # the first object of each box and class
        for item in image.objects:
            label = self.labels.get(item.kind)
            if label is None:  # which `match_categories` has said
                continue
            found = self._object(item, label, width, height)
            if found is None:
                continue
            first = seen.setdefault((found.box, label), found)
            if first is not found and first == found:
                self.report.repeated.append(item.where)
            objects.append(found)
        return ImageRecord(path, self._image_id(image, path), width, height, tuple(objects))

    def _object(self, item: FoundObject, label: int, width: int, height: int) -> ObjectRecord | None:
        segmentation = item.segmentation(height, width) if callable(item.segmentation) else item.segmentation
        raw = Annotation(item.where, label, item.box, segmentation, crowd=item.crowd)
        before = len(self.report.odd_areas), len(self.report.derived_boxes)
        found = read_object(raw, width, height, self.report)
        # These labels have no areas, and where they have masks no boxes: nothing is odd about what follows from others.
        del self.report.odd_areas[before[0] :], self.report.derived_boxes[before[1] :]
        return found

    def _image_id(self, image: FoundImage, path: Path) -> str:
        """Where the file is in the folder. UserError for what is no text that a file can hold."""
        found = str(path.relative_to(self.folder) if path.is_relative_to(self.folder) else path)
        if name(found) is None:
            raise UserError(
                f"{self.source}: the image of {image.label} has a name that is no text in UTF-8: {short(found)}"
            )
        return found

    def _side(self, image: FoundImage, value: object, what: str) -> int:
        pixels = int(number(value) or 0)
        if 1 <= pixels <= MAX_SIDE:
            return pixels
        raise UserError(
            f"{self.source}: {image.label} has {what} {short(value)}; it must be a number of pixels from 1 to "
            f"{MAX_SIDE:,}"
        )


def _as_path(name: str, folder: Path) -> str:
    """With / between folders, where no file has the name as it stands: Windows writes \\."""
    return name if "\\" not in name or is_there(folder / name) else name.replace("\\", "/")


def _refuse_two_of_one(images: Sequence[FoundImage], paths: Sequence[Path], source: Path) -> None:
    first: dict[Path, int] = {}
    for index, path in enumerate(paths):
        before = first.setdefault(path, index)
        if before != index:
            raise UserError(f"{source}: {images[before].label} and {images[index].label} name one image, {path}")


def _sizes(images: Sequence[FoundImage], paths: Sequence[Path]) -> list[tuple | None]:
    """(width, height) of each image as its labels have it, where they do not as its file has it, or None."""

    unknown = [path for image, path in zip(images, paths) if image.size is None]
    with ThreadPoolExecutor(READERS) as pool:
        found = dict(zip(unknown, pool.map(upright_size, unknown)))
    return [found[path] if image.size is None else image.size for image, path in zip(images, paths)]


def _with_size(names: Sequence[str], sizes: Sequence[tuple | None], report: Report) -> list[int]:
    """Which images have a size; those that have none are noted."""
    lost = [index for index, size in enumerate(sizes) if size is None]
    if lost:
        report.notes.append(
            f"{len(lost)} image files are missing or no images, and their labels do not have their sizes: left out "
            f"({named([names[index] for index in lost])})"
        )
    return [index for index, size in enumerate(sizes) if size is not None]


def _classes(
    images: Sequence[FoundImage],
    categories: Sequence[Category],
    classes: Sequence[str],
    rules: Rules,
    source: Path,
    report: Report,
) -> tuple[ClassMap, dict[str, int | None]]:
    """The classes, and the label of each name."""
    counts = Counter(item.kind for one in images for item in one.objects)
    if not categories:
        categories = [Category(own, kind) for own, kind in enumerate(sorted(counts), start=1)]
    if not categories and not classes:
        raise UserError(f"{source} has no object with a class, and coco_classes names none")
    ids = {one.name: one.id for one in categories}
    used = [ids.get(kind) for kind, count in counts.items() for _ in range(count)]
    found = match_categories(categories, used, classes, rules.classes, source, report)
    return found, {kind: found.labels[own] for kind, own in ids.items()}
