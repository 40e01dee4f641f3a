"""A run's configuration: YAML files, `_base_`, command-line overrides, all checked against `config_schema`.

    cfg = load_config("configs/demo/x.yaml", ["--lr", "0.01", "--train_cfg.rcnn.sampler.num=256"])
    cfg.train_cfg.rcnn.sampler.num  # 256
"""

import dataclasses
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from src.config_schema import Config
from src.config_schema_fields import coerce, describe, find_key, limits_of, section_of, walk_keys
from src.config_schema_files import Layer, Setting, flatten, parse_yaml_value, read_layer, typed_value, unknown_key
from src.config_schema_rules import broken_rules
from src.errors import UserError

__all__ = ["Config", "config_hash", "load_config", "parse_cli", "save_config"]

COMMAND_LINE = "command line"
HASH_DIGITS = 12


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration in the file `path` with overrides such as ["--lr", "0.1", "--rpn.loss_bbox.beta=0.5"].

    UserError in one line for a file that cannot be read, an unknown key, or a value that is not right.
    """
    return _build(_read(path, _split_arguments(overrides)), str(path))


def parse_cli(description: str | None, argv: Sequence[str] | None = None, required: Sequence[str] = ()) -> Config:
    """The configuration that a command's arguments ask for: `--config_path C [--key value ...]`.

    argv: the arguments, by default those of this process. required: keys that must not be empty.
    `--help` prints every key and leaves; the help texts of the file given by --config_path win.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    wants_help = any(argument in ("--help", "-h") for argument in arguments)
    pairs = _split_arguments([argument for argument in arguments if argument not in ("--help", "-h")])
    paths = [value for name, value in pairs if name == "config_path"]
    pairs = [pair for pair in pairs if pair[0] != "config_path"]
    if wants_help:
        print(_help_text(description, paths[-1] if paths else None, pairs, required))
        sys.exit(0)
    if not paths:
        raise UserError("--config_path FILE.yaml is needed; --help lists all keys")
    cfg = _build(_read(paths[-1], pairs), paths[-1])
    for dotted in required:
        if _get(cfg, dotted) in ("", None):
            raise UserError(f"--{dotted} is needed: {limits_of(_find(dotted, COMMAND_LINE)[1]).help}")
    return cfg


def save_config(cfg: Config, path: str | Path) -> None:
    """Write `cfg` as a YAML file that `load_config` reads back to an equal configuration."""
    text = yaml.safe_dump(dataclasses.asdict(cfg), sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: the configuration cannot be written: {error.strerror or error}") from None


def config_hash(cfg: Config) -> str:
    """12 hexadecimal digits that two configurations share when they describe the same experiment.

    Keys that say where or how it runs (paths, device, log and checkpoint intervals, resume) do not count.
    """
    values = {}
    for dotted, field in walk_keys(Config):
        if not limits_of(field).local and (section_of(field) is None or _get(cfg, dotted) is None):
            values[dotted] = _get(cfg, dotted)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:HASH_DIGITS]


