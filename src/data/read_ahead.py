"""Work on the next items while the caller is busy with one: reading, preparing and finishing images."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item, Result = TypeVar("Item"), TypeVar("Result")


def read_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, ahead: int, name: str = "decode"
) -> Iterator[Result]:
    """function(item) of every item, in order, worked out by `workers` threads (named `name`).

    While the caller has one result, up to `ahead` later ones are there or in the making and no more, so memory does
    not grow with the number of items; the caller's own thread goes through `items`. What `function` raises arrives in
    its item's turn. Closing the iterator waits for what is in the making.
    """
    waiting: deque[Future] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix=name) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def iterate_ahead(source: Iterable[Item], name: str = "reader") -> Iterator[Item]:
    """The items of `source`, none of them None, each worked out by another thread while the one before is in use."""
    iterator = iter(source)
    for item in read_ahead(lambda _: next(iterator, None), itertools.repeat(None), workers=1, ahead=1, name=name):
        if item is None:
            return
        yield item
