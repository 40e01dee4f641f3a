"""The randomness of one training sample."""

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class SampleStreams:
    """Streams of random numbers of one sample in one epoch: pure functions of (seed, epoch, key).

    key: a number that the sample keeps in every run.
    """

    seed: int
    epoch: int
    key: int

    @cached_property
    def shared(self) -> np.random.RandomState:
        """The stream that a task's own changes share: its numbers are drawn in the same order in every version."""
        return np.random.RandomState([self.seed, self.epoch, self.key])

    def of(self, name: str) -> np.random.RandomState:
        """A stream that belongs to `name` alone, from its start: who draws from it changes nobody else's numbers."""
        return np.random.RandomState([self.seed, self.epoch, self.key, zlib.crc32(name.encode())])
