"""Folders of instance masks: one picture of ids an image (8 or 16 bits, 0 is the background), as Cellpose and StarDist
have them.

images/x.jpg with masks/x.png, or x.jpg (x_img.jpg) with x_masks.png (x_mask.png, x_cp_masks.png) beside it. What an id
is: all objects are of one class; or masks/CLASS/x.png, a picture a class; or a table beside the mask, x.json
({"1": "cat"}) or x.csv (id,class).
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ...config import Config
from ...errors import UserError, plain, short
from ...reading import is_file, is_folder, read_json, read_text, why
from ..images import IMAGE_SUFFIXES
from . import fields
from .assembly import FoundImage, FoundObject, Tally, assemble
from .id_images import read_masks_by_id
from .index import DetectionIndex
from .label_folders import data_folder, files_below, read_all, split_folder
from .rules import Rules

MARKS = "images/ and masks/, or *_masks.png beside the images"
MASKS, IMAGES = "masks", "images"
MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")
BESIDE = re.compile(r"(.+?)_(?:cp_)?masks?")  # the stem of a mask beside its image
MOST_BYTES = 2**26  # of a table
ONE_CLASS = "object"


def open_masks(cfg: Config, split: str) -> DetectionIndex:
    """The instance masks in `train_dataset` or `val_dataset`."""
    folder = split_folder(data_folder(cfg, split), split)
    return read_masks(folder, cfg.coco_classes[1:], Rules.from_config(cfg), cfg.mask_class)


def found_masks(folder: Path, split: str) -> bool:
    """Whether the folder has images/ and masks/, or a file that is named as a mask beside an image."""
    folder = split_folder(folder, split)
    if is_folder(folder / MASKS):
        return is_folder(folder / IMAGES)
    try:
        return any(BESIDE.fullmatch(path.stem) for path in files_below(folder, MASK_SUFFIXES))
    except UserError:
        return False


def read_masks(folder: Path, classes: Sequence[str], rules: Rules, mask_class: str = "") -> DetectionIndex:
    """The index of a folder of instance masks.

    mask_class: of the objects that neither a folder nor a table names; empty: the only one of `classes`, or 'object'.
    UserError for a folder without masks, and a table that is none.
    """
    usual = mask_class or (classes[0] if len(classes) == 1 else ONE_CLASS)
    pictures, pairs = _pairs(folder)
    if not pairs:
        raise UserError(f"{folder} holds no masks ({MASKS}/x.png beside {IMAGES}/x.jpg, or x_masks.png beside x.jpg)")
    tally, images = Tally(), {}
    paths = [one.mask for one in pairs]
    for pair, (size, masks) in zip(pairs, read_all(paths, partial(read_masks_by_id, max_pixels=rules.max_pixels))):
        where = str(pair.mask.relative_to(folder))
        if isinstance(masks, str):
            tally.add("masks cannot be read: left out", f"{where}: {masks}")
            continue
        table = _table(pair.mask)
        image = images.setdefault(pair.image, _Image(where, size))
        image.add(masks, lambda number, pair=pair, table=table: _kind(number, pair, table, usual), where, tally)
    if not images:
        raise UserError(f"{folder} holds no mask that can be read; {tally.lines()[0]}")
    if all(one.values <= {255} for one in images.values()) and any(one.values for one in images.values()):
        tally.names["masks hold 0 and 255 alone: each is one object"] = [one.label for one in images.values()]
    found = [FoundImage(name, one.label, one.size, one.objects) for name, one in images.items()]
    return assemble(folder, folder, found, classes, rules, tally, pictures=pictures)


@dataclass(frozen=True)
class _Pair:
    """A mask and its image's name, relative to the data set's folder. kind: its folder's class, if it has one."""

    mask: Path
    image: str
    kind: str = ""


@dataclass
class _Image:
    label: str
    size: tuple[int, int]
    objects: list[FoundObject] = field(default_factory=list)
    values: set[int] = field(default_factory=set)

    def add(self, masks: dict[int, dict], kind_of, where: str, tally: Tally) -> None:
        self.values |= masks.keys()
        for number, code in masks.items():
            name, kind = f"id {number} of {where}", kind_of(number)
            if kind is None:
                tally.add("ids have no class in their table: left out", name)
            else:
                self.objects.append(FoundObject(name, kind, None, code))


