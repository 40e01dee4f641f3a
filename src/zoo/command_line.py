"""The command line of commands that take weights: by a file or by a name; the configuration may come with them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..config import Config, Otherwise, load_config
from ..config import parse_cli as parse_with_file
from ..config.overrides import parse_overrides
from ..config.portable import replaced
from ..errors import UserError
from . import PREFIX
from .carried import carried_config, on_this_machine

EVALUATED = ("checkpoint_path", "checkpoint_url")  # keys of weights, the second in the originals' words
TRAINED = ("train.py",)  # commands whose network is trained, by a configuration of its own
KEYS = {"train.py": ("pre_trained", *EVALUATED), "check": (*EVALUATED, "pre_trained")}
WORDS = "[--key value ...], by the configuration that comes with it"


def parse_cli(
    description: str, argv: Sequence[str] | None = None, required: Sequence[str] = (), command: str = ""
) -> Config:
    """As `config.parse_cli`; without --config_path the configuration is that of the weights, and in the place of
    weights by a name (`zoo:NAME`) stands the path of their checkpoint, which is fetched once everything else is right.
    """

    keys, is_trained = KEYS.get(command, EVALUATED), command in TRAINED
    words = f"--{keys[0]} {'zoo:NAME' if is_trained else 'FILE (zoo:NAME)'} {WORDS}"
    otherwise = Otherwise(words, lambda overrides: _with_weights(overrides, keys, is_trained))
    return with_fetched(parse_with_file(description, argv, required, command, otherwise))


def with_fetched(cfg: Config) -> Config:
    """The configuration with paths of checkpoints in the place of weights by a name. UserError where they cannot be
    had.
    """
    typed = cfg.origin[0] if cfg.origin else ""
    named = [name for name in ("checkpoint_path", "pre_trained") if getattr(cfg, name).startswith(PREFIX)]
    values = {name: weights_path(getattr(cfg, name), typed, is_whole=True) for name in named}
    if cfg.backbone.pretrained.startswith(PREFIX):
        values["backbone"] = replace(cfg.backbone, pretrained=weights_path(cfg.backbone.pretrained, typed))
    return replaced(cfg, **values) if values else cfg


def config_of(source: str, overrides: Sequence[str] = (), config_path: str = "") -> Config:
    """The configuration to run weights with, that are a file or have a name: the one that comes with them, or that of
    `config_path`; `checkpoint_path` is their file's. UserError where there is none.
    """
    words = [f"--{EVALUATED[0]}={source}", *overrides]
    cfg = load_config(config_path, words) if config_path else _with_weights(words, EVALUATED[:1], is_trained=False)
    return with_fetched(on_this_machine(cfg))


def weights_path(text: str, config_path: str = "", is_whole: bool = False) -> str:
    """The path of weights that are named (`zoo:NAME`), fetched where they are not here; another text as it is.

    config_path: that they are for; is_whole: a backbone alone will not do, which is a UserError.
    """
    if not text.startswith(PREFIX):
        return text
    from .fetch import require_whole

    weights = _named(text)
    if is_whole:
        require_whole(weights)
    return str(weights.converted(config_path))


def _with_weights(overrides: Sequence[str], keys: Sequence[str], is_trained: bool) -> Config | None:
    """The configuration that comes with the weights of a command line; None where it names none, or has them in
    ModelArts' storage.

    keys: that name them, the first of them counts. is_trained: a file's own configuration is that of another training.
    """
    try:
        typed = dict(parse_overrides(overrides))
    except UserError:
        return None
    if typed.get("enable_modelarts", "0").lower() not in ("0", "false"):
        return None
    key = next((name for name in keys if typed.get(name)), "")
    text = typed.get(key, "")
    if text.startswith(PREFIX):
        from .fetch import require_whole

        weights = _named(text)
        require_whole(weights)
        if weights.row.configs:
            return on_this_machine(load_config(str(weights.config_path()), overrides))
        text = str(weights.fetched())
    return carried_config(Path(text), overrides) if key in EVALUATED and not is_trained else None


def _named(text: str):
    """The `fetch.Weights` that a text means."""
    from .fetch import Weights
    from .names import find, the_table

    table = the_table()
    name = find(text, table)
    return Weights(name, table[name])
