"""What the configuration's keys are made of: `keys` makes a class of them, `key` and `section` its fields.

Two facts stand at each key, or at its class or section for all keys in it that say nothing themselves:
matters: the furthest that the key reaches. "weights": names or shapes of the parameters; "scores": what given weights
    score; "training": only what a run learns; "never": no result (places, devices, how often something is written).
on_resume: "same" if a resumed run must have the value that it was started with, "free" if it may have another.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import MISSING, Field, dataclass, field, fields
from types import MappingProxyType
from typing import Any

MOST_MEMBERS = 100_000  # of a list
Texts = str | list[str]  # the type of a key that takes one text, or several in a list; a list of one is that one
FACTS = {"matters": ("weights", "scores", "training", "never"), "on_resume": ("same", "free")}


def key(
    default: Any,
    text: str,
    choices: Collection = (),
    low: float | None = None,
    high: float | None = None,
    length: int | None = None,
    least: int = 0,
    most: int = MOST_MEMBERS,
    why_only: str = "",
    words: Collection[str] = (),
    matters: str = "",
    on_resume: str = "",
):
    """A leaf key. `low` and `high` bound numbers (members too), `length` fixes a list's length, `least` and `most`
    bound it; `choices` are looked up whenever a value is checked, `why_only` explains why they are a single one;
    `words` are what a number may be instead.
    """
    least, most = (least, most) if length is None else (length, length)
    limits = {"choices": choices, "low": low, "high": high, "least": least, "most": most, "why_only": why_only}
    limits["words"] = words
    metadata = {"help": text} | limits | _facts(matters, on_resume)
    if isinstance(default, list | dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def section(
    kind: type, optional: bool = False, variants: dict[str, type] | None = None, matters: str = "", on_resume: str = ""
):
    """A nested mapping of keys. optional: it may be left out (YAML's null), and is by default.

    variants: a class for each value of its key `type`, which `kind` has first; each has the keys of `kind` and its own.
    """
    metadata = _facts(matters, on_resume) | ({} if variants is None else {"variants": variants})
    if optional:
        return field(default=None, metadata=metadata)
    return field(default_factory=lambda: _default_kind(kind, variants)(), metadata=metadata)


def keys(matters: str = "", on_resume: str = "") -> Callable[[type], type]:
    """Class decorator: a frozen dataclass of keys and sections."""

    def make(kind: type) -> type:
        for item in vars(kind).values():
            if isinstance(item, Field):
                item.metadata = MappingProxyType(_facts(matters, on_resume) | dict(item.metadata))
        # `dataclass` would work out a signature where there is no text, and compile an equality and a repr of its own
        # for each class; --help would wait for it.
        kind.__doc__ = kind.__doc__ or kind.__name__
        kind.__eq__, kind.__hash__, kind.__repr__ = _are_equal, None, _shown
        return dataclass(frozen=True, eq=False, repr=False)(kind)

    return make


def _are_equal(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return NotImplemented
    return all(getattr(one, item.name) == getattr(other, item.name) for item in fields(one))


def _shown(part: Any) -> str:
    return f"{type(part).__name__}({', '.join(f'{item.name}={getattr(part, item.name)!r}' for item in fields(part))})"


@dataclass(frozen=True)
class Leaf:
    """A key at its place. name: with dots; value: in the configuration that was walked through."""

    name: str
    item: Field
    value: Any
    matters: str
    on_resume: str

    @property
    def default(self) -> Any:
        return False if nested_kind(self.item.type) else default_of(self.item)


def leaves(part: Any) -> Iterator[Leaf]:
    """Every key of a configuration, or of a schema class with its defaults, in the order of the classes.

    An optional section is a leaf too, whose value is whether it is there; its own keys follow where it is. Of a class
    there are the keys of all optional sections and of all variants. ValueError for a key without its two facts.
    """
    yield from _walk(fields(part), None if isinstance(part, type) else part, "", {})


def _walk(items: Iterable[Field], part: Any, prefix: str, above: dict[str, str]) -> Iterator[Leaf]:
    """part: what has these fields; None for their defaults."""
    for item in items:
        name, facts = prefix + item.name, above | {fact: item.metadata[fact] for fact in FACTS if fact in item.metadata}
        value = default_of(item) if part is None else getattr(part, item.name)
        nested = nested_kind(item.type)
        if not nested or is_optional(item):
            if unset := [fact for fact in FACTS if fact not in facts]:
                raise ValueError(f"{name}: {' and '.join(unset)} must be said at the key, its class or its section")
            yield Leaf(name, item, value is not None if nested else value, **facts)
        if nested and part is None:
            yield from _walk(section_fields(item), None, f"{name}.", facts)
        elif nested and value is not None:
            yield from _walk(fields(value), value, f"{name}.", facts)


def section_fields(item: Field) -> list[Field]:
    """The fields of a section: of all variants, if it has some, each name once: `type`, the variants' own, the rest."""
    first, *rest = fields(nested_kind(item.type))
    variants = variants_of(item)
    shared = {one.name for one in (first, *rest)}
    own = {one.name: one for kind in variants.values() for one in fields(kind) if one.name not in shared}
    return [first, *own.values(), *rest]


def variants_of(item: Field) -> dict[str, type]:
    """A section's classes by its `type`; empty for one that has no variants."""
    return item.metadata.get("variants", {})


def keys_of_others(variants: dict[str, type], name: str) -> dict[str, list[str]]:
    """Every key that variant `name` does not have, with the names of those that do."""
    own = {item.name for item in fields(variants[name])}
    others: dict[str, list[str]] = {}
    for other, kind in variants.items():
        for item in fields(kind):
            if item.name not in own:
                others.setdefault(item.name, []).append(other)
    return others


def key_names(kind: type) -> list[str]:
    """Dotted names of all leaf keys of a schema class."""
    return [leaf.name for leaf in leaves(kind) if not nested_kind(leaf.item.type)]


def nested_kind(annotation: Any) -> type | None:
    """The schema class that an annotation names (also inside `X | None`), or None for a leaf."""
    options = getattr(annotation, "__args__", ()) if not hasattr(annotation, "__origin__") else ()
    for option in (annotation, *options):
        if hasattr(option, "__dataclass_fields__"):
            return option
    return None


def is_mapping(item: Field) -> bool:
    """Whether a leaf's value maps names that are no keys to numbers."""
    return getattr(item.type, "__origin__", None) is dict


def is_optional(item: Field) -> bool:
    """Whether a section may be left out."""
    return item.default is None


def default_of(item: Field) -> Any:
    """The default of a key or section."""
    return item.default if item.default is not MISSING else item.default_factory()


def _default_kind(kind: type, variants: dict[str, type] | None) -> type:
    return kind if variants is None else variants[fields(kind)[0].default]


def _facts(matters: str, on_resume: str) -> dict[str, str]:
    given = {name: value for name, value in (("matters", matters), ("on_resume", on_resume)) if value}
    for name, value in given.items():
        if value not in FACTS[name]:
            raise ValueError(f"{name} is {value!r}; it may be {', '.join(FACTS[name])}")
    return given
