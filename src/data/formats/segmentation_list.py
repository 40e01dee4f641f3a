"""Segmentation data sets from lists of image and label files."""

import io
import itertools
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ...config import Config
from ...errors import UserError, plain
from ...reading import is_file, is_folder
from ..decoding import USUAL_RULES, ImageRules
from ..images import MAX_PIXELS, SIZE_KEY, header_size, read_content, read_for_label, why_unreadable
from ..label_sets import UNKNOWN, LabelSet, label_set
from .places import locate, note
from .report import named, unsaid
from .text_lines import read_lines

logger = logging.getLogger(__name__)

LONGEST_PATH = 400  # characters of a path in a warning
RAW_IDS, TRAIN_IDS = "labelIds", "labelTrainIds"  # in names of Cityscapes' label files
LABEL_FORMATS = ("PNG", "BMP", "GIF", "JPEG", "TIFF", "WEBP", "PPM", "TGA")  # Pillow knows some that run programs
LOOKED_AT = 8  # label files whose values are looked at
MAKERS = {"cityscapes": "cityscapes_lst_maker", "lip": "lip_lst_maker"}


class SegmentationDataset:
    """Image and label files that a list names.

    source: a folder with `<split>.lst`, or a list itself. Each line holds the image's and the label's path relative to
    the list's folder, separated by a tab (or white space).
    Attributes: `root`, `samples` (image, label paths), `labels` (LabelSet), `missing` (paths that are not there).
    allow_outside: lines may name files outside of the list's folder.
    Raises UserError: no such folder, no list (and how to make it), a line that is none, an empty list.
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
    ):
        if not str(source):
            raise UserError(f"{split}_dataset is empty: give the folder of the data set, or its {split}.lst")
        source = Path(source)
        is_list = source.suffix == ".lst"
        self.list_file = source if is_list else source / f"{split}.lst"
        self.root, self.labels, self.max_pixels, self.rules = self.list_file.parent, labels, max_pixels, rules
        if not is_list and not is_folder(source):
            raise UserError(f"data set folder {source} does not exist")
        self.samples, gone = _find_files(self.list_file, _read_list(self.list_file, maker), allow_outside)
        self._table = LabelTables(labels, self.list_file, [label for _, label in self.samples], max_pixels)
        self.missing = [path for index, path in enumerate(itertools.chain(*self.samples)) if index in gone]
        if self.missing:
            line = (
                f"{len(self.missing)} of the files it names are missing ({named([path.name for path in self.missing])})"
                ": left out of training; in evaluation a missing image counts as wrong, a missing label as nothing; "
                f"looked for {plain(str(self.missing[0]), LONGEST_PATH)}"
            )
            for new in unsaid(self.list_file, [line]):
                logger.warning("%s: %s", self.list_file, new)

    def __len__(self) -> int:
        return len(self.samples)

    def read_image(self, index: int) -> np.ndarray | None:
        """(h, w, 3) uint8 BGR, turned as its label is; None where the file is no whole image."""
        image, label = self.samples[index]
        return read_for_label(image, header_size(read_content(label)), self.max_pixels, self.rules)

    def read_label(self, index: int) -> np.ndarray | None:
        """(h, w) uint8 classes or the ignored label; None where the file holds no label image of this data set."""
        raw = read_indices(self.samples[index][1], self.max_pixels)
        if raw is None:
            return None
        classes = self._table(self.samples[index][1])[raw]
        return None if (classes == UNKNOWN).any() else classes.astype(np.uint8)

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
        pixels, raw = self.read_image(index), read_indices(label, self.max_pixels)
        if pixels is None:
            return why_unreadable(image, self.max_pixels)
        if raw is None:
            if SIZE_KEY in (reason := why_unreadable(label, self.max_pixels)):
                return reason
            return f"{label} is no label image (one channel of whole numbers up to 255), or cut off"
        unknown = sorted(set(np.unique(raw).tolist()) - set(np.flatnonzero(self._table(label) != UNKNOWN).tolist()))
        if unknown:
            return f"{label} has the value {unknown[0]}, which is no label of this data set"
        return f"{image} has {pixels.shape[1]}x{pixels.shape[0]} pixels, its label {raw.shape[1]}x{raw.shape[0]}"


def open_segmentation(cfg: Config, source: str, split: str) -> SegmentationDataset:
    """The data set that the configuration describes; split: 'train' or 'val'."""
    maker = MAKERS.get(cfg.dataset, "")
    rules = ImageRules.from_config(cfg)
    return SegmentationDataset(source, split, label_set(cfg), maker, cfg.max_image_pixels, cfg.allow_outside, rules)


def read_indices(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray | None:
    """(h, w) uint8 of a grey or palette image; None where it is missing, cut off, of another kind or too large."""
    try:
        with Image.open(io.BytesIO(read_content(path)), formats=LABEL_FORMATS) as picture:
            if picture.width * picture.height > max_pixels:
                return None
            values = np.asarray(picture)
    except Exception:  # Pillow's readers raise many kinds for broken files
        return None
    if values.ndim != 2 or values.dtype.kind not in "ui" or values.min(initial=0) < 0 or values.max(initial=0) > 255:
        return None
    return values.astype(np.uint8)


class LabelTables:
    """What the values of a label file mean, where a data set has files of raw ids and of train ids.

    A file's name tells (`*_labelIds.png`, `*_labelTrainIds.png`); of files that have neither name a few are looked at:
    raw ids have values between the last train id and the ignored one, street scenes never do without. What the names
    did not tell is said, and files of raw ids by name that look like train ids.
    """

    def __init__(self, labels: LabelSet, list_file: Path, files: Sequence[Path], max_pixels: int = MAX_PIXELS):
        self.labels, self._unnamed_are_train = labels, False
        if labels.train_table is None:
            return
        unnamed = [path for path in files if not (TRAIN_IDS in path.name or RAW_IDS in path.name)]
        self._unnamed_are_train = bool(unnamed) and _look_like_train_ids(unnamed, len(labels.names), max_pixels)
        if self._unnamed_are_train:
            logger.info("%s: label files without %s in their names hold train ids, by their values", list_file, RAW_IDS)
        raw = [path for path in files if RAW_IDS in path.name]
        if raw and _look_like_train_ids(raw, len(labels.names), max_pixels):
            logger.warning(
                "%s: files named *%s* hold values of train ids alone: are they %s?", list_file, RAW_IDS, TRAIN_IDS
            )

    def __call__(self, path: Path) -> np.ndarray:
        """(256,) the class of each value in this file, see `LabelSet`."""
        is_train = TRAIN_IDS in path.name or (self._unnamed_are_train and RAW_IDS not in path.name)
        return self.labels.train_table if is_train else self.labels.table


def _look_like_train_ids(files: Sequence[Path], classes: int, max_pixels: int) -> bool:
    """By some of the files: every value a train id or 255."""
    found = (read_indices(path, max_pixels) for path in files[:: -(-len(files) // LOOKED_AT)])
    values = np.unique(np.concatenate([np.unique(one) for one in found if one is not None] or [np.zeros(0, np.uint8)]))
    return values.size > 0 and bool((values[values != 255] < classes).all())


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


def _read_list(path: Path, maker: str) -> list[tuple[int, str, str]]:
    """Number of each line that names a sample, its image and its label."""
    try:
        lines = read_lines(path)
    except FileNotFoundError:
        hint = f"; make it by: python -m src.data.{maker} --root {path.parent}" if maker else ""
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
