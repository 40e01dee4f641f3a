"""How often an epoch takes which training image, and in which order: pure functions of (seed, epoch)."""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import plain
from .streams import SampleStreams

STREAM = "sampling"  # whose numbers choose what of a group an epoch takes
SHOWN, LONGEST = 8, 100  # classes that a line names, characters of each


@dataclass(frozen=True)
class Sampling:
    """The list of samples of every epoch, always as long.

    repeats: (N,) how often each entry stands in its group's list; groups: (N,) each entry's group; quotas: (G,) samples
    of each group in an epoch. What goes beyond whole lists is chosen anew in each epoch, nothing of it twice.

    >>> twice = Sampling(np.array([1, 1, 2]), np.array([0, 0, 1]), np.array([2, 4]))
    >>> twice.counts(seed=0, epoch=0).tolist()
    [1, 1, 4]
    """

    repeats: np.ndarray
    groups: np.ndarray
    quotas: np.ndarray

    @classmethod
    def plain(cls, count: int) -> "Sampling":
        """Every entry once."""
        return cls.repeated(np.ones(count, int))

    @classmethod
    def repeated(cls, repeats: np.ndarray) -> "Sampling":
        """Every entry as often as `repeats` (N,) says."""
        return cls(repeats, np.zeros(len(repeats), int), np.array([repeats.sum()]))

    def __len__(self) -> int:
        return int(self.quotas.sum())

    @property
    def is_plain(self) -> bool:
        """Every entry once in every epoch."""
        return bool((self.repeats == 1).all()) and self.quotas.tolist() == np.bincount(self.groups).tolist()

    def counts(self, seed: int, epoch: int) -> np.ndarray:
        """(N,) how often the epoch takes each entry."""
        counts = np.zeros(len(self.repeats), int)
        for group, quota in enumerate(self.quotas.tolist()):
            own = np.flatnonzero(self.groups == group)
            listed = np.repeat(own, self.repeats[own])
            if not len(listed):
                continue
            whole, rest = divmod(quota, len(listed))
            counts[own] += whole * self.repeats[own]
            if rest:
                chosen = SampleStreams(seed, epoch, group).of(STREAM).permutation(len(listed))[:rest]
                counts += np.bincount(listed[chosen], minlength=len(counts))
        return counts

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """(len, 2) the entries in the order in which the epoch takes them, and of each its number among the samples of
        its entry: 0, 1, ...

        The list, in which each entry's repeats stand next to each other, in the order of a permutation.
        """
        counts = self.counts(seed, epoch)
        entries = np.repeat(np.arange(len(counts)), counts)
        numbers = np.arange(len(entries)) - np.repeat(np.cumsum(counts) - counts, counts)
        order = np.random.RandomState([seed, epoch]).permutation(len(entries))
        return np.stack((entries, numbers), 1)[order]


@dataclass(frozen=True)
class RepeatFactors:
    """How often images are repeated by their rarest class: LVIS's definition, as MMDetection's ClassBalancedDataset.

    shares: of the images that show it, by class. factors: (N,) of each image: the largest of its classes'
    max(1, sqrt(threshold / share)); 1 where it shows nothing. rarest: the class that an image's factor is of, or None.

    >>> found = RepeatFactors.of([{0}, {0}, {0}, {0, 1}, set()], threshold=0.5)
    >>> [round(float(factor), 3) for factor in found.factors], found.repeats.tolist()  # shares 4/5 and 1/5
    ([1.0, 1.0, 1.0, 1.581, 1.0], [1, 1, 1, 2, 1])
    """

    threshold: float
    shares: dict[int, float]
    factors: np.ndarray
    rarest: list[int | None]

    @classmethod
    def of(cls, shown: Sequence[Collection[int]], threshold: float) -> "RepeatFactors":
        """shown: the classes that each image shows, crowds too."""
        counts = Counter(label for labels in shown for label in set(labels))
        shares = {label: counts[label] / len(shown) for label in sorted(counts)}
        of_class = {label: max(1.0, math.sqrt(threshold / share)) for label, share in shares.items()}
        rarest = [max(sorted(labels), key=of_class.__getitem__, default=None) for labels in shown]
        return cls(threshold, shares, np.array([of_class.get(label, 1.0) for label in rarest]), rarest)

    @property
    def repeats(self) -> np.ndarray:
        """(N,) how often each image stands in the list: the factors rounded up."""
        return np.ceil(self.factors).astype(int)

    def line(self, names: Sequence[str]) -> str:
        """How many repeats were made of which classes; of an image's they count for its rarest class."""
        further: Counter[int] = Counter()
        images: Counter[int] = Counter()
        for label, times in zip(self.rarest, self.repeats.tolist()):
            if times > 1:
                further[label] += times - 1
                images[label] += 1
        rule, total = f"repeat_threshold {self.threshold:g}", int(self.repeats.sum())
        if not further:
            return f"{rule}: no class is that rare, no image is repeated"
        told = [
            f"{plain(names[label], LONGEST)} {further[label]} (of {images[label]} images, which "
            f"{self.shares[label]:.2%} of all show)"
            for label in sorted(further, key=lambda label: (self.shares[label], label))
        ]
        more = f", and {len(told) - SHOWN} more classes" if len(told) > SHOWN else ""
        counted = f"{total} samples an epoch of {len(self.rarest)} images"
        return f"{rule}: {counted}; repeats: {', '.join(told[:SHOWN])}{more}"
