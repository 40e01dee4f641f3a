"""Which samples of an epoch fill its batches, where a batch holds samples of one kind."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np


def whole_batches(order: np.ndarray, kinds: Sequence[int], size: int) -> np.ndarray:
    """The samples in batches of `size` of one kind, batch after batch, from those of an epoch.

    order: (n, 2) entries and numbers of their repeats; kinds: of each entry. What a kind has beyond its last batch is
    left out; one that fills none is filled up. How many batches there are follows from the number of each kind alone.

    >>> whole_batches(np.array([[0, 0], [3, 0], [1, 0], [2, 0]]), [0, 0, 0, 1], 2).tolist()
    [[3, 0], [3, 1], [0, 0], [1, 0]]
    """
    order = _filled_up(order, kinds, size)
    return order[in_batches_of_a_kind([kinds[entry] for entry in order[:, 0]], size)]


def in_batches_of_a_kind(kinds: Sequence[int], size: int) -> np.ndarray:
    """The places in a list of samples of these kinds that fill batches of `size` of one kind, batch after batch.

    A batch stands where its last sample stood. Whatever the order, there are as many batches.

    >>> in_batches_of_a_kind([0, 1, 0, 1, 0], 2).tolist()
    [0, 2, 1, 3]
    """
    waiting: dict[int, list[int]] = {}
    found: list[int] = []
    for place, kind in enumerate(kinds):
        group = waiting.setdefault(int(kind), [])
        group.append(place)
        if len(group) == size:
            found += group
            group.clear()
    return np.array(found, int)


def kind_lines(kinds: Sequence[int], size: int, what: str, names: Sequence[str]) -> Iterator[str]:
    """What becomes of the samples that fill no batch. kinds: of each sample of an epoch; names: of the kinds."""
    for kind, count in sorted(Counter(kinds).items()):
        if count < size:
            further = f"filled up with {size - count} further repeats in each epoch"
            yield f"{names[kind]}: {count} {what}, less than a batch of {size}: {further}"
        elif count % size:
            yield f"{names[kind]}: {left_out_line(count % size, count, what)}"


def left_out_line(left_out: int, count: int, what: str) -> str:
    """Of samples beyond the last batch."""
    return f"{left_out} of {count} {what} are left out of each epoch (another choice every time)"


def _filled_up(order: np.ndarray, kinds: Sequence[int], size: int) -> np.ndarray:
    """With further repeats of the samples of a kind that has less than `size`, in turn, behind the last of them."""
    own = np.array([kinds[entry] for entry in order[:, 0]])
    behind: list[int] = []
    further: list[tuple[int, int]] = []
    for kind in np.unique(own):
        places = np.flatnonzero(own == kind)
        entries = order[places, 0].tolist()
        repeats = Counter(entries)
        for entry in np.resize(entries, max(size - len(entries), 0)).tolist():
            behind.append(int(places[-1]) + 1)
            further.append((entry, repeats[entry]))
            repeats[entry] += 1
    return np.insert(order, behind, further, axis=0) if further else order
