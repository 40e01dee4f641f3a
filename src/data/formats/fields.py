"""Single values of label files, whoever wrote them: each comes out as what it should be, or as None; nothing raises."""

import math

LONGEST_NAME = 1000  # characters
Id = int | float | str  # of an image, a category, an annotation: as the file has it


def number(value: object) -> float | None:
    """A finite number; one that is written as a text ("96") is taken too."""
    if type(value) is float:  # nearly always
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def numbers(values: object, count: int) -> tuple[float, ...] | None:
    """A list of `count` finite numbers."""
    if not isinstance(values, list | tuple) or len(values) != count:
        return None
    if set(map(type, values)) == {float} and math.isfinite(sum(values)):  # nearly always
        return tuple(values)
    found = tuple(map(number, values))
    return None if None in found else found


def text(value: object) -> str | None:
    """A text that is not blank."""
    return value if isinstance(value, str) and value.strip() else None


def name(value: object) -> str | None:
    """A text that is not blank and can be written into any file: no half characters, no NUL, no endless one."""
    is_usable = text(value) is not None and len(value) <= LONGEST_NAME and "\0" not in value
    return value if is_usable and not any("\ud800" <= one <= "\udfff" for one in value) else None


def class_name(value: object) -> str | None:
    """The name of a class; one that is written as a whole number is taken too."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18
    return name(str(value) if is_number else value)


def flag(value: object) -> bool | None:
    """0 and 1, true and false, also as texts; False where nothing stands."""
    if value is None:
        return False
    if type(value) is int and 0 <= value <= 1:  # nearly always
        return value == 1
    found = float(value) if isinstance(value, bool) else number(value)
    return bool(found) if found in (0, 1) else None


def identity(value: object) -> Id | None:
    """What may name an entry: a finite number or a text."""
    if type(value) is int or isinstance(value, str):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and (isinstance(value, int) or math.isfinite(value)) else None
