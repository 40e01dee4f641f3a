"""What the builders of networks share: a part by its name, keys that must agree, settings of normalisation."""

from collections.abc import Callable

from ..errors import UserError
from .layers import NormSettings


def norm_settings(settings, frozen: bool = False) -> NormSettings | None:
    """Settings of a `norm_cfg` section, or None where there is none; `frozen` is the configuration's `norm_eval`."""
    if settings is None:
        return None
    return NormSettings(settings.momentum, settings.eps, frozen, settings.requires_grad)


def choose(constructors: dict[str, Callable], name: str, key: str) -> Callable:
    """The constructor of that name; UserError names the key and the known names."""
    if name not in constructors:
        raise UserError(f"{key}: '{name}' is not known; choose one of {', '.join(sorted(constructors))}")
    return constructors[name]


def require_equal(key: str, value, other_key: str, other) -> None:
    """UserError, with both keys and values, unless the values are equal."""
    if value != other:
        raise UserError(f"{key} is {value}, but {other_key} is {other}: they must be equal")
