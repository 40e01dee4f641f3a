"""From RPN outputs to proposals (MMDetection `RPNHead._predict_by_feat_single`)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype
from mindspore.ops import constexpr

from ...ops.best_first import best_first
from ...ops.nms import Nms
from .boxes import CONTINUOUS, BoxStyle, DeltaBoxCoder, clip_boxes, take_rows

ALL = 2**31 - 1  # anchors of a level


@dataclass(frozen=True)
class ProposalSettings:
    """The best `nms_pre` anchors of each level (0: all) go into NMS, the best `max_per_img` of all levels stay.

    min_bbox_size: boxes whose width or height is not above it are dropped; negative keeps all.
    """

    nms_pre: int
    max_per_img: int
    iou_threshold: float
    min_bbox_size: float = 0


class ProposalGenerator(nn.Cell):
    """Best `nms_pre` anchors of each level, decoded and clipped, NMS within each level, best `max_per_img` overall.

    Best by logit, of equal ones the lower anchor: scores of large logits all round to 1, which is one rank for many.
    level_sizes: anchors a level of images of the usual size; portable: see `Nms`.
    """

    def __init__(
        self,
        level_sizes: Sequence[int],
        coder: DeltaBoxCoder,
        settings: ProposalSettings,
        portable: bool = False,
        style: BoxStyle = CONTINUOUS,
    ):
        super().__init__()
        self.canvas = style.canvas
        self.level_sizes = tuple(level_sizes)
        self.coder = coder
        self.nms_pre = settings.nms_pre if settings.nms_pre > 0 else ALL
        counts = [min(self.nms_pre, size) for size in level_sizes]
        self.levels = _numbered(counts)
        self.max_per_img = settings.max_per_img
        self.min_bbox_size = settings.min_bbox_size
        rule = "exact" if style.inclusive else "moved"
        self.nms = Nms(settings.iou_threshold, settings.max_per_img, portable, counts, rule)

    def construct(
        self, anchors: Tensor, logits: Tensor, deltas: Tensor, image_shape: Tensor, level_sizes: tuple[int, ...] = ()
    ) -> tuple[Tensor, Tensor, Tensor]:
        """anchors (A, 4), logits (B, A), deltas (B, A, 4), image_shape (B, 2) float (h, w); level_sizes: of these
        anchors, by default as in the constructor.

        Returns boxes (B, P, 4), scores (B, P), valid (B, P), best first; P = max_per_img. No gradient flows.
        """
        sizes = self.level_sizes if len(level_sizes) == 0 else level_sizes
        boxes, logits = self._candidates(anchors, logits, deltas, image_shape, sizes)
        width, height = boxes[:, :, 2] - boxes[:, :, 0], boxes[:, :, 3] - boxes[:, :, 1]
        valid = ops.ones_like(logits).astype(mstype.bool_)
        if self.min_bbox_size >= 0:
            valid = ops.logical_and(width > self.min_bbox_size, height > self.min_bbox_size)
        if sizes == self.level_sizes:
            index, keep = self.nms(boxes, logits, self.levels, valid)
        else:
            counts = _counts(sizes, self.nms_pre)
            index, keep = self.nms(boxes, logits, _levels(counts), valid, counts)
        kept_scores = ops.sigmoid(ops.gather_elements(logits, 1, index)) * keep.astype(logits.dtype)
        return take_rows(boxes, index) * keep[:, :, None].astype(boxes.dtype), kept_scores, keep

    def _candidates(
        self, anchors: Tensor, logits: Tensor, deltas: Tensor, image_shape: Tensor, level_sizes: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        """The best anchors of each level: boxes (B, K, 4), logits (B, K); `levels` (K,) tells where they come from."""
        logits, deltas = ops.stop_gradient(logits), ops.stop_gradient(deltas)
        logits_of_level, chosen = (), ()
        start = 0
        for size in level_sizes:
            count = min(self.nms_pre, size)
            top_logits, top = best_first(logits[:, start : start + size], count)
            logits_of_level += (top_logits,)
            chosen += (top + start,)
            start += size
        index = ops.concat(chosen, 1)
        boxes = self.coder.decode(ops.gather(anchors, index, 0), take_rows(deltas, index))
        return clip_boxes(boxes, image_shape, self.canvas), ops.concat(logits_of_level, 1)


@constexpr
def _counts(level_sizes: tuple[int, ...], most: int) -> tuple[int, ...]:
    return tuple(min(size, most) for size in level_sizes)


@constexpr
def _levels(counts: tuple[int, ...]) -> Tensor:
    return _numbered(counts)


def _numbered(counts: Sequence[int]) -> Tensor:
    """(sum of counts,) int32: 0 counts[0] times, then 1, ..."""
    return Tensor(np.repeat(np.arange(len(counts)), counts), mstype.int32)
