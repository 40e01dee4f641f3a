"""How sure a difference between two evaluations of the same images is: the paired bootstrap over images.

Images are drawn with replacement, as many as there are, the same ones for both evaluations; the difference is worked
out again for each draw. The middle 95 % of these differences are the interval (the percentile method of Efron).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

RESAMPLES, FEWEST = 1000, 100
INTERVAL = (2.5, 97.5)  # percent
MOST_WORK = 8 * 10**9  # rows of both evaluations times resamples: about two minutes
MOST_NUMBERS = 2 * 10**7  # of a block of weights
SEED = 0
# From how often each image is drawn, (I, B) whole numbers as float64, to S statistics, (S, B); NaN: nothing defines it.
Statistics = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Difference:
    """A statistic of the first and the second evaluation, and the interval of what the second one gains.

    None: no image defines it.
    """

    first: float | None
    second: float | None
    low: float | None
    high: float | None

    @property
    def gain(self) -> float | None:
        return None if self.first is None or self.second is None else self.second - self.first

    @property
    def is_better(self) -> bool:
        return self.low is not None and self.low > 0

    @property
    def is_worse(self) -> bool:
        return self.high is not None and self.high < 0


def resamples_for(work: int) -> int:
    """How many resamples are made where each takes so many rows: 1,000, or of very much as many as fit, 100 at least.
    """
    return int(np.clip(MOST_WORK // max(work, 1), FEWEST, RESAMPLES))


def weights(images: int, resamples: int, seed: int = SEED) -> Iterator[np.ndarray]:
    """How often each image is drawn, (I, B) at a time; the first column is all ones, the evaluation as it is."""
    draws = np.random.default_rng(seed)
    block = max(1, min(resamples + 1, MOST_NUMBERS // max(images, 1)))
    for start in range(0, resamples + 1, block):
        found = np.empty((images, min(block, resamples + 1 - start)))
        for column in range(found.shape[1]):
            drawn = np.bincount(draws.integers(0, images, images), minlength=images) if start + column else 1
            found[:, column] = drawn
        yield found


def differences(
    first: Statistics, second: Statistics, images: int, resamples: int, seed: int = SEED
) -> list[Difference]:
    """Of each statistic, see `Difference`. The same seed draws the same images."""
    pairs = [(first(drawn), second(drawn)) for drawn in weights(images, resamples, seed)]
    one, two = (np.concatenate([pair[k] for pair in pairs], axis=1) for k in range(2))
    return [_difference(before, after) for before, after in zip(one, two)]


def _difference(before: np.ndarray, after: np.ndarray) -> Difference:
    """Of one statistic in every draw, the first of which is the evaluation itself."""
    gains = (after - before)[1:]
    gains = gains[np.isfinite(gains)]
    values = [float(one[0]) if np.isfinite(one[0]) else None for one in (before, after)]
    if None in values or not len(gains):
        return Difference(*values, None, None)
    return Difference(*values, *map(float, np.percentile(gains, INTERVAL)))
