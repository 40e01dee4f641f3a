"""Values of the wrong kind, put into a good file one at a time: what every reader is asked to bear."""

import copy
from collections.abc import Iterator

ABSENT = object()
ODD_VALUES = (
    None, "text", "12", "", "\0", [], [1], {}, {"a": 1}, ABSENT, float("nan"), float("inf"), 0, -1, 1.5, 1e30, 10**30,
    10**400, True,
)  # fmt: skip
Place = tuple[str | int, ...]


def places(content: object, depth: int = 9, place: Place = ()) -> Iterator[Place]:
    """Where a value stands in what JSON holds, at most `depth` levels down; the outermost one is not among them.

    >>> list(places({"a": [5, {"b": 6}]}))
    [('a',), ('a', 0), ('a', 1), ('a', 1, 'b')]
    """
    keys = content if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in keys if depth else ():
        yield (*place, key)
        yield from places(content[key], depth - 1, (*place, key))


def changed(content: object, place: Place, value: object) -> object:
    """A copy with another value in this place; `ABSENT` takes the key (or the member of a list) away."""
    content = copy.deepcopy(content)
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    if value is ABSENT:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return content


def name_of(place: Place, value: object) -> str:
    return f"{'.'.join(map(str, place))} = {'absent' if value is ABSENT else f'{value!r:.30}'}"


def is_one_line(message: str) -> bool:
    return message.isprintable() and len(message) < 700
