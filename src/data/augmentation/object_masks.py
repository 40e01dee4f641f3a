"""The masks of an image's objects, which nobody makes before they are needed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

import numpy as np

from ..masks import BITS, layered
from .transform import Size, Transform


class ObjectMasks(Protocol):
    """Bitmaps of N objects of an image, made as they are asked for: up to `BITS` of them as the bits of one picture.

    Together they take the time and the memory of one. drawn: of each object whether it has a mask.
    """

    drawn: Sequence[bool]

    def layers(self, numbers: Sequence[int]) -> np.ndarray:
        """(h, w) uint8 whose bit k is the mask of object `numbers[k]`; at most `BITS` objects, which have one."""


@dataclass(frozen=True)
class DrawnMasks:
    """As a label file has them: COCO segmentations of an image of (h, w) pixels, None for an object without a mask."""

    segmentations: Sequence[Any]
    size: Size

    @property
    def drawn(self) -> list[bool]:
        return [one is not None for one in self.segmentations]

    def layers(self, numbers: Sequence[int]) -> np.ndarray:
        return layered([self.segmentations[number] for number in numbers], *self.size)


@dataclass(frozen=True)
class ChangedMasks:
    """After a change that the image goes through. It copies pixels and drops them, whatever numbers they have."""

    masks: ObjectMasks
    change: Transform

    @property
    def drawn(self) -> Sequence[bool]:
        return self.masks.drawn

    def layers(self, numbers: Sequence[int]) -> np.ndarray:
        return self.change.masks(self.masks.layers(numbers))


@dataclass(frozen=True)
class ChosenMasks:
    """Those of some objects, in this order."""

    masks: ObjectMasks
    numbers: Sequence[int]

    @property
    def drawn(self) -> list[bool]:
        drawn = self.masks.drawn
        return [drawn[number] for number in self.numbers]

    def layers(self, numbers: Sequence[int]) -> np.ndarray:
        return self.masks.layers([self.numbers[number] for number in numbers])


class JoinedMasks:
    """Those of several, one after the other, all of the same image."""

    def __init__(self, parts: Sequence[ObjectMasks]):
        self.parts = parts
        self.drawn = [drawn for part in parts for drawn in part.drawn]
        self._places = [(which, k) for which, part in enumerate(parts) for k in range(len(part.drawn))]

    def layers(self, numbers: Sequence[int]) -> np.ndarray:
        places = [self._places[number] for number in numbers]
        found = []
        for which, part in enumerate(self.parts):
            bits = [bit for bit, place in enumerate(places) if place[0] == which]
            if bits:
                found.append((which, _moved(part.layers([places[bit][1] for bit in bits]), bits)))
        return self.joined(found)

    def joined(self, layers: Sequence[tuple[int, np.ndarray]]) -> np.ndarray:
        """Of some parts, by number, those of the objects that are asked for, each in its bit."""
        return reduce(np.bitwise_or, (own for _, own in layers))


def groups(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """So many at a time as one picture holds."""
    for start in range(0, len(numbers), BITS):
        yield numbers[start : start + BITS]


def _moved(layers: np.ndarray, bits: Sequence[int]) -> np.ndarray:
    """Bit k becomes bit `bits[k]`, where these rise."""
    if bits[-1] == len(bits) - 1:
        return layers
    if bits[-1] - bits[0] == len(bits) - 1:
        return layers << np.uint8(bits[0])
    table = np.array([sum(1 << bit for k, bit in enumerate(bits) if value >> k & 1) for value in range(256)], np.uint8)
    return table[layers]
