"""Greedy non-maximum suppression within groups (levels or classes), with fixed output shapes."""

from collections.abc import Sequence

import numpy as np
from mindspore import Tensor, get_context, nn, ops
from mindspore import dtype as mstype

from .best_first import best_first
from .library import custom_op, takes_custom_op

BLOCK = 2864  # boxes that MindSpore's operator takes at a time, as documented
MOST_BLOCKS = 4
RULES = ("moved", "exact", "inclusive")  # by the operator's number for them
LOWEST = float(np.finfo(np.float32).min)


class Nms(nn.Cell):
    """NMS by falling score; of equal scores the lower index goes first. mmcv's `batched_nms` defines the numbers.

    iou_threshold: a box goes when its IoU with a better one of its group is above this.
    max_output: slots of the output.
    rule: 'moved': groups are moved apart in float32, as the original does, which rounds coordinates a little; 'exact':
        they are not; 'inclusive': nor here, areas count the last pixels, (w + 1) * (h + 1), overlaps do not, and a box
        goes from the threshold on (the MindSpore original of PointRend). The portable way knows the first alone.
    portable: use MindSpore's own operators (always so where ours is not compiled). They choose the same boxes, but
        of more than 11,456 valid ones (of a group, where `group_sizes` are given) the best so many compete alone.
    group_sizes: where the boxes stand group after group, how many each has; the portable way then takes a group at a
        time.
    """

    def __init__(
        self,
        iou_threshold: float,
        max_output: int,
        portable: bool = False,
        group_sizes: Sequence[int] = (),
        rule: str = "moved",
    ):
        super().__init__()
        self.iou_threshold, self.max_output = iou_threshold, max_output
        if takes_custom_op(portable):
            self.select = _CustomNms(iou_threshold, max_output, rule)
        else:
            self.select = _PortableNms(iou_threshold, max_output, group_sizes)

    def construct(
        self, boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor, group_sizes: tuple[int, ...] = ()
    ) -> tuple[Tensor, Tensor]:
        """boxes (B, N, 4), scores (B, N), groups (N,) int32, valid (B, N) bool -> index (B, M) int32, keep (B, M) bool.
        group_sizes: others than the constructor's.

        Kept boxes come best first; unused slots hold index 0 and keep False. Each image stands for itself; the groups
        are those of every image. A score that is not a number is never kept.
        """
        return self.select(ops.stop_gradient(boxes), ops.stop_gradient(scores), groups, valid, group_sizes)


