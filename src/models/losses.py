"""Elementwise losses, which the caller masks, sums and divides, and the two losses of semantic segmentation.

All are computed in float32.
"""

from dataclasses import dataclass

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype
from mindspore.ops import constexpr

from ..ops.half_precision import as_float32


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Sigmoid cross entropy of logits against targets in [0, 1], elementwise, stable for large logits."""
    logits = as_float32(logits)
    return ops.relu(logits) - logits * targets + ops.log1p(ops.exp(-ops.abs(logits)))


def smooth_l1(prediction: Tensor, target: Tensor, beta: float) -> Tensor:
    """Elementwise: quadratic below `beta`, linear above; beta 0 is L1 (MMDetection `SmoothL1Loss`, `L1Loss`)."""
    difference = ops.abs(as_float32(prediction) - target)
    if beta <= 0:
        return difference
    return ops.where(difference < beta, 0.5 * difference * difference / beta, difference - 0.5 * beta)


@dataclass(frozen=True)
class BoxLossSettings:
    """Of a stage that classifies boxes and moves them: factors of its two losses, smooth-L1's turning point (0: L1),
    and which loss the boxes have: smooth_l1, giou or ciou.
    """

    cls_weight: float = 1.0
    box_weight: float = 1.0
    beta: float = 0.0
    box_type: str = "smooth_l1"


def cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Softmax cross entropy (B,) of logits (B, C) against labels (B,) int32 (PyTorch `cross_entropy`).

    label_smoothing: this share of every target is spread evenly over all classes.
    """
    log_probability = ops.log_softmax(as_float32(logits), -1)
    picked = ops.gather_elements(log_probability, 1, labels[:, None])[:, 0]
    if label_smoothing <= 0:
        return -picked
    return -(1.0 - label_smoothing) * picked - label_smoothing * log_probability.mean(axis=1)


class PixelCrossEntropy(nn.Cell):
    """Mean cross entropy over pixels: logits (B, C, H, W), labels (B, H, W) int32 -> scalar.

    ignore_label: pixels of this label do not count; a batch with none that counts gives 0.
    class_weights: C factors, or empty. The mean is then the weighted one, as PyTorch's `CrossEntropyLoss(weight)`.
    over_all: divides by the number of all pixels, ignored ones too (MMSegmentation with its `avg_non_ignore` False).
    """

    def __init__(self, ignore_label: int = 255, class_weights: tuple[float, ...] = (), over_all: bool = False):
        super().__init__()
        self.log_probability = LabelLogProbability()
        self.ignore_label, self.over_all = ignore_label, over_all
        self.class_weights = Tensor(class_weights, mstype.float32) if class_weights else None

    def construct(self, logits: Tensor, labels: Tensor) -> Tensor:
        log_probability, counts = self.log_probability(logits, labels), labels != self.ignore_label
        weight = counts.astype(mstype.float32)
        if self.class_weights is not None:
            weight = weight * self.class_weights[ops.where(counts, labels, 0)]
        if self.over_all:
            return -(weight * log_probability).mean()
        return -(weight * log_probability).sum() / ops.maximum(weight.sum(), 1e-12)


class OhemCrossEntropy(nn.Cell):
    """Cross entropy over the hard pixels alone (online hard example mining; the HRNet authors' `OhemCrossEntropy`).

    A pixel is hard where the probability of its true class lies below the larger of `threshold` and the
    (min_kept + 1)-th smallest such probability in the batch. The losses are weighted by class, their mean is not.
    """

    def __init__(
        self,
        ignore_label: int = 255,
        class_weights: tuple[float, ...] = (),
        threshold: float = 0.7,
        min_kept: int = 100000,
    ):
        super().__init__()
        self.log_probability = LabelLogProbability()
        self.ignore_label = ignore_label
        self.class_weights = Tensor(class_weights, mstype.float32) if class_weights else None
        self.threshold, self.min_kept = threshold, max(1, min_kept)

    def construct(self, logits: Tensor, labels: Tensor) -> Tensor:
        log_probability, counts = self.log_probability(logits, labels), labels != self.ignore_label
        probability = ops.stop_gradient(ops.where(counts, ops.exp(log_probability), 2.0))  # ignored ones come last
        flat = probability.reshape(-1)
        lowest = -ops.topk(-flat, min(self.min_kept + 1, flat.shape[0]))[0]
        position = ops.minimum(counts.astype(mstype.int32).sum() - 1, self.min_kept)
        limit = ops.maximum(lowest[ops.maximum(position, 0)], self.threshold)
        hard = ops.logical_and(counts, probability < limit).astype(mstype.float32)
        loss = -log_probability * hard
        if self.class_weights is not None:
            loss = loss * self.class_weights[ops.where(counts, labels, 0)]
        return loss.sum() / ops.maximum(hard.sum(), 1.0)


class LabelLogProbability(nn.Cell):
    """The log-softmax of logits (B, C, H, W) at the labels (B, H, W) int32 of pixels: (B, H, W). Where one is no class,
    it means nothing.

    Written out: log_softmax and gather over the channel axis take twice as long on CPU (`benchmarks/pixel_loss.py`).
    for_training: an operator in its place in training (`fuse_for_training`).
    """

    def __init__(self):
        super().__init__()
        self.for_training = None

    def construct(self, logits: Tensor, labels: Tensor) -> Tensor:
        logits = as_float32(logits)
        if self.training and self.for_training is not None:
            return self.for_training(logits, labels.astype(mstype.int32))
        shifted = logits - ops.stop_gradient(logits.max(axis=1, keepdims=True))
        own = labels[:, None] == class_numbers(logits.shape[1])
        picked = ops.where(own, shifted, 0.0).sum(axis=1)
        return picked - ops.log(ops.exp(shifted).sum(axis=1))


@constexpr
def class_numbers(count: int) -> Tensor:
    """0, 1, ... (1, count, 1, 1) int32."""
    return Tensor(np.arange(count).reshape(1, count, 1, 1), mstype.int32)
