"""From RPN outputs to proposals (MMDetection `RPNHead._predict_by_feat_single`)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from ...ops.nms import Nms
from .boxes import DeltaBoxCoder, clip_boxes, take_rows


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

    portable: see `Nms`.
    """

    def __init__(
        self,
        level_sizes: Sequence[int],
        coder: DeltaBoxCoder,
        settings: ProposalSettings,
        portable: bool = False,
    ):
        super().__init__()
        self.level_sizes = tuple(level_sizes)
        self.coder = coder
        self.nms_pre = settings.nms_pre if settings.nms_pre > 0 else max(level_sizes)
        counts = [min(self.nms_pre, size) for size in level_sizes]
        self.levels = Tensor(np.repeat(np.arange(len(counts)), counts), mstype.int32)
        self.max_per_img = settings.max_per_img
        self.min_bbox_size = settings.min_bbox_size
        self.nms = Nms(settings.iou_threshold, settings.max_per_img, portable)

    def construct(
        self, anchors: Tensor, logits: Tensor, deltas: Tensor, image_shape: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """anchors (A, 4), logits (B, A), deltas (B, A, 4), image_shape (B, 2) float (h, w).

        Returns boxes (B, P, 4), scores (B, P), valid (B, P), best first; P = max_per_img. No gradient flows.
        """
        boxes, scores = self._candidates(anchors, logits, deltas, image_shape)
        width, height = boxes[:, :, 2] - boxes[:, :, 0], boxes[:, :, 3] - boxes[:, :, 1]
        valid = ops.ones_like(scores).astype(mstype.bool_)
        if self.min_bbox_size >= 0:
            valid = ops.logical_and(width > self.min_bbox_size, height > self.min_bbox_size)
        index, keep = self.nms(boxes, scores, self.levels, valid)
        kept_scores = ops.gather_elements(scores, 1, index) * keep.astype(scores.dtype)
        return take_rows(boxes, index) * keep[:, :, None].astype(boxes.dtype), kept_scores, keep

    def _candidates(
        self, anchors: Tensor, logits: Tensor, deltas: Tensor, image_shape: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The best anchors of each level: boxes (B, K, 4), scores (B, K); `levels` (K,) tells where they come from."""
        scores = ops.sigmoid(ops.stop_gradient(logits))
        deltas = ops.stop_gradient(deltas)
        scores_of_level, chosen = (), ()
        start = 0
        for size in self.level_sizes:
            count = min(self.nms_pre, size)
            top_scores, top = ops.topk(scores[:, start : start + size], count)
            scores_of_level += (top_scores,)
            chosen += (top.astype(mstype.int32) + start,)
            start += size
        index = ops.concat(chosen, 1)
        boxes = self.coder.decode(ops.gather(anchors, index, 0), take_rows(deltas, index))
        return clip_boxes(boxes, image_shape), ops.concat(scores_of_level, 1)