def _split_arguments(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """(key, text) from `--key value` and `--key=value`; the text may be negative, such as -1."""
    pairs = []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("--") or argument == "--":
            raise UserError(f"{COMMAND_LINE}: '{argument}' is not expected here; write --key value")
        name, has_value, text = argument[2:].partition("=")
        if not has_value:
            text = next(rest, None)
            if text is None or text.startswith("--"):
                raise UserError(f"{COMMAND_LINE}: --{name} needs a value")
        pairs.append((name, text))
    return pairs


def _read(path: str | Path, pairs: Sequence[tuple[str, str]]) -> Layer:
    layer = read_layer(path)
    for name, text in pairs:
        for dotted, setting in _override(name, text):
            layer.put(dotted, setting)
    return layer


def _override(name: str, text: str) -> list[tuple[str, Setting]]:
    dotted, field = _find(name, COMMAND_LINE)
    nested = section_of(field)
    if nested is None and field.type is str:
        return [(dotted, Setting(typed_value(text, field, dotted, COMMAND_LINE), COMMAND_LINE))]
    value = parse_yaml_value(text, f"{COMMAND_LINE}: {dotted}")
    if nested is None:
        return [(dotted, Setting(typed_value(value, field, dotted, COMMAND_LINE), COMMAND_LINE))]
    prefix, _, last = dotted.rpartition(".")
    owner = section_of(_find(prefix, COMMAND_LINE)[1]) if prefix else Config
    return list(flatten({last: value}, owner, COMMAND_LINE, prefix + "." if prefix else ""))


def _find(name: str, origin: str) -> tuple[str, dataclasses.Field]:
    """(dotted key with aliases resolved, its field)."""
    kind: type | None = Config
    resolved = []
    for part in name.split("."):
        field = find_key(kind, part) if kind else None
        if field is None:
            raise UserError(f"{origin}: {unknown_key(name)}")
        resolved.append(field.name)
        kind = section_of(field)
    return ".".join(resolved), field


def _build(layer: Layer, path: str) -> Config:
    """The defaults with the layer's values; everything that ties keys together is checked here."""
    cfg = Config()
    for dotted, setting in layer.settings.items():
        _set(cfg, dotted, setting.value)
    _check_choices(cfg, layer)
    for dotted, message in broken_rules(cfg):
        origin = layer.settings[dotted].origin if dotted in layer.settings else path
        raise UserError(f"{origin}: {dotted} = {message}")
    return cfg


def _check_choices(cfg: Config, layer: Layer) -> None:
    fields = dict(walk_keys(Config))
    for dotted, choices in layer.choices.items():
        if dotted not in fields or section_of(fields[dotted]) is not None:
            continue
        allowed = [_allowed_value(choice, fields[dotted], dotted, choices.origin) for choice in choices.value]
        value = _get(cfg, dotted)
        if value not in allowed:
            origin = layer.settings[dotted].origin if dotted in layer.settings else "default"
            names = ", ".join(map(str, allowed))
            raise UserError(f"{origin}: {dotted} = {value!r} is not right: must be one of {names} ({choices.origin})")


def _allowed_value(choice: Any, field: dataclasses.Field, dotted: str, origin: str) -> Any:
    try:
        return coerce(choice, field)
    except ValueError as wanted:
        raise UserError(f"{origin}: {choice!r} among the choices of {dotted} is not right: must be {wanted}") from None


def _get(cfg: Config, dotted: str) -> Any:
    """The value behind a dotted key; None below a section that is null."""
    value: Any = cfg
    for part in dotted.split("."):
        value = getattr(value, part, None)
    return value


def _set(cfg: Config, dotted: str, value: Any) -> None:
    *sections, last = dotted.split(".")
    owner: Any = cfg
    for part in sections:
        if getattr(owner, part) is None:
            setattr(owner, part, section_of(find_key(type(owner), part))())
        owner = getattr(owner, part)
    if value == {}:  # a section that may be null, switched on with its defaults
        value = section_of(find_key(type(owner), last))()
    setattr(owner, last, value)


def _help_text(
    description: str | None, path: str | None, pairs: Sequence[tuple[str, str]], required: Sequence[str]
) -> str:
    layer = _read(path, pairs) if path else Layer()
    cfg = _build(layer, path) if path else Config()
    needed = "".join(f" --{dotted} {dotted.upper()}" for dotted in required)
    lines = [
        f"usage: {Path(sys.argv[0]).name} --config_path FILE.yaml{needed} [--key value ...]",
        "",
        (description or "").strip(),
        "",
        "  --config_path: a YAML file; --help with it shows the file's values and help texts",
        "",
        "Keys, nested ones with dots (--key value or --key=value; lists and null as YAML):",
    ]
    for dotted, field in walk_keys(Config):
        if section_of(field) is not None and not (limits_of(field).help or dotted in layer.helps):
            continue
        lines.append(f"  --{dotted}: {describe(field)} [{_show(_get(cfg, dotted))}]")
        lines.append(f"        {layer.helps.get(dotted, limits_of(field).help)}")
    return "\n".join(lines)


def _show(value: Any) -> str:
    if dataclasses.is_dataclass(value):
        value = dataclasses.asdict(value)
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
