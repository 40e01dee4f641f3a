"""Label formats of detection data. Each reader gives the common index, `index.DetectionIndex`.

A new format is a module with a reader and a line in `FORMATS`; `train_data_type` and `val_data_type` name it, or `auto`
tells it by what the folder holds.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...config import Config
from ...config.choices import AUTO
from ...config.train_sets import train_sets
from ...errors import UserError, listed
from ...reading import is_folder, without_collection
from ..held_out import split_part
from . import cityscapes, coco, coco_files, instance_masks, labelme, mindrecord, via, voc, yolo, yolo_files
from .index import DetectionIndex
from .index_cache import opened
from .joined import joined
from .label_folders import data_folder
from .report import unsaid

logger = logging.getLogger(__name__)

MOST_FOLDERS = 20  # that are looked into where a folder holds no data


def dataset_key(cfg: Config, split: str) -> str:
    """The value of `train_dataset` or `val_dataset`."""
    return getattr(cfg, f"{split}_dataset")


@dataclass(frozen=True)
class Format:
    """read(cfg, split): the index of the configuration's training ('train') or validation ('val') data.

    It raises UserError for what is wrong with them. source(cfg, split): the folder or file that `read` looks at, empty
    where the configuration names none. found(folder, split): whether the folder holds labels of this format, told by
    names and the first bytes of a file, cheaply and without an error; without it the format is taken by its name alone.
    marks: what `found` looks for, in a few words for a message. root(cfg, split): the folder of all files that `read`
    looks at, where it reads many: what it made of them is kept (index_cache.py).
    """

    read: Callable[[Config, str], DetectionIndex]
    source: Callable[[Config, str], str] = dataset_key
    found: Callable[[Path, str], bool] | None = None
    marks: str = ""
    root: Callable[[Config, str], Path] | None = None


FORMATS = {
    "coco": Format(coco.open_coco, coco.coco_source, coco_files.found_coco, coco_files.MARKS),
    "mindrecord": Format(
        mindrecord.open_mindrecord, mindrecord.record_folder, mindrecord.found_mindrecord, mindrecord.MANIFEST
    ),
    "yolo": Format(yolo.open_yolo, found=yolo_files.found_yolo, marks=yolo_files.MARKS, root=yolo.root_of),
    "labelme": Format(labelme.open_labelme, found=labelme.found_labelme, marks=labelme.MARKS, root=data_folder),
    "via": Format(via.open_via, found=via.found_via, marks=via.MARKS),
    "voc": Format(voc.open_voc, found=voc.found_voc, marks=voc.MARKS, root=data_folder),
    "cityscapes": Format(
        cityscapes.open_cityscapes, found=cityscapes.found_cityscapes, marks=cityscapes.MARKS, root=cityscapes.root_of
    ),
    "instance_masks": Format(
        instance_masks.open_masks, found=instance_masks.found_masks, marks=instance_masks.MARKS, root=data_folder
    ),
}


def open_detection(cfg: Config, split: str) -> DetectionIndex:
    """The configuration's training ('train') or validation ('val') data. UserError for what is wrong with it.

    Several training data sets are one index. Where there is no validation set `val_split` parts the training data.
    """
    if not _is_parted(cfg):
        dataset = _whole(cfg, split)
        if split == "val" and _is_one_set(cfg, dataset):
            line = "the images of training are those of validation too; val_split holds a share of them out"
            _say(dataset.annotation_file, line, logging.WARNING)
        return dataset
    whole = _whole(cfg, "train")
    names = [whole.record(index).path.name for index in range(len(whole))]
    part = whole.part(split_part(names, split, cfg.val_split, whole.annotation_file))
    held = len(part) if split == "val" else len(whole) - len(part)
    _say(
        whole.annotation_file, f"{held} of {len(whole)} images are held out for validation (val_split {cfg.val_split})"
    )
    return part


def detection_source(cfg: Config, split: str) -> str:
    """Where `open_detection` looks, of several places the first that is not there, or the first of all; empty where
    the configuration names nothing.
    """
    if split == "val" and cfg.val_split and not _is_there(_source(cfg, "val")):
        split = "train"
    places = [_source(one, split) for one in train_sets(cfg)] if split == "train" else [_source(cfg, split)]
    return next((place for place in places if not _is_there(place)), places[0])


def _whole(cfg: Config, split: str) -> DetectionIndex:
    if split != "train":
        return _one(cfg, split)
    parts = [_one(one, split) for one in train_sets(cfg)]
    return joined(parts) if len(parts) > 1 else parts[0]


def _one(cfg: Config, split: str) -> DetectionIndex:
    """A data set that `train_sets` gave, or the validation set."""
    name = format_name(cfg, split)
    entry = FORMATS[name]
    with without_collection():
        if entry.root is None:
            return entry.read(cfg, split)
        return opened(cfg, split, name, entry.root(cfg, split), lambda: entry.read(cfg, split))


def _is_parted(cfg: Config) -> bool:
    """Whether `val_split` takes the validation set out of the training data: the configuration names no other that is
    there, or the same place, which has the same images for both.
    """
    if not cfg.val_split:
        return False
    source = _source(cfg, "val")
    if not _is_there(source):
        if source:
            _say(source, "there is no validation set here: val_split holds a share of the training images out")
        return True
    for one in _at_same_place(cfg, source):
        try:
            if _one(cfg, "val").paths() == _one(one, "train").paths():
                return True
        except UserError:  # it has no images of its own for one of them
            return True
    _say(source, f"val_split {cfg.val_split} has no effect: there is a validation set")
    return False


def _is_one_set(cfg: Config, validation: DetectionIndex) -> bool:
    """Whether a folder of label files, which has none of each split, is named for both."""
    for one in _at_same_place(cfg, _source(cfg, "val")):
        names = {format_name(cfg, "val"), format_name(one, "train")}
        if names.isdisjoint(("coco", "mindrecord")) and _one(one, "train").paths() == validation.paths():
            return True
    return False


def _at_same_place(cfg: Config, source: str) -> list[Config]:
    """The training data sets that are read from where the validation data are."""
    place = os.path.realpath(source) if source else ""
    return [one for one in train_sets(cfg) if place and os.path.realpath(_source(one, "train")) == place]


def _is_there(source: str) -> bool:
    return bool(source) and os.path.exists(source)


def _say(source: object, line: str, level: int = logging.INFO) -> None:
    for new in unsaid(source, [line]):
        logger.log(level, "%s: %s", source, new)


def _source(cfg: Config, split: str) -> str:
    if _named(cfg, split) == AUTO:
        return (mindrecord.record_folder if _has_records_alone(cfg, split) else coco.coco_source)(cfg, split)
    return FORMATS[_named(cfg, split)].source(cfg, split)


def format_name(cfg: Config, split: str) -> str:
    """The format of the data: as the configuration names it, or told by what the folder holds.

    UserError where several formats fit the folder, or none.
    """
    name = _named(cfg, split)
    keys = [key for key in (f"{split}_annotations", f"{split}_images") if getattr(cfg, key)]
    if keys and name not in (AUTO, "coco"):
        raise UserError(f"{keys[0]} names COCO data, and {split}_data_type is {name}: leave one of them out")
    if name != AUTO or keys:
        return "coco" if keys else name
    if _has_records_alone(cfg, split):
        return "mindrecord"
    folder = Path(dataset_key(cfg, split))
    if yolo_files.is_yaml(folder):
        return "yolo"
    if not dataset_key(cfg, split) or not is_folder(folder) or coco_files.is_usual(folder, split):
        return "coco"  # which says what is wrong with the folder
    fitting = [name for name, entry in FORMATS.items() if entry.found is not None and entry.found(folder, split)]
    if not fitting and (deeper := _folders_with_labels(folder, split)):
        raise UserError(f"{folder} holds no labels of its own, but these of its folders do: {listed(deeper)}; name one")
    if not fitting:
        raise UserError(f"{folder} holds no labels of a known format; looked for {_looked_for()}")
    if len(fitting) > 1:
        raise UserError(
            f"{folder} holds labels of {len(fitting)} formats, {' and '.join(map(_marked, fitting))}: "
            f"{split}_data_type says which to take"
        )
    return fitting[0]


def _named(cfg: Config, split: str) -> str:
    name = getattr(cfg, f"{split}_data_type")
    if name != AUTO and name not in FORMATS:
        raise UserError(f"{split}_data_type is {name!r}; it must be one of {AUTO}, {', '.join(FORMATS)}")
    return name


def _has_records_alone(cfg: Config, split: str) -> bool:
    """Whether `mindrecord_dir` names the data, and `train_dataset` or `val_dataset` none."""
    others = getattr(cfg, f"{split}_annotations") or is_folder(dataset_key(cfg, split))
    return bool(cfg.mindrecord_dir) and not others


def _folders_with_labels(folder: Path, split: str) -> list[str]:
    """Which of the first folders in `folder` hold data of a known format."""
    try:
        inside = sorted(path for path in folder.iterdir() if is_folder(path))[:MOST_FOLDERS]
    except OSError:
        return []
    finders = [entry.found for entry in FORMATS.values() if entry.found is not None]
    return [path.name for path in inside if any(found(path, split) for found in finders)]


def _looked_for() -> str:
    return "; ".join(_marked(name) for name, entry in FORMATS.items() if entry.found is not None)


def _marked(name: str) -> str:
    return f"{name} ({FORMATS[name].marks})" if FORMATS[name].marks else name
