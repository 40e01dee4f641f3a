"""Configuration files and command lines -> one checked `Config`. No MindSpore here: `--help` comes at once."""

from .checks import has_masks, has_open_classes
from .command_line import Otherwise, parse_cli
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
from .orientation import evaluated_input, has_orientations, trains_by_orientation
from .overrides import as_overrides
from .schema import leaves
from .views import has_views, holding, least_side, scaled_sides, without_views

__all__ = [
    "EXTRA_KEYS", "Config", "Difference", "Otherwise", "as_overrides", "config_hash", "config_type", "default_config",
    "differences", "evaluated_input", "graph_keys", "has_masks", "has_open_classes", "has_orientations", "has_views",
    "holding", "least_side", "leaves", "load_config", "load_values", "parse_cli", "run_format", "save_config",
    "save_values", "scaled_sides", "score_settings", "to_dict", "trains_by_orientation", "why_damaged", "with_typed",
    "without_views",
]  # fmt: skip
