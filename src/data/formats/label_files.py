"""Label pictures of segmentation data: from a file to the class of each pixel.

Numbers in one channel (grey, palette, one bit, three equal channels), or colours (`label_colours`). What the numbers
mean may have to be told by the files: Cityscapes has raw ids and train ids, two classes are often drawn as 0 and 255.
"""

import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..images import MAX_PIXELS, SIZE_KEY, read_content, why_unreadable
from ..label_sets import UNKNOWN, LabelSet
from ..said import unsaid

logger = logging.getLogger(__name__)

RAW_IDS, TRAIN_IDS = "labelIds", "labelTrainIds"  # in names of Cityscapes' label files
LABEL_FORMATS = ("PNG", "BMP", "GIF", "JPEG", "TIFF", "WEBP", "PPM", "TGA")  # Pillow knows some that run programs
LOOKED_AT, LOOKED_AT_FOR_WHITE = 8, 64  # label files whose values are looked at
WHITE = 255
ROWS = 2**22  # pixels whose colours are looked up at once


def read_indices(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray | None:
    """(h, w) uint8 of a grey, one-bit or palette image, or of one whose colours are all grey; None where it is missing,
    cut off, of another kind or too large.
    """
    values = _read(path, max_pixels)
    if values is None:
        return None
    if values.ndim == 3 and values.shape[2] >= 3 and values.dtype == np.uint8:
        is_grey = (values[..., 0] == values[..., 1]).all() and (values[..., 0] == values[..., 2]).all()
        values = values[..., 0] if is_grey else values
    if values.ndim != 2 or values.dtype.kind not in "uib" or values.min(initial=0) < 0 or values.max(initial=0) > 255:
        return None
    return values.astype(np.uint8)


def read_colours(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray | None:
    """(h, w, 3) uint8 RGB of any label image; None where it is missing, cut off or too large."""
    return _read(path, max_pixels, "RGB")


class LabelFiles:
    """Reads the label files of one data set.

    source: what names them, for messages; files: all of them. colours: RGB of each class, and maybe of what does not
    count; empty for files of numbers. white: whether 255 may mean class 1, where there are two classes.
    """

    def __init__(
        self,
        labels: LabelSet,
        source: Path,
        files: Sequence[Path],
        max_pixels: int = MAX_PIXELS,
        colours: Sequence[Sequence[int]] = (),
        ignore_label: int = WHITE,
        white: bool = False,
    ):
        self.max_pixels, self._colours = max_pixels, None
        if colours:
            self._colours = _ColourTable(colours, len(labels.names), ignore_label)
            return
        table = labels.table
        if white and len(labels.names) == 2 and _are_black_and_white(files, max_pixels):
            table = np.full(256, UNKNOWN, np.int16)
            table[[0, WHITE]] = 0, 1
            line = f"label files hold 0 and 255 alone: 255 is {labels.names[1]}; --ignore_label 255 ignores it"
            for new in unsaid(source, [line]):
                logger.warning("%s: %s", source, new)
        self._tables = _Tables(labels, table, source, files, max_pixels)

    def read(self, path: Path) -> np.ndarray | None:
        """(h, w) uint8 classes or the ignored label; None where the file holds no label image of this data set."""
        if self._colours is not None:
            picture = read_colours(path, self.max_pixels)
            classes = None if picture is None else self._colours.classes(picture)
        else:
            raw = read_indices(path, self.max_pixels)
            classes = None if raw is None else self._tables(path)[raw]
        return None if classes is None or (classes == UNKNOWN).any() else classes.astype(np.uint8)

    def problem(self, path: Path) -> str:
        """What is wrong with a file that `read` does not give, in one line; nothing where it gives it."""
        is_of_colours = self._colours is not None
        raw = (read_colours if is_of_colours else read_indices)(path, self.max_pixels)
        if raw is None:
            if SIZE_KEY in (reason := why_unreadable(path, self.max_pixels)):
                return reason
            kind = "" if is_of_colours else " (one channel of whole numbers up to 255; label_colours takes colours)"
            return f"{path} is no label image{kind}, or cut off"
        if is_of_colours:
            unknown = self._colours.unknown(raw)
            return f"{path} has the colour {unknown}, which is not in label_colours" if unknown else ""
        known = set(np.flatnonzero(self._tables(path) != UNKNOWN).tolist())
        unknown = sorted(set(np.unique(raw).tolist()) - known)
        return f"{path} has the value {unknown[0]}, which is no label of this data set" if unknown else ""


class _ColourTable:
    """Classes by colour."""

    def __init__(self, colours: Sequence[Sequence[int]], classes: int, ignore_label: int):
        labels = [*range(classes), ignore_label][: len(colours)]
        pairs = sorted(zip((_code(np.uint8([colour]))[0] for colour in colours), labels))
        self._codes = np.array([code for code, _ in pairs], np.uint32)
        self._labels = np.array([label for _, label in pairs], np.int16)

    def classes(self, picture: np.ndarray) -> np.ndarray:
        """(h, w) int16 of (h, w, 3) uint8."""
        out = np.empty(picture.shape[:2], np.int16)
        step = max(1, ROWS // max(1, picture.shape[1]))
        for start in range(0, len(out), step):
            codes = _code(picture[start : start + step])
            place = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
            out[start : start + step] = np.where(self._codes[place] == codes, self._labels[place], UNKNOWN)
        return out

    def unknown(self, picture: np.ndarray) -> list[int]:
        """The first colour that is none of them; empty where there is none."""
        places = np.argwhere(self.classes(picture) == UNKNOWN)
        return picture[tuple(places[0])].tolist() if len(places) else []


class _Tables:
    """What the values of a label file mean, where a data set has files of raw ids and of train ids.

    A file's name tells (`*_labelIds.png`, `*_labelTrainIds.png`); of files that have neither name a few are looked at:
    raw ids have values between the last train id and the ignored one, street scenes never do without. What the names
    did not tell is said, and files of raw ids by name that look like train ids.
    """

    def __init__(self, labels: LabelSet, table: np.ndarray, source: Path, files: Sequence[Path], max_pixels: int):
        self._table, self._train_table, self._unnamed_are_train = table, labels.train_table, False
        if labels.train_table is None:
            return
        unnamed = [path for path in files if not (TRAIN_IDS in path.name or RAW_IDS in path.name)]
        self._unnamed_are_train = bool(unnamed) and _look_like_train_ids(unnamed, len(labels.names), max_pixels)
        if self._unnamed_are_train:
            logger.info("%s: label files without %s in their names hold train ids, by their values", source, RAW_IDS)
        raw = [path for path in files if RAW_IDS in path.name]
        if raw and _look_like_train_ids(raw, len(labels.names), max_pixels):
            logger.warning(
                "%s: files named *%s* hold values of train ids alone: are they %s?", source, RAW_IDS, TRAIN_IDS
            )

    def __call__(self, path: Path) -> np.ndarray:
        """(256,) the class of each value in this file, see `LabelSet`."""
        if self._train_table is None:
            return self._table
        is_train = TRAIN_IDS in path.name or (self._unnamed_are_train and RAW_IDS not in path.name)
        return self._train_table if is_train else self._table


def _look_like_train_ids(files: Sequence[Path], classes: int, max_pixels: int) -> bool:
    """By some of the files: every value a train id or 255."""
    values = {value for found in _values_of(files[:: -(-len(files) // LOOKED_AT)], max_pixels) for value in found}
    return bool(values) and all(value < classes for value in values - {WHITE})


def _are_black_and_white(files: Sequence[Path], max_pixels: int) -> bool:
    """Whether the files hold 255 and never 1, by some of them; by more where those hold 0 alone."""
    step = -(-len(files) // LOOKED_AT_FOR_WHITE) or 1
    seen: set[int] = set()
    for found in _values_of(files[::step], max_pixels):
        seen |= found
    for found in _values_of(files, max_pixels) if seen <= {0} and step > 1 else ():
        seen |= found
        if seen - {0}:
            break
    return WHITE in seen and seen <= {0, WHITE}


def _values_of(files: Sequence[Path], max_pixels: int) -> Iterator[set[int]]:
    for path in files:
        found = read_indices(path, max_pixels)
        if found is not None:
            yield set(np.flatnonzero(np.bincount(found.ravel(), minlength=1)).tolist())


def _code(colours: np.ndarray) -> np.ndarray:
    """(...) uint32 of (..., 3) uint8."""
    red, green, blue = (colours[..., k].astype(np.uint32) for k in range(3))
    return red << 16 | green << 8 | blue


def _read(path: Path, max_pixels: int, mode: str = "") -> np.ndarray | None:
    try:
        with Image.open(io.BytesIO(read_content(path)), formats=LABEL_FORMATS) as picture:
            if picture.width * picture.height > max_pixels:
                return None
            return np.asarray(picture.convert(mode) if mode else picture)
    except Exception:  # Pillow's readers raise many kinds for broken files
        return None
