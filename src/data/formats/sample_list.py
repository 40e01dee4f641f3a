"""Sample lists of the segmentation data sets: one `image<TAB>label` line a sample, relative to the data set's root."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import UserError, short
from ...files import write_text
from ...outputs import Inputs, check_output_file
from ...reading import need_folder

SUBSETS = ("train", "val")
NAMES_SHOWN = 5
Pairs = list[tuple[str, str]]


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


def write_lists(root: Path, lists: Mapping[str, tuple[Pairs, list[str]]], overwrite: bool = False) -> None:
    """Write ROOT/<subset>.lst of every subset, each whole or not at all, and print what was written and left out.

    UserError, and nothing is written, where one is there that says something else, unless it may be overwritten, and
    where one cannot be written.
    """
    texts = {root / f"{subset}.lst": _text(pairs) for subset, (pairs, _) in lists.items()}
    for path, text in texts.items():
        check_output_file("list", path, Inputs())
        if not overwrite and os.path.lexists(path) and not _holds(path, text):
            raise UserError(f"{path} is there already with other lines: --overwrite replaces it, or move it away")
    for (path, text), (pairs, notes) in zip(texts.items(), lists.values()):
        write_text(path, text)
        for note in notes:
            print(note)
        print(f"{len(pairs)} samples written to {path}")


def _text(pairs: Pairs) -> str:
    return "".join(f"{image}\t{label}\n" for image, label in pairs)


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False
