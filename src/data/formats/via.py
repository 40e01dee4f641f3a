"""VGG Image Annotator's files (versions 1 and 2): a project, or its annotations exported as JSON or CSV.

An image has regions (polygon, polyline, rect, circle, ellipse), a region attributes, one of which is its class. A rect
is a box whose mask nobody drew; a polyline is taken as closed. The files have no sizes of images: they are taken from
the images, as people see them.
"""

import csv
import os
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...config import Config
from ...errors import UserError, listed, short
from ...reading import is_file, parse_json, read_json, read_text, why
from ..images import IMAGE_SUFFIXES
from . import fields
from .assembly import FoundImage, FoundObject, Tally, assemble
from .index import DetectionIndex
from .label_folders import data_folder, files_below, split_folder, start_of
from .outlines import ellipse
from .rules import Rules

MARKS = "a JSON or CSV file of VIA's beside the images"
MOST_BYTES = 2**30
MOST_FIELD = 2**26  # characters of a field of a CSV file: a region's points
USUAL_ATTRIBUTES = ("class", "type", "name", "label", "category")  # that hold the class
ONE_CLASS = "object"  # of regions without attributes
COLUMNS = ("region_shape_attributes", "region_attributes")
PROJECT, IMAGES = b"_via_", "_via_img_metadata"


def open_via(cfg: Config, split: str) -> DetectionIndex:
    """The VIA file in `train_dataset` or `val_dataset`."""
    folder = split_folder(data_folder(cfg, split), split)
    found = _files(folder)
    if not found:
        raise UserError(f"{folder} holds no VIA file (a project, or annotations as JSON or CSV)")
    if len(found) > 1:
        raise UserError(f"{folder} holds {len(found)} VIA files, {listed([one.name for one in found])}: keep one there")
    return read_via(found[0], cfg.coco_classes[1:], Rules.from_config(cfg), cfg.class_attribute)


def found_via(folder: Path, split: str) -> bool:
    """Whether a JSON or CSV file in the folder looks like VIA's."""
    return bool(_files(split_folder(folder, split)))


def read_via(path: Path, classes: Sequence[str], rules: Rules, attribute: str = "") -> DetectionIndex:
    """The index of a VIA file. Its classes are the values of one attribute of the regions, sorted.

    attribute: its name; empty takes the only one, or the one of a usual name. UserError for what is no VIA file, and
    attributes among which nobody chose.
    """
    entries, prefix = _entries_of_csv(path) if path.suffix.lower() == ".csv" else _entries_of_json(path)
    if not entries:
        raise UserError(f"{path} lists no image")
    tally = Tally()
    regions = [region for entry in entries for region in entry.regions]
    attribute = attribute or _class_attribute([one.get("region_attributes") for one in regions], path)
    one_class = classes[0] if len(classes) == 1 else ONE_CLASS
    images = [_image(entry, attribute, one_class, prefix, tally) for entry in entries]
    pictures = set(files_below(path.parent, IMAGE_SUFFIXES))
    return assemble(path, path.parent, images, classes, rules, tally, pictures=pictures)


@dataclass(frozen=True)
class _Entry:
    file_name: str
    regions: list[dict]


def _files(folder: Path) -> list[Path]:
    """The VIA files in the folder itself."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    paths = [folder / name for name in names if name.lower().endswith((".json", ".csv"))]
    return [path for path in paths if is_file(path) and _is_via(path, start_of(path))]


def _is_via(path: Path, start: bytes) -> bool:
    if path.suffix.lower() == ".csv":
        return all(column.encode() in start for column in COLUMNS)
    start = start.removeprefix(BOM_UTF8).lstrip()
    return start[:1] == b"{" and (PROJECT in start or (b'"regions"' in start and b'"filename"' in start))


def _entries_of_json(path: Path) -> tuple[list[_Entry], str]:
    """The images of a project or an export, and the folder that a project's names start from."""
    content, prefix = read_json(path, MOST_BYTES), ""
    if isinstance(content, dict) and IMAGES in content:
        settings = content.get("_via_settings")
        core = settings.get("core") if isinstance(settings, dict) else None
        prefix = (fields.name(core.get("default_filepath")) or "") if isinstance(core, dict) else ""
        content = content[IMAGES]
    if not isinstance(content, dict):
        raise UserError(f"{path} is no VIA file: it has no images by their names")
    entries = []
    for key, entry in content.items():
        name = fields.name(entry.get("filename")) if isinstance(entry, dict) else None
        if name is None:
            raise UserError(f"{path} is no VIA file: the entry {short(key)} has no filename")
        regions = entry.get("regions")
        regions = list(regions.values()) if isinstance(regions, dict) else regions
        if not isinstance(regions, list) or not all(isinstance(one, dict) for one in regions):
            raise UserError(f"{path}: regions of {short(name)} must be a list of regions")
        entries.append(_Entry(name, regions))
    return entries, prefix


