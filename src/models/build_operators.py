"""Whose convolutions a loaded network runs with."""

import logging

from mindspore import nn

from ..config import Config
from ..ops.conv_gradient import why_not_fast
from .fast_inference import use_fast_inference

logger = logging.getLogger(__name__)


def set_convolutions(cfg: Config, model: nn.Cell) -> None:
    """Gives a loaded network the convolutions of `fast_inference`, and says whose they are."""
    if not cfg.fast_inference:
        return
    reason = why_own_convolutions(cfg)
    if not reason:
        use_fast_inference(model)
    logger.info("Convolutions by %s", f"the framework ({reason})" if reason else "oneDNN")


def why_own_convolutions(cfg: Config) -> str:
    """Why the convolutions of inference stay the framework's; empty where they are oneDNN's."""
    for key, value, needed in (
        ("portable", cfg.portable, False),
        ("fold_batchnorm", cfg.fold_batchnorm, True),
        ("amp_level", cfg.amp_level, "O0"),
    ):
        if value != needed:
            return f"{key} is {value if isinstance(value, str) else int(value)}"
    return why_not_fast()
