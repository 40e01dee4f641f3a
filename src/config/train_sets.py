"""Several training data sets at once: which of the configuration's values belong to which of them."""

import os
from dataclasses import replace
from typing import Any

from ..errors import UserError, listed, short

# Keys that have one value for all sets, or one for each in a list.
PER_SET = ("train_dataset", "train_annotations", "train_images", "train_data_type")


def texts(value: str | list[str]) -> list[str]:
    """The texts of a key that takes one or several; none of an empty one."""
    return list(value) if isinstance(value, list) else [value] * bool(value)


def set_count(cfg: Any) -> int:
    """How many training data sets the configuration names, none counted as one."""
    return max(len(texts(getattr(cfg, name))) for name in PER_SET)


def set_weights(cfg: Any) -> list[float]:
    """How often an epoch takes an image of each training data set."""
    return list(cfg.train_weights) or [1.0] * set_count(cfg)


def train_sets(cfg: Any) -> list[Any]:
    """The configuration as it is for each of its training data sets alone; of a single one itself.

    UserError for one that is named twice, and for a list of folders that has no brackets.
    """
    count = set_count(cfg)
    if count == 1:
        _refuse_commas(cfg)
        return [cfg]
    named = {name: getattr(cfg, name) for name in PER_SET}
    values = {name: one if isinstance(one, list) else [one] * count for name, one in named.items()}
    _refuse_twice(values, count)
    # Records that mindrecord_dir names are none of these sets; each may be a folder of records itself.
    return [_own(cfg, {name: one[place] for name, one in values.items()}) for place in range(count)]


def check_train_sets(cfg: Any) -> None:
    """UserError for lists of different lengths, and for one label file of several folders."""
    count = set_count(cfg)
    lists = {name: len(getattr(cfg, name)) for name in PER_SET if isinstance(getattr(cfg, name), list)}
    if len(set(lists.values())) > 1:
        told = ", ".join(f"{name} names {number}" for name, number in lists.items())
        raise UserError(f"{told}: of several training data sets each list must have one for each")
    if count > 1 and isinstance(cfg.train_annotations, str) and cfg.train_annotations:
        raise UserError(
            f"train_annotations is {short(cfg.train_annotations)}, one label file, of {count} training data sets "
            f"({next(iter(lists))}); it must name one for each, or none"
        )
    if cfg.train_weights and len(cfg.train_weights) != count:
        there = "is 1 training data set" if count == 1 else f"are {count} training data sets"
        raise UserError(f"train_weights has {len(cfg.train_weights)} numbers, but there {there}")


def _own(cfg: Any, values: dict[str, str]) -> Any:
    own = replace(cfg, **values, train_weights=[], mindrecord_dir="")
    for name in ("typed", "weight_words", "origin"):
        object.__setattr__(own, name, getattr(cfg, name))
    return own


def _refuse_twice(values: dict[str, list[str]], count: int) -> None:
    seen: set[tuple[str, ...]] = set()
    for place in range(count):
        parts = [one[place] for one in values.values()]
        own = tuple(os.path.realpath(one) if one else "" for one in parts[:3])
        if own in seen:
            name = next(filter(None, (values["train_annotations"][place], parts[0])), "")
            raise UserError(f"{short(name)} is named twice as training data: train_weights takes one set more often")
        seen.add(own)


def _refuse_commas(cfg: Any) -> None:
    parts = [one.strip() for one in cfg.train_dataset.split(",")]
    if len(parts) > 1 and not os.path.exists(cfg.train_dataset) and all(map(os.path.exists, parts)):
        raise UserError(
            f"train_dataset {short(cfg.train_dataset)} is not there, but {listed(parts)} are: several data sets are "
            f"written [{', '.join(parts)}]"
        )
