"""The configuration that a file of weights brings along, or the run folder that it lies in."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config import Config, load_config, load_values
from ..config.portable import only_portable, replaced
from ..errors import UserError
from ..file_facts import CONFIGURATION, EXPORTED, read_facts
from ..process.devices import is_here
from ..reading import is_file

logger = logging.getLogger(__name__)

RUN_FOLDERS = ("ckpt", "best_ckpt")  # of a run, which hold its checkpoints
RUN_CONFIG = "config.yaml"
GIVE = "give --config_path FILE.yaml"


def carried_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration to run the checkpoint or exported file `path` with: the one that it carries, or config.yaml of
    the run folder in which it lies; overrides (["--key", "value", ...]) go on top.

    `checkpoint_path` and, of an exported file, `backend` are set. What is said there of outputs, services, limits and
    this machine is left out (`config.portable`). UserError where there is none, and for what is wrong with it.
    """
    path = Path(path)
    values, saved = _values(path), path.parent.parent / RUN_CONFIG
    if values is not None:
        cfg = load_values(values, f"the configuration in {path}", overrides)
    elif path.parent.name in RUN_FOLDERS and is_file(saved):
        cfg = load_config(str(saved), overrides)
    else:
        raise UserError(f"{path} {_why_none(path)}: {GIVE}")
    cfg = only_portable(cfg)
    own: dict[str, Any] = {"checkpoint_path": str(path)}
    if path.suffix.lower() in EXPORTED:
        own["backend"] = EXPORTED[path.suffix.lower()]
    asks = values is None or "device_target" in values
    cfg = replaced(cfg, **{name: value for name, value in own.items() if name not in cfg.typed})
    return on_this_machine(cfg, asks)


def on_this_machine(cfg: Config, asks: bool = True) -> Config:
    """The configuration on the CPU, where it has a device that is not here and nobody typed; said where it asks for it.
    """
    if "device_target" in cfg.typed or is_here(cfg.device_target):
        return cfg
    if asks:
        logger.warning("no %s here: device_target is CPU; --device_target says otherwise", cfg.device_target)
    return replaced(cfg, device_target="CPU")


def _values(path: Path) -> dict[str, Any] | None:
    """What the file says; None where it says nothing."""
    facts = read_facts(path)
    values = facts.get("config" if path.suffix == ".ckpt" else CONFIGURATION)
    if values is not None and not isinstance(values, dict):
        raise UserError(f"the configuration in {path} is no mapping of keys")
    return values


def _why_none(path: Path) -> str:
    if path.suffix.lower() in EXPORTED:
        return "was exported without its configuration, which export.py of today writes into it"
    return "carries no configuration, and lies in no run's ckpt or best_ckpt folder with a config.yaml above it"
