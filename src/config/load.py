"""Configuration files and command-line overrides -> one checked `Config`.

A file may start from others (`_base_: other.yaml`) and may have three YAML documents: values, help texts, choices.
Nothing here imports MindSpore, so that `--help` and every complaint come at once.
"""

import argparse
import dataclasses
import difflib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ..errors import UserError
from .checks import check_together
from .run_keys import Config
from .schema import default_of, key_names, nested_kind

# Names that the original folders used for the same keys.
ALIASES = {
    "roi.roi_layer.sample_num": "sampling_ratio",
    "mask_roi.roi_layer.sample_num": "sampling_ratio",
    "batchsize": "batch_size",
    "total_epoch": "epoch_size",
    "eval_interval": "eval_every",
    "eval_data_path": "val_dataset",
    "modelarts": "enable_modelarts",
    "optimizer": "opt_type",
    "opt_momentum": "momentum",
    "wd": "weight_decay",
    "eps": "opt_eps",
    "lr_scheme": "lr_type",
    "lr_end": "min_lr",
    "lr_min": "min_lr",
    "label_smooth_factor": "label_smoothing",
}


def load_config(path: str, overrides: Sequence[str] = ()) -> Config:
    """Read `path`, apply overrides like ["--lr", "0.1", "--rpn.loss_bbox.beta=0.1"], check every value.

    Raises UserError in one line: missing or broken file, unknown key (with the nearest known one), value of the wrong
    type, out of range, not among the choices, or at odds with another value.
    """
    values, _, choices = _read_file(Path(path), ())
    cfg = _fill(Config, values, "", str(path))
    for dotted, text in _parse_overrides(overrides):
        _override(cfg, dotted, text)
    _check_choices(cfg, choices, str(path))
    check_together(cfg)
    return cfg


def parse_cli(description: str, argv: Sequence[str] | None = None, required: Sequence[str] = ()) -> Config:
    """The command line of every entry script: `--config_path C [--key value ...]`, `--help` lists all keys.

    required: keys that must not be empty; "a|b" is content with either.
    """
    parser = argparse.ArgumentParser(description=description, add_help=False, allow_abbrev=False)
    parser.add_argument("--config_path", default="")
    parser.add_argument("-h", "--help", action="store_true")
    known, overrides = parser.parse_known_args(argv)
    if known.help:
        print(_help_text(description, known.config_path, required))
        raise SystemExit(0)
    if not known.config_path:
        raise UserError("--config_path FILE.yaml is missing; see --help")
    cfg = load_config(known.config_path, overrides)
    for name in required:
        if not any(getattr(cfg, alternative) for alternative in name.split("|")):
            raise UserError(f"--{name.split('|')[0]} is missing; see --help")
    return cfg


def to_dict(cfg: Config) -> dict[str, Any]:
    """Plain nested dict of a configuration."""
    return dataclasses.asdict(cfg)


