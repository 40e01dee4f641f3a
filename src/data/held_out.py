"""A share of a data set that is held out for validation, told by the names of the files alone.

An image is on the same side in every run, on every machine, in every label format, and whatever images come or go
beside it; a larger share holds out those of a smaller one and more.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError


def is_held_out(name: str, share: float) -> bool:
    """Whether the file of this name is among the share (0 to 1) that is held out.

    >>> [is_held_out(f"{number}.jpg", 0.25) for number in range(8)]
    [True, False, False, False, False, True, False, False]
    """
    return _place(name) < share


def split_part(names: Sequence[str], split: str, share: float, source: str | Path) -> list[int]:
    """Which of the files take part in `split`, 'train' or 'val': their indices, in order.

    names: of each file without the folders that may be others elsewhere; files of one name stay together. Where the
    share would hold out none, or all, one name is held out, or kept: the nearest to the border.
    source: what has these files, for messages. UserError where there are no two names to part.
    """
    places = {name: _place(name) for name in names}
    if len(places) < 2:
        raise UserError(
            f"val_split: {source} has {len(places)} image names; two at least make a training set and a rest"
        )
    held = {name for name, place in places.items() if place < share}
    if not held:
        held = {min(places, key=places.__getitem__)}
    if len(held) == len(places):
        held.remove(max(places, key=places.__getitem__))
    return [index for index, name in enumerate(names) if (name in held) == (split == "val")]


def _place(name: str) -> float:
    """A number from 0 to 1 that looks drawn at random, the same for the same name."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
