"""An original's keys in a file or on a command line -> this project's, by the tables."""

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ...errors import UserError, short
from ..bounded_yaml import read_value
from ..config import Config, config_type
from ..schema import Leaf, Texts, leaves, nested_kind
from .hrnet_cls import HRNET_CLS
from .hrnet_seg import HRNET_SEG, TASKS
from .literal import plain
from .mask_rcnn import MASK_RCNN
from .pointrend import POINTREND
from .table import Entry, Original
from .zoo import TABLE, WITHOUT_EFFECT

ORIGINALS = (MASK_RCNN, POINTREND, HRNET_CLS, HRNET_SEG)
# Words that stood for a key before there were tables: a file of nothing but these is no original's.
FORMER = {
    "batchsize", "total_epoch", "eval_interval", "eval_data_path", "modelarts", "optimizer", "opt_momentum", "wd",
    "eps", "lr_scheme", "lr_end", "lr_min", "label_smooth_factor",
} | set(WITHOUT_EFFECT)  # fmt: skip
LEAST_MARKS = 3  # keys that this project does not have, in a file of an original
UNSAID, AUTHORS = "says nothing", "its authors' own: nothing is set"


@dataclass(frozen=True)
class Told:
    """What became of a key. kind: mapped, accepted or answered; text: to what, or what stands in its place."""

    key: str
    value: Any
    kind: str
    text: str
    differs: bool = False  # the original has a value for it that is what this project does

    def __str__(self) -> str:
        return f"{self.key} {short(self.value)}: {self.text}"


@dataclass
class Translation:
    """values: this project's, by dotted names; called: what each key was called; told: what became of the others'."""

    values: dict[str, Any] = field(default_factory=dict)
    called: dict[str, str] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)


def original_of(values: Mapping[str, Any]) -> Original | None:
    """Whose configuration file has these keys, and nobody else's; None for this project's own."""
    own = {item.name: item for item in fields(config_type())}
    is_own = any(name in own and nested_kind(own[name].type) for name in values) or "detector" in values
    if is_own or values.get("task") in ("detection", *(one.task for one in ORIGINALS)):
        return None
    best = max(ORIGINALS, key=lambda original: sum(name in original.table for name in values))
    marks = {name for name in values if name in best.table and name not in own}
    return best if len(marks) >= LEAST_MARKS and marks - FORMER else None


def names() -> list[str]:
    """Every key of the originals."""
    return sorted({name for original in ORIGINALS for name in original.table})


def translate_file(values: Mapping[str, Any], original: Original) -> Translation:
    """The keys of an original's whole file; those that are none of its are left out."""
    return _translate({name: value for name, value in values.items() if name in original.table}, original.table)


def translate_some(values: Mapping[str, Any]) -> Translation:
    """The originals' keys in a file of this project."""
    return _by_owner(values, values.get("task"), values.get("detector"))


def translate_typed(
    pairs: Sequence[tuple[str, str]], file: Mapping[str, Any], original: Original | None
) -> tuple[list[tuple[str, str]], Translation]:
    """A command line, (dotted, text) each, with the originals' keys as this project's, and the account of them.

    file: the file's values; original: whose they are.
    """
    typed = dict(pairs)
    if original:
        table = original.table
        own = {name: text for name, text in typed.items() if name in table and name not in original.words}
        chosen = {name: _typed_value(text, table[name]) for name, text in own.items()}
        done = _translate(chosen, table, file)
    else:
        task, detector = typed.get("task", file.get("task")), typed.get("detector", file.get("detector"))
        done = _by_owner(typed, task, detector, is_typed=True)
    taken = {one.key for one in done.told}
    first = next((place for place, (name, _) in enumerate(pairs) if name in taken), 0)
    before, behind = ([pair for pair in part if pair[0] not in taken] for part in (pairs[:first], pairs[first:]))
    return [*before, *((dotted, _as_text(value)) for dotted, value in done.values.items()), *behind], done


