"""Configuration files and command lines -> one checked `Config`. No MindSpore here: `--help` comes at once."""

from .checks import has_masks, has_open_classes
from .command_line import parse_cli
from .compare import Difference, config_hash, differences, graph_keys, score_settings
from .config import EXTRA_KEYS, Config, config_type
from .load import (
    default_config,
    load_config,
    load_values,
    run_format,
    save_config,
    save_values,
    to_dict,
    why_damaged,
    with_typed,
)
from .orientation import has_orientations, trains_by_orientation
from .overrides import as_overrides
from .schema import leaves

__all__ = [
    "EXTRA_KEYS", "Config", "Difference", "as_overrides", "config_hash", "config_type", "default_config",
    "differences", "graph_keys", "has_masks", "has_open_classes", "has_orientations", "leaves", "load_config",
    "load_values", "parse_cli", "run_format", "save_config", "save_values", "score_settings", "to_dict",
    "trains_by_orientation", "why_damaged", "with_typed",
]  # fmt: skip
