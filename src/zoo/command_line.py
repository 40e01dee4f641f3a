"""The command line of commands that take weights: their configuration may come with the weights."""

from collections.abc import Sequence

from ..config import Config
from ..config import parse_cli as parse_with_file
from ..config.overrides import parse_overrides
from ..errors import UserError
from .carried import carried_config

WEIGHTS = ("checkpoint_path", "checkpoint_url")  # keys, the second in the originals' words
STARTS = {"train.py"}  # commands that start from weights: they are trained by a configuration of their own


def parse_cli(
    description: str, argv: Sequence[str] | None = None, required: Sequence[str] = (), command: str = ""
) -> Config:
    """As `config.parse_cli`; without --config_path the configuration is that of the weights."""

    def otherwise(overrides: Sequence[str]) -> Config | None:
        """   or: --checkpoint_path FILE [--key value ...], by the configuration that the file carries"""
        path = _weights(overrides)
        return carried_config(path, overrides) if path else None

    return parse_with_file(description, argv, required, command, None if command in STARTS else otherwise)


def _weights(overrides: Sequence[str]) -> str:
    """The file of weights that a command line names; empty where it names none, or one in ModelArts' storage."""
    try:
        typed = dict(parse_overrides(overrides))
    except UserError:
        return ""
    if typed.get("enable_modelarts", "0").lower() not in ("0", "false"):
        return ""
    return next((typed[name] for name in WEIGHTS if typed.get(name)), "")
