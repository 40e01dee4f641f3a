"""The one way a command says that its input is wrong, and how values look in such a line."""

import reprlib
from collections.abc import Iterable

LONGEST = 600  # characters of a line: paths have up to 4096
VALUE, LISTED = 60, 5  # characters of a value, names of a list
MOST_BITS = 200  # of a whole number that is written out


class UserError(Exception):
    """Wrong input from the user: one line that names the file, the key or the shape, and what would be right.

    Control characters, which file names may have, are escaped; of a very long text the middle is left out.
    """

    def __init__(self, message: object = ""):
        super().__init__(one_line(str(message)))


def short(value: object, most: int = VALUE) -> str:
    """A value as messages show it: Python's notation on one line, of at most `most` characters."""
    if isinstance(value, str):
        value = str(value[: most + 1])  # the notation of all of it may be long
    return _cut(_Shortened(most).repr(value), most)


def listed(names: Iterable[object], shown: int = LISTED) -> str:
    """'a, b, c and 12 more': the first names of a list, each shortened, and how many there are besides."""
    names = list(names)
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(plain(name) for name in names[:shown]) + more


def plain(value: object, most: int = VALUE) -> str:
    """A name as messages show it, without quotation marks: on one line, of at most `most` characters."""
    return _cut(one_line(value), most) if isinstance(value, str) else short(value, most)


def is_text(name: str) -> bool:
    """Whether a name has no bytes that are no text in UTF-8, as those of files may have."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def counted(number: int, what: str) -> str:
    """'1 image', '2 images'."""
    return f"{number} {what}{'s' * (number != 1)}"


def one_line(text: str) -> str:
    """A text on one line: control characters escaped, the middle left out where it is very long."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 3 :]}"
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


class _Shortened(reprlib.Repr):
    """The first members of what has members, and nothing that takes long to write out."""

    def __init__(self, most: int):
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, most, most
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdict = LISTED

    def repr_int(self, value: int, level: int) -> str:
        digits = int(value.bit_length() * 0.30103) + 1
        return repr(value) if value.bit_length() <= MOST_BITS else f"a number of about {digits} digits"

    def repr_instance(self, value: object, level: int) -> str:
        return _cut(str(value), self.maxother)
