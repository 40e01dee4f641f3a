"""From RPN outputs to proposals (MMDetection `RPNHead._predict_by_feat_single`)."""

from collections.abc import Sequence
from dataclasses import dataclass

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from ...ops.nms import Nms
from .boxes import DeltaBoxCoder, clip_boxes


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
        self.max_per_img = settings.max_per_img
        self.min_bbox_size = settings.min_bbox_size
        self.nms = Nms(settings.iou_threshold, settings.max_per_img, portable)

    def construct(
        self, anchors: Tensor, logits: Tensor, deltas: Tensor, image_shape: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """anchors (A, 4), logits (B, A), deltas (B, A, 4), image_shape (B, 2) float (h, w).

        Returns boxes (B, P, 4), scores (B, P), valid (B, P), best first; P = max_per_img. No gradient flows.
        """
        boxes, scores, levels = self._candidates(anchors, logits, deltas, image_shape)
        width, height = boxes[:, :, 2] - boxes[:, :, 0], boxes[:, :, 3] - boxes[:, :, 1]
        valid = ops.ones_like(scores).astype(mstype.bool_)
        if self.min_bbox_size >= 0:
            valid = ops.logical_and(width > self.min_bbox_size, height > self.min_bbox_size)
        kept_boxes, kept_scores, kept_valid = (), (), ()
        for b in range(boxes.shape[0]):
            index, keep = self.nms(boxes[b], scores[b], levels, valid[b])
            kept_boxes += (ops.gather(boxes[b], index, 0) * keep[:, None].astype(boxes.dtype),)
            kept_scores += (ops.gather(scores[b], index, 0) * keep.astype(scores.dtype),)
            kept_valid += (keep,)
        return ops.stack(kept_boxes), ops.stack(kept_scores), ops.stack(kept_valid)

    def _candidates(
        self, anchors: Tensor, logits: Tensor, deltas: Tensor, image_shape: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The best anchors of each level: boxes (B, K, 4), scores (B, K), level numbers (K,)."""
        scores = ops.sigmoid(ops.stop_gradient(logits))
        deltas = ops.stop_gradient(deltas)
        boxes_of_level, scores_of_level, levels = (), (), ()
        start = 0
        for level, size in enumerate(self.level_sizes):
            count = min(self.nms_pre, size)
            top_scores, top = ops.topk(scores[:, start : start + size], count)
            top = top.astype(mstype.int32)
            top_deltas = ops.gather_elements(
                deltas[:, start : start + size], 1, ops.broadcast_to(top[:, :, None], (*top.shape, 4))
            )
            top_anchors = ops.gather(anchors[start : start + size], top, 0)
            boxes_of_level += (self.coder.decode(top_anchors, top_deltas),)
            scores_of_level += (top_scores,)
            levels += (ops.full((count,), level, dtype=mstype.int32),)
            start += size
        boxes = clip_boxes(ops.concat(boxes_of_level, 1), image_shape)
        return boxes, ops.concat(scores_of_level, 1), ops.concat(levels, 0)
