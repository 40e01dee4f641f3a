"""Test sets without labels: the images whose predictions a benchmark's server asks for, with the ids that it knows.

F/labels.json, ROOT/annotations/instances_X.json, ...     labels that are not looked at
ROOT/annotations/image_info_X.json, ROOT/X                COCO's test sets; val_annotations names any other
a folder of images                                        an image's id is the number that its name is, as in COCO
"""

from collections.abc import Sequence
from pathlib import Path

from ...config import Config
from ...errors import UserError
from ...reading import is_file, need_folder, read_json
from ..decoding import ImageRules, look_at
from ..images import IMAGE_SUFFIXES, read_content
from . import coco_files
from .coco import read_content as index_of
from .coco_files import CocoFiles, ImagePlaces
from .fields import Id
from .index import DetectionIndex, ImageRecord
from .label_folders import files_below
from .rules import Rules

SPLIT = "val"
Classes = Sequence[tuple[Id, str]]  # id and name of each class


def open_unlabelled(cfg: Config, classes: Classes) -> DetectionIndex:
    """The images of `val_dataset` or `val_annotations` without objects. UserError where there are none.

    classes: those of the network, for data that have no list of their own.
    """
    files = _label_files(cfg)
    if files is not None:
        content = read_json(files.labels)
        if isinstance(content, dict) and isinstance(content.get("images"), list):
            own = [{"id": one, "name": name} for one, name in classes]
            sizes = {"width": None, "height": None}  # which are read from the images
            images = [sizes | one if isinstance(one, dict) else one for one in content["images"]]
            categories = content.get("categories") or own
            content = {"images": images, "annotations": [], "categories": categories}
        return index_of(content, files.images, [name for _, name in classes], files.labels, Rules.from_config(cfg))
    folder = Path(cfg.val_dataset)
    paths = list(files_below(folder, IMAGE_SUFFIXES))
    if not paths:
        raise UserError(f"{folder} has no images")
    sizes = [_size(path, ImageRules.from_config(cfg)) for path in paths]
    records = [ImageRecord(path, own, *size, ()) for path, own, size in zip(paths, _ids(paths, folder), sizes)]
    return DetectionIndex(folder, [name for _, name in classes], records, [own for own, _ in classes])


def _label_files(cfg: Config) -> CocoFiles | None:
    """The file that lists the images; None where `val_dataset` is a folder of images alone."""
    if cfg.val_annotations or cfg.val_images:
        return coco_files.named_files(cfg.val_dataset, cfg.val_annotations, cfg.val_images, SPLIT)
    if not cfg.val_dataset:
        raise UserError("val_dataset is empty: give the folder of the images")
    folder = need_folder(cfg.val_dataset)
    info = folder.parent / "annotations" / f"image_info_{folder.name}.json"
    if is_file(info):
        return CocoFiles(info, ImagePlaces((folder,), folder.parent))
    return coco_files.find_files(folder, SPLIT) if coco_files.found_coco(folder, SPLIT) else None


def _ids(paths: Sequence[Path], folder: Path) -> list[Id]:
    """The numbers that all the names are, if no two are the same; else the names."""
    stems = [path.stem for path in paths]
    if all(stem.isascii() and stem.isdecimal() and len(stem) < 19 for stem in stems):
        numbers = list(map(int, stems))
        if len(set(numbers)) == len(numbers):
            return numbers
    return [path.relative_to(folder).as_posix() for path in paths]


def _size(path: Path, rules: ImageRules) -> tuple[int, int]:
    """(width, height) of the image as it will be read; 1 x 1, which cannot be, for what is none."""
    header = look_at(read_content(path))
    height, width = (1, 1) if header is None else header.upright_size if rules.upright else header.size
    return width, height
