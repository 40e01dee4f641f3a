"""Classified images as the configuration names them: a folder a class, or a table of files and classes."""

import copy
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from ...config import Config
from ...config.train_sets import texts, train_sets
from ...errors import UserError
from ...reading import is_file
from ..held_out import split_part
from .class_table import ClassTable, is_table
from .image_folder import ImageFolder, check_number, open_image_folder
from .joined_images import JoinedImages, joined_classes
from .report import named, unsaid

logger = logging.getLogger(__name__)

Classified = ImageFolder | ClassTable | JoinedImages


def open_classified(cfg: Config, split: str) -> Classified:
    """The data of `train_dataset` ('train') or `val_dataset` ('val'). UserError for what is wrong with them.

    Several training data sets are one. Where there is no validation set `val_split` parts the training data.
    """
    if not _is_parted(cfg):
        if split == "val" and _is_same_place(cfg):
            line = "the images of training are those of validation too; val_split parts them"
            _say(logging.WARNING, cfg.val_dataset, line)
        return _open(cfg, split)
    whole = _open(cfg, "train")
    indices = split_part([Path(path).name for path, _ in whole.images], split, cfg.val_split, whole.folder)
    part = _part(whole, indices)
    held = len(part) if split == "val" else len(whole) - len(part)
    line = f"{held} of {len(whole)} images are held out for validation (val_split {cfg.val_split})"
    _say(logging.INFO, whole.folder, line)
    return part


def read_classes(source: str | list[str]) -> list[str]:
    """The classes of a folder or a table of images, or of several; none where one of them is not there."""
    sources = texts(source)
    if not sources or not all(map(os.path.exists, sources)):
        return []
    parts = [ClassTable(one, allow_outside=True) if is_table(one) else ImageFolder(one) for one in sources]
    return joined_classes(parts) if len(parts) > 1 else parts[0].classes


def _open(cfg: Config, split: str) -> Classified:
    sets = train_sets(cfg) if split == "train" else [cfg]
    source = getattr(cfg, f"{split}_dataset")
    if len(sets) > 1:
        dataset = JoinedImages([_read(one, one.train_dataset, split, ()) for one in sets], cfg.class_names)
    elif is_table(source):
        dataset = _read(cfg, source, split, cfg.class_names)
    else:
        return open_image_folder(cfg, source)
    check_number(cfg, dataset, "classes")
    return dataset


def _read(cfg: Config, source: str, split: str, class_names: Sequence[str]) -> ImageFolder | ClassTable:
    if not is_table(source):
        return ImageFolder(source, class_names)
    if not is_file(source):
        raise UserError(f"{split}_dataset {source} is no table that is there")
    return ClassTable(source, class_names, cfg.allow_outside)


def _part(whole: Classified, indices: Sequence[int]) -> Classified:
    """The same of some of the images; classes that are left with none are named."""
    part = copy.copy(whole)
    part.images = [whole.images[index] for index in indices]
    part.sets = [whole.sets[index] for index in indices] if whole.sets else ()
    gone = {label for _, label in whole.images} - {label for _, label in part.images}
    if gone:
        line = f"{len(gone)} classes have no image left: {named([whole.classes[label] for label in sorted(gone)])}"
        part.notes = [*whole.notes, line]
        _say(logging.WARNING, whole.folder, line)
    return part


def _is_parted(cfg: Config) -> bool:
    """Whether `val_split` takes the validation set out of the training data: there is none, or one of the same images.
    """
    if not cfg.val_split or not cfg.train_dataset:
        return False
    return not cfg.val_dataset or not os.path.exists(cfg.val_dataset) or _is_same_place(cfg)


def _is_same_place(cfg: Config) -> bool:
    places = map(os.path.realpath, texts(cfg.train_dataset))
    return bool(cfg.val_dataset) and os.path.realpath(cfg.val_dataset) in places


def _say(level: int, source: object, line: str) -> None:
    for new in unsaid(source, [line]):
        logger.log(level, "%s: %s", source, new)
