"""The images of a segmentation test set without labels: those that a list names, those of a folder."""

import logging
from collections.abc import Sequence
from pathlib import Path

from ...config import Config
from ...errors import UserError
from ...reading import is_file, is_folder, need_folder
from ..images import IMAGE_SUFFIXES
from .label_folders import files_below
from .places import locate, note
from .text_lines import read_lines

logger = logging.getLogger(__name__)

LISTS = ("val.lst", "test.lst")  # of a folder, the first that is there
IMAGES = "images"  # where the images lie in a folder of images and masks
LABEL_SUFFIX = ".png"


def unlabelled_images(cfg: Config) -> list[Path]:
    """The images of `val_dataset`: a list whose lines begin with an image's name, a folder with val.lst or test.lst, or
    a folder of images. UserError where there are none, or one that is missing.
    """
    if not cfg.val_dataset:
        raise UserError("val_dataset is empty: give the folder of the images, or a list of them")
    source = Path(cfg.val_dataset)
    if source.suffix != ".lst":
        need_folder(source)
    lists = [source] if source.suffix == ".lst" else [source / name for name in LISTS if is_file(source / name)]
    if lists:
        return _listed(lists[0], cfg.allow_outside)
    images = list(files_below(source / IMAGES if is_folder(source / IMAGES) else source, IMAGE_SUFFIXES))
    if not images:
        raise UserError(f"{source} has no images, and no {' or '.join(LISTS)}")
    return images


def official_names(images: Sequence[Path], root: Path) -> list[Path]:
    """The relative path of each image's label picture: its own name, as the servers of the data sets want it.

    Where two images have one name, the folders below `root` too.
    """
    names = [Path(f"{path.stem}{LABEL_SUFFIX}") for path in images]
    if len({str(name).lower() for name in names}) == len(names):
        return names
    names = [path.relative_to(root).with_suffix(LABEL_SUFFIX) for path in images if path.is_relative_to(root)]
    if len(names) < len(images) or len({str(name).lower() for name in names}) < len(names):
        raise UserError(f"{root}: two images have one name but for its ending: their label pictures would be one file")
    return names


def _image_of(line: str, folder: Path) -> str:
    """The image of a line that names it alone, or its label too."""
    if "\t" in line:
        return line.split("\t")[0].strip()
    return line if is_file(folder / line) else line.split()[0]


def _listed(path: Path, allow_outside: bool) -> list[Path]:
    try:
        lines = read_lines(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    names = [(number, _image_of(line, path.parent)) for number, line in lines if not line.startswith("#")]
    if not names:
        raise UserError(f"{path} names no images")
    places = locate(
        [name for _, name in names], path.parent, path, lambda i: f"line {names[i][0]}", allow_outside=allow_outside
    )
    for line in note(places):
        logger.warning("%s: %s", path, line)
    if places.missing:
        first = places.paths[min(places.missing)]
        raise UserError(f"{path}: {len(places.missing)} of the images it names are missing; looked for {first}")
    return places.paths
