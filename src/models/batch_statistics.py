"""Batch normalisation whose statistics are taken over some rows of a batch, or over the batches of all ranks."""

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

UNIT_EPS = 1e-5


class BatchStatistics(nn.Cell):
    """Normalises by mean and variance over the rows that count, on this rank or, once told so, on all of them.

    The variance is the mean square of what is left when the mean is taken away, in a second pass: the difference of
    moments about zero would lose the digits of a mean that is large against the deviation. It has no parameters; those
    of the normalisation it serves are arguments.
    """

    def __init__(self, channels: int, eps: float):
        super().__init__()
        self.eps = eps
        self.scale_and_shift = ops.BatchNorm(is_training=False, epsilon=UNIT_EPS)
        self.zero = ops.zeros(channels, mstype.float32)
        self.unit_variance = ops.full((channels,), 1.0 - UNIT_EPS, dtype=mstype.float32)
        self.over_ranks = False

    def take_over_ranks(self) -> None:
        """From now on the rows of all ranks count: two sums over the ranks forward, two backward."""
        self.over_ranks = True
        self.sum_over_ranks = ops.AllReduce()

    def construct(self, x: Tensor, weight: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, ...]:
        """x (B, C, H, W), weight (1, B): 1 for the rows that count, 0 for the others -> normalised (B, C, H, W).

        Beside it, without gradient: mean (C,), unbiased variance (C,), and how many rows count.
        """
        rows = weight.sum()
        total = ops.matmul(weight, x.sum(axis=(2, 3)))[0]
        if self.over_ranks:
            sums = self.sum_over_ranks(ops.concat((total, rows.reshape(1))))
            total, rows = sums[:-1], sums[-1]
        count = ops.maximum(rows, 1.0) * (x.shape[2] * x.shape[3])
        mean = total / count
        centred = x - mean.reshape(1, -1, 1, 1)
        square = ops.matmul(weight, (centred * centred).sum(axis=(2, 3)))[0]
        if self.over_ranks:
            square = self.sum_over_ranks(square)
        variance = square / count
        # y = centred * scale + beta through the framework's fused kernel: plain broadcasting is slower on CPU
        scale = gamma / ops.sqrt(variance + self.eps)
        y = self.scale_and_shift(centred, scale, beta, self.zero, self.unit_variance)[0]
        unbiased = variance * (count / ops.maximum(count - 1.0, 1.0))
        return y, ops.stop_gradient(mean), ops.stop_gradient(unbiased), rows
