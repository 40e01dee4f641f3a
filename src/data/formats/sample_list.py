"""Sample lists of the segmentation data sets: one `image<TAB>label` line a sample, relative to the data set's root."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import UserError, short
from ...files import write_text
from ...reading import is_folder

SUBSETS = ("train", "val")
NAMES_SHOWN = 5
Pairs = list[tuple[str, str]]


def need_folder(folder: Path) -> Path:
    """`folder`; UserError if it is none."""
    if not is_folder(folder):
        raise UserError(f"data set folder {folder} does not exist")
    return folder


def files_by_name(folder: Path, pattern: str, suffix: str, root: Path) -> dict[str, str]:
    """Name below `folder` without `suffix` -> path relative to `root`, of every file that matches the glob pattern."""
    return {
        path.relative_to(folder).as_posix()[: -len(suffix)]: path.relative_to(root).as_posix()
        for path in need_folder(folder).glob(pattern)
        if path.name.endswith(suffix) and len(path.name) > len(suffix) and not path.name.startswith(".")
    }


def pair(images: Mapping[str, str], labels: Mapping[str, str], where: str) -> tuple[Pairs, list[str]]:
    """(image, label) of every name that both have, sorted, and lines that tell what only one of them has.

    Raises UserError, naming `where`, if not a single name is in both, and for one that would break a line of the list.
    """
    pairs = sorted((images[name], labels[name]) for name in images.keys() & labels.keys())
    if not pairs:
        raise UserError(f"{where}: none of {len(images)} images and {len(labels)} labels belong together")
    broken = [name for names in pairs for name in names if any(mark in name for mark in "\t\r\n")]
    if broken:
        raise UserError(f"{where}: the file name {short(broken[0])} holds a tab or a line break")
    notes = [
        *count_line(where, "images without label", images.keys() - labels.keys()),
        *count_line(where, "labels without image", labels.keys() - images.keys()),
    ]
    return pairs, notes


def count_line(where: str, what: str, names: Sequence[str] | set[str]) -> list[str]:
    """One line with the number of names and the first of them, or no line."""
    if not names:
        return []
    first = sorted(names)[:NAMES_SHOWN]
    return [f"{where}: {len(names)} {what}: {', '.join(first)}{', ...' if len(names) > len(first) else ''}"]


def write_list(path: Path, pairs: Pairs) -> None:
    """Write the list, whole or not at all. UserError if it cannot be written."""
    write_text(path, "".join(f"{image}\t{label}\n" for image, label in pairs))


def write_lists(root: Path, lists: Mapping[str, tuple[Pairs, list[str]]]) -> None:
    """Write ROOT/<subset>.lst of every subset and print what was written and what was left out."""
    for subset, (pairs, notes) in lists.items():
        write_list(root / f"{subset}.lst", pairs)
        for note in notes:
            print(note)
        print(f"{len(pairs)} samples written to {root / f'{subset}.lst'}")
