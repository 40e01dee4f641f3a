"""Entries of a data set some of which cannot be read."""

import itertools
import logging
from collections.abc import Sequence
from typing import Any, Protocol

from ..errors import UserError

logger = logging.getLogger(__name__)

MAX_READ_TRIES = 100  # neighbours tried in place of an unreadable image


class Entries(Protocol):
    """What is asked of the samples, see `loader.Samples`."""

    keys: list[int]

    def read(self, entry: int) -> Any: ...

    def why_unreadable(self, entry: int) -> str: ...


class ReadableEntries:
    """The entries of some samples, each unreadable one replaced by its neighbour; a file is reported once a worker."""

    def __init__(self, samples: Entries):
        self.samples = samples
        self._unreadable: set[str] = set()

    def __len__(self) -> int:
        return len(self.samples.keys)

    def read(self, entry: int) -> Any:
        """The entry, or the next readable one of its kind in the data set's order. UserError where that is far away."""
        count, kinds = len(self), kinds_of(self.samples)
        following = ((entry + offset) % count for offset in range(count))
        alike = (other for other in following if kinds is None or kinds[other] == kinds[entry])
        tried = 0
        for candidate in itertools.islice(alike, MAX_READ_TRIES):
            item = self.samples.read(candidate)
            if item is not None:
                return item
            tried, reason = tried + 1, self.samples.why_unreadable(candidate)
            if reason not in self._unreadable:
                self._unreadable.add(reason)
                logger.warning("%s; the next image takes its place", reason)
        raise UserError(f"{tried} images in a row cannot be read; the last one: {reason}")


def kinds_of(samples: Entries) -> Sequence[int] | None:
    """A number for each entry, where samples of another kind have other shapes."""
    return getattr(samples, "kinds", None)
