"""Parts of a network that do not learn, by the names of their parameters."""

from collections.abc import Sequence

from mindspore import nn

from ..errors import UserError, short
from .detection.roi_conv import RoIConv


def freeze_parts(model: nn.Cell, parts: Sequence[str]) -> None:
    """No parameter in these parts gets a gradient, no normalisation in them moves its statistics.

    parts: beginnings of parameters' names, whole words between dots: 'backbone', 'bbox_head.shared_fcs'. A network that
    has `leave_out_idle_losses` computes no loss any more that would move nothing.
    UserError for a part that names no parameter, and where nothing is left that learns.
    """
    if not parts:
        return
    names = [parameter.name for parameter in model.get_parameters()]
    for part in parts:
        if not any(_is_in(name, [part]) for name in names):
            tops = sorted({name.partition(".")[0] for name in names})
            raise UserError(f"frozen_parts: no parameter's name begins with {short(part)}; parts are {', '.join(tops)}")
    for parameter in model.get_parameters():
        if _is_in(parameter.name, parts):
            parameter.requires_grad = False
    for _, cell in model.cells_and_names():
        if isinstance(cell, nn.BatchNorm2d) and _is_in(cell.gamma.name, parts):
            cell.use_batch_statistics = False
        elif isinstance(cell, RoIConv) and cell.has_norm and _is_in(cell.bn.gamma.name, parts):
            cell.is_frozen = True
    if not model.trainable_params():
        raise UserError("frozen_parts names the whole network: nothing is left that learns")
    if hasattr(model, "leave_out_idle_losses"):
        model.leave_out_idle_losses()


def _is_in(name: str, parts: Sequence[str]) -> bool:
    return any(name == part or name.startswith(part.rstrip(".") + ".") for part in parts)
