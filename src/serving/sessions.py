"""The last result of each visitor, for as long as the page is open."""

import threading
import time
from collections import OrderedDict
from typing import Generic, TypeVar

MOST_VISITORS = 64
LONGEST_REST = 1800.0  # seconds without a request, after which a visitor is forgotten

Item = TypeVar("Item")


class Sessions(Generic[Item]):
    """At most `most` visitors; who has not come back for longest is forgotten first."""

    def __init__(self, most: int = MOST_VISITORS, rest: float = LONGEST_REST):
        self.most, self.rest = most, rest
        self._items: OrderedDict[str, tuple[float, Item]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

    def keep(self, visitor: str, item: Item) -> None:
        """The visitor's result from now on."""
        with self._lock:
            self._items.pop(visitor, None)
            self._items[visitor] = time.monotonic(), item
            while len(self._items) > self.most:
                self._items.popitem(last=False)

    def get(self, visitor: str) -> Item | None:
        """The visitor's result, None where there is none any more."""
        with self._lock:
            found = self._items.pop(visitor, None)
            if found is None:
                return None
            self._items[visitor] = time.monotonic(), found[1]
            return found[1]

    def forget(self, visitor: str) -> None:
        """The visitor has gone."""
        with self._lock:
            self._items.pop(visitor, None)

    def sweep(self) -> None:
        """Forget whoever has not come back."""
        with self._lock:
            old = time.monotonic() - self.rest
            for visitor, (last, _) in list(self._items.items()):
                if last < old:
                    del self._items[visitor]
