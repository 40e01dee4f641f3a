"""Where a YOLO data set has its images and labels: what `data.yaml`, `classes.txt` or `obj.names` and the folders say.

data.yaml: names (a list, or a mapping of numbers), train and val (folders, or lists of images in .txt files), perhaps
path. Without it the folders images/train, train/images or train hold a split, or images/ holds all there is. The label
file of images/a/b.jpg is labels/a/b.txt, that of other/b.jpg is other/b.txt.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...config.read import read_documents_of
from ...errors import UserError, plain, short
from ...reading import is_file, is_folder
from ..images import IMAGE_SUFFIXES
from . import fields
from .label_folders import SPLIT_NAMES, files_below, start_of
from .places import ALLOW, inside, locate, note, shown
from .text_lines import read_lines

logger = logging.getLogger(__name__)

MARKS = "data.yaml with names, or classes.txt or obj.names beside labels"
YAML = (".yaml", ".yml")
USUAL_YAML = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
NAME_LISTS = ("classes.txt", "labels/classes.txt", "obj.names")
IMAGES, LABELS, TEXT = "images", "labels", ".txt"
SPLIT_KEYS = {"train": ("train",), "val": ("val", "valid", "validation")}  # of data.yaml
OTHER = {"train": "val", "val": "train"}
MOST_NUMBER = 10**6  # of a class


@dataclass(frozen=True)
class YoloFiles:
    """One split. source: what names the classes; root: the data set's folder; names: of each class number.

    images: of the split. has_keypoints: a line is a box and the points of a skeleton.
    """

    source: Path
    root: Path
    names: dict[int, str]
    images: list[Path]
    has_keypoints: bool


def found_yolo(folder: Path, split: str) -> bool:
    """Whether the folder, or the one that it is the images of, has what names YOLO's classes."""
    return _class_file(folder) is not None


def is_yaml(path: str | Path) -> bool:
    """Whether this is a file that may be a data.yaml."""
    return Path(path).suffix.lower() in YAML and is_file(path)


def root_folder(place: Path) -> Path:
    """The data set's folder: this one, or one above a folder of images."""
    found = _class_file(place)
    return place if found is None else found[1]


def yolo_files(place: Path, split: str, allow_outside: bool = False, is_own: bool = False) -> YoloFiles:
    """The files of the split 'train' or 'val'. place: the data set's folder, its data.yaml, or a folder of its images.

    is_own: the place is named for this split alone: where it only has the other one, as tools export, that is taken.
    UserError for what is none, or names files outside of the data set's folder.
    """
    found = (place, place.parent) if is_yaml(place) else _class_file(place)
    if found is None:
        raise UserError(f"{place} has no {MARKS.replace(' or ', ' and no ')}")
    source, root = found
    content = _yaml_content(source) if source.suffix.lower() in YAML else {"names": _listed_names(source)}
    names = _names(content.get("names"), source)
    if place not in (source, root):
        images = list(files_below(place / IMAGES if is_folder(place / IMAGES) else place, IMAGE_SUFFIXES))
    else:
        if is_own and not _has(content, split, root):
            split = OTHER[split]
        images = list(dict.fromkeys(_images(content, split, source, root, allow_outside)))
    if not images:
        raise UserError(f"{source}: there is no image of its {split} data")
    return YoloFiles(source, root, names, images, content.get("kpt_shape") is not None)


