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


def cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Softmax cross entropy (B,) of logits (B, C) against labels (B,) int32 (PyTorch `cross_entropy`).

    label_smoothing: this share of every target is spread evenly over all classes.
    """
    log_probability = ops.log_softmax(logits, -1)
    picked = ops.gather_elements(log_probability, 1, labels[:, None])[:, 0]
    if label_smoothing <= 0:
        return -picked
    return -(1.0 - label_smoothing) * picked - label_smoothing * log_probability.mean(axis=1)
