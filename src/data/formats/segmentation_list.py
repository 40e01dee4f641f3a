"""Segmentation data sets: pairs of image and label files that a list names, or that have one name in two folders."""

import copy
import itertools
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...config import Config
from ...config.train_sets import texts, train_sets
from ...errors import UserError, plain
from ...reading import is_file, is_folder, need_folder
from ..decoding import USUAL_RULES, ImageRules
from ..held_out import split_part
from ..images import MAX_PIXELS, header_size, read_content, read_for_label, why_unreadable
from ..label_sets import LabelSet, label_set
from .label_files import WHITE, LabelFiles
from .label_files import read_indices as read_indices  # where it was before
from .mask_folders import PAIRED, find_place, folder_names, read_pairs
from .places import locate, note
from .report import joined_name, named, unsaid
from .text_lines import read_lines

logger = logging.getLogger(__name__)

LONGEST_PATH = 400  # characters of a path in a warning
TREES = {"cityscapes": "leftImg8bit", "lip": "TrainVal_images"}  # a folder that each has, and no other
MAKERS = {"cityscapes": "cityscapes_lst_maker", "lip": "lip_lst_maker", "custom": "custom_lst_maker"}


class SegmentationDataset:
    """Image and label files in pairs.

    source: a folder with `<split>.lst`, or a list itself: each line holds the image's and the label's path relative to
    the list's folder, separated by a tab (or white space). paired: the value of `dataset` for a folder that may hold
    pairs without a list, see `mask_folders`.
    Attributes: `list_file` (or the folder), `root`, `samples` (image, label paths), `labels` (LabelSet), `missing`
    (paths that are not there), `is_whole` (a folder's files are of no split of their own), and of several data sets
    that are joined `sets` (number of each sample's) and `set_names`.
    allow_outside: lines may name files outside of the list's folder. reading: how label files are read, as keyword
    arguments of `LabelFiles`.
    Raises UserError: no such folder, no list (and how to make it), a line that is none, an empty list, no pairs.
    """

    def __init__(
        self,
        source: str | Path,
        split: str,
        labels: LabelSet,
        maker: str = "",
        max_pixels: int = MAX_PIXELS,
        allow_outside: bool = False,
        rules: ImageRules = USUAL_RULES,
        paired: str = "",
        reading: dict | None = None,
    ):
        if not str(source):
            raise UserError(f"{split}_dataset is empty: give the folder of the data set, or its {split}.lst")
        source = Path(source)
        is_list = source.suffix == ".lst"
        self.list_file = source if is_list else source / f"{split}.lst"
        self.root, self.labels, self.max_pixels, self.rules = self.list_file.parent, labels, max_pixels, rules
        if not is_list:
            need_folder(source)
        place = find_place(source, split, paired) if paired and not is_list and not is_file(self.list_file) else None
        self.is_whole = place is not None and place.is_whole
        if place is None:
            lines = _read_list(self.list_file, maker, folder_names(paired) if paired else "")
            self.samples, gone = _find_files(self.list_file, lines, allow_outside)
        else:
            self.list_file, gone = source, set()
            pairs, notes = read_pairs(place, source)
            self.samples = [(source / image, source / label) for image, label in pairs]
            for new in unsaid(source, notes):
                logger.warning("%s", new)
        self._files = LabelFiles(labels, self.list_file, [one for _, one in self.samples], max_pixels, **reading or {})
        self._files_of: dict[Path, LabelFiles] = {}  # those that other data sets read, by label
        self.sets, self.set_names = (), ()
        self.missing = [path for index, path in enumerate(itertools.chain(*self.samples)) if index in gone]
        if self.missing:
            line = (
                f"{len(self.missing)} of the files it names are missing ({named([path.name for path in self.missing])})"
                ": left out of training; in evaluation a missing image counts as wrong, a missing label as nothing; "
                f"looked for {plain(str(self.missing[0]), LONGEST_PATH)}"
            )
            _say(logging.WARNING, self, line)

    def __len__(self) -> int:
        return len(self.samples)

    def part(self, indices: Sequence[int]) -> "SegmentationDataset":
        """The same of some of the samples."""
        part = copy.copy(self)
        part.samples = [self.samples[index] for index in indices]
        own = set(itertools.chain(*part.samples))
        part.missing = [path for path in self.missing if path in own]
        part.sets = [self.sets[index] for index in indices] if self.sets else ()
        return part

    def joined(self, others: Sequence["SegmentationDataset"]) -> "SegmentationDataset":
        """This data set and others of the same classes, one after the other; the label files of each are read as it
        reads them alone.
        """
        parts, found = (self, *others), copy.copy(self)
        found.samples = [pair for part in parts for pair in part.samples]
        found.missing = [path for part in parts for path in part.missing]
        found.sets = [number for number, part in enumerate(parts) for _ in part.samples]
        found.set_names = tuple(str(part.list_file) for part in parts)
        found.list_file = Path(joined_name(found.set_names))
        found._files_of = {label: part._files for part in parts for _, label in part.samples}
        return found

    def read_image(self, index: int) -> np.ndarray | None:
        """(h, w, 3) uint8 BGR, turned as its label is; None where the file is no whole image."""
        image, label = self.samples[index]
        return read_for_label(image, header_size(read_content(label)), self.max_pixels, self.rules)

    def read_label(self, index: int) -> np.ndarray | None:
        """(h, w) uint8 classes or the ignored label; None where the file holds no label image of this data set."""
        label = self.samples[index][1]
        return self._files_of.get(label, self._files).read(label)

    def read(self, index: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        """`read_image` and `read_label`; no label where it is of another size than the image."""
        label = self.read_label(index)
        size = None if label is None else label.shape
        image = read_for_label(self.samples[index][0], size, self.max_pixels, self.rules)
        fits = image is None or label is None or image.shape[:2] == label.shape
        return image, label if fits else None

    def why_unreadable(self, index: int) -> str:
        """One line on what is wrong with an entry's files."""
        image, label = self.samples[index]
        pixels = self.read_image(index)
        if pixels is None:
            return why_unreadable(image, self.max_pixels)
        if problem := self._files_of.get(label, self._files).problem(label):
            return problem
        height, width = header_size(read_content(label)) or self.read_label(index).shape
        return f"{image} has {pixels.shape[1]}x{pixels.shape[0]} pixels, its label {width}x{height}"


def open_segmentation(cfg: Config, source: str | list[str], split: str) -> SegmentationDataset:
    """The data set that the configuration describes; split: 'train' or 'val'. source: where it is, unless there are
    several of training, which are one then.

    Where there is no validation set `val_split` parts the training data.
    """
    if not _is_parted(cfg):
        dataset = _training(cfg, source) if split == "train" else _open(cfg, source, split)
        if split == "val" and dataset.is_whole and _is_same_place(cfg):
            line = "the images of training are those of validation too; val_split holds a share of them out"
            _say(logging.WARNING, dataset, line)
        return dataset
    whole = _training(cfg, cfg.train_dataset)
    part = split_part([image.name for image, _ in whole.samples], split, cfg.val_split, whole.list_file)
    held = len(part) if split == "val" else len(whole) - len(part)
    line = f"{held} of {len(whole)} images are held out for validation (val_split {cfg.val_split})"
    _say(logging.INFO, whole, line)
    return whole.part(part)


def _is_parted(cfg: Config) -> bool:
    """Whether `val_split` takes the validation set out of the training data: there is none, or one of the same images.
    """
    if not cfg.val_split or not cfg.train_dataset:
        return False
    if not cfg.val_dataset or not os.path.exists(cfg.val_dataset):
        return True
    folder = Path(cfg.val_dataset)
    if not _is_same_place(cfg) or folder.suffix == ".lst" or is_file(folder / "val.lst"):
        return folder.suffix == ".lst" and _is_same_place(cfg)
    place = find_place(folder, "val", cfg.dataset) if cfg.dataset in PAIRED else None
    return place is None or place.is_whole


def _is_same_place(cfg: Config) -> bool:
    return os.path.realpath(cfg.val_dataset) in map(os.path.realpath, texts(cfg.train_dataset))


def _say(level: int, dataset: SegmentationDataset, line: str) -> None:
    for new in unsaid(dataset.list_file, [line]):
        logger.log(level, "%s: %s", dataset.list_file, new)


def _training(cfg: Config, source: str | list[str]) -> SegmentationDataset:
    sets = train_sets(cfg)
    if len(sets) == 1:
        return _open(cfg, source, "train")
    first, *others = (_open(one, one.train_dataset, "train") for one in sets)
    return first.joined(others)


def _open(cfg: Config, source: str, split: str) -> SegmentationDataset:
    _check_tree(cfg, Path(source))
    ignores_white = "ignore_label" in cfg.typed and cfg.ignore_label == WHITE
    reading = {
        "colours": cfg.label_colours,
        "ignore_label": cfg.ignore_label,
        "white": cfg.dataset == "custom" and not ignores_white,
    }
    return SegmentationDataset(
        source,
        split,
        label_set(cfg),
        MAKERS.get(cfg.dataset, ""),
        cfg.max_image_pixels,
        cfg.allow_outside,
        ImageRules.from_config(cfg),
        cfg.dataset if cfg.dataset in PAIRED else "",
        reading,
    )


def _check_tree(cfg: Config, source: Path) -> None:
    """UserError for the folder of another data set than the configuration's, whose labels mean other classes."""
    folder = source.parent if source.suffix == ".lst" else source
    others = [name for name, tree in TREES.items() if name != cfg.dataset and is_folder(folder / tree)]
    if others and cfg.dataset in TREES and not is_folder(folder / TREES[cfg.dataset]):
        tree = TREES[others[0]]
        raise UserError(f"{folder} holds {others[0]} ({tree}/), and dataset is {cfg.dataset!r}: --dataset {others[0]}")


def _find_files(
    list_file: Path, lines: Sequence[tuple[int, str, str]], allow_outside: bool
) -> tuple[list[tuple[Path, Path]], set[int]]:
    """The files of the samples, and which of them, counted image, label, image, ..., are missing."""
    names = [name for _, *pair in lines for name in pair]
    places = locate(
        names, list_file.parent, list_file, lambda i: f"line {lines[i // 2][0]}", allow_outside=allow_outside
    )
    for line in note(places):
        logger.warning("%s: %s", list_file, line)
    return list(zip(places.paths[::2], places.paths[1::2])), places.missing


def _read_list(path: Path, maker: str, folders: str = "") -> list[tuple[int, str, str]]:
    """Number of each line that names a sample, its image and its label. folders: that could be there instead."""
    try:
        lines = read_lines(path)
    except FileNotFoundError:
        hint = f", and {path.parent} has no {folders}" if folders else ""
        hint += f"; make it by: python -m src.data.{maker} --root {path.parent}" if maker and not folders else ""
        raise UserError(f"{path} does not exist{hint}") from None
    samples = []
    for number, line in lines:
        fields = [field.strip() for field in line.split("\t") if field.strip()] if "\t" in line else line.split()
        if line.startswith("#") and not is_file(path.parent / fields[0]):
            continue  # a comment
        if len(fields) != 2:
            raise UserError(f"{path}, line {number}: expected an image and a label path, found {len(fields)} fields")
        samples.append((number, *(field.strip() for field in fields)))
    if not samples:
        raise UserError(f"{path} names no samples")
    return samples
