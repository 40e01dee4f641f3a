"""Segmentation data without a list: an image and its label picture have one name in two folders.

F/images, F/masks                                            both splits' (val_split), or one split's folder
F/train/images, F/train/masks; F/images/train, F/masks/train     and val
ADE20K        F/images/training, F/annotations/training          and validation
Pascal VOC    F/JPEGImages, F/SegmentationClass, F/ImageSets/Segmentation/train.txt
Pascal Context    the same with SegmentationClassContext and ImageSets/SegmentationContext
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...errors import UserError, plain
from ...reading import is_file, is_folder
from ..images import IMAGE_SUFFIXES
from . import sample_list
from .label_folders import files_below
from .text_lines import read_lines

MASK_SUFFIXES = (*IMAGE_SUFFIXES, ".gif")
ENDINGS = ("", "_mask", "_masks", "_label", "_labels", "_gt", "_seg")  # that tools add to a mask's name
SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation")}
OFFICIAL = {  # folders of images and of labels, and of lists of names
    "voc": ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"),
    "pascal_context": ("JPEGImages", "SegmentationClassContext", "ImageSets/SegmentationContext"),
}
PAIRED = ("custom", "ade20k", *OFFICIAL)  # values of `dataset`
FOLDERS = {"ade20k": "annotations"}  # of labels, where they are not called masks


@dataclass(frozen=True)
class Place:
    """Two folders of files, `images` and `masks`, and the list of the names that take part, if there is one.

    is_whole: the files are of no split of their own.
    """

    images: Path
    masks: Path
    names: Path | None = None
    is_whole: bool = False


def find_place(folder: Path, split: str, dataset: str) -> Place | None:
    """Where the pairs of the split are; None where the folder holds none."""
    places = _places(folder, split, dataset)
    return next((one for one in places if is_folder(one.images) and is_folder(one.masks)), None)


def folder_names(dataset: str) -> str:
    """The folders that are looked for, for a message."""
    images, masks = OFFICIAL[dataset][:2] if dataset in OFFICIAL else ("images", FOLDERS.get(dataset, "masks"))
    return f"folders {images} and {masks}"


def read_pairs(place: Place, root: Path) -> tuple[sample_list.Pairs, list[str]]:
    """(image, label) relative to `root`, sorted, and lines about what only one of them has.

    UserError where nothing belongs together, or more than one file has a name.
    """
    images = _by_name(place.images, IMAGE_SUFFIXES, root)
    masks = _by_name(place.masks, MASK_SUFFIXES, root)
    where = str(place.images.parent if place.images.parent == place.masks.parent else root)
    if place.names is not None:
        wanted = {line for _, line in read_lines(place.names)}
        images, masks = ({name: path for name, path in one.items() if name in wanted} for one in (images, masks))
        where = str(place.names)
    ending = max(ENDINGS, key=lambda end: sum(name + end in masks for name in images))
    masks = {name.removesuffix(ending): path for name, path in masks.items() if name.endswith(ending)}
    return sample_list.pair(images, masks, where)


def _places(folder: Path, split: str, dataset: str) -> Iterator[Place]:
    if dataset in OFFICIAL:
        images, masks, lists = (folder / name for name in OFFICIAL[dataset])
        if is_file(names := lists / f"{split}.txt"):
            yield Place(images, masks, names)
    for masks in dict.fromkeys((FOLDERS.get(dataset, "masks"), "masks")):
        for name in SPLITS[split]:
            yield Place(folder / name / "images", folder / name / masks)
            yield Place(folder / "images" / name, folder / masks / name)
        yield Place(folder / "images", folder / masks, is_whole=True)


def _by_name(folder: Path, suffixes: tuple[str, ...], root: Path) -> dict[str, str]:
    """Name below `folder` without its ending -> path relative to `root`. UserError for two files of one name."""
    found: dict[str, str] = {}
    for path in files_below(folder, suffixes):
        name = str(PurePosixPath(path.relative_to(folder).as_posix()).with_suffix(""))
        own = path.relative_to(root).as_posix()
        if name in found:
            raise UserError(f"{root}: {plain(found[name])} and {plain(own)} have one name: which one is it?")
        found[name] = own
    return found
