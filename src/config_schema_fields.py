"""What a configuration key is: a dataclass field with help text and limits, how it is found, read and described."""

import copy
import dataclasses
import math
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin


@dataclass(frozen=True)
class Limits:
    """What a value may be. Numbers in a list are each held to `low`, `high`, `above`; `length` counts a list's items.

    local: the key says where or how a run happens, not what it computes, so two runs that differ in it are the same
    experiment. aliases: other names under which files may write the key.
    """

    help: str
    choices: tuple = ()
    low: float | None = None
    high: float | None = None
    above: float | None = None
    length: int | None = None
    filled: bool = False
    local: bool = False
    aliases: tuple[str, ...] = ()


def key(default: Any, help_text: str, **limits) -> Any:
    """A configuration key with its default; `limits` are the fields of `Limits`."""
    metadata = {"limits": Limits(help_text, **limits)}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def section(kind: type, **defaults) -> Any:
    """A nested mapping of keys; `defaults` replace the defaults of `kind` at this place."""
    return dataclasses.field(default_factory=lambda: copy.deepcopy(kind(**defaults)), metadata={"limits": Limits("")})


def limits_of(field: dataclasses.Field) -> Limits:
    """The limits and help text of one key."""
    return field.metadata["limits"]


def section_of(field: dataclasses.Field) -> type | None:
    """The dataclass behind a nested key, also where the key may be null; None for a plain value."""
    for kind in _alternatives(field.type):
        if dataclasses.is_dataclass(kind):
            return kind
    return None


def is_optional(field: dataclasses.Field) -> bool:
    """Whether the key may be null."""
    return types.NoneType in _alternatives(field.type)


def find_key(kind: type, name: str) -> dataclasses.Field | None:
    """The key called `name`, or one with that alias, directly inside the section `kind`."""
    for field in dataclasses.fields(kind):
        if name == field.name or name in limits_of(field).aliases:
            return field
    return None


def walk_keys(kind: type, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field]]:
    """(dotted key, field) of everything under the section `kind`, nested sections included, in the order written."""
    for field in dataclasses.fields(kind):
        dotted = prefix + field.name
        yield dotted, field
        nested = section_of(field)
        if nested is not None:
            yield from walk_keys(nested, dotted + ".")


def coerce(value: Any, field: dataclasses.Field) -> Any:
    """`value` as the key's type, within its limits. ValueError, saying what would be right, where it does not fit."""
    limits, kind = limits_of(field), field.type
    wanted = describe(field)
    if get_origin(kind) is list:
        if not isinstance(value, list):
            raise ValueError(wanted)
        if limits.length not in (None, len(value)) or (limits.filled and not value):
            raise ValueError(f"{wanted}, not {len(value)}")
        return [_coerce_scalar(item, get_args(kind)[0], limits, wanted) for item in value]
    return _coerce_scalar(value, kind, limits, wanted)


def describe(field: dataclasses.Field) -> str:
    """What a value of this key looks like, in words: 'a whole number >= 1', 'one of CPU, GPU, Ascend'."""
    limits, kind = limits_of(field), field.type
    if section_of(field) is not None:
        return "a mapping of keys" + (" or null" if is_optional(field) else "")
    if limits.choices:
        return "one of " + ", ".join(_show(choice) for choice in limits.choices)
    if get_origin(kind) is list:
        size = f"{limits.length} " if limits.length else ("at least 1 of " if limits.filled else "")
        return f"a list of {size}{PLURALS[get_args(kind)[0]]}{_range_text(limits)}"
    return SINGULARS[kind] + _range_text(limits)


SINGULARS = {bool: "true or false (1 or 0)", int: "a whole number", float: "a number", str: "text"}
PLURALS = {int: "whole numbers", float: "numbers", str: "texts"}


def _alternatives(kind: Any) -> Sequence[Any]:
    return get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _show(choice: Any) -> str:
    return "''" if choice == "" else str(choice)


def _range_text(limits: Limits) -> str:
    if limits.low is not None and limits.high is not None:
        return f" from {limits.low:g} to {limits.high:g}"
    parts = []
    if limits.low is not None:
        parts.append(f">= {limits.low:g}")
    if limits.above is not None:
        parts.append(f"> {limits.above:g}")
    if limits.high is not None:
        parts.append(f"<= {limits.high:g}")
    return " " + " and ".join(parts) if parts else ""


def _coerce_scalar(value: Any, kind: type, limits: Limits, wanted: str) -> Any:
    result = CASTS[kind](value, wanted)
    if limits.choices and result not in limits.choices:
        raise ValueError(wanted)
    if kind in (int, float):
        too_low = (limits.low is not None and result < limits.low) or (limits.above is not None and result <= limits.above)
        if too_low or (limits.high is not None and result > limits.high):
            raise ValueError(wanted)
    return result


def _as_bool(value: Any, wanted: str) -> bool:
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise ValueError(wanted)


def _as_int(value: Any, wanted: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(wanted)


def _as_float(value: Any, wanted: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(wanted)
    try:
        number = float(value)  # YAML 1.1 reads 1e-5, which has no dot, as text
    except (ValueError, OverflowError):
        raise ValueError(wanted) from None
    if not math.isfinite(number):
        raise ValueError(f"{wanted}, and finite")
    return number


def _as_text(value: Any, wanted: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    raise ValueError(f"{wanted}; put it in quotes")


CASTS = {bool: _as_bool, int: _as_int, float: _as_float, str: _as_text}
