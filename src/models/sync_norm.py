"""Batch normalisation whose statistics are those of all ranks' batches, from operators that every device has."""

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from ..ops.half_precision import as_float32, as_type
from .batch_statistics import BatchStatistics
from .detection.roi_conv import RoIConv
from .fold import replace_cell


class SyncBatchNorm(nn.Cell):
    """Takes the place of `norm`, a BatchNorm2d of batch statistics, and has its parameters under their own names.

    In training it normalises by mean and variance over the batches of all ranks; the running statistics take the
    unbiased variance, as BatchNorm's do.
    """

    def __init__(self, norm: nn.BatchNorm2d):
        super().__init__(auto_prefix=False)
        self.gamma, self.beta = norm.gamma, norm.beta
        self.moving_mean, self.moving_variance = norm.moving_mean, norm.moving_variance
        self.momentum = norm.momentum  # the share of the new value
        self.by_running_statistics = ops.BatchNorm(is_training=False, epsilon=norm.eps)
        self.statistics = BatchStatistics(norm.num_features, norm.eps)
        self.statistics.take_over_ranks()

    def construct(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape and type; computed in float32."""
        dtype, x = x.dtype, as_float32(x)
        if not self.training:
            y = self.by_running_statistics(x, self.gamma, self.beta, self.moving_mean, self.moving_variance)[0]
            return as_type(y, dtype)
        weight = ops.ones((1, x.shape[0]), mstype.float32)
        y, mean, variance, _ = self.statistics(x, weight, self.gamma, self.beta)
        ops.assign_add(self.moving_mean, (mean - self.moving_mean) * self.momentum)
        ops.assign_add(self.moving_variance, (variance - self.moving_variance) * self.momentum)
        return as_type(y, dtype)


def synchronise_batchnorm(model: nn.Cell, ranks: int) -> int:
    """Let every batch normalisation of batch statistics in `model` take them over `ranks` ranks; how many there are.

    Frozen ones (`norm_eval`) stay as they are, and all of them where there is one rank.
    """
    count = 0
    if ranks == 1:
        return count
    for _, parent in list(model.cells_and_names()):
        if isinstance(parent, RoIConv) and parent.has_norm and not parent.is_frozen:
            parent.take_statistics_over_ranks()
            count += 1
            continue
        for name, cell in list(parent.name_cells().items()):
            if isinstance(cell, nn.BatchNorm2d) and cell.use_batch_statistics is None:
                replace_cell(parent, name, SyncBatchNorm(cell))
                count += 1
    return count
