"""Configuration files and command lines -> one checked `Config`. No MindSpore here: `--help` comes at once."""

from .command_line import parse_cli
from .compare import config_hash, differences
from .load import load_config, save_config, to_dict
from .run_keys import Config

__all__ = ["Config", "config_hash", "differences", "load_config", "parse_cli", "save_config", "to_dict"]
