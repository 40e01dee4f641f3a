"""Soft-NMS within groups (Bodla et al., 2017), with fixed output shapes: better boxes lower the scores of others."""

from dataclasses import dataclass

import numpy as np
from mindspore import Tensor, get_context, nn, ops
from mindspore import dtype as mstype

from .library import custom_op

METHODS = ("linear", "gaussian")
RULES = ("moved", "exact")  # of `Nms`


@dataclass(frozen=True)
class Decay:
    """How a picked box lowers the score of another one of its group, by their IoU (mmcv `soft_nms`).

    method: 'linear': times 1 - IoU, from the IoU threshold on; 'gaussian': times exp(-IoU^2 / sigma), always.
    min_score: a box whose lowered score is below it is dropped.
    """

    method: str = "linear"
    sigma: float = 0.5
    min_score: float = 0.001


class SoftNms(nn.Cell):
    """Picks the best box, lowers the scores of the others of its group, and so on, until `max_output` are picked.

    Scores never rise, so the picks come out sorted, and those after the first `max_output` are not needed. Of equal
    scores the lower index goes first. mmcv's `soft_nms` in its `batched_nms` defines the numbers; it looks for boxes
    below `min_score` after each decay, so the very first box stays whatever its score. Here boxes without area overlap
    nothing, where the original divides 0 by 0.

    iou_threshold: see `Decay`. max_output: slots of the output. rule: see `Nms`; 'moved' or 'exact'.
    portable: use MindSpore's own operators (always so on devices other than the CPU). They choose the same boxes.
    """

    def __init__(
        self,
        iou_threshold: float,
        max_output: int,
        decay: Decay | None = None,
        portable: bool = False,
        rule: str = "moved",
    ):
        super().__init__()
        decay = decay or Decay()
        if decay.method not in METHODS or rule not in RULES:
            raise ValueError(f"method {decay.method!r}, rule {rule!r}: they are of {METHODS} and {RULES}")
        self.iou_threshold, self.max_output = iou_threshold, max_output
        own = portable or get_context("device_target") != "CPU"
        self.select = (_PortableSoftNms if own else _CustomSoftNms)(iou_threshold, max_output, decay, rule)

    def construct(self, boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """boxes (B, N, 4), scores (B, N) of 0 and more, groups (N,) int32, valid (B, N) bool.

        Returns index (B, M) int32, keep (B, M) bool, lowered scores (B, M). Kept boxes come best first; unused slots
        hold index 0, keep False and score 0. A score that is not a number is never kept.
        """
        return self.select(ops.stop_gradient(boxes), ops.stop_gradient(scores), groups, valid)


class _CustomSoftNms(nn.Cell):
    """The compiled operator (soft_nms.cc): its time follows the number of valid boxes."""

    def __init__(self, iou_threshold: float, max_output: int, decay: Decay, rule: str):
        super().__init__()
        numbers = [iou_threshold, decay.sigma, decay.min_score, METHODS.index(decay.method), rule == "moved"]
        self.settings = Tensor(np.float32(numbers))

        def slot_shapes(boxes, *_):
            slots = [boxes[0], max_output]
            return slots, slots, slots

        kinds = (mstype.int32, mstype.int32, mstype.float32)
        self.run = custom_op("SoftNmsForward", slot_shapes, kinds, str(max_output))

    def construct(self, boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        index, keep, kept_scores = self.run(boxes, scores, groups, valid.astype(mstype.int32), self.settings)
        return index, keep > 0, kept_scores


class _PortableSoftNms(nn.Cell):
    """Each of `max_output` turns of a loop picks a box of every image, out of all: any of them may come to the top."""

    def __init__(self, iou_threshold: float, max_output: int, decay: Decay, rule: str):
        super().__init__()
        self.iou_threshold, self.max_output = iou_threshold, max_output
        self.is_gaussian = decay.method == "gaussian"
        self.sigma, self.min_score = decay.sigma, decay.min_score
        self.is_moved = rule == "moved"
        self.first = Tensor(0, mstype.int32)
        self.slots = Tensor(np.arange(max_output)[None], mstype.int32)

    def construct(self, boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        left = ops.logical_and(valid, scores == scores)
        scores = ops.where(left, scores, ops.zeros_like(scores))
        if self.is_moved:
            boxes = self._moved(boxes, groups, left)
        numbers = ops.arange(0, scores.shape[1]).astype(mstype.int32)[None]
        index = ops.zeros_like(scores[:, :1]).astype(mstype.int32) + ops.zeros_like(self.slots)
        keep, kept_scores = index, index.astype(scores.dtype)
        step = self.first
        while step < self.max_output:
            ranks = ops.where(left, scores, ops.full_like(scores, -1.0))
            best = ranks.max(axis=1, keepdims=True)
            place = ops.where(ranks == best, numbers, scores.shape[1]).min(axis=1, keepdims=True)
            least = ops.where(step > 0, self.min_score, 0.0)
            is_found = ops.logical_and(best >= 0.0, best >= least)
            here = ops.logical_and(self.slots == step, is_found)
            index = ops.where(here, place, index)
            keep = ops.where(here, ops.ones_like(keep), keep)
            kept_scores = ops.where(here, best, kept_scores)
            scores = self._lowered(boxes, scores, groups, place)
            left = ops.logical_and(left, numbers != place)
            step = step + 1
        return index, keep > 0, kept_scores

    def _moved(self, boxes: Tensor, groups: Tensor, valid: Tensor) -> Tensor:
        """Boxes whose groups are apart, by the operations of `Nms`."""
        lowest = ops.full_like(boxes, float(np.finfo(np.float32).min))
        largest = ops.where(valid[:, :, None], boxes, lowest).max(axis=(1, 2))
        return boxes + (groups.astype(boxes.dtype)[None] * (largest + 1.0)[:, None])[:, :, None]

    def _lowered(self, boxes: Tensor, scores: Tensor, groups: Tensor, place: Tensor) -> Tensor:
        """Scores (B, N) after the boxes at `place` (B, 1) are picked; soft_nms.cc's operations."""
        picked = ops.gather_elements(boxes, 1, ops.broadcast_to(place[:, :, None], (boxes.shape[0], 1, 4)))
        px1, py1, px2, py2 = (picked[:, :, k] for k in range(4))
        x1, y1, x2, y2 = (boxes[:, :, k] for k in range(4))
        width = ops.relu(ops.minimum(px2, x2) - ops.maximum(px1, x1))
        height = ops.relu(ops.minimum(py2, y2) - ops.maximum(py1, y1))
        shared = width * height
        iou = shared / ((px2 - px1) * (py2 - py1) + (x2 - x1) * (y2 - y1) - shared)
        if self.is_gaussian:
            weight = ops.exp(-(iou * iou) / self.sigma)
        else:
            weight = ops.where(iou >= self.iou_threshold, 1.0 - iou, ops.ones_like(iou))
        is_rival = ops.logical_and(iou > 0.0, groups[None] == ops.gather(groups, place[:, 0], 0)[:, None])
        return ops.where(is_rival, scores * weight, scores)