def save_config(cfg: Config, path: str) -> None:
    """Write the whole configuration as YAML that `load_config` reads back to an equal `Config`."""
    try:
        Path(path).write_text(yaml.safe_dump(to_dict(cfg), sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: the configuration cannot be written: {error.strerror}") from None


# ---------------------------------------------------------------------------------------------------- reading files


class _Loader(yaml.SafeLoader):
    """Safe loader that refuses a key given twice."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            name = key_node.value
            if isinstance(name, str) and name in seen:
                raise yaml.MarkedYAMLError(problem=f"key '{name}' is given twice", problem_mark=key_node.start_mark)
            seen.add(name if isinstance(name, str) else id(key_node))
        return super().construct_mapping(node, deep)


def _read_file(path: Path, chain: tuple[Path, ...]) -> tuple[dict, dict, dict]:
    """Values, help texts and choices of a file merged over those of its `_base_` (one or a list: later ones win)."""
    if path.resolve() in chain:
        raise UserError(f"{path}: _base_ leads back to this file")
    try:
        documents = list(yaml.load_all(path.read_text(encoding="utf-8"), _Loader))
    except FileNotFoundError:
        raise UserError(f"configuration file {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"configuration file {path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise UserError(f"{path}{line}: not valid YAML: {problem}") from None
    documents = documents[:1] + [{} if document is None else document for document in documents[1:]]
    if not documents or len(documents) > 3 or not all(isinstance(document, dict) for document in documents):
        raise UserError(f"{path}: expected one mapping of keys to values, or three documents: values, help, choices")
    documents += [{}] * (3 - len(documents))
    bases = documents[0].pop("_base_", None) or []
    inherited = [{}, {}, {}]
    for base in bases if isinstance(bases, list) else [bases]:
        above = _read_file(path.parent / str(base), (*chain, path.resolve()))
        inherited = [_merge(*pair) for pair in zip(inherited, above)]
    values, helps, choices = (_merge(*pair) for pair in zip(inherited, documents))
    return values, helps, choices


def _merge(below: dict, above: dict) -> dict:
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merge(merged[name], value) if both else value
    return merged


# ------------------------------------------------------------------------------------------------- filling the schema


def _fill(kind: type, values: Any, prefix: str, source: str) -> Any:
    """An instance of the schema class `kind` from a mapping."""
    if not isinstance(values, dict):
        raise UserError(f"{source}: {prefix.rstrip('.')} must be a mapping of keys, not {values!r}")
    known = {item.name: item for item in dataclasses.fields(kind)}
    filled = {}
    for name, value in values.items():
        dotted = f"{prefix}{name}"
        name = ALIASES.get(dotted, name)
        if name not in known:
            raise _unknown_key(dotted, source)
        filled[name] = _convert(known[name], value, dotted, source)
    return kind(**filled)


def _convert(item: dataclasses.Field, value: Any, dotted: str, source: str) -> Any:
    nested = nested_kind(item.type)
    if nested:
        return None if value is None and item.default is None else _fill(nested, value, f"{dotted}.", source)
    member = item.type.__args__[0] if hasattr(item.type, "__origin__") else None
    if member is None:
        value = _convert_leaf(item.type, value, dotted, source)
        _check_range(item, value, dotted, source)
        return value
    if not isinstance(value, list | tuple):
        raise UserError(f"{source}: {dotted} must be a list, not {value!r}")
    length = item.metadata["length"]
    if length is not None and len(value) != length:
        raise UserError(f"{source}: {dotted} must have {length} numbers, not {len(value)}")
    members = [_convert_leaf(member, part, dotted, source) for part in value]
    for part in members:
        _check_range(item, part, dotted, source)
    return members


def _convert_leaf(kind: type, value: Any, dotted: str, source: str) -> Any:
    """YAML 1.1 reads `1e-5` as a string and 0/1 as integers; both are meant."""
    if kind is str and value is None:
        return ""
    if kind is bool and isinstance(value, bool | int) and value in (0, 1):
        return bool(value)
    if kind is float and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is kind:
        return value
    wanted = {bool: "0, 1, true or false", int: "a whole number", float: "a number", str: "a text"}[kind]
    raise UserError(f"{source}: {dotted} must be {wanted}, not {value!r}")


def _check_range(item: dataclasses.Field, value: Any, dotted: str, source: str) -> None:
    rules = item.metadata
    if rules["choices"] and value not in rules["choices"]:
        allowed = ", ".join(repr(choice) for choice in rules["choices"])
        why = f" ({rules['why_only']})" if rules["why_only"] else ""
        raise UserError(f"{source}: {dotted} is {value!r}; it may be {allowed}{why}")
    if isinstance(value, str | bool):
        return
    too_low = rules["low"] is not None and not value >= rules["low"]
    too_high = rules["high"] is not None and not value <= rules["high"]
    if not math.isfinite(value):
        raise UserError(f"{source}: {dotted} is {value}; it must be a finite number")
    if too_low or too_high:
        low = "" if rules["low"] is None else f"at least {rules['low']}"
        high = "" if rules["high"] is None else f"at most {rules['high']}"
        raise UserError(f"{source}: {dotted} is {value}; it must be {' and '.join(filter(None, (low, high)))}")


def _unknown_key(dotted: str, source: str) -> UserError:
    names = key_names(Config)
    prefixes = {name.rsplit(".", depth)[0] for name in names for depth in range(1, name.count(".") + 1)}
    candidates = sorted({*names, *prefixes})
    nearest = difflib.get_close_matches(dotted, candidates, 1, 0.5)
    if not nearest:
        last = [name for name in candidates if name.rsplit(".", 1)[-1] == dotted.rsplit(".", 1)[-1]]
        nearest = last[:1]
    hint = f"; did you mean {nearest[0]}?" if nearest else "; --help lists all keys"
    return UserError(f"{source}: unknown key {dotted}{hint}")


# ------------------------------------------------------------------------------------------------------- command line


def _parse_overrides(arguments: Sequence[str]) -> list[tuple[str, str]]:
    pairs, rest = [], list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("--") or argument == "--":
            raise UserError(f"unexpected argument {argument!r}: write --key value")
        name, equals, text = argument[2:].partition("=")
        if not equals:
            if not rest:
                raise UserError(f"--{name} needs a value")
            text = rest.pop(0)
        pairs.append((name, text))
    return pairs


def _override(cfg: Config, dotted: str, text: str) -> None:
    """Set one key from its text on the command line, typed by the schema."""
    target, kind, names = cfg, Config, dotted.split(".")
    source = "command line"
    for depth, name in enumerate(names):
        name = ALIASES.get(dotted, name) if depth == len(names) - 1 else name
        known = {item.name: item for item in dataclasses.fields(kind)}
        if name not in known:
            raise _unknown_key(dotted, source)
        item = known[name]
        nested = nested_kind(item.type)
        if depth < len(names) - 1:
            if not nested:
                raise _unknown_key(dotted, source)
            if getattr(target, name) is None:
                setattr(target, name, nested())
            target, kind = getattr(target, name), nested
            continue
        if item.type is str:
            value = text
        elif hasattr(item.type, "__origin__") and "," in text and "[" not in text:
            value = [yaml.safe_load(part) for part in text.split(",")]
        else:
            try:
                value = yaml.safe_load(text)
            except yaml.YAMLError:
                raise UserError(f"{source}: --{dotted} {text!r} cannot be read as a value") from None
        setattr(target, name, _convert(item, value, dotted, source))


def _help_text(description: str, config_path: str, required: Sequence[str]) -> str:
    helps = _read_file(Path(config_path), ())[1] if config_path else {}
    lines = [description, "", "usage: --config_path FILE.yaml [--key value ...]"]
    lines += [f"required: {', '.join('--' + name.replace('|', ' or --') for name in required)}"] if required else []
    lines += ["", "Every key of the configuration can be given; nested keys with dots. Keys and defaults:", ""]
    lines += _help_lines(Config, "", helps)
    return "\n".join(lines)


def _help_lines(kind: type, prefix: str, helps: dict) -> list[str]:
    lines = []
    for item in dataclasses.fields(kind):
        nested, dotted = nested_kind(item.type), prefix + item.name
        if nested:
            lines += _help_lines(nested, f"{dotted}.", helps)
            continue
        text = helps.get(dotted) or helps.get(item.name) or item.metadata["help"]
        choices = f" ({' | '.join(map(str, item.metadata['choices']))})" if item.metadata["choices"] else ""
        lines.append(f"  --{dotted} [{default_of(item)}]{choices}  {text}")
    return lines


def _check_choices(cfg: Config, choices: dict, source: str) -> None:
    """The third document: allowed values by (dotted) key. Keys that this project does not know restrict nothing."""
    for dotted, allowed in choices.items():
        value = cfg
        for name in str(dotted).split("."):
            value = getattr(value, name, dataclasses.MISSING)
        if value is dataclasses.MISSING or not isinstance(allowed, list):
            continue
        if value not in allowed:
            raise UserError(f"{source}: {dotted} is {value!r}; this file allows {', '.join(map(repr, allowed))}")
