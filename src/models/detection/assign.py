"""Which ground-truth object each box stands for (MMDetection `MaxIoUAssigner`)."""

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from ...ops.library import custom_op, takes_custom_op
from .boxes import pairwise_overlap

NOT_ASSIGNED = -1
BACKGROUND = 0


class MaxIoUAssigner(nn.Cell):
    """Assign by largest IoU.

    pos_iou_thr: at least this IoU with an object makes a box positive.
    neg_iou_thr: a largest IoU below this makes it background; in between it is left out.
    min_pos_iou, match_low_quality: each object whose best IoU reaches `min_pos_iou` also takes every box that has
        exactly this best IoU; of several objects the last one wins.
    ignore_iof_thr: > 0 leaves out boxes that lie inside a crowd region by more than this share.
    inclusive: see `BoxStyle`; sides count their last pixel.
    portable: use MindSpore's operators, as always where ours is not compiled. The compiled operator
        (ops/iou_assign.cc, ops/iou_assign.cu) does the same without storing the IoU of every pair.

    Four boxes, two objects. Box 0 reaches `pos_iou_thr` with object 1. Box 1 lies between the two thresholds: left out.
    Box 2 does so too, but is the best that object 2 has. Box 3 is background.

    >>> boxes = Tensor([[[0, 0, 10, 8], [0, 0, 10, 5], [20, 0, 30, 4], [20, 0, 30, 2]]], mstype.float32)
    >>> objects = Tensor([[[0, 0, 10, 10], [20, 0, 30, 10]]], mstype.float32)
    >>> yes, no = Tensor([[True] * 4]), Tensor([[False] * 4])
    >>> assigner = MaxIoUAssigner(pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3)
    >>> assigned, best = assigner(boxes, yes, objects, yes[:, :2], no[:, :2])
    >>> [round(float(iou), 2) for iou in best[0]], assigned[0].asnumpy().tolist()
    ([0.8, 0.5, 0.4, 0.2], [1, -1, 2, 0])
    """

    def __init__(
        self,
        pos_iou_thr: float,
        neg_iou_thr: float,
        min_pos_iou: float,
        match_low_quality: bool = True,
        ignore_iof_thr: float = -1.0,
        portable: bool = False,
        inclusive: bool = False,
    ):
        super().__init__()
        self.last_pixel = Tensor([0.0, 0.0, 1.0, 1.0], mstype.float32) if inclusive else None
        self.use_custom = takes_custom_op(portable)
        if self.use_custom:
            numbers = [pos_iou_thr, neg_iou_thr, min_pos_iou, float(match_low_quality), ignore_iof_thr]
            self.settings = Tensor(np.array(numbers, np.float32))

            def output_shapes(boxes, box_valid, gt_boxes, gt_valid, gt_crowd, settings):
                return box_valid, box_valid

            self.run = custom_op("IoUAssignForward", output_shapes, (mstype.int32, mstype.float32), "assign")
        self.pos_iou_thr = pos_iou_thr
        self.neg_iou_thr = neg_iou_thr
        self.min_pos_iou = min_pos_iou
        self.match_low_quality = match_low_quality
        self.ignore_iof_thr = ignore_iof_thr

    def construct(
        self, boxes: Tensor, box_valid: Tensor, gt_boxes: Tensor, gt_valid: Tensor, gt_crowd: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Assign (B, N, 4) boxes to (B, G, 4) objects.

        box_valid (B, N), gt_valid (B, G), gt_crowd (B, G): bool. Returns (B, N) int32: -1 left out, 0 background,
        k = object k - 1; and (B, N) float32 largest IoU. No gradient flows.
        """
        boxes, gt_boxes = ops.stop_gradient(boxes), ops.stop_gradient(gt_boxes)
        if self.last_pixel is not None:
            boxes, gt_boxes = boxes + self.last_pixel, gt_boxes + self.last_pixel
        if self.use_custom:
            return self.run(boxes, box_valid, gt_boxes, gt_valid, gt_crowd, self.settings)
        return self._assign(boxes, box_valid, gt_boxes, gt_valid, gt_crowd)

    def _assign(
        self, boxes: Tensor, box_valid: Tensor, gt_boxes: Tensor, gt_valid: Tensor, gt_crowd: Tensor
    ) -> tuple[Tensor, Tensor]:
        overlaps = pairwise_overlap(gt_boxes, boxes)
        overlaps = ops.where(gt_valid[:, :, None], overlaps, ops.zeros_like(overlaps))
        overlaps = ops.where(box_valid[:, None, :], overlaps, ops.full_like(overlaps, -1.0))
        if self.ignore_iof_thr > 0:
            inside = pairwise_overlap(gt_boxes, boxes, over_second=True)
            crowded = ops.logical_and(inside > self.ignore_iof_thr, gt_crowd[:, :, None])
            overlaps = ops.where(crowded.any(axis=1, keep_dims=True), ops.full_like(overlaps, -1.0), overlaps)

        best, best_gt = ops.max(overlaps, axis=1)
        best_gt = best_gt.astype(mstype.int32)
        assigned = ops.full_like(best_gt, NOT_ASSIGNED)
        is_background = ops.logical_and(best >= 0, best < self.neg_iou_thr)
        assigned = ops.where(is_background, ops.zeros_like(assigned), assigned)
        assigned = ops.where(best >= self.pos_iou_thr, best_gt + 1, assigned)
        if self.match_low_quality:
            forced = self._low_quality(overlaps, gt_valid)
            assigned = ops.where(forced > 0, forced, assigned)
        return assigned, best

    def _low_quality(self, overlaps: Tensor, gt_valid: Tensor) -> Tensor:
        """(B, N) int32: 1 + the last object whose best IoU this box has, 0 if none."""
        best_of_gt = overlaps.max(axis=2, keepdims=True)
        takes = ops.logical_and(overlaps == best_of_gt, best_of_gt >= self.min_pos_iou)
        takes = ops.logical_and(takes, gt_valid[:, :, None])
        number = ops.arange(1, overlaps.shape[1] + 1).astype(mstype.int32)[None, :, None]
        return (takes.astype(mstype.int32) * number).max(axis=1)
