"""The randomness of one training sample."""

import zlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class SampleStreams:
    """Streams of random numbers of one sample in one epoch: pure functions of (seed, epoch, key, data set, repeat).

    key: a number that the image keeps in every run, within its data set; data_set: number of that, where there are
    several; repeat: which one it is of the image's samples in the epoch, where there are several. further: what tells
    the streams of a partner from its own.
    """

    seed: int
    epoch: int
    key: int
    data_set: int = 0
    repeat: int = 0
    further: tuple[int, ...] = ()

    @cached_property
    def shared(self) -> np.random.RandomState:
        """The stream that a task's own changes share: its numbers are drawn in the same order in every version."""
        return _stream(self._words)

    def of(self, name: str) -> np.random.RandomState:
        """A stream that belongs to `name` alone, from its start: who draws from it changes nobody else's numbers."""
        return _stream([*self._words, _number(name)])

    def partner(self, name: str, number: int) -> "SampleStreams":
        """The streams of image number `number` of those that `name` adds to the sample, whichever image that is."""
        return replace(self, further=(*self.further, _number(name), number))

    @property
    def _words(self) -> list[int]:
        """The first sample of an image of the first data set has the numbers that it has where there is no other."""
        own = [self.data_set, self.repeat] if self.data_set or self.repeat else []
        return [self.seed, self.epoch, self.key, *own, *self.further]


class _Zeros(np.random.bit_generator.ISeedSequence):
    """In place of numbers from the operating system, which cost more than all the rest and are overwritten at once."""

    def generate_state(self, n_words: int, dtype: type = np.uint32) -> np.ndarray:
        return np.zeros(n_words, dtype)


def _stream(words: list[int]) -> np.random.RandomState:
    """`RandomState(words)`, in a quarter of the time: a sample has a dozen of them."""
    stream = np.random.RandomState(np.random.MT19937(_Zeros()))
    stream.seed(words)
    return stream


def _number(name: str) -> int:
    return zlib.crc32(name.encode())