def label_file(image: Path) -> Path:
    """Where the labels of an image are: `images`, the last of its folders of that name, becomes `labels`."""
    parts = list(image.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == IMAGES:
            parts[place] = LABELS
            break
    return Path(*parts).with_suffix(TEXT)


def _class_file(folder: Path) -> tuple[Path, Path] | None:
    """What names the classes, and the data set's folder: this one, or one above a folder of images."""
    places = [folder]
    if is_folder(folder / LABELS) or IMAGES in (folder.name, folder.parent.name):
        places += [folder.parent, folder.parent.parent]
    for place in places:
        names = _names_in(place)
        others = sorted(name for name in names if name.lower().endswith(YAML))
        for path in (place / name for name in (*USUAL_YAML, *others)):
            if is_file(path) and _names_classes(start_of(path), is_folder(place / LABELS)):
                return path, place
        for path in (place / name for name in NAME_LISTS):
            if is_file(path) and (is_folder(place / LABELS) or path.name == "obj.names" or _has_pair(names)):
                return path, place
    return None


def _names_in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _names_classes(start: bytes, has_labels: bool) -> bool:
    """Whether a YAML file begins as a data.yaml does. has_labels: there is a folder of labels beside it."""
    names_images = any(f"{key}:".encode() in start for keys in SPLIT_KEYS.values() for key in keys)
    return b"names:" in start and (names_images or has_labels)


def _has_pair(listing: Sequence[str]) -> bool:
    """Whether one of a folder's files is an image with its label file beside it."""
    names = set(listing)
    images = [name for name in names if name.lower().endswith(IMAGE_SUFFIXES)]
    return any(Path(name).with_suffix(TEXT).name in names for name in images)


def _yaml_content(path: Path) -> dict:
    documents = read_documents_of(path, str(path))
    content = documents[0] if documents else None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a mapping with names, train and val, not {short(content)}")
    return content


def _listed_names(path: Path) -> dict[int, str]:
    """By their numbers: a blank line has one too, as the tools count."""
    try:
        return {number - 1: line for number, line in read_lines(path)}
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None


def _names(value: object, source: Path) -> dict[int, str]:
    """The name of each class number."""
    if not value or not isinstance(value, list | dict):
        raise UserError(f"{source}: names is {short(value)}; it must be a list of class names, or a mapping of numbers")
    found: dict[int, str] = {}
    for key, name in enumerate(value) if isinstance(value, list) else value.items():
        number, own = fields.number(key), fields.class_name(name)
        if number is None or number != int(number) or not 0 <= number <= MOST_NUMBER:
            raise UserError(f"{source}: names has the key {short(key)}; it must be the number of a class")
        if own is None:
            raise UserError(f"{source}: names: class {short(key)} has name {short(name)}; it must be a text")
        found[int(number)] = own
    return dict(sorted(found.items()))


def _images(content: dict, split: str, source: Path, root: Path, allow_outside: bool) -> Iterator[Path]:
    """The images of the split, as the keys of data.yaml say, or else the names of the folders."""
    named = next((content[key] for key in SPLIT_KEYS[split] if content.get(key)), None)
    if named is not None:
        values = named if isinstance(named, list) else [named]
        for value in values:
            place = _Place(source, root, content.get("path"), split, allow_outside).find(value)
            yield from _listed(place, root, allow_outside) if is_file(place) else files_below(place, IMAGE_SUFFIXES)
        return
    if not _has(content, split, root) and _has(content, OTHER[split], root):
        raise UserError(
            f"{source} names no {split} data, and {root} has no folder of them; val_split holds a share out"
        )
    own = _split_places(root, split)
    if own and is_file(own[0]):
        yield from _listed(own[0], root, allow_outside)
        return
    place = own[0] if own else root / IMAGES if is_folder(root / IMAGES) else root
    yield from files_below(place, IMAGE_SUFFIXES)


def _has(content: dict, split: str, root: Path) -> bool:
    """Whether the data set says which images are those of the split."""
    return any(content.get(key) for key in SPLIT_KEYS[split]) or bool(_split_places(root, split))


def _split_places(root: Path, split: str) -> list[Path]:
    """The folders and the lists that have the name of a split."""
    names = SPLIT_NAMES[split]
    folders = [place for one in names for place in (root / IMAGES / one, root / one / IMAGES, root / one)]
    return [*filter(is_folder, folders), *filter(is_file, (root / f"{one}{TEXT}" for one in names))]


class _Place:
    """Where the folder or list is that data.yaml names; inside of the data set's folder unless it may lie outside."""

    def __init__(self, source: Path, root: Path, base: object, split: str, allow_outside: bool):
        self.source, self.root, self.split, self.allow_outside = source, root, split, allow_outside
        self.base = base if isinstance(base, str) and base.strip() else "."

    def find(self, value: object) -> Path:
        if fields.name(value) is None:
            raise UserError(f"{self.source}: {self.split} is {short(value)}; it must be the name of a folder or a list")
        text = value.replace("\\", "/")
        for name in (os.path.join(self.base, text), text):
            path = inside(name, self.root)
            if path is None and _is_there(self.root / name):
                if self.allow_outside:
                    return self.root / name
                where = f"{shown(value)}, outside of the data set's folder {self.root}"
                raise UserError(f"{self.source}: {self.split} names {where}; {ALLOW} reads it")
            if path is not None and _is_there(path):
                return path
        for path in (self.root / name for name in _ends(text)):
            if _is_there(path):
                return path
        raise UserError(
            f"{self.source}: {self.split} is {plain(value)}; there is no such folder or list in {self.root}"
        )


def _is_there(path: Path) -> bool:
    return is_folder(path) or is_file(path)


def _ends(name: str) -> Iterator[str]:
    """The ends of a path that a tool wrote elsewhere, of two names or more; `../images` has one."""
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    least = 1 if name.startswith("..") and len(parts) == 1 else 2
    for start in range(len(parts) - least + 1):
        yield "/".join(parts[start:])


def _listed(path: Path, root: Path, allow_outside: bool) -> Sequence[Path]:
    """The images that a list names, relative to its folder, or to where some tool ran."""
    lines = read_lines(path)
    names = [line.replace("\\", "/") for _, line in lines]
    found = locate(names, path.parent, path, lambda index: f"line {lines[index][0]}", root, allow_outside)
    for line in note(replace(found, found=[])):  # names by their ends are usual here
        logger.warning("%s: %s", path, line)
    return found.paths
