"""What a configuration says beyond the defaults, and how two of them differ."""

import hashlib
import json
from typing import Any, NamedTuple

from .config import Config
from .schema import leaves


class Difference(NamedTuple):
    """A key that has two values. on_resume: whether a resumed run may change it, "same" or "free"."""

    name: str
    then: Any
    now: Any
    on_resume: str


def config_hash(cfg: Config) -> str:
    """12 hexadecimal digits over every key that can change a result and has another value than its default.

    Paths and devices change none; a key that is added later changes no old hash.
    """
    values = {leaf.name: leaf.value for leaf in leaves(cfg) if leaf.matters != "never" and leaf.value != leaf.default}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def score_settings(cfg: Config) -> dict[str, Any]:
    """Every key that can change what given weights score, by its name; sizes that `input_size` sets as they are."""
    kept = (leaf for leaf in leaves(cfg) if leaf.matters in ("weights", "scores") and leaf.name != "input_size")
    return {leaf.name: leaf.value for leaf in kept}


def graph_keys(cfg: Config) -> dict[str, Any]:
    """Every key that may reach a compiled graph: all but places, devices, cadence and how long a run goes on."""
    reaching = (one for one in leaves(cfg) if (one.matters, one.on_resume) != ("training", "free"))
    return {leaf.name: leaf.value for leaf in reaching if leaf.matters != "never"}


def differences(then: Config, now: Config) -> list[Difference]:
    """Every key whose value is another one; of a section that only one of them has, the key that brings it in."""
    before = {leaf.name: leaf.value for leaf in leaves(then)}
    return [
        Difference(leaf.name, before[leaf.name], leaf.value, leaf.on_resume)
        for leaf in leaves(now)
        if leaf.name in before and before[leaf.name] != leaf.value
    ]
