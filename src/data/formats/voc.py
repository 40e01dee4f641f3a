"""Pascal VOC's XML files: the original tree, a folder of XML beside its images, or any tree of both.

Corners are numbers of pixels, the first pixel is 1, and the last one belongs to the box: 1, 1, W, H is the whole image
of W x H pixels. As a continuous box that is 0, 0, W, H: 1 is subtracted of xmin and ymin (as Detectron2 does;
MMDetection subtracts it of all four). Tools that write corners as they are drawn: `voc_first_pixel: 0`.

Difficult objects are regions to ignore. Masks come from SegmentationObject/ID.png, whose objects are matched to boxes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from ...config import Config
from ...errors import UserError, listed, plain
from ...reading import is_file, is_folder
from ..images import IMAGE_SUFFIXES
from . import fields
from .assembly import FoundImage, FoundObject, Tally, assemble
from .index import DetectionIndex
from .instance_matching import matched_masks
from .label_folders import data_folder, files_below, read_all, some_below, split_folder
from .rules import Rules
from .text_lines import read_lines
from .xml_files import child_text, read_xml

MARKS = "Pascal VOC's XML files in Annotations/, or beside the images"
LABELS, IMAGES, INSTANCES, LISTS = "Annotations", "JPEGImages", "SegmentationObject", Path("ImageSets", "Main")
LIST_NAMES = {"train": ("train", "trainval"), "val": ("val", "test")}  # of which the first is taken that is there
FROM_ZERO = "boxes begin at 0, where 1 is the first pixel; `voc_first_pixel: 0` is for tools that count from 0"
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def open_voc(cfg: Config, split: str) -> DetectionIndex:
    """The VOC files in `train_dataset` or `val_dataset`."""
    folder = _root(data_folder(cfg, split), split)
    return read_voc(folder, cfg.coco_classes[1:], split, Rules.from_config(cfg), cfg.voc_first_pixel)


def found_voc(folder: Path, split: str) -> bool:
    """Whether one of the folder's first XML files looks like VOC's."""
    try:
        root = _root(folder, split)
    except UserError:  # several years: it is VOC, and `open_voc` says what is wrong
        return True
    place = root / LABELS if is_folder(root / LABELS) else root
    return some_below(place, (".xml",), lambda start: b"<annotation" in start)


def read_voc(folder: Path, classes: Sequence[str], split: str, rules: Rules, first_pixel: int = 1) -> DetectionIndex:
    """The index of a tree of VOC files: those that its list of the split names, or all. Its classes are the objects'
    names, sorted.

    first_pixel: 1, or 0 for corners of continuous boxes. UserError for files that are broken, or none.
    """
    tally = Tally()
    paths, is_listed = _label_files(folder, split)
    pictures = {path for path in files_below(folder, IMAGE_SUFFIXES) if not _is_label(path.relative_to(folder))}
    finder = _Pictures(folder, pictures, tally)
    images = []
    for path, root in zip(paths, read_all(paths, read_xml)):
        if root.tag != "annotation":
            tally.add("XML files are none of VOC's: passed over", path.name)
            continue
        label = str(path.relative_to(folder))
        size = (child_text(root, "size", "width"), child_text(root, "size", "height"))
        found = list(_objects(root, label, first_pixel, tally))
        picture = finder.name(path, child_text(root, "filename"))
        size = size if all(fields.number(side) for side in size) else None  # tools write 0 where they do not know
        found = matched_masks(found, folder / INSTANCES / f"{path.stem}.png", tally, rules.max_pixels)
        images.append(FoundImage(picture, label, size, found))
    if not images:
        raise UserError(f"{folder} holds no VOC file (.xml with <annotation>)")
    return assemble(folder, folder, images, classes, rules, tally, pictures=() if is_listed else pictures)


def _root(folder: Path, split: str) -> Path:
    """The folder with Annotations/ in it: this one, or VOCdevkit's only one of a year; or the split's own."""
    for place in (folder, folder / "VOCdevkit"):
        if is_folder(place / LABELS):
            return place
        years = [path for path in sorted(place.glob("VOC2*")) if is_folder(path / LABELS)]
        if len(years) > 1:
            raise UserError(f"{place} holds {listed([path.name for path in years])}: name one of them")
        if years:
            return years[0]
    return split_folder(folder, split)


def _is_label(path: Path) -> bool:
    return path.parts[0] in (INSTANCES, "SegmentationClass")


def _label_files(folder: Path, split: str) -> tuple[list[Path], bool]:
    """The label files of the split, and whether a list names them."""
    place = folder / LABELS if is_folder(folder / LABELS) else folder
    lists = [folder / LISTS / f"{name}.txt" for name in LIST_NAMES[split]]
    if not any(is_file(folder / LISTS / f"{name}.txt") for names in LIST_NAMES.values() for name in names):
        return list(files_below(place, (".xml",))), False
    path = next(filter(is_file, lists), None)
    if path is None:
        raise UserError(f"{folder / LISTS} has no list {' or '.join(one.name for one in lists)}")
    below = {str(one.relative_to(place).with_suffix("")): one for one in files_below(place, (".xml",))}
    found = {}
    for number, line in read_lines(path):
        own = line if line in below else line.split()[0]  # lists of one class have a second column
        if own not in below:
            raise UserError(f"{path}, line {number}: {place} has no {plain(own)}.xml")
        found[own] = below[own]
    if not found:
        raise UserError(f"{path} names no image")
    return list(found.values()), True


class _Pictures:
    """Where the image of a label file is: the one of its own name, beside it or anywhere below, or as it is written."""

    def __init__(self, folder: Path, pictures: set[Path], tally: Tally):
        self.folder, self.tally = folder, tally
        self._beside: dict[Path, Path] = {}
        self._anywhere: dict[str, list[Path]] = {}
        for path in sorted(pictures):
            self._beside.setdefault(path.with_suffix(""), path)
            self._anywhere.setdefault(path.stem, []).append(path)

    def name(self, path: Path, written: str | None) -> str:
        """Relative to the folder. written: <filename>."""
        everywhere = self._anywhere.get(path.stem, [])
        own = self._beside.get(path.with_suffix("")) or (everywhere[0] if len(everywhere) == 1 else None)
        written = fields.name(written)
        if written is not None:  # of a.jpg and a.png the one that is written
            named = [one for one in everywhere if one.name == Path(written.replace("\\", "/")).name]
            own = named[0] if len(named) == 1 else own
        if own is None:
            return written or f"{path.stem}.jpg"
        if written is not None and Path(written.replace("\\", "/")).stem not in (own.stem, own.name):
            self.tally.add("XML files name an image of another name than their own, whose image is taken", path.name)
        return str(own.relative_to(self.folder))


def _objects(root: Element, label: str, first_pixel: int, tally: Tally) -> Iterator[FoundObject]:
    for number, item in enumerate(root.findall("object"), start=1):
        where = f"object {number} of {label}"
        kind = fields.name(child_text(item, "name"))
        if kind is None:
            tally.add("objects have no name: left out", where)
            continue
        corners = fields.numbers([child_text(item, "bndbox", corner) for corner in CORNERS], 4)
        box = None
        if corners is not None:
            left, top, right, bottom = corners
            if first_pixel and min(left, top) < first_pixel:
                tally.add(FROM_ZERO, where)
            box = (left - first_pixel, top - first_pixel, right - left + first_pixel, bottom - top + first_pixel)
        yield FoundObject(where, kind, box, crowd=bool(fields.flag(child_text(item, "difficult"))))