def _kind(number: int, pair: _Pair, table: dict[int, str] | None, usual: str) -> str | None:
    return table.get(number) if table is not None else pair.kind or usual


def _pairs(folder: Path) -> tuple[set[Path], list[_Pair]]:
    """The image files, and the masks with their images."""
    if is_folder(folder / MASKS):
        images = folder / IMAGES if is_folder(folder / IMAGES) else folder
        pictures = {path for path in files_below(images, IMAGE_SUFFIXES) if folder / MASKS not in path.parents}
        return pictures, _pairs_of_folders(folder, images, pictures)
    masks = [path for path in files_below(folder, MASK_SUFFIXES) if BESIDE.fullmatch(path.stem)]
    pictures = set(files_below(folder, IMAGE_SUFFIXES)) - set(masks)
    by_stem = {path.with_suffix(""): path for path in sorted(pictures)}
    pairs = []
    for mask in masks:
        stem = mask.with_name(BESIDE.fullmatch(mask.stem)[1])
        own = by_stem.get(stem) or by_stem.get(stem.with_name(f"{stem.name}_img")) or stem.with_name(f"{stem.name}.png")
        pairs.append(_Pair(mask, str(own.relative_to(folder))))
    return pictures, pairs


def _pairs_of_folders(folder: Path, images: Path, pictures: set[Path]) -> list[_Pair]:
    """images/x.jpg and masks/x.png, or masks/CLASS/x.png where images/ has no such folder."""
    by_stem = {path.relative_to(images).with_suffix(""): path for path in sorted(pictures)}
    pairs = []
    for mask in files_below(folder / MASKS, MASK_SUFFIXES):
        stem, kind = mask.relative_to(folder / MASKS).with_suffix(""), ""
        if len(stem.parts) > 1 and not is_folder(images / stem.parts[0]):
            kind, stem = stem.parts[0], Path(*stem.parts[1:])
            if fields.name(kind) is None:
                raise UserError(f"{folder / MASKS}: the folder {short(kind)} has a name that is no class's")
        named = BESIDE.fullmatch(stem.name)
        own = by_stem.get(stem) or (by_stem.get(stem.with_name(named[1])) if named else None)
        own = own or images / stem.with_name(f"{stem.name}.png")
        pairs.append(_Pair(mask, str(own.relative_to(folder)), kind))
    return pairs


def _table(mask: Path) -> dict[int, str] | None:
    """What the table beside a mask says of its ids; None where there is none."""
    if is_file(path := mask.with_suffix(".json")):
        content = read_json(path, MOST_BYTES)
        rows = content.items() if isinstance(content, dict) else None
    elif is_file(path := mask.with_suffix(".csv")):
        rows = _rows(path)
    else:
        return None
    if rows is None:
        raise UserError(f'{path} is no table of ids and classes ({{"1": "cat", ...}})')
    table = {}
    for own, value in rows:
        number, kind = fields.number(own), fields.class_name(value)
        if number is None or number != int(number) or kind is None:
            raise UserError(f"{path}: {plain(str(own))}: {short(value)} is no id with its class")
        table[int(number)] = kind
    return table


def _rows(path: Path) -> list[tuple[str, str]]:
    """Id and class of each row, without a first row of names."""
    try:
        rows = [row for row in csv.reader(read_text(path, MOST_BYTES).splitlines()) if row]
    except OSError as error:
        raise UserError(f"{path} cannot be read ({why(error)})") from None
    except csv.Error as error:
        raise UserError(f"{path} is no CSV file ({error})") from None
    if rows and fields.number(rows[0][0]) is None:
        rows = rows[1:]
    short_row = next((row for row in rows if len(row) < 2), None)
    if short_row:
        raise UserError(f"{path}: {short(short_row[0])} has no class; a row is id,class")
    return [(row[0], row[1].strip()) for row in rows]
