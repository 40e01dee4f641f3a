"""What infer.py runs on: images, folders of them, lists of them, one or several of these; or a video, or a camera."""

import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..config import Config
from ..config.train_sets import texts
from ..data.formats.places import ALLOW, locate, note, shown
from ..data.formats.text_lines import read_lines
from ..data.images import look_at_file
from ..data.video import Source, camera_number, has_video_suffix, is_video
from ..errors import UserError, counted, listed, plain, short
from ..reading import ABSENT, is_file, is_folder, is_there, no_file
from .find_images import find_images

logger = logging.getLogger(__name__)

LIST_SUFFIXES = (".txt", ".lst")
COMMENT = "#"
LONGEST_LISTED = 24  # characters of a missing name, so that its line can be read


@dataclass(frozen=True)
class Given:
    """images: files, each once; or the video that stands alone."""

    images: list[Path] = field(default_factory=list)
    video: Source | None = None


def find_inputs(cfg: Config, beside: Collection[Path] = ()) -> Given:
    """What `pred_input` names. beside: folders that are no input, see `find_images`.

    UserError for what is not there, for a folder or a list without images, and for a video beside other things.
    """
    images: list[Path] = []
    names = texts(cfg.pred_input)
    for name in names:
        video = _video(name)
        if video is not None and len(names) > 1:
            raise UserError(f"pred_input: {name} is a video, which is run alone; {len(names)} things are named")
        if video is not None:
            return Given(video=video)
        images += _images(name, cfg, beside)
    return Given(_once(images))


def root_of(pred_input: str | list[str], images: Sequence[Path]) -> Path:
    """The folder that images' names are told from: the one that is named, or that a single image lies in; of a list, or
    of several things, the innermost one that all of them are in.
    """
    if isinstance(pred_input, str) and is_folder(pred_input):
        return Path(pred_input)
    if isinstance(pred_input, str) and [Path(pred_input)] == list(images):
        return Path(pred_input).parent
    folders = [os.path.dirname(os.path.abspath(image)) for image in images]
    return Path(os.path.commonpath(folders)) if folders else Path()


def relative_to(image: Path, root: Path) -> Path:
    """An image's path below `root`, which `root_of` gave."""
    return image.relative_to(root) if image.is_relative_to(root) else Path(os.path.abspath(image)).relative_to(root)


def said(pred_input: str | list[str]) -> str:
    """What was named, for a message."""
    return pred_input if isinstance(pred_input, str) else listed(pred_input)


def is_list(path: str | Path) -> bool:
    """Whether a file is a list of images by its name; an image may have any name."""
    return Path(path).suffix.lower() in LIST_SUFFIXES and is_file(path) and look_at_file(path) is None


def _video(name: str) -> Source | None:
    """The file or the camera that a name means; None where it means images. UserError for what only looks like one."""
    number = camera_number(name)
    if number is not None or is_video(name):
        return Path(name) if number is None else number
    if is_file(name) and has_video_suffix(name) and look_at_file(name) is None:
        raise UserError(f"{name} is no video: it does not begin as its name says")
    return None


def _images(name: str, cfg: Config, beside: Collection[Path]) -> list[Path]:
    if is_list(name):
        return _listed(Path(name), cfg.allow_outside)
    if not is_there(name):
        _say_what_is_meant(name)
    try:
        return find_images(name, cfg.recursive, beside)
    except UserError as error:
        videos = sorted(path.name for path in Path(name).iterdir() if is_video(path)) if is_folder(name) else []
        if not videos:
            raise
        alone = counted(len(videos), "video")
        raise UserError(f"{error}, but {alone}, to be run alone: {listed(videos)}") from None


def _say_what_is_meant(name: str) -> None:
    """UserError for names that are not there as people write them for other programs."""
    if "://" in name:
        raise UserError(f"pred_input {short(name)} is an address: files, folders and cameras are read, no network")
    parts = [part.strip() for part in name.split(",")]
    if len(parts) > 1 and all(map(is_there, parts)):
        what = f"pred_input {short(name)} is not there, but {listed(parts)} are"
        raise UserError(f"{what}: several are written one after the other, or [{', '.join(parts)}]")


def _listed(path: Path, allow_outside: bool) -> list[Path]:
    """The images that a list names, one a line, relative to its folder. Those that are missing are named.

    UserError for one that is there but outside of the folder: another one of its name is not what is meant.
    """
    lines = [(number, line) for number, line in read_lines(path, any_bytes=True) if not line.startswith(COMMENT)]
    if not lines:
        raise UserError(f"{path} names no images")
    names = [line for _, line in lines]
    where = locate(names, path.parent, path, lambda index: f"line {lines[index][0]}", allow_outside=allow_outside)
    for index in where.passed:
        what = f"names {shown(names[index])}, which is there, outside of the list's folder"
        raise UserError(f"{path}: line {lines[index][0]} {what}; {ALLOW} reads it")
    for line in note(where):
        logger.warning("%s: %s", path, line)
    if where.missing:
        missing = [_missing(where.paths[index], *lines[index]) for index in sorted(where.missing)]
        what = f"{path}: {len(missing)} of the {counted(len(lines), 'image')} it names are missing: {listed(missing)}"
        if len(missing) == len(lines):
            raise UserError(what)
        logger.warning("%s", what)
    return [found for index, found in enumerate(where.paths) if index not in where.missing]


def _missing(path: Path, number: int, name: str) -> str:
    """A name of a list that no image has, with its line, and what is there in its place."""
    why = no_file(path)
    return f"{plain(name, LONGEST_LISTED)} (line {number}{'' if why == ABSENT else f', {why}'})"


def _once(images: Sequence[Path]) -> list[Path]:
    """Each file once, by its path."""
    found = {os.path.abspath(image): image for image in reversed(images)}
    if len(found) < len(images):
        more = counted(len(images) - len(found), "image")
        logger.warning("pred_input names %s more than once: each is taken once", more)
    return [image for image in images if found.pop(os.path.abspath(image), None) is not None]
