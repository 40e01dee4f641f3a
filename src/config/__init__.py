"""Configuration files and command lines -> one checked `Config`. No MindSpore here: `--help` comes at once."""

from .command_line import parse_cli
from .compare import config_hash, differences, graph_keys, score_settings
from .config import EXTRA_KEYS, Config, config_type
from .load import load_config, save_config, to_dict

__all__ = [
    "EXTRA_KEYS", "Config", "config_hash", "config_type", "differences", "graph_keys", "load_config", "parse_cli",
    "save_config", "score_settings", "to_dict",
]  # fmt: skip
