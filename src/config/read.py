"""Configuration files as plain mappings: three YAML documents, merged over the files of `_base_`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import UserError, plain, short
from ..files import RUN_FORMAT, require_readable
from ..reading import is_file, read_text, why
from .bounded_yaml import MOST_BYTES, read_documents
from .ready import hint, located, named

LONGEST_CHAIN = 20  # files, each the base of the one before
PIPES = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")  # what a shell gives for <(...) and for standard input

Check = Callable[[dict, Path], None]
Parts = tuple[dict, dict, dict]


def read_file(path: Path, check: Check | None = None) -> Parts:
    """Values, help texts and choices of a file merged over those of its `_base_` (one or a list: later ones win).

    Both may be the name of a ready configuration, see `ready`, where there is no such file.
    check: called with each file's own values, before they are merged. UserError for a file that is no configuration,
    or a run's of a newer version.
    """
    return _read(located(path), check, (), {}, "")


def read_documents_of(path: Path, name: str = "") -> list[Any]:
    """What stands in each YAML document of a file. UserError where it cannot be read; name: the file in its message."""
    name = name or f"configuration file {path}"
    try:
        return read_documents(_content(path), path)
    except FileNotFoundError:
        raise UserError(f"{name} does not exist{hint(path)}") from None
    except OSError as error:
        raise UserError(f"{name} cannot be read: {why(error)}") from None


def _read(path: Path, check: Check | None, chain: tuple[str, ...], known: dict[str, Parts], name: str) -> Parts:
    """chain: the files that this one is a base of; known: what has been read already; name: in messages."""
    try:
        place = os.path.realpath(path)
    except ValueError:  # a name that no file can have, which is said where it is read
        place = str(path)
    if place in known:
        return known[place]
    if place in chain:
        raise UserError(f"{path}: _base_ leads back to this file")
    if len(chain) == LONGEST_CHAIN:
        raise UserError(f"{path}: more than {LONGEST_CHAIN} files stand on one another by _base_")
    documents = read_documents_of(path, name)
    documents = documents[:1] + [{} if document is None else document for document in documents[1:]]
    if not documents or len(documents) > 3 or not all(isinstance(document, dict) for document in documents):
        raise UserError(f"{path}: expected one mapping of keys to values, or three documents: values, help, choices")
    documents += [{}] * (3 - len(documents))
    require_readable(documents[0].pop("_format_", None), RUN_FORMAT, path)
    bases = documents[0].pop("_base_", None) or []
    if check:
        check(documents[0], path)
    inherited = [{}, {}, {}]
    for base in bases if isinstance(bases, list) else [bases]:
        if not isinstance(base, str):
            raise UserError(f"{path}: _base_ must name a file or a list of files, not {short(base)}")
        beside = path.parent / base
        file = beside if is_file(beside) else named(base) or beside
        above = _read(file, check, (*chain, place), known, f"{path}: its _base_ {plain(base)}")
        inherited = [merge(*pair) for pair in zip(inherited, above)]
    values, helps, choices = (merge(*pair) for pair in zip(inherited, documents))
    known[place] = values, helps, choices
    return values, helps, choices


def _content(path: Path) -> str:
    """The text of a file, or of the pipe that a shell gives for <(...)."""
    if str(path).startswith(PIPES) and path.is_fifo():
        with open(path, "rb") as pipe:
            return pipe.read(MOST_BYTES).decode("utf-8", "replace")
    return read_text(path, MOST_BYTES)


def merge(below: dict, above: dict) -> dict:
    """The values of `below` with those of `above` over them, section by section."""
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = merge(merged[name], value) if both else value
    return merged
