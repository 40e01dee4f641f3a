"""ImageNet-style folders, one a class."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ...config import Config
from ...errors import UserError, listed, plain, short
from ...reading import need_folder
from ..images import IMAGE_SUFFIXES
from . import fields
from .report import named, unsaid

logger = logging.getLogger(__name__)

MOST_NAMED = 20  # classes that an error names


class ImageFolder:
    """`folder/<class>/*.jpg`: `classes` (sorted folder names, or the given order) and (path, label) of every image.

    class_names: the classes that must be there, in label order; empty takes the folder's own.
    `notes`: a line for each kind of what may not be meant: classes without images, and images that are left out.
    Images deeper than in their class's own folder are left out, where torchvision's folder of this name takes them:
    a set is numbered as it was before that was said.
    Raises UserError for a missing folder, one without class folders or images, and class names that do not match.
    """

    sets, set_names = (), ()  # it is one data set

    def __init__(self, folder: str | Path, class_names: Sequence[str] = ()):
        self.folder = need_folder(folder)
        found, beside = _sorted_entries(self.folder)
        found = [name for name in found if not name.startswith(".")]
        if not found:
            raise UserError(f"{folder} has no class folders (expected <class>/*.jpg)")
        self.classes = list(class_names) or found
        check_classes(self.folder, found, self.classes, "class folder")
        self.images: list[tuple[str, int]] = []
        deeper, counts = [], []
        for label, name in enumerate(self.classes):
            folders, files = _sorted_entries(self.folder / name)
            self.images += [(str(self.folder / name / file), label) for file in files]
            counts.append(len(files))
            deeper += [f"{name}/{path}" for sub in folders for path in _images_below(self.folder / name, sub)]
        if not self.images:
            where = f", but {len(deeper)} in folders within them ({named(deeper)})" if deeper else ""
            raise UserError(f"{folder} has no images in its {len(self.classes)} class folders{where}")
        empty = [name for name, count in zip(self.classes, counts) if not count]
        self.notes = [
            f"{len(names)} {what}: {named(names)}"
            for names, what in (
                (empty, "classes have no image"),
                (deeper, "images lie in folders within those of the classes and are left out"),
                (beside, "images lie beside the folders of the classes and are left out"),
            )
            if names
        ]

    def __len__(self) -> int:
        return len(self.images)


def open_image_folder(cfg: Config, folder: str) -> ImageFolder:
    """The data set in `folder`; what may not be meant is logged. UserError if it does not have the configuration's
    classes.
    """
    dataset = ImageFolder(folder, cfg.class_names)
    check_number(cfg, dataset, "class folders")
    return dataset


def check_number(cfg: Config, dataset: ImageFolder, what: str) -> None:
    """UserError if a data set does not have the configuration's number of classes; its notes are logged."""
    if len(dataset.classes) != cfg.num_classes:
        raise UserError(
            f"num_classes is {cfg.num_classes}, but {dataset.folder} has {len(dataset.classes)} {what}: "
            f"{listed(dataset.classes, MOST_NAMED)}"
        )
    for line in unsaid(dataset.folder, dataset.notes):
        logger.warning("%s: %s", dataset.folder, line)


def check_classes(source: Path, found: Sequence[str], wanted: Sequence[str], what: str) -> None:
    """UserError unless the classes that are found are those that are wanted, and texts. what: one of them, in words."""
    if broken := [name for name in found if fields.name(name) is None]:
        raise UserError(f"{source}: the {what} {short(broken[0])} has a name that is no text in UTF-8")
    unknown, missing = sorted(set(found) - set(wanted)), sorted(set(wanted) - set(found))
    if unknown or missing:
        both = (("has", unknown), ("lacks", missing))
        parts = [f"{what} {', '.join(map(plain, names[:5]))}" for what, names in both if names]
        raise UserError(f"{source} does not match class_names: it {' and '.join(parts)}")


def _sorted_entries(folder: Path) -> tuple[list[str], list[str]]:
    """The names of the folders in a folder, and of its image files. UserError where it cannot be read."""
    folders, files = [], []
    try:
        with os.scandir(folder) as entries:  # knows the kind of most entries without asking for each
            for entry in entries:
                if _answers(entry.is_dir):
                    folders.append(entry.name)
                elif _is_image_name(entry.name) and _answers(entry.is_file):
                    files.append(entry.name)
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}") from None
    return sorted(folders), sorted(files)


def _is_image_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _answers(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:  # a link that leads round
        return False


def _images_below(folder: Path, name: str) -> Iterator[str]:
    """Paths, relative to `folder`, of the images in its folder `name` and those within; links are not followed."""
    for place, _, files in os.walk(folder / name):
        for file in files:
            if _is_image_name(file):
                yield str(Path(place, file).relative_to(folder))