def _entries_of_csv(path: Path) -> tuple[list[_Entry], str]:
    """The same of an export as CSV: a row a region, one without a shape for an image without regions."""
    images: dict[str, list[dict]] = {}
    for number, row in _rows(path):
        name = fields.name(row.get("filename") or row.get("#filename"))
        if name is None:
            raise UserError(f"{path}, line {number}: it has no filename")
        regions = images.setdefault(name, [])
        region = {}
        for column, key in zip(COLUMNS, ("shape_attributes", "region_attributes")):
            try:
                region[key] = parse_json(row.get(column) or "{}")
            except ValueError as error:
                raise UserError(f"{path}, line {number}: {column} is not JSON ({error})") from None
        if region["shape_attributes"] != {}:
            regions.append(region)
    return [_Entry(name, regions) for name, regions in images.items()], ""


def _rows(path: Path) -> Iterator[tuple[int, dict]]:
    """The number of each row's last line, and its fields by column."""
    try:
        lines = read_text(path, MOST_BYTES).splitlines(keepends=True)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {why(error)}") from None
    csv.field_size_limit(max(csv.field_size_limit(), MOST_FIELD))
    rows = csv.DictReader(lines, strict=False)
    try:
        missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
        if missing:
            raise UserError(f"{path} is no VIA file: it has no column {missing[0]}")
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise UserError(f"{path}, line {rows.line_num}: {error}") from None


def _class_attribute(attributes: Sequence[object], path: Path) -> str:
    """The attribute that holds the class: the only one, or the one of a usual name; empty where there are none."""
    counts = Counter(name for one in attributes if isinstance(one, dict) for name in one)
    if len(counts) < 2:
        return next(iter(counts), "")
    usual = [name for name in counts if name.strip().lower() in USUAL_ATTRIBUTES]
    if len(usual) == 1:
        return usual[0]
    raise UserError(f"{path}: the regions have the attributes {listed(counts)}; class_attribute names the class's")


def _image(entry: _Entry, attribute: str, one_class: str, prefix: str, tally: Tally) -> FoundImage:
    objects = []
    for number, region in enumerate(entry.regions, start=1):
        where = f"region {number} of {entry.file_name}"
        kind = _kind(region.get("region_attributes"), attribute) if attribute else one_class
        shape = region.get("shape_attributes")
        form = shape.get("name") if isinstance(shape, dict) else None
        if form in ("point", "line"):
            tally.add("regions are points or lines: left out", where)
        elif not isinstance(form, str) or form not in FORMS:
            tally.add("regions are of an unknown shape: left out", f"{where}: {short(form)}")
        elif kind is None:
            tally.add(f"regions have no class (attribute {short(attribute)}): left out", where)
        else:
            if form == "polyline":
                tally.add("regions are polylines: taken as closed", where)
            objects.append(FoundObject(where, kind, *FORMS[form](shape)))
    return FoundImage(os.path.join(prefix, entry.file_name), short(entry.file_name), None, objects)


def _kind(attributes: object, name: str) -> str | None:
    """The class: a text, or the one box that is ticked."""
    value = attributes.get(name) if isinstance(attributes, dict) else None
    if isinstance(value, dict):
        ticked = [one for one, state in value.items() if fields.flag(state)]
        value = ticked[0] if len(ticked) == 1 else None
    found = fields.class_name(value)
    return found and found.strip()


def _polygon(shape: dict) -> tuple[None, list]:
    x, y = (shape.get(side) for side in ("all_points_x", "all_points_y"))
    if not isinstance(x, list) or not isinstance(y, list) or len(x) != len(y):
        return None, [[]]
    points = [fields.number(value) for pair in zip(x, y) for value in pair]
    return None, [[] if None in points else points]


def _rectangle(shape: dict) -> tuple[list, None]:
    return [shape.get(side) for side in ("x", "y", "width", "height")], None


def _round(shape: dict) -> tuple[None, list]:
    radii = (shape.get("r"), shape.get("r")) if shape.get("name") == "circle" else (shape.get("rx"), shape.get("ry"))
    values = fields.numbers([shape.get("cx"), shape.get("cy"), *radii, shape.get("theta") or 0], 5)
    return None, [[] if values is None else ellipse(values[:2], values[2:4], values[4])]


FORMS = {  # of a region -> its box and its segmentation
    "polygon": _polygon, "polyline": _polygon, "rect": _rectangle, "circle": _round, "ellipse": _round,
}  # fmt: skip
