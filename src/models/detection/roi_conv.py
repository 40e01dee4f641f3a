"""Convolutions of the RoI heads: their batch normalisation must not see the unused RoI slots."""

from mindspore import Tensor, nn, ops

from ...ops.half_precision import as_float32, as_type
from ..batch_statistics import BatchStatistics
from ..layers import NormSettings, batch_norm, conv2d


class RoIConv(nn.Cell):
    """3x3 convolution, optional batch normalisation, ReLU, on RoI features of which some rows are unused.

    The originals normalise over the RoIs that exist; with fixed shapes the unused rows are there too, so in training
    mean and variance are taken over valid rows only (and the running statistics with them).
    """

    def __init__(self, in_channels: int, out_channels: int, norm: NormSettings | None = None):
        super().__init__()
        self.conv = conv2d(in_channels, out_channels, 3, bias=norm is None)
        self.has_norm = norm is not None
        if self.has_norm:
            self.bn = batch_norm(out_channels, norm)
            self.statistics = BatchStatistics(out_channels, norm.eps)
            self.momentum = norm.momentum
            self.is_frozen = norm.frozen
        self.rows_conv = None
        self.relu = nn.ReLU()

    def take_statistics_over_ranks(self) -> None:
        """From now on normalise by the valid rows of all ranks together."""
        self.statistics.take_over_ranks()

    def convolve_used_rows(self, rows_conv: nn.Cell) -> None:
        """From now on train with `rows_conv(x, weight, valid)`, which convolves the valid rows alone."""
        self.rows_conv = rows_conv

    def construct(self, x: Tensor, valid: Tensor) -> Tensor:
        """(N, in, h, w), valid (N,) bool -> (N, out, h, w). What stands in rows that are not valid means nothing."""
        if self.training and self.rows_conv is not None:
            x = self.rows_conv(x, self.conv.weight, valid)
            x = x if self.has_norm else ops.bias_add(x, as_type(self.conv.bias, x.dtype))
        else:
            x = self.conv(x)
        if self.has_norm:
            if self.training and not self.is_frozen:
                x = self._normalise(x, valid)
            else:
                x = self.bn(x)
        return self.relu(x)

    def _normalise(self, x: Tensor, valid: Tensor) -> Tensor:
        dtype, x = x.dtype, as_float32(x)
        weight = valid.astype(x.dtype)[None]
        y, mean, variance, rows = self.statistics(x, weight, self.bn.gamma, self.bn.beta)
        share = (rows > 0).astype(mean.dtype) * self.momentum  # without a valid row the statistics stay
        ops.assign_add(self.bn.moving_mean, (mean - self.bn.moving_mean) * share)
        ops.assign_add(self.bn.moving_variance, (variance - self.bn.moving_variance) * share)
        return as_type(y, dtype)
