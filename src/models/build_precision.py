"""Half precision: where its keys meet the network."""

import logging

from mindspore import nn

from ..config import Config
from ..errors import UserError
from ..ops.half_precision import HALF_TYPES, why_no_half
from .precision import use_half_precision

logger = logging.getLogger(__name__)


def is_half(cfg: Config) -> bool:
    """Whether convolutions and matrix products are computed in half precision."""
    return cfg.amp_level != "O0"


def check_precision(cfg: Config) -> None:
    """UserError where the device, which is set by now, does not compute in `amp_dtype` and it is asked for."""
    reason = why_no_half(cfg.amp_dtype) if is_half(cfg) else ""
    if reason:
        other = next(name for name in HALF_TYPES if name != cfg.amp_dtype)
        raise UserError(f"amp_dtype is {cfg.amp_dtype}, but {reason}: take --amp_dtype {other} or --amp_level O0")


def set_precision(cfg: Config, model: nn.Cell) -> None:
    """Let a network that is built, loaded and otherwise ready compute as `amp_level` and `amp_dtype` have it."""
    if is_half(cfg):
        count = use_half_precision(model, cfg.amp_level, HALF_TYPES[cfg.amp_dtype])
        logger.info("Half precision (amp_level %s): %d layers compute in %s", cfg.amp_level, count, cfg.amp_dtype)
