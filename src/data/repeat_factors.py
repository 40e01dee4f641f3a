"""How often images are repeated that show a rare class."""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import plain

SHOWN, LONGEST = 8, 100  # classes that a line names, characters of each


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
        rule = f"repeat_threshold {self.threshold:g}"
        if not further:
            return f"{rule}: no class is that rare, no image is repeated"
        told = [
            f"{plain(names[label], LONGEST)} {further[label]} (of {images[label]} images, which "
            f"{self.shares[label]:.2%} of all show)"
            for label in sorted(further, key=lambda label: (self.shares[label], label))
        ]
        counted = f"{len(self.rarest)} images become {self.repeats.sum()} samples"
        return f"{rule}: {counted}; repeats: {first_of(told)}"


def first_of(told: Sequence[str]) -> str:
    """The first of what there is to say of classes, and of how many more there is something."""
    more = f", and {len(told) - SHOWN} more classes" if len(told) > SHOWN else ""
    return f"{', '.join(told[:SHOWN])}{more}"
