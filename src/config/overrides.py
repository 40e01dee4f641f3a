"""`--key value` of a command line -> changed keys of a configuration."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import UserError, plain, short
from ..reading import is_there
from .bounded_yaml import read_value
from .config import Config
from .fill import Source, convert, unknown_key
from .original_tables import ALIASES, WITHOUT_EFFECT
from .original_tables.literal import literal
from .schema import Texts, is_mapping, nested_kind, variants_of
from .variants import refuse_key_of_other, refuse_keys_of_others

FLAGS = {"sink_mode"}  # options of the originals that have no value
SEVERAL = {"pred_input"}  # take all words up to the next option (a shell's `images/*.jpg`)


def parse_overrides(arguments: Sequence[str]) -> list[tuple[str, str | list[str]]]:
    """["--a", "1", "--b.c=2"] -> [("a", "1"), ("b.c", "2")]; UserError for anything else.

    A key of `SEVERAL` may have more than one word: then it has the list of them.
    """
    pairs, rest = [], list(arguments)[::-1]  # taken from the end: there may be thousands
    while rest:
        argument = rest.pop()
        if not argument.startswith("--") or argument == "--":
            raise UserError(f"unexpected argument {short(argument)}: write --key value")
        name, equals, text = argument[2:].partition("=")
        if not equals and not (name in FLAGS and (not rest or rest[-1].startswith("--"))):
            if not rest:
                raise UserError(f"--{plain(name)} needs a value")
            text = rest.pop()
        words = [text]
        while name in SEVERAL and not equals and rest and not rest[-1].startswith("--"):
            words.append(rest.pop())
        pairs.append((name, words if len(words) > 1 else text))
    return pairs


def as_overrides(keys: Mapping[str, Any]) -> list[str]:
    """{"a": 1, "b": {"c": [2, 3]}} -> ["--a=1", "--b.c=[2, 3]"]: what a program gives as a command line has it.

    UserError for a value that no key can have.
    """
    return [f"--{name}={_text_of(value, name)}" for name, value in _flat(keys, "")]


def _flat(keys: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in keys.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _text_of(value: Any, name: str) -> str:
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # of numpy
        value = value.tolist()
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        raise UserError(f"{plain(name)} is {short(value)}; a key is a number, a text, a list or a mapping") from None


def override(cfg: Config, dotted: str, text: str | list[str], source: Source) -> Config:
    """The configuration with one key set from its text, or texts, on the command line, typed by the schema."""
    if dotted in WITHOUT_EFFECT:
        source.without_effect.append(dotted)
        return cfg
    return _replaced(cfg, dotted.split("."), dotted, text, source)


def _replaced(part: Any, names: Sequence[str], dotted: str, text: str | list[str], source: Source) -> Any:
    """`part`, a configuration or a section of it, with another value of the key that `names` leads to."""
    name, *rest = names
    name = name if rest else ALIASES.get(dotted, name)
    item = {item.name: item for item in dataclasses.fields(part)}.get(name)
    nested = nested_kind(item.type) if item else None
    if item is None or (rest and not nested and not is_mapping(item)):
        raise unknown_key(dotted, source)
    if rest and is_mapping(item):
        value = getattr(part, name) | {".".join(rest): _parse_value(item, dotted, text, source)}
        value = convert(item, value, name, source)
    elif rest:
        inner = getattr(part, name)
        if variants_of(item):
            refuse_key_of_other(item, inner.type, rest[:1], source)
        value = _replaced(nested() if inner is None else inner, rest, dotted, text, source)
    else:
        value = _parse_value(item, dotted, text, source)
        refuse_keys_of_others({dotted: value}, source)
        value = convert(item, value, dotted, source)
    return dataclasses.replace(part, **{name: value})


def _parse_value(item: dataclasses.Field, dotted: str, text: str | list[str], source: Source) -> Any:
    """A list may be given as numbers with commas, and one of one number as that number."""
    if item.type is str or isinstance(text, list):
        return text
    if item.type == Texts:  # which may hold commas: a list has brackets, and a file may have that name
        if dotted in SEVERAL and is_there(text):
            return text
        with contextlib.suppress(UserError, ValueError):
            value = read_value(text) if text.lstrip().startswith("[") else text
            return value if isinstance(value, list) else text
        return text
    if item.type == bool | str:  # a path may look like a date
        with contextlib.suppress(UserError, ValueError):
            value = read_value(text)
            return value if isinstance(value, bool | int) and value in (0, 1) else text
        return text
    if item.type == float | str:
        with contextlib.suppress(UserError, ValueError):
            value = read_value(text)
            return value if isinstance(value, bool | int | float) else text
        return text
    is_list = getattr(item.type, "__origin__", None) is list
    try:
        if is_list and text.lstrip().startswith("("):
            return literal(text)
        if is_list and "," in text and "[" not in text:
            return [read_value(part) for part in text.split(",")]
        value = read_value(text)
        is_one = is_list and item.type.__args__[0] in (int, float) and type(value) in (int, float, str)
        return [value] if is_one and ":" not in text else value  # 1:9 is 69 in YAML
    except (UserError, ValueError):
        form = " list; write [a, b, c]" if is_list else " value"
        raise UserError(f"{source}: --{source.named(dotted)} {short(text)} cannot be read as a{form}") from None