class _CustomNms(nn.Cell):
    """The compiled operator (nms.cc, nms.cu): its time follows the number of valid boxes."""

    def __init__(self, iou_threshold: float, max_output: int, rule: str):
        super().__init__()
        numbers = [iou_threshold] if rule == RULES[0] else [iou_threshold, float(RULES.index(rule))]
        self.settings = Tensor(np.array(numbers, np.float32))

        def slot_shapes(boxes, *_):
            slots = [boxes[0], max_output]
            return slots, slots

        self.run = custom_op("NmsForward", slot_shapes, (mstype.int32, mstype.int32), str(max_output))

    def construct(
        self, boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor, group_sizes: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        index, keep = self.run(boxes, scores, groups, valid.astype(mstype.int32), self.settings)
        return index, keep > 0


class _PortableNms(nn.Cell):
    """NMSWithMask on blocks of boxes in falling order, their places as scores: it sorts anew, and not stably.

    Groups are moved apart by an offset, as in the original. A block does without the boxes that those kept from the
    blocks before suppress; more of these than there are slots for need not be known.
    """

    def __init__(self, iou_threshold: float, max_output: int, group_sizes: Sequence[int] = ()):
        super().__init__()
        threshold = np.float32(iou_threshold)
        if get_context("device_target") != "CPU":  # where it suppresses at the threshold too
            threshold = np.nextafter(threshold, np.float32(2))
        self.nms = ops.NMSWithMask(float(threshold))
        self.iou_threshold, self.max_output = iou_threshold, max_output
        self.group_sizes = tuple(group_sizes)

    def construct(
        self, boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor, group_sizes: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        valid = ops.logical_and(valid, scores == scores)
        scores = ops.where(valid, scores, ops.full_like(scores, LOWEST))
        indices, keeps = (), ()
        for b in range(boxes.shape[0]):
            index, keep = self._one_image(boxes[b], scores[b], groups, valid[b], group_sizes or self.group_sizes)
            indices += (index,)
            keeps += (keep,)
        return ops.stack(indices), ops.stack(keeps)

    def _one_image(
        self, boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor, group_sizes: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        largest = ops.where(valid[:, None], boxes, ops.full_like(boxes, LOWEST)).max()
        moved = boxes + (groups.astype(boxes.dtype) * (largest + 1.0))[:, None]
        places, kept = (), ()
        start = 0
        for size in group_sizes or (boxes.shape[0],):
            stop = start + size
            own_places, own_kept = self._one_group(moved[start:stop], scores[start:stop], valid[start:stop])
            places += (own_places + start,)
            kept += (own_kept,)
            start = stop
        places, kept = ops.concat(places), ops.concat(kept)
        # Places rise within equal scores of a group, and groups stand one after the other.
        kept_scores = ops.where(kept, ops.gather(scores, places, 0), ops.full_like(kept.astype(scores.dtype), LOWEST))
        slots = min(self.max_output, kept.shape[0])
        _, best = best_first(kept_scores, slots)
        keep = ops.gather(kept.astype(mstype.int32), best, 0)
        index = ops.gather(places, best, 0) * keep
        if slots < self.max_output:
            unused = ops.zeros((self.max_output - slots,), mstype.int32)
            index, keep = ops.concat((index, unused)), ops.concat((keep, unused))
        return index, keep > 0

    def _one_group(self, boxes: Tensor, scores: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Places (K,) of the best boxes, falling, and whether each is kept."""
        count = min(boxes.shape[0], MOST_BLOCKS * BLOCK)
        _, places = best_first(scores, count)
        boxes = ops.gather(boxes, places, 0)
        usable = ops.gather(valid.astype(mstype.int32), places, 0) > 0
        kept = ()
        for start in range(0, count, BLOCK):
            stop = min(start + BLOCK, count)
            block, free = boxes[start:stop], usable[start:stop]
            if start > 0:
                before = ops.concat(kept)
                _, first = best_first(before.astype(mstype.float32), min(self.max_output, start))
                rivals = ops.where(
                    ops.gather(before.astype(mstype.int32), first, 0)[:, None] > 0,
                    ops.gather(boxes, first, 0),
                    ops.full_like(ops.gather(boxes, first, 0), -1.0),
                )
                free = ops.logical_and(free, ops.logical_not(self._is_suppressed(block, rivals)))
            kept += (self._one_block(block, free),)
        return places, ops.concat(kept)

    def _one_block(self, boxes: Tensor, free: Tensor) -> Tensor:
        """Which boxes (n, 4) stay, of those that are still `free`."""
        # Boxes that take no part have no area, so that they suppress nothing.
        boxes = ops.where(free[:, None], boxes, ops.full_like(boxes, -1.0))
        rank = ops.arange(boxes.shape[0], 0, -1).astype(boxes.dtype)
        _, _, stays = self.nms(ops.concat((boxes, rank[:, None]), 1))
        return ops.logical_and(stays, free)

    def _is_suppressed(self, boxes: Tensor, rivals: Tensor) -> Tensor:
        """(n,): whether the IoU of a box with any rival (m, 4) is above the threshold; nms.cc's operations."""
        x1, y1, x2, y2 = (boxes[:, None, k] for k in range(4))
        rx1, ry1, rx2, ry2 = (rivals[None, :, k] for k in range(4))
        width = ops.relu(ops.minimum(x2, rx2) - ops.maximum(x1, rx1))
        height = ops.relu(ops.minimum(y2, ry2) - ops.maximum(y1, ry1))
        shared = width * height
        iou = shared / ((rx2 - rx1) * (ry2 - ry1) + (x2 - x1) * (y2 - y1) - shared)
        return (iou > self.iou_threshold).any(axis=1)
