"""Several data sets of classified images as one: their images one after the other, their classes by name."""

from collections.abc import Sequence
from pathlib import Path

from .class_table import ClassTable, in_order
from .image_folder import ImageFolder, check_classes
from .report import joined_name


class JoinedImages:
    """The same as `image_folder.ImageFolder` of several data sets: `folder` (all their names), `classes`, `images`,
    `notes`; `sets`: number of each image's data set, `set_names`: what they are called.

    class_names: the classes that must be there, in some set each, in label order; empty takes those of all sets in the
    order in which one folder would have them. UserError for other classes, which names the set.
    """

    def __init__(self, parts: Sequence[ImageFolder | ClassTable], class_names: Sequence[str] = ()):
        self.set_names = tuple(str(part.folder) for part in parts)
        self.folder = Path(joined_name(self.set_names))
        found = joined_classes(parts)
        self.classes = list(class_names) or found
        for part in parts:
            check_classes(part.folder, part.classes, [one for one in self.classes if one in part.classes], "class")
        check_classes(self.folder, found, self.classes, "class")
        labels = {name: label for label, name in enumerate(self.classes)}
        self.images = [(path, labels[part.classes[label]]) for part in parts for path, label in part.images]
        self.sets = [number for number, part in enumerate(parts) for _ in part.images]
        self.notes = [f"{part.folder}: {note}" for part in parts for note in part.notes]

    def __len__(self) -> int:
        return len(self.images)


def joined_classes(parts: Sequence[ImageFolder | ClassTable]) -> list[str]:
    """The classes of all of them, sorted as one folder has them, or one table where all are tables."""
    names = {name for part in parts for name in part.classes}
    return in_order(names) if all(isinstance(part, ClassTable) for part in parts) else sorted(names)
