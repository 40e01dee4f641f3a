"""MindSpore's exporters for files with any name in any folder."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PLAIN_NAME = "exported"


@contextlib.contextmanager
def plain_name(path: Path) -> Iterator[str]:
    """A file name to export to, which is renamed to `path` afterwards where it was written.

    MindSpore refuses names with a space, +, brackets or letters beyond ASCII, in the folders too; so the working
    directory is the file's folder meanwhile.
    """
    before = os.getcwd()
    path = path.resolve()
    written = path.with_name(PLAIN_NAME + path.suffix)
    os.chdir(path.parent)
    try:
        yield written.name
    finally:
        os.chdir(before)
    if written.is_file():
        os.replace(written, path)
