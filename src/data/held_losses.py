"""Held-out samples as a network trains on them, without augmentation: what validation losses are computed on."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from ..config import Config
from .loader import Samples, streams_of
from .read_ahead import read_ahead
from .streams import SampleStreams


class HeldOutSamples(Samples, Protocol):
    """Samples of which there are plain ones too."""

    def plain(self, item: object, streams: SampleStreams) -> tuple[np.ndarray, ...]:
        """One sample as `make` gives it, from what `read` gave, without augmentation. streams: for a sample's seed."""


def loss_batches(
    cfg: Config, samples: HeldOutSamples, entries: Sequence[int]
) -> Iterator[tuple[tuple[np.ndarray, ...], int]]:
    """(batch, images in it): all of `entries` that can be read, in order, the same in every call.

    Batches of `test_batch_size` images of one shape; those that do not fill one come one by one, since a loss over
    slots without an image would be another one.
    """
    groups: dict[tuple[int, ...], list[tuple[np.ndarray, ...]]] = {}  # by the image's shape

    def load(entry: int) -> tuple[np.ndarray, ...] | None:
        item = samples.read(entry)
        return None if item is None else samples.plain(item, streams_of(samples, seed, 0, entry))

    seed, workers = cfg.seed % 2**32, max(cfg.num_parallel_workers, 1)
    for sample in read_ahead(load, entries, workers, ahead=workers):
        if sample is None:
            continue
        group = groups.setdefault(sample[0].shape, [])
        group.append(sample)
        if len(group) == cfg.test_batch_size:
            yield _together(group), len(group)
            group.clear()
    for sample in itertools.chain.from_iterable(groups.values()):
        yield _together([sample]), 1


def _together(group: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    return tuple(map(np.stack, zip(*group)))