def named_weights(values: Mapping[str, Any], original: Original) -> frozenset[str]:
    """The words by which an original's file names weights, which train.py and eval.py use as each means it."""
    given = {name: values.get(name) for name in ("checkpoint_path", "checkpoint_url") if name in original.words}
    return frozenset(name for name, value in given.items() if isinstance(value, str) and plain(value))


def _by_owner(values: Mapping[str, Any], task: Any, detector: Any, is_typed: bool = False) -> Translation:
    """Each key by the table of the original that is of the task, or else by another's that has it.

    A key of this project means what it means here, unless its value is one of that original.
    """
    task, detector = str(task or "detection"), str(detector or "mask_rcnn")
    own = TASKS.get(task, task), detector
    ranked = sorted(ORIGINALS, key=lambda one: [len({*pair}) for pair in zip((one.task, one.detector), own)])
    tables = [TABLE, *(original.table for original in ranked)]
    chosen: list[dict[str, Any]] = [{} for _ in tables]
    names_here = {item.name for item in fields(config_type())}
    for name, value in values.items():
        for number, table in enumerate(tables):
            entry = table.get(name)
            if entry is None or name in WITHOUT_EFFECT:
                continue
            if name in names_here and not (number < 2 and entry.when and entry.when(value)):
                continue
            chosen[number][name] = _typed_value(value, entry) if is_typed else value
            break
    joined = Translation()
    for table, part in zip(tables, chosen):
        one = _translate(part, table)
        joined.values |= one.values
        joined.called |= one.called
        joined.told += one.told
    return joined


def _translate(
    values: Mapping[str, Any], table: Mapping[str, Entry], context: Mapping[str, Any] | None = None
) -> Translation:
    """context: values of other keys of the same original, together with which these may mean something."""
    done = Translation()
    for key, value in values.items():
        entry = table[key]
        if value is None or value == "None" or _is_one_of(value, entry.kept):
            says = entry.says or (AUTHORS if value and value != "None" else UNSAID)
            done.told.append(Told(key, value, "accepted", says))
            continue
        own = _values_of(entry, value, table, {**(context or {}), **values})
        done.values |= own
        done.called |= dict.fromkeys(own, key)
        if own:
            said = ", ".join(f"{dotted} {short(one)}" for dotted, one in own.items())
            done.told.append(Told(key, value, "mapped", said))
        elif entry.together:
            kind = "accepted" if _is_one_of(value, (entry.usual,)) else "answered"
            others = [name for name, one in table.items() if one.together is entry.together and name != key]
            says = f"means something with {', '.join(others)} alone" if others else UNSAID
            done.told.append(Told(key, value, kind if others else "accepted", says))
        else:
            done.told.append(Told(key, value, "answered", entry.says, bool(entry.kept)))
    return done


def _values_of(entry: Entry, value: Any, table: Mapping[str, Entry], values: Mapping[str, Any]) -> dict[str, Any]:
    """This project's keys that a key of an original sets, with their values."""
    if entry.together:
        usual = {name: one.usual for name, one in table.items() if one.together is entry.together}
        given = {name: one for name, one in values.items() if one is not None and one != "None"}
        return entry.together({**usual, **given})
    return dict.fromkeys(entry.to, entry.change(value) if entry.change else value)


def _is_one_of(value: Any, kept: Iterable[Any]) -> bool:
    return any(plain(value) == plain(one) for one in kept)


def _typed_value(text: str, entry: Entry) -> Any:
    """The value of an option: a text where the key takes a text, otherwise what YAML reads."""
    leaf = _leaves().get(entry.to[0]) if entry.to else None
    if not text or isinstance(entry.usual, str) or (leaf and leaf.item.type in (str, Texts)):
        return text
    try:
        return read_value(text)
    except UserError:
        return text


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _leaves() -> dict[str, Leaf]:
    """This project's keys by their dotted names."""
    return _leaves_of(config_type())


@functools.cache
def _leaves_of(kind: type[Config]) -> dict[str, Leaf]:
    return {leaf.name: leaf for leaf in leaves(kind)}
