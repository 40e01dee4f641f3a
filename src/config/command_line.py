"""The command line of every entry script."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from .arguments import Arguments
from .config import Config, config_type
from .load import load_config
from .local_words import act_locally
from .overrides import parse_overrides
from .read import read_file
from .schema import Leaf, leaves, nested_kind
from .unread import tell_unread


@dataclass(frozen=True)
class Otherwise:
    """What gives a configuration where no file of one is named, and how that is said in --help.

    config: from the other arguments (["--key", "value", ...]); None where they say nothing either.
    """

    words: str
    config: Callable[[Sequence[str]], Config | None]


def parse_cli(
    description: str,
    argv: Sequence[str] | None = None,
    required: Sequence[str] = (),
    command: str = "",
    otherwise: Otherwise | None = None,
) -> Config:
    """The command line of every entry script: `--config_path C [--key value ...]`, `--help` lists all keys.

    required: keys that must not be empty; "a|b" is content with either. command: which one it is: the originals' words
    for places act as it means them, and of a typed key that it does not read this is said. otherwise: where else the
    configuration may come from.
    """
    parser = Arguments(description=description, add_help=False, allow_abbrev=False)
    parser.add_argument("--config_path", default="")
    parser.add_argument("-h", "--help", action="store_true")
    known, overrides = parser.parse_known_args(argv)
    if known.help:
        print(_help_text(description, known.config_path, required, otherwise.words if otherwise else ""))
        raise SystemExit(0)
    cfg = load_config(known.config_path, overrides) if known.config_path else None
    cfg = otherwise.config(overrides) if otherwise and not known.config_path else cfg
    if cfg is None:
        if overrides and overrides[0].startswith("--"):
            parse_overrides(overrides)  # a key without a value hides the weights that a configuration comes with
        raise UserError("--config_path FILE.yaml is missing; see --help")
    cfg, used = act_locally(cfg, command)
    tell_unread(cfg, command, used)
    for name in required:
        if not any(getattr(cfg, alternative) for alternative in name.split("|")):
            raise UserError(f"--{name.split('|')[0]} is missing; see --help")
    return cfg


def _help_text(description: str, config_path: str, required: Sequence[str], otherwise: str) -> str:
    helps = read_file(Path(config_path))[1] if config_path else {}
    lines = [description, "", "usage: --config_path FILE.yaml [--key value ...]"]
    lines += [f"   or: {otherwise}"] if otherwise else []
    lines += [f"required: {', '.join('--' + name.replace('|', ' or --') for name in required)}"] if required else []
    lines += ["", "Every key of the configuration can be given; nested keys with dots. Keys and defaults:", ""]
    lines += [_help_line(leaf, helps) for leaf in leaves(config_type()) if not nested_kind(leaf.item.type)]
    return "\n".join(lines)


def _help_line(leaf: Leaf, helps: dict) -> str:
    rules = leaf.item.metadata
    text = helps.get(leaf.name) or helps.get(leaf.item.name) or rules["help"]
    choices = f" ({' | '.join(map(str, rules['choices']))})" if rules["choices"] else ""
    return f"  --{leaf.name} [{leaf.default}]{choices}  {text}"
