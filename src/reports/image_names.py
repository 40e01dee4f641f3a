"""How the tables of a report name images."""

from collections.abc import Sequence
from pathlib import Path


def relative_names(paths: Sequence[str | Path], root: Path) -> list[str]:
    """Each path as it is seen from the data set's folder, where it lies in that."""
    found = map(Path, paths)
    return [str(path.relative_to(root)) if path.is_relative_to(root) else str(path) for path in found]
