"""Configuration files as layers of typed values: safe YAML, three documents a file, `_base_` chains.

A layer is flat: {dotted key: value}. Every value remembers where it was written, so that an error can say so.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from src.config_schema import Config
from src.config_schema_fields import coerce, describe, find_key, is_optional, section_of, walk_keys
from src.errors import UserError

BASE = "_base_"


@dataclass(frozen=True)
class Setting:
    """A typed value and where it was written ('file.yaml:12', 'command line')."""

    value: Any
    origin: str


@dataclass
class Layer:
    """What files and command line say: values, help texts and allowed values, all by dotted key."""

    settings: dict[str, Setting] = field(default_factory=dict)
    helps: dict[str, str] = field(default_factory=dict)
    choices: dict[str, Setting] = field(default_factory=dict)

    def put(self, dotted: str, setting: Setting) -> None:
        """Set a value. Null for a whole section drops what was set inside it, a value inside it brings it back."""
        for other in [name for name in self.settings if name.startswith(dotted + ".")]:
            if setting.value is None:
                del self.settings[other]
        parts = dotted.split(".")
        for depth in range(1, len(parts)):
            self.settings.pop(".".join(parts[:depth]), None)
        self.settings[dotted] = setting

    def merge(self, other: "Layer") -> None:
        """Lay `other` over this layer: its values, help texts and choices win."""
        for dotted, setting in other.settings.items():
            self.put(dotted, setting)
        self.helps |= other.helps
        self.choices |= other.choices


def read_layer(path: str | Path, opened: tuple[Path, ...] = ()) -> Layer:
    """The layer of a file on top of its `_base_` files. opened: the files that are being read, to find a cycle."""
    path = Path(path)
    documents = _read_documents(path)
    values, helps, choices = documents + [Mapping()] * (3 - len(documents))
    layer = Layer()
    opened = (*opened, path.resolve())
    for base in _bases(values, path):
        if base.resolve() in opened:
            raise UserError(f"{path}: {BASE} {base} leads back to a file that is being read: a cycle")
        layer.merge(read_layer(base, opened))
    own = Layer(helps={dotted: str(text.value) for dotted, text in _leaves(helps, path)}, choices=_choices(choices, path))
    for dotted, setting in flatten(values, Config, str(path)):
        own.put(dotted, setting)
    layer.merge(own)
    return layer


def flatten(mapping: dict, kind: type, origin: str, prefix: str = "") -> Iterator[tuple[str, Setting]]:
    """(dotted key, setting) for every value in a nested mapping. UserError for an unknown key or a wrong value."""
    lines = getattr(mapping, "lines", {})
    seen: dict[str, str] = {}
    for name, value in mapping.items():
        where = f"{origin}:{lines[name]}" if name in lines else origin
        key_field = find_key(kind, name)
        if key_field is None:
            raise UserError(f"{where}: {unknown_key(prefix + str(name))}")
        dotted = prefix + key_field.name
        if key_field.name in seen:
            raise UserError(f"{where}: {prefix}{name} and {prefix}{seen[key_field.name]} are the same key: write one of them")
        seen[key_field.name] = name
        nested = section_of(key_field)
        if nested is None:
            yield dotted, Setting(typed_value(value, key_field, dotted, where), where)
        elif value is None and is_optional(key_field):
            yield dotted, Setting(None, where)
        elif not isinstance(value, dict):
            raise UserError(f"{where}: {dotted} = {value!r} is not right: must be {describe(key_field)}")
        elif value or not is_optional(key_field):
            yield from flatten(value, nested, origin, dotted + ".")
        else:
            yield dotted, Setting({}, where)


def typed_value(value: Any, key_field, dotted: str, origin: str) -> Any:
    """`value` as the key's type. UserError that names the key, the value and what would be right."""
    try:
        return coerce(value, key_field)
    except ValueError as wanted:
        raise UserError(f"{origin}: {dotted} = {_brief(value)} is not right: must be {wanted}") from None


def unknown_key(dotted: str) -> str:
    """The message for a key that does not exist, with the nearest one that does."""
    known = [name for name, _ in walk_keys(Config)]
    nearest = difflib.get_close_matches(dotted, known, n=1, cutoff=0.0)
    return f"unknown key {dotted}" + (f"; the nearest known key is {nearest[0]}" if nearest else "")


class Mapping(dict):
    """A YAML mapping that remembers the line of each key."""

    def __init__(self, items=(), lines: dict | None = None):
        super().__init__(items)
        self.lines = lines or {}


class _Loader(yaml.SafeLoader):
    """Safe loading; a key that is written twice in one mapping is an error."""


def _construct_mapping(loader: _Loader, node: yaml.MappingNode) -> Mapping:
    lines: dict = {}
    for key_node, _ in node.value:
        name = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
        if name is None:
            raise yaml.constructor.ConstructorError(None, None, "a key must be plain text", key_node.start_mark)
        if name in lines and key_node.tag != "tag:yaml.org,2002:merge":
            problem = f"key {name} is written twice, first in line {lines[name]}"
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        lines[name] = key_node.start_mark.line + 1
    loader.flatten_mapping(node)
    items = [(str(key_node.value), loader.construct_object(value, deep=True)) for key_node, value in node.value]
    return Mapping(items, lines)


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


def parse_yaml_value(text: str, origin: str) -> Any:
    """One YAML value, as it stands on the command line."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise UserError(f"{origin}: '{text}' is not valid YAML: {_one_line(error)}") from None


def _read_documents(path: Path) -> list[Mapping]:
    if path.is_dir():
        raise UserError(f"{path}: is a folder; a configuration is a YAML file")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such configuration file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a YAML text file: {_one_line(error)}") from None
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UserError(f"{where}: not valid YAML: {_one_line(getattr(error, 'problem', None) or error)}") from None
    if not documents or documents[0] is None:
        raise UserError(f"{path}: is empty; it must hold a mapping of keys to values")
    if len(documents) > 3:
        raise UserError(f"{path}: has {len(documents)} documents; at most three: values, help texts, choices")
    for number, document in enumerate(documents, start=1):
        if document is not None and not isinstance(document, Mapping):
            found = type(document).__name__
            raise UserError(f"{path}: document {number} is a {found}; it must be a mapping of keys to values")
    return [Mapping() if document is None else document for document in documents]


def _bases(values: Mapping, path: Path) -> list[Path]:
    """Takes `_base_` out of `values`; one name or a list of names, relative to the file."""
    line = values.lines.get(BASE)
    names = values.pop(BASE, [])
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise UserError(f"{path}:{line}: {BASE} must be a file name or a list of file names")
    return [path.parent / name for name in names]


def _leaves(mapping: Mapping, path: Path, prefix: str = "") -> Iterator[tuple[str, Setting]]:
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, path, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", Setting(value, f"{path}:{mapping.lines.get(name, '')}")


def _choices(mapping: Mapping, path: Path) -> dict[str, Setting]:
    """The third document. It may name keys that do not exist, as the published files do; it then restricts nothing."""
    choices = dict(_leaves(mapping, path))
    for dotted, setting in choices.items():
        if not isinstance(setting.value, list) or not setting.value:
            raise UserError(f"{setting.origin}: the choices of {dotted} must be a list of values")
    return choices


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _one_line(error: Any) -> str:
    return " ".join(str(error).split())
