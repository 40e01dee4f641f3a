"""Elementwise losses; the caller masks, sums and divides."""

from mindspore import Tensor, ops


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Sigmoid cross entropy of logits against targets in [0, 1], elementwise, stable for large logits."""
    return ops.relu(logits) - logits * targets + ops.log1p(ops.exp(-ops.abs(logits)))


def smooth_l1(prediction: Tensor, target: Tensor, beta: float) -> Tensor:
    """Elementwise: quadratic below `beta`, linear above; beta 0 is L1 (MMDetection `SmoothL1Loss`, `L1Loss`)."""
    difference = ops.abs(prediction - target)
    if beta <= 0:
        return difference
    return ops.where(difference < beta, 0.5 * difference * difference / beta, difference - 0.5 * beta)
