"""A configuration file for people: each value with the reason for it above."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

WIDTH = 116  # characters of a line of comment


def commented_yaml(head: Sequence[str], values: Mapping[str, tuple[Any, str]]) -> str:
    """The text of a file. head: what stands above all; values: by dotted name, value and reason, in this order."""
    tree: dict[str, Any] = {}
    for dotted, found in values.items():
        *sections, name = dotted.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = found
    return "\n".join([*(line for text in head for line in _comment(text, "")), *_lines(tree, "")]) + "\n"


def _lines(tree: Mapping[str, Any], indent: str):
    for name, found in tree.items():
        if not indent:
            yield ""
        if isinstance(found, dict):
            yield f"{indent}{name}:"
            yield from _lines(found, f"{indent}  ")
            continue
        value, reason, *_ = found
        yield from _comment(reason, indent)
        yield from (f"{indent}{line}" for line in _yaml({name: value}).splitlines())


def _comment(text: str, indent: str) -> list[str]:
    """A name in a reason may be long, or hold a line break."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return [f"{indent}# {line}" for line in textwrap.wrap(shown, WIDTH - len(indent), break_on_hyphens=False)]


def _yaml(value: Mapping[str, Any]) -> str:
    """One key and its value, lists on one line where there is room."""
    text = yaml.safe_dump(dict(value), default_flow_style=True, allow_unicode=True, width=WIDTH - 8, sort_keys=False)
    return text.strip()[1:-1]
