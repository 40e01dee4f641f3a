"""A reader of pickles that does no more work, and takes no more memory, than the file is long.

A pickle of a few hundred bytes can hold a tuple that is nested in itself sixty times: whoever hashes, compares or
prints it never comes back. It can name lengths of terabytes, places in a table of billions, keys that all have one
hash. So this builds on Python's own reader in Python (the one in C fills tables as large as a number in the file) and
bounds what is made: steps, tuples in tuples, and what may be the key of a dict.
"""

import pickle
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

MOST_STEPS = 4_000_000  # of one pickle; a training state of a large network has about a hundred thousand
MOST_DEPTH = 64  # tuples in tuples
MOST_ITEMS = 100_000  # of a tuple of tuples, everything counted as often as it occurs
MOST_KEY_ITEMS = 64  # of a tuple that is a key
MOST_TUPLE_KEYS = 10_000
LARGEST_KEY = 2**60  # whole numbers beyond may share their hash with many others
MOST_CLASSES = 10_000  # whose objects are stood in for


class Refused(Exception):
    """The pickle asks for something that is not given; the message is one line without the file's name."""


class BoundedFile:
    """The rest of a file, of which no more is asked than there is."""

    def __init__(self, file: BinaryIO, size: int):
        self._file, self._left = file, size

    def read(self, count: int = -1) -> bytes:
        if count < 0 or count > self._left:
            raise Refused("it is cut off")
        data = self._file.read(count)
        if len(data) != count:
            raise Refused("it is cut off")
        self._left -= count
        return data

    def readline(self) -> bytes:
        line = self._file.readline(self._left)
        self._left -= len(line)
        return line


class BoundedUnpickler(pickle._Unpickler):
    """Reads one pickle from `file`, whose end is `size` bytes away. `Refused` for what is beyond all measure."""

    def __init__(self, file: BinaryIO, size: int, **settings: Any):
        super().__init__(BoundedFile(file, size), **settings)
        self.dispatch = COUNTED if size > MOST_STEPS else PLAIN  # a step takes a byte at least
        self._steps, self._tuple_keys = MOST_STEPS, MOST_TUPLE_KEYS
        self._measures: dict[int, tuple[tuple, int, int]] = {}  # of a tuple by its id: it, its items, its depth

    def load(self) -> Any:
        try:
            return super().load()
        except (struct.error, IndexError) as error:  # lengths that are cut off, a stack that is empty
            raise Refused(f"it is cut off or damaged ({error})") from None

    def _step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise Refused(f"its pickle has more than {MOST_STEPS:,} steps")

    def _tuple(self, items: list) -> tuple:
        """The items as a tuple that is measured. Only tuples are: lists and dicts are no keys."""
        count, depth = len(items), 1
        for item in items:
            if type(item) is tuple and item:
                _, inner, below = self._measures[id(item)]
                count, depth = count + inner, max(depth, below + 1)
        if depth > MOST_DEPTH or (depth > 1 and count > MOST_ITEMS):
            raise Refused(f"its pickle nests tuples in tuples: {depth} deep, {count:,} items")
        made = tuple(items)
        self._measures[id(made)] = made, count, depth  # the tuple is kept, so that its id stays its own
        return made

    def _key(self, key: Any) -> Any:
        """A key of a dict, or a member of a set, that takes no time to look up."""
        if isinstance(key, str | bytes | float | type) or key is None:
            return key
        if type(key) is int or type(key) is bool:
            if abs(key) < LARGEST_KEY:
                return key
        elif type(key) is tuple:
            self._tuple_keys -= 1
            small = not key or self._measures[id(key)][1] <= MOST_KEY_ITEMS
            if self._tuple_keys >= 0 and small and all(self._key(item) is item for item in key):
                return key
        elif type(key).__hash__ is object.__hash__:
            return key
        raise Refused(f"its pickle has a key of type {type(key).__name__}, which no weights need")

    # ------------------------------------------------------------------------------------ what Python's reader does

    def load_empty_tuple(self) -> None:
        self.append(())

    def load_tuple(self) -> None:
        items = self.pop_mark()
        self.append(self._tuple(items))

    def _load_short_tuple(self, count: int) -> None:
        items = self.stack[-count:]
        if len(items) < count:
            raise Refused("its pickle has no such tuple")
        self.stack[-count:] = [self._tuple(items)]

    def load_tuple1(self) -> None:
        self._load_short_tuple(1)

    def load_tuple2(self) -> None:
        self._load_short_tuple(2)

    def load_tuple3(self) -> None:
        self._load_short_tuple(3)

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.append({self._key(items[i]): items[i + 1] for i in range(0, len(items), 2)})

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items(self.stack[-1], [key, value])

    def load_setitems(self) -> None:
        items = self.pop_mark()
        self._set_items(self.stack[-1], items)

    def _set_items(self, target: Any, items: list) -> None:
        for i in range(0, len(items), 2):
            key = self._key(items[i]) if isinstance(target, dict) else items[i]
            target[key] = items[i + 1]

    def load_additems(self) -> None:
        items = self.pop_mark()
        target = self.stack[-1]
        for item in items:
            target.add(self._key(item) if isinstance(target, set) else item)

    def load_frozenset(self) -> None:
        items = self.pop_mark()
        self.append(frozenset(self._key(item) for item in items))

    def load_long4(self) -> None:
        (count,) = struct.unpack("<i", self.read(4))
        self.append(pickle.decode_long(self.read(max(count, 0))))

    def load_bytearray8(self) -> None:
        (count,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(count)))


def _in_steps(handler: Callable) -> Callable:
    def handle(unpickler: BoundedUnpickler) -> None:
        unpickler._step()
        handler(unpickler)

    return handle


_OWN = {name: handler for name, handler in vars(BoundedUnpickler).items() if name.startswith("load_")}
PLAIN = {code: _OWN.get(handler.__name__, handler) for code, handler in pickle._Unpickler.dispatch.items()}
COUNTED = {code: _in_steps(handler) for code, handler in PLAIN.items()}
