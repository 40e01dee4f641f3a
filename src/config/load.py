"""Configuration files and command-line overrides -> one checked `Config`; and back into a file.

A file may start from others (`_base_: other.yaml`) and may have three YAML documents: values, help texts, choices.
"""

import dataclasses
import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from ..errors import UserError, listed, short
from ..files import RUN_FORMAT, write_text
from ..reading import read_text
from .checks import check_together, has_orientations
from .config import Config, config_type
from .fill import Source, fill
from .original_tables import ALIASES
from .overrides import override, parse_overrides
from .own_words import in_own_words
from .read import Check, read_documents_of, read_file
from .schema import is_mapping
from .variants import refuse_keys_of_others, refuse_translated, take_types

logger = logging.getLogger(__name__)

MOST_CHOICES = 12  # that a message names


def load_config(path: str, overrides: Sequence[str] = ()) -> Config:
    """Read `path`, apply overrides like ["--lr", "0.1", "--rpn.loss_bbox.beta=0.1"], check every value.

    Raises UserError in one line: missing or broken file, unknown key (with the nearest known one), value of the wrong
    type, out of range, not among the choices, or at odds with another value.
    """
    files: list[str] = []

    def check(values: dict, place: Path) -> None:
        files.append(str(place))
        refuse_keys_of_others(values, place)

    values, _, choices = read_file(Path(path), check=check)
    return _loaded(values, choices, path, overrides, check, files)


def load_values(values: dict[str, Any], name: str, overrides: Sequence[str] = ()) -> Config:
    """The same of values that stand in no file of their own, as `to_dict` gives them; name: where, for messages."""
    files: list[str] = []

    def check(values: dict, place: str | Path) -> None:
        if place != name:
            files.append(str(place))
        refuse_keys_of_others(values, place)

    check(values, name)
    return _loaded(values, {}, name, overrides, check, files)


def _loaded(
    values: dict[str, Any], choices: dict, path: str, overrides: Sequence[str], check: Check, files: Sequence[str]
) -> Config:
    """The configuration of a file's values; check: called with the files that it comes to stand on; files: with all."""
    said = in_own_words(values, parse_overrides(overrides), path, check)
    file, command_line = Source(str(path), called=said.called), Source("command line", called=said.called_typed)
    values, pairs = take_types(said.values, said.pairs, command_line)
    refuse_translated(values, said.called, file)
    cfg = fill(config_type(), values, "", file)
    for dotted, text in pairs:
        cfg = override(cfg, dotted, text, command_line)
    _tell_without_effect(file, command_line)
    cfg = _with_sizes(cfg, [dotted for dotted, _ in pairs])
    _check_choices(cfg, {*_names(values), *(dotted for dotted, _ in pairs)}, choices, str(path))
    check_together(cfg)
    object.__setattr__(cfg, "origin", tuple(files))
    object.__setattr__(cfg, "weight_words", said.weights)
    return with_typed(cfg, [name for name, _ in said.pairs])


def default_config(overrides: Sequence[str] = ()) -> Config:
    """The defaults with overrides, for a command that needs no file. UserError as `load_config`."""
    source = Source("command line")
    cfg = config_type()()
    for dotted, text in parse_overrides(overrides):
        cfg = override(cfg, dotted, text, source)
    _tell_without_effect(source)
    check_together(cfg)
    return with_typed(cfg, [name for name, _ in parse_overrides(overrides)])


def with_typed(cfg: Config, names: Iterable[str]) -> Config:
    """The same configuration, which says from now on that the command line has named these keys."""
    mappings = {item.name for item in dataclasses.fields(cfg) if is_mapping(item)}
    tops = ((name, name.partition(".")[0]) for name in (ALIASES.get(name, name) for name in names))
    object.__setattr__(cfg, "typed", frozenset(top if top in mappings else name for name, top in tops))
    return cfg


def run_format(path: Path) -> int:
    """The format in which a run's config.yaml is written; those of before say none and have the first."""
    values = next(iter(read_documents_of(path)), None)
    found = values.get("_format_", 1) if isinstance(values, dict) else 1
    return found if isinstance(found, int) else 1


def to_dict(cfg: Config) -> dict[str, Any]:
    """Plain nested dict of a configuration."""
    return dataclasses.asdict(cfg)


def save_config(cfg: Config, path: str) -> None:
    """Write the whole configuration as YAML that `load_config` reads back to an equal `Config`, whole or not at all."""
    save_values(to_dict(cfg), path)


def save_values(values: dict[str, Any], path: str) -> None:
    """`save_config` for what `to_dict` gave."""
    if not Path(path).parent.is_dir():
        raise UserError(f"{path}: the configuration cannot be written: its folder does not exist")
    write_text(Path(path), yaml.safe_dump({"_format_": RUN_FORMAT} | values, sort_keys=False))


def why_damaged(path: Path) -> str:
    """Why a file that `save_config` wrote is not whole any more; an empty text where it is."""
    try:
        text = read_text(path)
        values = read_documents_of(path)
    except FileNotFoundError:
        return "is missing"
    except (OSError, UserError):
        return "cannot be read"
    is_whole = text.endswith("\n") and len(values) == 1 and isinstance(values[0], dict)
    return "" if is_whole else "is cut off" if text else "is empty"


def _with_sizes(cfg: Config, typed: Sequence[str]) -> Config:
    """`input_size` sets both sides, but for those that were typed on the command line, after it if it was too.

    Typed sizes of a detector's images are those of evaluated ones too, whatever the file says of these.
    """
    if has_orientations(cfg) and not {"img_width", "img_height", "input_size"}.isdisjoint(typed):
        file_says = {name: 0 for name in ("eval_width", "eval_height") if name not in typed}
        cfg = dataclasses.replace(cfg, **file_says)
    if not cfg.input_size:
        return cfg
    after = max((place + 1 for place, name in enumerate(typed) if name == "input_size"), default=0)
    sides = {"img_width": cfg.input_size, "img_height": cfg.input_size}
    own = {name: getattr(cfg, name) for name in sides if name in typed[after:]}
    is_square = all(value == cfg.input_size for value in own.values())
    return dataclasses.replace(cfg, **sides | own, input_size=cfg.input_size if is_square else 0)


def _tell_without_effect(*sources: Source) -> None:
    told = [f"{', '.join(dict.fromkeys(one.without_effect))} ({one})" for one in sources if one.without_effect]
    if told:
        logger.warning("keys without effect: %s", "; ".join(told))


def _check_choices(cfg: Config, given: Collection[str], choices: dict, source: str) -> None:
    """The third document: allowed values by (dotted) key. Keys that this project does not know restrict nothing, and
    nor does a list where a key that nobody has given has its default: that may be another one than when it was written.

    given: the names of those that the file or the command line has.
    """
    for dotted, allowed in choices.items():
        value, default = cfg, config_type()()
        for name in str(dotted).split("."):
            value, default = (getattr(one, name, dataclasses.MISSING) for one in (value, default))
        if value is dataclasses.MISSING or not isinstance(allowed, list):
            continue
        if value == default and dotted not in given:
            continue
        if value not in allowed:
            known = listed(map(short, allowed), MOST_CHOICES)
            raise UserError(f"{source}: {dotted} is {short(value)}; this file allows {known}")


def _names(values: object, prefix: str = "") -> Iterator[str]:
    """Dotted names of all that a mapping holds, by the names that the keys have here."""
    for name, value in values.items() if isinstance(values, dict) else ():
        dotted = f"{prefix}{name}"
        yield f"{prefix}{ALIASES.get(dotted, name)}"
        yield from _names(value, f"{dotted}.")
