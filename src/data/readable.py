"""Entries of a data set some of which cannot be read."""

import logging
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
        """The entry, or the next readable one in the data set's order. UserError where that is far away."""
        count = len(self)
        for offset in range(min(MAX_READ_TRIES, count)):
            candidate = (entry + offset) % count
            item = self.samples.read(candidate)
            if item is not None:
                return item
            reason = self.samples.why_unreadable(candidate)
            if reason not in self._unreadable:
                self._unreadable.add(reason)
                logger.warning("%s; the next image takes its place", reason)
        raise UserError(f"{min(MAX_READ_TRIES, count)} images in a row cannot be read; the last one: {reason}")
