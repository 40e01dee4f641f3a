"""What the builders of networks share: a part by its name, keys that must agree, settings of normalisation."""

from collections.abc import Callable

from ..errors import UserError
from .layers import NormSettings


def _norm(settings, frozen: bool = False) -> NormSettings | None:
    if settings is None:
        return None
    return NormSettings(settings.momentum, settings.eps, frozen, settings.requires_grad)


def _choose(constructors: dict[str, Callable], name: str, key: str) -> Callable:
    if name not in constructors:
        raise UserError(f"{key}: '{name}' is not known; choose one of {', '.join(sorted(constructors))}")
    return constructors[name]


def _require_equal(key: str, value, other_key: str, other) -> None:
    if value != other:
        raise UserError(f"{key} is {value}, but {other_key} is {other}: they must be equal")
