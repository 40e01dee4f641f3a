"""YOLO's labels: a text file an image, a line an object, boxes and polygons in shares of the image's width and height.

    3 0.50 0.40 0.20 0.10                  class, centre, width and height of a box: an object without a mask
    3 0.10 0.10 0.30 0.10 0.30 0.40        class, and x, y of three points or more

An empty file, or none, is an image without objects. Oriented boxes have four corners and are polygons.
"""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...config import Config
from ...errors import UserError, plain
from ...reading import is_folder, read_text, why
from .assembly import FoundImage, FoundObject, Tally, assemble
from .categories import Category
from .image_sizes import upright_size
from .index import DetectionIndex
from .label_folders import data_folder, read_all
from .rules import Rules
from .yolo_files import TEXT, YoloFiles, is_yaml, label_file, root_folder, yolo_files

MOST_BYTES = 2**26  # of a label file
BOX, LEAST_POLYGON = 4, 6  # numbers after the class
FAR = 1.0  # image sides outside of it, from which on a number is no share of one
NO_LABEL = "lines are no labels (a class and 4 numbers, or a class and x, y of three points or more): left out"
NO_SHARES = "lines have numbers that are no shares of the image's width and height, which are 0 to 1: left out"
NO_NAME = "lines have a class that nothing names: left out"

Row = tuple[int, int, list[float]]  # line, class, numbers after it


def open_yolo(cfg: Config, split: str) -> DetectionIndex:
    """The YOLO labels in `train_dataset` or `val_dataset`: the data set's folder, its data.yaml, a folder of images."""
    named = getattr(cfg, f"{split}_dataset")
    place = Path(named) if is_yaml(named) else data_folder(cfg, split)
    is_own = os.path.realpath(cfg.train_dataset) != os.path.realpath(cfg.val_dataset)
    return read_yolo(yolo_files(place, split, cfg.allow_outside, is_own), cfg.coco_classes[1:], Rules.from_config(cfg))


def root_of(cfg: Config, split: str) -> Path:
    """The data set's folder, which has all files of `open_yolo`."""
    named = getattr(cfg, f"{split}_dataset")
    return Path(named).parent if is_yaml(named) else root_folder(data_folder(cfg, split))


def read_yolo(files: YoloFiles, classes: Sequence[str], rules: Rules) -> DetectionIndex:
    """The index of a split. Its classes are those of data.yaml, in the order of their numbers.

    UserError where no image has a label file, and for a label file that is no text.
    """
    tally, listing = Tally(), _Listing()
    labels = [listing.label(image) for image in files.images]
    if not any(labels):
        looked = label_file(files.images[0])
        raise UserError(f"{files.source}: none of {len(labels)} images has a label file; looked for {looked}")
    _note_strays(files.images, labels, tally, listing)
    items = list(zip(files.images, labels))
    reader = _Reader(files, tally)
    images = [reader.image(*item, found) for item, found in zip(items, read_all(items, _read))]
    categories = [Category(number, name) for number, name in files.names.items()]
    return assemble(files.source, files.root, images, classes, rules, tally, categories)


@dataclass(frozen=True)
class _Content:
    """What an image's files say. size: (width, height), None where it is no image; odd: lines that are no labels."""

    size: tuple[int, int] | None
    rows: list[Row]
    odd: list[int]


def _read(item: tuple[Path, Path | None]) -> _Content:
    image, label = item
    rows: list[Row] = []
    odd: list[int] = []
    for number, line in _lines(label) if label else ():
        row = _row(line)
        odd.append(number) if row is None else rows.append((number, *row))
    return _Content(upright_size(image), rows, odd)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = read_text(path, MOST_BYTES)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {why(error)}") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _row(line: str) -> tuple[int, list[float]] | None:
    try:
        kind, *numbers = map(float, line.split())
    except ValueError:
        return None
    is_one = len(numbers) == BOX or len(numbers) >= LEAST_POLYGON
    if not is_one or not math.isfinite(sum(numbers)) or not math.isfinite(kind) or kind != int(kind):
        return None
    return int(kind), numbers


class _Reader:
    """Images of one split; `tally` gets what is passed over."""

    def __init__(self, files: YoloFiles, tally: Tally):
        self.files, self.tally = files, tally

    def image(self, image: Path, label: Path | None, content: _Content) -> FoundImage:
        root = self.files.root
        own = label_file(image) if label is None else label
        name = os.path.relpath(own, root) if own.is_relative_to(root) else str(own)
        for line in content.odd:
            self.tally.add(NO_LABEL, f"{name}, line {line}")
        objects = [found for row in content.rows if (found := self._object(name, row, content.size)) is not None]
        path = str(image.relative_to(root) if image.is_relative_to(root) else image)
        return FoundImage(path, f"the image of {plain(name)}", content.size, objects)

    def _object(self, name: str, row: Row, size: tuple[int, int] | None) -> FoundObject | None:
        line, number, values = row
        where = f"{name}, line {line}"
        if self.files.has_keypoints:
            values = values[:BOX]
        problem = None
        if len(values) % 2:
            problem = NO_LABEL
        elif min(values) < -FAR or max(values) > 1 + FAR:
            problem = NO_SHARES
        elif number not in self.files.names:
            problem = NO_NAME
        if problem:
            return self.tally.add(problem, where)
        kind, (width, height) = self.files.names[number], size or (1, 1)
        if len(values) == BOX:
            x, y, w, h = values
            return FoundObject(where, kind, ((x - w / 2) * width, (y - h / 2) * height, w * width, h * height))
        polygon = [value * side for value, side in zip(values, (width, height) * (len(values) // 2))]
        return FoundObject(where, kind, segmentation=[polygon])


class _Listing:
    """The label files that are there, a look at each folder."""

    def __init__(self):
        self._known: dict[Path, dict[str, str]] = {}

    def label(self, image: Path) -> Path | None:
        """The label file of an image: in the folder of labels, or beside it."""
        for path in (label_file(image), image.with_suffix(TEXT)):
            own = self.names(path.parent).get(path.name)
            if own is not None:
                return path.with_name(own)
        return None

    def names(self, folder: Path) -> dict[str, str]:
        """Of the text files in a folder, by the name with a suffix in small letters."""
        if folder not in self._known:
            try:
                names = sorted(os.listdir(folder)) if is_folder(folder) else []  # capitals come first, small ones stay
                found = {name[: -len(TEXT)] + TEXT: name for name in names if name.lower().endswith(TEXT)}
            except OSError as error:
                raise UserError(f"{folder} cannot be read: {why(error)}") from None
            self._known[folder] = found
        return self._known[folder]


def _note_strays(images: Sequence[Path], labels: Sequence[Path | None], tally: Tally, listing: _Listing) -> None:
    """Label files in folders of labels that are of no image there."""
    taken = {label for label in labels if label is not None}
    beside = sorted({(label_file(image).parent, image.parent) for image in images})
    for folder, pictures in beside:
        if folder == pictures:
            continue  # text files beside images may be anything
        stems = {os.path.splitext(name)[0] for name in os.listdir(pictures)} if is_folder(pictures) else set()
        for name in sorted(listing.names(folder).values()):
            if folder / name not in taken and name[: -len(TEXT)] not in stems and name != "classes.txt":
                tally.add("label files are of no image: passed over", name)
