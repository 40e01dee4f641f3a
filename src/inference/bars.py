"""How far a command has come, on a terminal alone: logs and pipes get no bars."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def bar(total: int, unit: str = "img", done: int = 0) -> tqdm:
    """A bar on standard error; `update()` says that one more is done. total: 0 where nobody knows."""
    return tqdm(total=total or None, initial=done, unit=unit, disable=not _is_terminal())


def with_bar(items: Iterable[Item], total: int, unit: str = "img") -> Iterator[Item]:
    """The items, each of which counts as done when the next one is asked for."""
    with bar(total, unit) as progress:
        for item in items:
            yield item
            progress.update()


def say(line: object) -> None:
    """A line on standard output, at once, above a bar that is there."""
    with tqdm.external_write_mode(file=sys.stdout):
        print(line, flush=True)


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()
