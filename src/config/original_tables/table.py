"""What the tables of the originals are made of: an entry a key."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Values = Mapping[str, Any]
Change = Callable[[Any], Any]
Together = Callable[[Values], dict[str, Any]]


@dataclass(frozen=True)
class Entry:
    """What becomes of a key. Exactly one of three things:

    to: keys of this project, by their dotted names, that take its value, as `change` makes it; one of `kept` says
        nothing there (a place of the original's authors).
    together: makes keys of this project of this key and others (all of which name it), given by their usual values
        where they are not there.
    Neither: `says` says what stands in its place. Where its value is one of `kept` that is what it asks for.

    usual: the value that the original ships. when: of a key that this project has under the same name, whether a value
    is the original's in a configuration of this project too.
    """

    to: tuple[str, ...] = ()
    change: Change | None = None
    together: Together | None = None
    says: str = ""
    kept: tuple = ()
    usual: Any = None
    when: Change | None = None


@dataclass(frozen=True)
class Original:
    """An original. title: its folder in MindSpore's models; task, detector: what its network is here.

    base: by its values, the ready configuration of this project that its files stand on. words: places that mean on a
    command line what the command makes of them, see `local_words`.
    """

    name: str
    title: str
    task: str
    base: Callable[[Values], str]
    table: Mapping[str, Entry]
    detector: str = ""
    words: tuple[str, ...] = ()


def to(*keys: str, change: Change | None = None, when: Change | None = None, kept: tuple = ()) -> Entry:
    """A key that stands for one or several of this project's."""
    return Entry(to=keys, change=change, when=when, kept=kept)


def together(make: Together, usual: Any = None, when: Change | None = None, kept: tuple = ()) -> Entry:
    """A key that means something along with others."""
    return Entry(together=make, usual=usual, when=when, kept=kept)


def fixed(*kept: Any, says: str) -> Entry:
    """A key that has no place here but whose value, one of `kept`, is what this project does."""
    return Entry(kept=kept, usual=kept[0], says=says)


def never(value: Any) -> bool:
    """`when` of a key that means something else here: it does where this project's own configuration says it."""
    return False


def answer(says: str, when: Change | None = None) -> Entry:
    """A key that nothing here takes; what stands in its place."""
    return Entry(says=says, when=when)
