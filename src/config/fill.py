"""Plain mappings -> instances of the schema's classes, every value checked by what its key says."""

import contextlib
import dataclasses
import difflib
import functools
import math
from collections.abc import Mapping
from typing import Any

from ..errors import UserError, listed, plain, short
from .config import config_type
from .original_tables import ALIASES, WITHOUT_EFFECT, names
from .original_tables.literal import literal
from .schema import Texts, is_mapping, is_optional, key_names, nested_kind, variants_of
from .variants import choose_variant

LONGEST_NAME = 100  # characters of a key for which the nearest one is looked for
LONGEST_TEXT = 4096  # characters of a text, and of a path on every system
LONGEST_PART = 255  # bytes of one name in a path
MOST_CHOICES = 12  # that a message names
WANTED = {
    bool: "0, 1, true or false", bool | str: "0, 1, true, false or a text", int: "a whole number", float: "a number",
    float | str: "a number or a word", str: "a text", Texts: "a text or a list of texts",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Source:
    """Where values come from. name: in messages; without_effect: the keys of this kind that were met.

    called: by dotted name, what a key was called there in an original's words.
    """

    name: str
    without_effect: list[str] = dataclasses.field(default_factory=list)
    called: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def named(self, dotted: str) -> str:
        """A key as messages name it."""
        called = self.called.get(dotted, dotted)
        return dotted if called == dotted else f"{plain(called)} ({dotted})"


def fill(kind: type, values: Any, prefix: str, source: Source) -> Any:
    """An instance of the schema class `kind` from a mapping."""
    if not isinstance(values, dict):
        name = source.named(prefix.rstrip("."))
        raise UserError(f"{source}: {name} must be a mapping of keys, not {short(values)}")
    known = _fields(kind)
    filled = {}
    for name, value in values.items():
        dotted = f"{prefix}{plain(name)}"
        if dotted in WITHOUT_EFFECT:
            source.without_effect.append(dotted)
            continue
        name = ALIASES.get(dotted, name)
        if name not in known:
            raise unknown_key(dotted, source)
        filled[name] = convert(known[name], value, dotted, source)
    return kind(**filled)


@functools.cache
def _fields(kind: type) -> dict[str, dataclasses.Field]:
    return {item.name: item for item in dataclasses.fields(kind)}


def convert(item: dataclasses.Field, value: Any, dotted: str, source: Source) -> Any:
    """The value as the key has it; UserError for one that the key may not have. dotted: the key's name in messages."""
    nested = nested_kind(item.type)
    if nested and value is None and is_optional(item):
        return None
    if nested:
        if variants_of(item) and isinstance(value, dict):
            by = dataclasses.fields(nested)[0]
            name = convert(by, value.get(by.name, by.default), f"{dotted}.{by.name}", source)
            nested, value = choose_variant(item, name, value, dotted, source)
        return fill(nested, value, f"{dotted}.", source)
    dotted = source.named(dotted)
    if is_mapping(item):
        return _convert_mapping(item, value, dotted, source)
    if item.type == Texts and isinstance(value, list | tuple):
        return _convert_texts(item, value, dotted, source)
    member = item.type.__args__[0] if hasattr(item.type, "__origin__") else None
    if member is None:
        value = _convert_leaf(item.type, value, dotted, source)
        _check_range(item, value, dotted, source)
        return value
    if isinstance(value, str):
        value = _written_out(value)
    if not isinstance(value, list | tuple):
        form = "[[a, b], [c, d]]" if hasattr(member, "__origin__") else "[a, b, c]"
        raise UserError(f"{source}: {dotted} must be a list, not {short(value)}; write {form}")
    _check_length(item, value, dotted, source)
    members = [_convert_leaf(member, part, dotted, source) for part in value]
    for part in members:
        _check_range(item, part, dotted, source)
    return members


def _convert_texts(item: dataclasses.Field, values: list, dotted: str, source: Source) -> str | list[str]:
    """Several texts, none of them empty; one alone is itself, none at all an empty text."""
    _check_length(item, values, dotted, source)
    members = [_convert_leaf(str, one, f"{dotted}[{place}]", source) for place, one in enumerate(values)]
    if len(members) < 2:
        members = ["".join(members)]
    elif "" in members:
        raise UserError(f"{source}: {dotted}[{members.index('')}] is empty; of several each must be named")
    for one in members:
        _check_range(item, one, dotted, source)
    return members if len(members) > 1 else members[0]


def _convert_mapping(item: dataclasses.Field, value: Any, dotted: str, source: Source) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise UserError(f"{source}: {dotted} must map names to numbers ({{name: number}}), not {short(value)}")
    found = {}
    for name, number in value.items():
        called = f"{dotted}.{plain(name, LONGEST_NAME)}"
        _check_text(name, called, source, is_path=False)
        found[name] = _convert_leaf(item.type.__args__[1], number, called, source)
        _check_range(item, found[name], called, source)
    return found


def _convert_leaf(kind: type, value: Any, dotted: str, source: Source) -> Any:
    """YAML 1.1 reads `1e-5` as a string and 0/1 as integers; both are meant."""
    if hasattr(kind, "__origin__"):
        if isinstance(value, list | tuple):
            return [_convert_leaf(kind.__args__[0], part, dotted, source) for part in value]
        raise UserError(f"{source}: {dotted} must be a list of lists, not one with {short(value)} in it")
    if kind in (str, Texts) and value is None:
        return ""
    if kind in (bool, bool | str) and isinstance(value, bool | int) and value in (0, 1):
        return bool(value)
    if kind in (float, float | str) and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(_written_out(value))
        except (ValueError, TypeError, OverflowError):  # OverflowError: a whole number of hundreds of digits
            pass
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is kind or (kind in (bool | str, float | str, Texts) and isinstance(value, str)):
        return value
    raise UserError(f"{source}: {dotted} must be {WANTED[kind]}, not {short(value)}")


def _written_out(value: Any) -> Any:
    """What the text of a fraction, a tuple or a list is, as the originals write them: `1/3.0`, `('a', 'b')`."""
    if isinstance(value, str) and ("/" in value or value.lstrip().startswith(("(", "["))):
        with contextlib.suppress(ValueError):
            return literal(value)
    return value


def _check_length(item: dataclasses.Field, values: list, dotted: str, source: Source) -> None:
    least, most = item.metadata["least"], item.metadata["most"]
    if not least <= len(values) <= most:
        wanted = str(least) if least == most else f"at least {least}" if len(values) < least else f"at most {most:,}"
        what = ("name" if str in item.type.__args__ else "number") + ("s" if wanted[-2:] != " 1" else "")
        raise UserError(f"{source}: {dotted} must have {wanted} {what}, not {len(values):,}")


def _check_range(item: dataclasses.Field, value: Any, dotted: str, source: Source) -> None:
    if isinstance(value, list):
        for part in value:
            _check_range(item, part, dotted, source)
        return
    rules = item.metadata
    if rules["choices"] and value not in rules["choices"]:
        allowed = listed(map(short, rules["choices"]), MOST_CHOICES)
        why = f" ({rules['why_only']})" if rules["why_only"] else ""
        raise UserError(f"{source}: {dotted} is {short(value)}; it may be {allowed}{why}")
    if rules["words"] and isinstance(value, str) and value not in rules["words"]:
        raise UserError(f"{source}: {dotted} is {short(value)}; it may be a number or {listed(rules['words'])}")
    if isinstance(value, str):
        _check_text(value, dotted, source, is_path=item.type != list[str])
    if isinstance(value, str | bool):
        return
    too_low = rules["low"] is not None and not value >= rules["low"]
    too_high = rules["high"] is not None and not value <= rules["high"]
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{source}: {dotted} is {value}; it must be a finite number")
    if too_low or too_high:
        low = "" if rules["low"] is None else f"at least {rules['low']}"
        high = "" if rules["high"] is None else f"at most {rules['high']}"
        raise UserError(f"{source}: {dotted} is {short(value)}; it must be {' and '.join(filter(None, (low, high)))}")


def _check_text(value: str, dotted: str, source: Source, is_path: bool) -> None:
    """UserError for a text that can be nothing that a key takes. is_path: it may be one, and must not be too long then.
    """
    if problem := _text_problem(value, is_path):
        raise UserError(f"{source}: {dotted} is {short(value)}; it {problem}")


def _text_problem(value: str, is_path: bool) -> str:
    if "\0" in value:
        return "must not hold a NUL character"
    if len(value) > LONGEST_TEXT:
        return f"has {len(value):,} characters, at most {LONGEST_TEXT:,} are taken"
    try:
        longest = max(len(part.encode("utf-8", "surrogateescape")) for part in value.split("/"))
    except UnicodeEncodeError:
        return "holds half of a character (a surrogate)"
    if is_path and longest > LONGEST_PART:
        return f"holds a name of {longest} bytes, files' names have at most {LONGEST_PART}"
    return ""


def unknown_key(dotted: str, source: Source) -> UserError:
    """What to raise for a key that is not there, with the nearest that is."""
    candidates = [*_known_names(config_type()), *names()]
    nearest = difflib.get_close_matches(dotted, candidates, 1, 0.5) if len(dotted) <= LONGEST_NAME else []
    if not nearest:
        last = [name for name in candidates if name.rsplit(".", 1)[-1] == dotted.rsplit(".", 1)[-1]]
        nearest = last[:1]
    hint = f"; did you mean {nearest[0]}?" if nearest else "; --help lists all keys"
    return UserError(f"{source}: unknown key {plain(dotted, LONGEST_NAME)}{hint}")


@functools.cache
def _known_names(kind: type) -> list[str]:
    """Dotted names of all keys and sections, sorted."""
    names = key_names(kind)
    return sorted({*names, *(name.rsplit(".", depth)[0] for name in names for depth in range(1, name.count(".") + 1))})
