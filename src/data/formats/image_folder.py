"""ImageNet-style folders, one a class."""

from collections.abc import Sequence
from pathlib import Path

from ...config import Config
from ...errors import UserError
from ...reading import is_folder
from ..images import IMAGE_SUFFIXES


class ImageFolder:
    """`folder/<class>/*.jpg`: `classes` (sorted folder names, or the given order) and (path, label) of every image.

    class_names: the classes that must be there, in label order; empty takes the folder's own.
    Raises UserError for a missing folder, one without class folders or images, and class names that do not match.
    """

    def __init__(self, folder: str | Path, class_names: Sequence[str] = ()):
        self.folder = Path(folder)
        if not is_folder(self.folder):
            raise UserError(f"data set folder {folder} does not exist")
        found = sorted(path.name for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        if not found:
            raise UserError(f"{folder} has no class folders (expected <class>/*.jpg)")
        self.classes = list(class_names) or found
        unknown = sorted(set(found) - set(self.classes))
        missing = sorted(set(self.classes) - set(found))
        if unknown or missing:
            parts = [
                f"{what} {', '.join(names[:5])}" for what, names in (("has", unknown), ("lacks", missing)) if names
            ]
            raise UserError(f"{folder} does not match class_names: it {' and '.join(parts)}")
        self.images = [
            (str(path), label)
            for label, name in enumerate(self.classes)
            for path in sorted((self.folder / name).iterdir())
            if path.suffix.lower() in IMAGE_SUFFIXES
        ]
        if not self.images:
            raise UserError(f"{folder} has no images in its {len(self.classes)} class folders")

    def __len__(self) -> int:
        return len(self.images)


def open_image_folder(cfg: Config, folder: str) -> ImageFolder:
    """The data set in `folder`; UserError if it does not have the configuration's classes."""
    dataset = ImageFolder(folder, cfg.class_names)
    if len(dataset.classes) != cfg.num_classes:
        raise UserError(f"num_classes is {cfg.num_classes}, but {folder} has {len(dataset.classes)} class folders")
    return dataset
