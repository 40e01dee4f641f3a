"""Batch normalisation whose statistics are those of all ranks' batches, from operators that every device has."""

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from .detection.roi_conv import RoIConv
from .fold import replace_cell

UNIT_EPS = 1e-5


class SyncBatchNorm(nn.Cell):
    """Takes the place of `norm`, a BatchNorm2d of batch statistics, and has its parameters under their own names.

    In training it normalises by mean and variance over the batches of `ranks` ranks, which must be equally large; the
    running statistics take the unbiased variance, as BatchNorm's do. One sum over the ranks forward, one backward.
    """

    def __init__(self, norm: nn.BatchNorm2d, ranks: int):
        super().__init__(auto_prefix=False)
        self.gamma, self.beta = norm.gamma, norm.beta
        self.moving_mean, self.moving_variance = norm.moving_mean, norm.moving_variance
        self.eps, self.momentum = norm.eps, norm.momentum  # momentum: the share of the new value
        self.ranks = ranks
        self.sum_over_ranks = ops.AllReduce()
        self.by_running_statistics = ops.BatchNorm(is_training=False, epsilon=norm.eps)
        self.scale_and_shift = ops.BatchNorm(is_training=False, epsilon=UNIT_EPS)
        channels = norm.num_features
        self.zero = ops.zeros(channels, mstype.float32)
        self.unit_variance = ops.full((channels,), 1.0 - UNIT_EPS, dtype=mstype.float32)

    def construct(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        if not self.training:
            return self.by_running_statistics(x, self.gamma, self.beta, self.moving_mean, self.moving_variance)[0]
        # Moments about the running mean, the same on all ranks: those about zero would lose the digits of a large mean
        origin = ops.stop_gradient(self.moving_mean * 1.0)
        centred = x - origin.reshape(1, -1, 1, 1)
        moments = ops.stack((centred.mean(axis=(0, 2, 3)), (centred * centred).mean(axis=(0, 2, 3))))
        moments = self.sum_over_ranks(moments) / self.ranks
        offset = moments[0]
        variance = ops.relu(moments[1] - offset * offset)
        self._update_statistics(ops.stop_gradient(offset), ops.stop_gradient(variance), x)
        # y = x * scale + shift through the framework's fused kernel: plain broadcasting is several times slower on CPU
        scale = self.gamma / ops.sqrt(variance + self.eps)
        shift = self.beta - (origin + offset) * scale
        return self.scale_and_shift(x, scale, shift, self.zero, self.unit_variance)[0]

    def _update_statistics(self, offset: Tensor, variance: Tensor, x: Tensor) -> None:
        count = self.ranks * x.shape[0] * x.shape[2] * x.shape[3]
        unbiased = variance * (count / max(count - 1, 1))
        ops.assign_add(self.moving_mean, offset * self.momentum)
        ops.assign_add(self.moving_variance, (unbiased - self.moving_variance) * self.momentum)


def synchronise_batchnorm(model: nn.Cell, ranks: int) -> int:
    """Let every batch normalisation of batch statistics in `model` take them over `ranks` ranks; how many there are.

    Frozen ones (`norm_eval`) stay as they are.
    """
    count = 0
    for _, parent in list(model.cells_and_names()):
        if isinstance(parent, RoIConv) and parent.has_norm and not parent.is_frozen:
            parent.take_statistics_over_ranks()
            count += 1
            continue
        for name, cell in list(parent.name_cells().items()):
            if isinstance(cell, nn.BatchNorm2d) and cell.use_batch_statistics is None:
                replace_cell(parent, name, SyncBatchNorm(cell, ranks))
                count += 1
    return count
