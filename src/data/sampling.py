"""How often an epoch takes which training image, and in which order: pure functions of (seed, epoch)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..config import Config
from ..config.train_sets import set_count, set_weights
from ..errors import plain
from .repeat_factors import LONGEST, first_of
from .streams import SampleStreams

STREAM = "sampling"  # whose numbers choose what of a group an epoch takes


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

    @classmethod
    def weighted(cls, sets: np.ndarray, weights: np.ndarray, repeats: np.ndarray) -> "Sampling":
        """Of each data set as often as its weight says. sets (N,): number of each entry's; weights: of each set."""
        sizes = np.bincount(sets, repeats, len(weights))
        return cls(repeats, sets, np.maximum(np.floor(sizes * weights + 0.5), sizes > 0).astype(int))

    @classmethod
    def balanced(cls, sets: np.ndarray, weights: np.ndarray, labels: np.ndarray, strength: float) -> "Sampling":
        """As many samples as by the weights alone, of each class its number of them to the power 1 - strength: at 1 of
        all classes as many. labels (N,): each entry's class. Fractions go to those that lack most of a sample.

        >>> plan = Sampling.balanced(np.zeros(8, int), np.ones(1), np.array([0, 0, 0, 0, 0, 0, 0, 1]), 1.0)
        >>> plan.quotas.tolist()  # 4 of the 7 images of class 0, 4 times the one of class 1
        [4, 4]
        """
        classes = int(labels.max()) + 1
        groups = sets * classes + labels
        usual = np.bincount(groups, minlength=len(weights) * classes).reshape(-1, classes) * weights[:, None]
        of_class = np.maximum(usual.sum(0), 1e-9)
        wanted = of_class.copy()
        wanted **= 1 - strength  # in place its last bits never depend on where in memory it lies
        wanted[usual.sum(0) <= 0] = 0
        total = int(np.floor(usual.sum() + 0.5))
        return cls(np.ones(len(sets), int), groups, _whole((usual * (wanted / of_class)).ravel(), total))

    def __len__(self) -> int:
        return int(self.quotas.sum())

    @property
    def is_plain(self) -> bool:
        """Every entry once in every epoch."""
        return bool((self.repeats == 1).all()) and self.quotas.tolist() == np.bincount(self.groups).tolist()

    def counts(self, seed: int, epoch: int) -> np.ndarray:
        """(N,) how often the epoch takes each entry."""
        if (self.quotas == np.bincount(self.groups, self.repeats, len(self.quotas))).all():
            return self.repeats  # every list once
        counts = np.zeros(len(self.repeats), int)
        by_group = np.argsort(self.groups, kind="stable")
        ends = np.cumsum(np.bincount(self.groups, minlength=len(self.quotas)))
        for group, (own, quota) in enumerate(zip(np.split(by_group, ends[:-1]), self.quotas.tolist())):
            listed = np.repeat(own, self.repeats[own])
            if not len(listed):
                continue
            whole, rest = divmod(quota, len(listed))
            counts[own] += whole * self.repeats[own]
            if rest:
                chosen = SampleStreams(seed, epoch, group).of(STREAM).permutation(len(listed))[:rest]
                np.add.at(counts, listed[chosen], 1)
        return counts

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """(len, 2) the entries in the order in which the epoch takes them, and of each its number among the samples of
        its entry: 0, 1, ...

        The list, in which each entry's repeats stand next to each other, in the order of a permutation.
        """
        counts = self.counts(seed, epoch)
        order = np.random.RandomState([seed, epoch]).permutation(len(self))
        found = np.zeros((len(order), 2), np.int32)
        found[:, 0] = order
        if (counts != 1).any():
            entries = np.repeat(np.arange(len(counts)), counts)
            numbers = np.arange(len(entries)) - np.repeat(np.cumsum(counts) - counts, counts)
            found[:, 0], found[:, 1] = entries[order], numbers[order]
        return found


def is_sampled(cfg: Config) -> bool:
    """Whether keys ask for something else than every image once, or there are several data sets."""
    return bool(cfg.repeat_threshold or cfg.class_balanced or cfg.train_weights) or set_count(cfg) > 1


def origins_of(sets: Sequence[int], indices: Sequence[int]) -> list[tuple[int, int]]:
    """Number of its data set and number within that of the images at `indices`; none where there is one set.

    sets: of all images, empty for a single set.

    >>> origins_of([0, 0, 1, 1], [1, 3])
    [(0, 1), (1, 1)]
    """
    if not sets:
        return []
    seen: Counter[int] = Counter()
    places = []
    for number in sets:
        places.append((number, seen[number]))
        seen[number] += 1
    return [places[index] for index in indices]


def sampling_of(
    cfg: Config,
    sets: Sequence[int],
    names: Sequence[object],
    repeats: np.ndarray,
    labels: Sequence[int] = (),
    classes: Sequence[str] = (),
) -> tuple[Sampling, list[str]]:
    """How often an epoch takes each entry by `train_weights`, and by `class_balanced` where there are `labels`; and
    what there is to say of it.

    sets: number of each entry's data set, empty for a single one; names: of the sets. repeats (N,): of each entry.
    labels: class of each entry, where it has one; classes: their names.
    """
    places, weights = np.array(sets if len(sets) else [0] * len(repeats)), np.array(set_weights(cfg))
    is_balanced = len(labels) > 0 and cfg.class_balanced > 0
    if is_balanced:
        sampling = Sampling.balanced(places, weights, np.array(labels), cfg.class_balanced)
    else:
        sampling = Sampling.weighted(places, weights, repeats)
    lines = []
    if not is_sampled(cfg):
        return sampling, lines
    counts = sampling.counts(0, 0)  # as many of each set and class in every epoch
    if len(weights) > 1 or cfg.train_weights:
        images, samples = (np.bincount(places, one, len(weights)).astype(int) for one in (np.ones(len(places)), counts))
        lines.append(f"training data sets: {_told(names, weights, images, samples)}, {len(sampling)} samples an epoch")
    if is_balanced:
        lines.append(f"class_balanced {cfg.class_balanced:g}: {_told_classes(labels, counts, classes)}")
    return sampling, lines


def _whole(shares: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers in these proportions whose sum is `total`: what rounding down leaves goes to the largest rests."""
    exact = shares * (total / shares.sum())
    found = np.floor(exact + 1e-9).astype(int)
    lacking = np.argsort(found - exact, kind="stable")[: total - int(found.sum())]
    found[lacking] += 1
    return found


def _told(names: Sequence[object], weights: np.ndarray, images: np.ndarray, samples: np.ndarray) -> str:
    rows = zip(names, images.tolist(), weights.tolist(), samples.tolist())
    return ", ".join(f"{name} ({count} images, weight {times:g}: {n} samples)" for name, count, times, n in rows)


def _told_classes(labels: Sequence[int], counts: np.ndarray, classes: Sequence[str]) -> str:
    """Samples and images of the classes, the rarest first."""
    images, samples = np.bincount(labels), np.bincount(labels, counts).astype(int)
    told = [
        f"{plain(classes[label], LONGEST)} {samples[label]} (of {images[label]} images)"
        for label in np.argsort(images, kind="stable").tolist()
        if images[label]
    ]
    return f"samples an epoch: {first_of(told)}"
