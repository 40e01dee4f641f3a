"""A file and a command line in this project's words, wherever one of them is an original's or uses its keys."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UserError
from .original_tables import (
    Original,
    Told,
    Translation,
    named_weights,
    original_of,
    translate_file,
    translate_some,
    translate_typed,
)
from .read import Check, merge, read_file
from .ready import CONFIGS

logger = logging.getLogger(__name__)


@dataclass
class OwnWords:
    """values: nested, of the file; pairs: (dotted, text), of the command line; called: what keys were called there.

    original: whose the file is, with the ready configuration `base` that it stands on; told: what became of its keys.
    weights: words by which it names weights, which mean what a command makes of them.
    """

    values: dict[str, Any]
    pairs: list[tuple[str, str]]
    told: list[Told]
    original: Original | None = None
    base: Path | None = None
    called: Mapping[str, str] = field(default_factory=dict)
    called_typed: Mapping[str, str] = field(default_factory=dict)
    weights: frozenset[str] = frozenset()


def in_own_words(
    values: dict[str, Any], pairs: Sequence[tuple[str, str]], path: str | Path, check: Check | None = None
) -> OwnWords:
    """The same in this project's keys; what stands in the place of keys without one is logged.

    values: of the file `path`; pairs: of the command line. check: called with the files that it comes to stand on.
    UserError where the ready configuration is not there that an original's file stands on.
    """
    original = original_of(values)
    base = CONFIGS / original.base(values) if original else None
    done = translate_file(values, original) if original else translate_some(values)
    taken = {one.key for one in done.told}
    own = merge(_base_values(base, path, check), _nested(done.values, {}) if original else {})
    rest = {name: value for name, value in values.items() if name not in taken}
    own = merge(own, rest) if original else _nested(done.values, rest)
    pairs, typed = translate_typed(pairs, values, original)
    _tell(path, done, original, base)
    for one in typed.told:
        if one.kind == "answered":
            logger.warning("command line: --%s", one)
    weights = named_weights(values, original) if original else frozenset()
    return OwnWords(own, pairs, done.told, original, base, done.called, typed.called, weights)


def _base_values(base: Path | None, path: str | Path, check: Check | None) -> dict[str, Any]:
    if base is None:
        return {}
    try:
        return read_file(base, check)[0]
    except UserError as error:
        raise UserError(f"{path}: an original's configuration stands on {base.name} of configs/: {error}") from None


def _nested(values: Mapping[str, Any], into: dict[str, Any]) -> dict[str, Any]:
    """A copy of `into` with values by dotted names set in it."""
    top = dict(into)
    for dotted, value in values.items():
        *sections, name = dotted.split(".")
        part = top
        for section in sections:
            below = part.get(section)
            part[section] = dict(below) if isinstance(below, dict) else {}
            part = part[section]
        part[name] = value
    return top


def _tell(path: str | Path, done: Translation, original: Original | None, base: Path | None) -> None:
    """A line for each key that asks for something else than what stands in its place, and one for all the others."""
    answered = [one for one in done.told if one.kind == "answered"]
    for one in answered:
        if not original or one.differs:
            logger.warning("%s: %s", path, one)
    if original:
        counts = [sum(one.kind == kind for one in done.told) for kind in ("mapped", "accepted")]
        idle = [one.key for one in answered if not one.differs]
        logger.warning(
            "%s is a configuration of %s: it stands on configs/%s, %d keys set its keys and %d say what it does; "
            "without a place here: %s (python -m src.config.originals %s)",
            path, original.title, base.name, *counts, ", ".join(idle) or "none", path,
        )  # fmt: skip
