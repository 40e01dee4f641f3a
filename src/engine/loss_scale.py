"""A loss scale that finds its own size, inside the training step's graph."""

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mindspore import Parameter, Tensor, nn, ops
from mindspore import dtype as mstype

from ..config import Config
from ..models.build_precision import is_half

logger = logging.getLogger(__name__)

GROWTH = 2.0
LARGEST = 2.0**24  # Apex's; beyond it a scale gains nothing
DYNAMIC = "dynamic"  # the value of the key `loss_scale`
OVERFLOW = "overflow"  # column of losses.csv: 1 for a step that was passed over


@dataclass(frozen=True)
class ScaleSettings:
    """first: the scale at the start. window: steps without an overflow after which it doubles. most: overflows in a row
    with which a run ends.
    """

    first: float = 65536.0
    window: int = 2000
    most: int = 25


class DynamicLossScale(nn.Cell):
    """The scale and its counters, which belong to a step's state (PyTorch's `GradScaler` with a factor of 2 both ways).

    An overflow halves the scale and starts the window anew.
    """

    def __init__(self, settings: ScaleSettings):
        super().__init__(auto_prefix=False)
        self.scale = Parameter(Tensor(settings.first, mstype.float32), name="loss_scale", requires_grad=False)
        self.good = Parameter(Tensor(0, mstype.int32), name="loss_scale_good_steps", requires_grad=False)
        self.in_row = Parameter(Tensor(0, mstype.int32), name="loss_scale_overflows_in_row", requires_grad=False)
        self.overflows = Parameter(Tensor(0, mstype.int32), name="loss_scale_overflows", requires_grad=False)
        self.window, self.most = settings.window, settings.most

    def construct(self, finite: Tensor) -> Tensor:
        """What one more step makes of it: finite, scalar bool, says whether loss and gradients were finite.

        Whether there have been too many overflows in a row by now, scalar bool.
        """
        good = ops.where(finite, self.good + 1, 0)
        grows = good >= self.window
        larger = ops.minimum(self.scale * GROWTH, ops.maximum(self.scale, LARGEST))
        scale = ops.where(finite, ops.where(grows, larger, self.scale * 1.0), self.scale / GROWTH)
        in_row = ops.where(finite, 0, self.in_row + 1)
        overflows = self.overflows + ops.where(finite, 0, 1)
        ops.assign(self.scale, scale)
        ops.assign(self.good, ops.where(grows, 0, good).astype(mstype.int32))
        ops.assign(self.in_row, in_row.astype(mstype.int32))
        ops.assign(self.overflows, overflows.astype(mstype.int32))
        return in_row >= self.most


def counted_losses(rows: Iterable[Mapping[str, float]]) -> list[float]:
    """The total losses of rows of losses.csv that means are taken over: not those that an overflow left without one."""
    return [row["loss"] for row in rows if not row.get(OVERFLOW) or math.isfinite(row["loss"])]


def has_dynamic_scale(cfg: Config) -> bool:
    """Whether the loss scale finds its own size: in half precision, where the key says so."""
    return cfg.loss_scale == DYNAMIC and is_half(cfg)


def configured_scale(cfg: Config) -> tuple[float, ScaleSettings | None]:
    """The scale, or what one that changes begins with. In float32 it is told that it does nothing."""
    if has_dynamic_scale(cfg):
        return 1.0, ScaleSettings(cfg.loss_scale_init, cfg.loss_scale_window, cfg.loss_scale_overflows)
    if cfg.loss_scale != 1 and not is_half(cfg):
        logger.info(
            "loss_scale %s does nothing in float32 (amp_level O0): it is there for half precision",
            cfg.loss_scale if cfg.loss_scale == DYNAMIC else f"{cfg.loss_scale:g}",
        )
    return 1.0 if cfg.loss_scale == DYNAMIC else cfg.loss_scale, None
