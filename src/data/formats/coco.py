"""COCO label files into the common index. What of each field is taken, and how, stands in the files beside this one."""

from collections.abc import Sequence
from pathlib import Path

from ...config import Config
from ...errors import UserError, plain, short
from ...reading import read_json, without_collection
from ..images import ImageFile
from .categories import match_categories, read_categories
from .coco_files import CocoFiles, ImagePlaces, find_files, named_files
from .crowds import settle_crowds
from .fields import Id, identity, number, text
from .ids import IdTable, order
from .image_sizes import upright_size
from .index import DetectionIndex, ImageRecord, ObjectRecord, RawLabels
from .objects import Annotation, read_object
from .places import locate, note
from .report import Report
from .rules import USUAL_RULES, Rules

MAX_SIDE = 10**6  # pixels of an image
LISTS = {  # of a label file, and what each entry has
    "images": ("id", "file_name"),
    "categories": ("id", "name"),
    "annotations": ("image_id", "category_id"),
}


def open_coco(cfg: Config, split: str) -> DetectionIndex:
    """The COCO subset that `train_dataset` ('train') or `val_dataset` ('val') names, or `train_annotations` and
    `train_images` (`val_annotations`, `val_images`): its label file and the folder of its images.
    """
    dataset, labels, images = (getattr(cfg, f"{split}_{what}") for what in ("dataset", "annotations", "images"))
    if not labels and not images:
        return read_coco(dataset, cfg.coco_classes[1:], split, Rules.from_config(cfg))
    files = named_files(dataset, labels, images, split)
    return _read(files, cfg.coco_classes[1:], Rules.from_config(cfg))


def coco_source(cfg: Config, split: str) -> str:
    """What `open_coco` reads: the label file, where the configuration names it, or the subset's folder."""
    return getattr(cfg, f"{split}_annotations") or getattr(cfg, f"{split}_dataset")


def read_coco(
    folder: str | Path, classes: Sequence[str], split_hint: str = "train", rules: Rules = USUAL_RULES
) -> DetectionIndex:
    """A COCO-format subset.

    folder: F with F/labels.json and F/data/, F = ROOT/train2017 with ROOT/annotations/instances_train2017.json, or what
    a tool exported, see `coco_files`.
    classes: names in label order, without background, matched to the file's categories by name; none takes the file's.
    split_hint: 'train' or 'val': which subset to take when `folder` is the classic layout's ROOT.

    Raises UserError: folder or label file missing, not COCO JSON, entries that contradict one another, or class names
    that do not match.
    """
    return _read(find_files(folder, split_hint), classes, rules)


@without_collection()
def read_content(
    content: object, images, classes: Sequence[str], annotation_file: Path, rules: Rules = USUAL_RULES
) -> DetectionIndex:
    """The index of a label file's content. UserError as `read_coco`.

    images: where the image files may be, or something else of which `images / file_name` is one.
    """
    _check_form(content, annotation_file)
    report = Report()
    categories = read_categories(content["categories"], annotation_file)
    used = [annotation["category_id"] for annotation in content["annotations"]]
    found = match_categories(categories, used, classes, rules.classes, annotation_file, report)
    entries = _image_entries(content["images"], annotation_file)
    groups, strays = _annotations_by_image(content["annotations"], entries)
    ids, missing = sorted(entries, key=order), None
    if isinstance(images, ImagePlaces):
        named = [(one, entries[one]["file_name"]) for one in ids]
        images, missing = _find_images(images, named, annotation_file, rules)
        report.notes += images.notes
    reader = _Reader(images, found.table.find, found.labels, annotation_file, report, rules)
    records = [reader.record(image_id, entries[image_id], groups[image_id]) for image_id in ids]
    report.unknown_references += [_name(annotation, "no image") for annotation in strays]
    records = settle_crowds(records, rules.crowd_rle, report)
    rest = {name: part for name, part in content.items() if name not in ("images", "annotations")}
    raw = RawLabels(rest, [(entries[one.image_id], groups[one.image_id]) for one in records], strays)
    return DetectionIndex(annotation_file, found.names, records, found.ids, report, raw, missing)


class _Images:
    """`images / file_name` is an image's file."""

    def __init__(self, files: dict[str, Path], notes: list[str]):
        self._files, self.notes = files, notes

    def __truediv__(self, file_name: str) -> Path:
        return self._files[file_name]


def _read(files: CocoFiles, classes: Sequence[str], rules: Rules) -> DetectionIndex:
    return read_content(read_json(files.labels), files.images, classes, files.labels, rules)


def _find_images(
    images: ImagePlaces, named: Sequence[tuple[Id, str]], annotation_file: Path, rules: Rules
) -> tuple[_Images, set[int]]:
    """The files of the images (id, file_name), and which of them are missing."""
    names = [name for _, name in named]
    folder, root = images.folder_of(names)
    places = locate(names, folder, annotation_file, lambda i: f"image {named[i][0]!r:.60}", root, rules.allow_outside)
    return _Images(dict(zip(names, places.paths)), note(places)), places.missing


