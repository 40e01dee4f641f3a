"""Where a COCO subset has its label file and its images: this project's layouts, COCO's own, and those of tools.

F/labels.json, F/data/                              this project, FiftyOne
ROOT/annotations/instances_train2017.json, ROOT/train2017/     COCO; F is ROOT/train2017, or ROOT
F/_annotations.coco.json, its images beside it      Roboflow; ROOT has the folders train, valid and test
F/annotations/instances_default.json, F/images/     CVAT, Datumaro; instances_train.json where it has subsets
F/result.json, F/images/                            Label Studio
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError
from ...reading import is_file, is_folder, need_folder, read_start
from ..images import is_there
from .places import inside

NAMES = ("labels.json", "annotations/instances_*.json", "_annotations.coco.json", "result.json")  # of label files
MARKS, NO_MARKS = " or ".join(NAMES), " and no ".join(NAMES)
SUBSETS = {"train": ("train", "training"), "val": ("val", "valid", "validation")}  # names that tools give them
LISTS = (b'"images"', b'"annotations"', b'"categories"', b'"info"', b'"licenses"')  # with which a label file begins
START = 4096  # bytes in which the first of them stands
LOOKED_AT = 20  # images by which the folder is told


@dataclass(frozen=True)
class ImagePlaces:
    """The folders in which the images may lie, and the data set's root, which their names may not leave.

    root: empty where it is the images' own folder.
    """

    folders: tuple[Path, ...]
    root: Path | None = None

    def folder_of(self, names: Sequence[str]) -> tuple[Path, Path]:
        """The folder in which most of the first files of these names lie, the first such, and the root."""
        folder = self.folders[0]
        if len(self.folders) > 1:
            step = max(1, len(names) // LOOKED_AT)
            folder = max(self.folders, key=lambda one: sum(_lies_in(name, one) for name in names[::step]))
        return folder, self.root or folder


@dataclass(frozen=True)
class CocoFiles:
    """A label file, and where its images are."""

    labels: Path
    images: ImagePlaces


def find_files(folder: str | Path, split: str) -> CocoFiles:
    """The files of the subset 'train' or 'val' in a folder. UserError where there are none."""
    labels, folders, root = _find_labels(folder, split)
    there = tuple(filter(is_folder, folders))
    if not there:
        raise UserError(f"{labels} is there, but the image folder {folders[0]} is not; {split}_images names another")
    return CocoFiles(labels, ImagePlaces(there, root))


def named_files(dataset: str, labels: str, images: str, split: str) -> CocoFiles:
    """The files that `train_annotations` and `train_images` name, one of them at least; `dataset` tells the other."""
    if images and not is_folder(images):
        raise UserError(f"{split}_images {images} is no folder that is there")
    if not labels:
        return CocoFiles(_find_labels(dataset, split)[0], ImagePlaces((Path(images),)))
    if not is_file(labels):
        raise UserError(f"{split}_annotations {labels} is no file that is there")
    path = Path(labels)
    if images:
        return CocoFiles(path, ImagePlaces((Path(images),)))
    base = path.parent.parent if path.parent.name == "annotations" else path.parent
    around = [base, base / "images", base / "data", base / path.stem.removeprefix("instances_")]
    own = [Path(dataset), Path(dataset) / "images", Path(dataset) / "data"] if dataset else []
    return CocoFiles(path, ImagePlaces(tuple(filter(is_folder, around + own))))


def is_usual(folder: Path, split: str) -> bool:
    """Whether a label file lies where this project's layout or COCO's own has it."""
    return any(is_file(labels) for labels, _ in _usual_places(folder, split))


def found_coco(folder: Path, split: str) -> bool:
    """Whether the folder holds a COCO subset."""
    return is_usual(folder, split) or next(_exported(folder, split), None) is not None


def _find_labels(folder: str | Path, split: str) -> tuple[Path, Sequence[Path], Path]:
    """The label file, the folders in which its images may be, and the root. UserError where there is none."""
    if not str(folder):
        raise UserError(f"{split}_dataset is empty: give the folder of the images")
    folder = need_folder(folder)
    for labels, images in _usual_places(folder, split):
        if is_file(labels):
            return labels, [images], _above(images, labels.parent)
    for labels, root, folders in _exported(folder, split):
        return labels, [*folders, root], root
    raise UserError(f"no label file found: {folder} has no {NO_MARKS}; {split}_annotations names another")


def _usual_places(folder: Path, split: str) -> list[tuple[Path, Path]]:
    """Label file and image folder of each layout."""
    return [
        (folder / "labels.json", folder / "data"),
        (folder.parent / "annotations" / f"instances_{folder.name}.json", folder),
        (folder / "annotations" / f"instances_{split}2017.json", folder / f"{split}2017"),
    ]


def _exported(folder: Path, split: str) -> Iterator[tuple[Path, Path, list[Path]]]:
    """Label file, root and folders of images of what a tool has exported into the folder."""
    for place in (folder, *(folder / name for name in SUBSETS[split])):
        if is_file(labels := place / "_annotations.coco.json"):
            yield labels, place, [place]
    for name in (*_spellings(split), "default"):
        if is_file(labels := folder / "annotations" / f"instances_{name}.json"):
            images = folder / "images"
            yield labels, folder, [images, images / name, folder / name, folder]
    if _begins_as_coco(labels := folder / "result.json"):
        yield labels, folder, [folder, folder / "images"]


def _spellings(split: str) -> list[str]:
    return [spelled for name in SUBSETS[split] for spelled in (name, name.capitalize())]


def _begins_as_coco(path: Path) -> bool:
    """Whether a file of a name that others have too begins as a COCO label file."""
    if not is_file(path):
        return False
    try:
        start = read_start(path, START)
    except OSError:
        return False
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") and any(name in start for name in LISTS)


def _above(*folders: Path) -> Path:
    return Path(os.path.commonpath([os.path.abspath(folder) for folder in folders]))


def _lies_in(name: str, folder: Path) -> bool:
    path = inside(name, folder)
    return path is not None and is_there(path)
