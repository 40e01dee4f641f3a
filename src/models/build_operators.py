"""Whose convolutions and resizing a loaded network runs with."""

import logging

import mindspore as ms
from mindspore import nn

from ..config import Config
from ..ops.conv_gradient import why_not_fast
from ..ops.library import why_no_library
from ..ops.resize import InferenceDoubling, InferenceResizing
from .fast_inference import use_fast_inference
from .layers import DoubleBilinear, ResizeBilinear

logger = logging.getLogger(__name__)


def set_convolutions(cfg: Config, model: nn.Cell) -> None:
    """Gives a loaded network the convolutions of `fast_inference` on the CPU, and says whose they are."""
    if not cfg.fast_inference or ms.get_context("device_target") != "CPU":
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


def set_resizing(cfg: Config, model: nn.Cell) -> None:
    """Gives a loaded network the CPU's operator for bilinear resizing where it is compiled, unless `portable`: the same
    bits in less time, without the transposed maps, for each of which the framework keeps 8 bytes an element as long as
    the graph lives.
    """
    if ms.get_context("device_target") != "CPU" or cfg.portable:
        return
    found = [cell for _, cell in model.cells_and_names() if isinstance(cell, ResizeBilinear | DoubleBilinear)]
    if not found or why_no_library():  # which may build it
        return
    for cell in found:
        if isinstance(cell, ResizeBilinear):
            cell.for_inference = InferenceResizing("align_corners" if cell.align_corners else cell.coordinates)
        else:
            cell.for_inference = InferenceDoubling(cell.coordinates)