class _Reader:
    """Records of the images of one label file; `report` gets what is odd about them.

    find_category: the file's own id of what an annotation names; labels: class of each id, None for what is left out.
    """

    def __init__(
        self, images, find_category, labels: dict[Id, int | None], annotation_file: Path, report: Report, rules: Rules
    ):
        self.images, self.annotation_file, self.report = images, annotation_file, report
        self._find_category, self._labels, self._max_pixels = find_category, labels, rules.max_pixels

    def record(self, image_id: Id, entry: dict, annotations: Sequence[dict]) -> ImageRecord:
        path: ImageFile = self.images / entry["file_name"]
        if entry.get("width") is None and entry.get("height") is None and isinstance(path, Path):
            # Label Studio writes null where it could not open an image, other tools nothing.
            entry["width"], entry["height"] = upright_size(path) or (None, None)
        width, height = (self._side(image_id, entry, side) for side in ("width", "height"))
        if width * height > self._max_pixels:
            raise UserError(
                f"{self.annotation_file}: image {short(image_id)} has {width} x {height} pixels, and max_image_pixels "
                f"is {self._max_pixels}"
            )
        objects: list[ObjectRecord] = []
        seen: dict[tuple, ObjectRecord] = {}  # the first object of each box and class
        for annotation in annotations:
            category = self._find_category(annotation["category_id"])
            name = _name(annotation, entry["file_name"])
            if category is None:
                self.report.unknown_references.append(name)
            elif (label := self._labels[category]) is not None:
                raw = Annotation(
                    name,
                    label,
                    annotation.get("bbox"),
                    annotation.get("segmentation"),
                    annotation.get("area"),
                    annotation.get("iscrowd"),
                )
                found = read_object(raw, width, height, self.report)
                if found is None:
                    continue
                first = seen.setdefault((found.box, label), found)
                if first is not found and first == found:
                    self.report.repeated.append(name)
                objects.append(found)
        return ImageRecord(path, image_id, width, height, tuple(objects))

    def _side(self, image_id: Id, entry: dict, side: str) -> int:
        pixels = int(number(entry.get(side)) or 0)
        if 1 <= pixels <= MAX_SIDE:
            return pixels
        raise UserError(
            f"{self.annotation_file}: image {short(image_id)} has {side} {short(entry.get(side))}; it must be a number "
            f"of pixels from 1 to {MAX_SIDE:,}"
        )


def _check_form(content: object, path: Path) -> None:
    """UserError, naming `path`, if it is no COCO content."""
    for name, keys in LISTS.items():
        items = content.get(name) if isinstance(content, dict) else None
        if not isinstance(items, list):
            raise UserError(f"{path} is not a COCO label file: it has no list '{name}'")
        for place, item in enumerate(items):
            if not isinstance(item, dict) or any(part not in item for part in keys):
                raise UserError(f"{path} is not a COCO label file: {name}[{place}] {_problem(item, keys)}")
    if not content["images"]:
        raise UserError(f"{path} lists no images")


def _image_entries(entries: Sequence[dict], path: Path) -> dict[Id, dict]:
    """Id -> entry, in the file's order. UserError for an id or a name that is none, and for two images of one id."""
    found: dict[Id, dict] = {}
    for entry in entries:
        own, file_name = identity(entry["id"]), text(entry["file_name"])
        if own is None:
            raise UserError(
                f"{path}: image {short(entry['file_name'])} has id {short(entry['id'])}; it must be a number or a text"
            )
        if file_name is None:
            raise UserError(f"{path}: image {short(own)} has file_name {short(entry['file_name'])}; it must be a text")
        if own in found:
            names = " and ".join(map(plain, (found[own]["file_name"], file_name)))
            raise UserError(f"{path}: two images have the id {short(own)}: {names}")
        found[own] = entry
    return found


def _annotations_by_image(annotations: Sequence[dict], entries: dict[Id, dict]) -> tuple[dict, list[dict]]:
    """The annotations of each image in the file's order, and those of images that the file does not have."""
    table, strays = IdTable(entries), []
    groups: dict[Id, list[dict]] = {image_id: [] for image_id in entries}
    for annotation in annotations:
        image_id = table.find(annotation["image_id"])
        (strays if image_id is None else groups[image_id]).append(annotation)
    return groups, strays


def _problem(item: object, keys: Sequence[str]) -> str:
    """What an entry lacks, where it lacks something."""
    if not isinstance(item, dict):
        return f"is {short(item)}, not an object"
    return f"has no '{next(part for part in keys if part not in item)}'"


def _name(annotation: dict, place: str) -> str:
    own = identity(annotation.get("id"))
    return f"an annotation of {place}" if own is None else f"annotation {own}"
