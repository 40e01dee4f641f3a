"""Greedy non-maximum suppression within groups (levels or classes), with fixed output shapes."""

import numpy as np
from mindspore import Tensor, get_context, nn, ops
from mindspore import dtype as mstype

from .library import custom_op

PORTABLE_CANDIDATES = 4096  # MindSpore's operator is quadratic: it gets the best this many boxes


class Nms(nn.Cell):
    """NMS by falling score; of equal scores the lower index goes first. mmcv's `batched_nms` defines the numbers.

    iou_threshold: a box goes when its IoU with a better one of its group is above this.
    max_output: slots of the output.
    portable: use MindSpore's own operators (always so on devices other than the CPU): only the best
        `PORTABLE_CANDIDATES` valid boxes compete there.
    """

    def __init__(self, iou_threshold: float, max_output: int, portable: bool = False):
        super().__init__()
        self.iou_threshold, self.max_output = iou_threshold, max_output
        if portable or get_context("device_target") != "CPU":
            self.select = _PortableNms(iou_threshold, max_output)
        else:
            self.select = _CustomNms(iou_threshold, max_output)

    def construct(self, boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """boxes (B, N, 4), scores (B, N), groups (N,) int32, valid (B, N) bool -> index (B, M) int32, keep (B, M) bool.

        Kept boxes come best first; unused slots hold index 0 and keep False. Each image stands for itself; the groups
        are those of every image.
        """
        return self.select(ops.stop_gradient(boxes), ops.stop_gradient(scores), groups, valid)


class _CustomNms(nn.Cell):
    """The compiled operator (nms.cc): its time follows the number of valid boxes."""

    def __init__(self, iou_threshold: float, max_output: int):
        super().__init__()
        self.settings = Tensor(np.array([iou_threshold], np.float32))

        def slot_shapes(boxes, *_):
            slots = [boxes[0], max_output]
            return slots, slots

        self.run = custom_op("NmsForward", slot_shapes, (mstype.int32, mstype.int32), str(max_output))

    def construct(self, boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        index, keep = self.run(boxes, scores, groups, valid.astype(mstype.int32), self.settings)
        return index, keep > 0


class _PortableNms(nn.Cell):
    """TopK and NMSWithMask; groups are moved apart by an offset, as in the original."""

    def __init__(self, iou_threshold: float, max_output: int):
        super().__init__()
        self.nms = ops.NMSWithMask(iou_threshold)
        self.max_output = max_output

    def construct(self, boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        indices, keeps = (), ()
        for b in range(boxes.shape[0]):
            index, keep = self._one_image(boxes[b], scores[b], groups, valid[b])
            indices += (index,)
            keeps += (keep,)
        return ops.stack(indices), ops.stack(keeps)

    def _one_image(self, boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        count = min(scores.shape[0], max(PORTABLE_CANDIDATES, self.max_output))
        ranked, order = ops.topk(ops.where(valid, scores, ops.full_like(scores, -1.0)), count)
        order = order.astype(mstype.int32)
        candidates = ops.gather(boxes, order, 0)
        usable = ops.gather(valid.astype(mstype.int32), order, 0) > 0
        largest = ops.where(valid[:, None], boxes, ops.zeros_like(boxes)).max()
        shift = ops.gather(groups, order, 0).astype(boxes.dtype) * (largest + 1.0)
        # Boxes that are not valid have no area, so that they suppress nothing.
        moved = ops.where(usable[:, None], candidates + shift[:, None], ops.full_like(candidates, -1.0))
        _, _, kept = self.nms(ops.concat((moved, ranked[:, None]), 1))
        kept = ops.logical_and(kept, usable).astype(mstype.float32)

        slots = min(self.max_output, count)
        rank_key = kept * ops.arange(count, 0, -1).astype(mstype.float32)
        key, first = ops.topk(rank_key, slots)
        keep = key > 0
        index = ops.gather(order, first.astype(mstype.int32), 0) * keep.astype(mstype.int32)
        if slots < self.max_output:
            missing = self.max_output - slots
            index = ops.concat((index, ops.zeros((missing,), mstype.int32)), 0)
            keep = ops.concat((keep, ops.zeros((missing,), mstype.bool_)), 0)
        return index, keep
