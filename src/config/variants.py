"""Sections whose keys follow from their `type`: the backbone.

A key of another backbone is an error where it was typed beside this type; one that a `_base_` file left there, or a
run folder of before, is dropped.
"""

from collections.abc import Iterable, Mapping
from dataclasses import Field, fields

from ..errors import UserError, short
from .config import config_type
from .schema import keys_of_others, nested_kind, variants_of

# Run folders of before have the keys of all backbones in their config.yaml, whatever its backbone.type.
WRITTEN_BEFORE = {"arch", "scaling", "depth", "base_channels", "style", "extra"}


def choose_variant(item: Field, name: str, values: dict, dotted: str, source: object) -> tuple[type, dict]:
    """The class that belongs to `type` `name`, and the values without the keys of other types.

    UserError for an unknown type. dotted: the section's name in messages; source: where the values come from.
    """
    variants = variants_of(item)
    _require_known(item, name, dotted, source)
    others = keys_of_others(variants, name)
    return variants[name], {key: value for key, value in values.items() if key not in others}


def refuse_keys_of_others(values: dict, source: object) -> None:
    """UserError for keys of another type than the one that stands beside them. values: typed in one place, `source`."""
    for item in fields(config_type()):
        variants, given = variants_of(item), values.get(item.name)
        if variants and isinstance(given, dict) and not set(given) >= WRITTEN_BEFORE:
            name = given.get("type")
            if isinstance(name, str) and name in variants:
                refuse_key_of_other(item, name, given, source)


def refuse_key_of_other(item: Field, name: str, typed: Iterable[str], source: object) -> None:
    """UserError if only other types of the section than `name` have one of the keys `typed`."""
    others = keys_of_others(variants_of(item), name)
    for key in typed:
        if key in others:
            owners = " or ".join(others[key])
            raise UserError(f"{source}: {item.name}.{key} is a key of {item.name}.type {owners}, not of {name}")


def refuse_translated(values: dict, called: Mapping[str, str], source: object) -> None:
    """UserError for an original's key that stands for one of another type than the section in `values` has.

    called: by dotted name of this project's keys, what they were called in `source`.
    """
    for item in fields(config_type()):
        given = values.get(item.name)
        if variants_of(item) and isinstance(given, dict):
            first = fields(nested_kind(item.type))[0]
            name = given.get(first.name, first.default)
            for dotted, key in called.items():
                section, _, rest = dotted.partition(".")
                if section == item.name and isinstance(name, str) and name in variants_of(item):
                    refuse_key_of_other(item, name, [rest.partition(".")[0]], f"{source}: {short(key)}")


def take_types(values: dict, pairs: list[tuple[str, str]], source: object) -> tuple[dict, list[tuple[str, str]]]:
    """A file's values with the types that the command line `source` names, (dotted key, text) each, and its other
    pairs. UserError for an unknown type.
    """
    for item in fields(config_type()):
        if not variants_of(item):
            continue
        section = item.name
        types = [text for dotted, text in pairs if dotted == f"{section}.type"]
        given = values.get(section, {})
        for name in types:
            _require_known(item, name, section, source)
        if types and isinstance(given, dict):
            values = values | {section: given | {"type": types[-1]}}
            pairs = [pair for pair in pairs if pair[0] != f"{section}.type"]
    return values, pairs


def _require_known(item: Field, name: str, dotted: str, source: object) -> None:
    if name not in variants_of(item):
        known = ", ".join(sorted(variants_of(item)))
        raise UserError(f"{source}: {dotted}.type: {short(name)} is not known; choose one of {known}")
