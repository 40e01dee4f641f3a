"""What becomes of each key of a configuration file, an original's or this project's.

usage: python -m src.config.originals FILE
"""

import contextlib
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError, plain, short
from .config import config_type
from .load import load_config
from .original_tables import ALIASES, WITHOUT_EFFECT, Told
from .own_words import OwnWords, in_own_words
from .read import read_file
from .schema import key_names

KINDS = ("mapped", "accepted", "answered", "own", "unknown")
BAD_INPUT = 2  # exit status


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        sys.exit(0 if sys.argv[1:] in (["-h"], ["--help"]) else BAD_INPUT)
    path = sys.argv[1]
    try:
        with _silent():
            for line in account(path):
                print(line)
            load_config(path)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without the lines that loading says: they are all among what is printed."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def account(path: str) -> Iterator[str]:
    """A line on the file, one on each of its keys, and one that counts them. UserError for a file that is none."""
    values = read_file(Path(path))[0]
    words = in_own_words(values, [], path)
    told = {one.key: one for one in words.told}
    lines: list[Told] = []
    for name, value in values.items():
        lines += [told[name]] if name in told else _own({name: value}, "")
    yield f"{plain(path)}: {_whose(words)}"
    for one in lines:
        yield f"  {plain(one.key)} {short(one.value)}: {one.kind}{f': {one.text}' if one.text else ''}"
    counts = Counter(one.kind for one in lines)
    yield f"{sum(counts.values())} keys: {', '.join(f'{counts[kind]} {kind}' for kind in KINDS)}"


def _whose(words: OwnWords) -> str:
    if not words.original:
        return "a configuration of this project"
    return f"a configuration of {words.original.title}; it stands on configs/{words.base.name}"


def _own(values: Mapping[str, Any], prefix: str) -> Iterator[Told]:
    """What becomes of keys that are in no table."""
    known = set(key_names(config_type()))
    sections = {name.rsplit(".", depth)[0] for name in known for depth in range(1, name.count(".") + 1)}
    for name, value in values.items():
        dotted = f"{prefix}{name}"
        if isinstance(value, dict) and dotted in sections:
            yield from _own(value, f"{dotted}.")
        elif dotted in WITHOUT_EFFECT:
            yield Told(dotted, value, "answered", WITHOUT_EFFECT[dotted])
        else:
            is_known = dotted in known or dotted in sections or dotted in ALIASES
            yield Told(dotted, value, "own" if is_known else "unknown", "")


if __name__ == "__main__":
    main()
