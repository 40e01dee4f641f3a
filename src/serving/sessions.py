"""The last result of each visitor, for as long as the page is open."""

import threading
import time
from collections import OrderedDict
from typing import Generic, TypeVar

MOST_VISITORS = 64
MOST_BYTES = 2**28  # of all of them
LONGEST_REST = 1800.0  # seconds without a request, after which a visitor is forgotten

Item = TypeVar("Item")


class Sessions(Generic[Item]):
    """At most `most` visitors with `most_bytes` of results; who has not come back for longest is forgotten first."""

    def __init__(self, most: int = MOST_VISITORS, most_bytes: int = MOST_BYTES, rest: float = LONGEST_REST):
        self.most, self.most_bytes, self.rest = most, most_bytes, rest
        self._items: OrderedDict[str, tuple[float, int, Item]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

    def keep(self, visitor: str, item: Item, size: int = 0) -> None:
        """The visitor's result from now on, of so many bytes."""
        with self._lock:
            self._items.pop(visitor, None)
            self._items[visitor] = time.monotonic(), size, item
            while len(self._items) > self.most or self._size() > self.most_bytes:
                self._items.popitem(last=False)

    def get(self, visitor: str) -> Item | None:
        """The visitor's result, None where there is none any more."""
        with self._lock:
            found = self._items.pop(visitor, None)
            if found is None:
                return None
            _, size, item = found
            self._items[visitor] = time.monotonic(), size, item
            return item

    def forget(self, visitor: str) -> None:
        """The visitor has gone."""
        with self._lock:
            self._items.pop(visitor, None)

    def sweep(self) -> None:
        """Forget whoever has not come back."""
        with self._lock:
            old = time.monotonic() - self.rest
            for visitor, (last, _, _) in list(self._items.items()):
                if last < old:
                    del self._items[visitor]

    def _size(self) -> int:
        return sum(size for _, size, _ in self._items.values())
