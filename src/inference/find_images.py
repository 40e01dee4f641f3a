"""Which image files a path names: one, those of a folder, those of a tree."""

import logging
import os
from collections.abc import Collection
from pathlib import Path

from ..data.images import IMAGE_SUFFIXES
from ..errors import UserError, plain
from ..reading import is_file, is_folder, no_file

logger = logging.getLogger(__name__)

NAMES = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)


def find_images(path: str | Path, recursive: bool = False, beside: Collection[Path] = ()) -> list[Path]:
    """The image file `path`, or the images (by `IMAGE_SUFFIXES`) directly in the folder `path`, sorted by name.

    recursive: and those in the folders within it, but for hidden ones, links and the folders `beside`. UserError where
    there is none.
    """
    path = Path(path)
    if is_file(path):
        return [path]
    if not is_folder(path):
        why = no_file(path)
        raise UserError(f"{path} {why}" if os.path.lexists(path) else f"{path}: no such image or folder")
    images = _tree(path, beside) if recursive else _images_in(path)
    if not images and not recursive and (deeper := _tree(path, beside, say=False)):
        raise UserError(f"{path}: no {NAMES} files in this folder, but {len(deeper)} within its folders: recursive 1")
    if not images:
        raise UserError(f"{path}: no {NAMES} files in this folder")
    return images


def _images_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if _is_image(file))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in IMAGE_SUFFIXES and is_file(file)


def _tree(root: Path, beside: Collection[Path], say: bool = True) -> list[Path]:
    """Sorted by path: the images of a folder stand together."""
    found, links, closed, outputs = [], [], [], []
    left_out = {os.path.realpath(one) for one in beside}
    for place, folders, files in os.walk(root, onerror=closed.append):
        here = Path(place)
        links += [here / one for one in folders if os.path.islink(here / one)]
        folders[:] = [one for one in folders if not one.startswith(".")]
        outputs += [here / one for one in folders if os.path.realpath(here / one) in left_out]
        folders[:] = [one for one in folders if here / one not in outputs]
        found += [here / name for name in files if _is_image(here / name)]
    if links and say:
        where = plain(str(links[0].relative_to(root)))
        logger.warning("%s: %d links to folders are not followed (%s)", root, len(links), where)
    if closed and say:
        where = plain(str(closed[0].filename))
        logger.warning("%s: %d folders cannot be read (%s: %s)", root, len(closed), where, closed[0].strerror)
    for folder in outputs if say else ():
        if images := _tree(folder, (), say=False):
            logger.warning("%s: %d images in %s are no input: pictures are written there", root, len(images), folder)
    return sorted(found)
