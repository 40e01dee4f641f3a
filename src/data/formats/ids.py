"""Which entry an id means: texts and numbers, and one for the other where that is clear."""

import re
from collections.abc import Iterable

from .fields import Id, identity

WHOLE_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})")


class IdTable:
    """The ids that a file gives to its entries.

    >>> table = IdTable([0, "b", 7, "7"])
    >>> table.find("0"), table.find("b"), table.find(7), table.find("7"), table.find("8")
    (0, 'b', 7, '7', None)
    """

    def __init__(self, ids: Iterable[Id]):
        self._known = {known: known for known in ids}

    def find(self, value: object) -> Id | None:
        """The id as the file has it: this one, or the same number as a text (the same text as a number)."""
        if type(value) is int and value in self._known:  # nearly always
            return self._known[value]
        wanted = identity(value)
        if wanted in self._known:
            return self._known[wanted]
        return self._known.get(_other_form(wanted))


def order(one: Id) -> tuple:
    """For sorting: numbers, also those written as texts, by their value, then texts."""
    if isinstance(one, str):
        return (0, int(one), 1) if WHOLE_NUMBER.fullmatch(one) else (1, one, 1)
    return 0, one, 0


def _other_form(one: Id | None) -> Id | None:
    if isinstance(one, str):
        return int(one) if WHOLE_NUMBER.fullmatch(one) else None
    if one is None or one != one // 1 or abs(one) >= 1e18:
        return None
    return str(int(one))
