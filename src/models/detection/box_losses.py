"""The loss of boxes by its name: of their deltas (smooth L1), or of the boxes that the deltas make (GIoU, CIoU)."""

import math

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from ..losses import BoxLossSettings, smooth_l1
from .boxes import DeltaBoxCoder

EPS = 1e-6  # of areas and squared lengths in pixels: MMDetection's `GIoULoss` and `CIoULoss` have it by default


def giou_loss(boxes: Tensor, targets: Tensor) -> Tensor:
    """1 - GIoU of boxes and targets (..., 4) xyxy, row by row (Rezatofighi et al., 2019; MMDetection `giou_loss`)."""
    shared, around = _shared_sides(boxes, targets), _sides_around(boxes, targets)
    overlap = shared[0] * shared[1]
    union = ops.clamp(_area(boxes) + _area(targets) - overlap, EPS)
    enclosing = ops.clamp(around[0] * around[1], EPS)
    return 1.0 - (overlap / union - (enclosing - union) / enclosing)


def ciou_loss(boxes: Tensor, targets: Tensor) -> Tensor:
    """1 - CIoU of boxes and targets (..., 4) xyxy, row by row (Zheng et al., 2020; MMDetection 3 `ciou_loss`).

    The factor of the term of shapes is a constant, and 0 up to an IoU of 0.5. Where a box is its target to the last bit
    it is 0; the original divides 0 by 0 there.
    """
    shared, around = _shared_sides(boxes, targets), _sides_around(boxes, targets)
    overlap = shared[0] * shared[1]
    iou = overlap / (_area(boxes) + _area(targets) - overlap + EPS)
    diagonal = around[0] * around[0] + around[1] * around[1] + EPS
    shift = (targets[..., :2] + targets[..., 2:]) - (boxes[..., :2] + boxes[..., 2:])
    distance = shift[..., 0] * shift[..., 0] / 4 + shift[..., 1] * shift[..., 1] / 4
    angle = _angle(targets) - _angle(boxes)
    shapes = 4 / math.pi**2 * (angle * angle)
    rest = 1.0 - iou + shapes
    factor = ops.where(iou > 0.5, shapes / ops.where(rest > 0.0, rest, ops.ones_like(rest)), ops.zeros_like(rest))
    ciou = iou - (distance / diagonal + ops.stop_gradient(factor) * shapes)
    return 1.0 - ops.clamp(ciou, -1.0, 1.0)


OF_BOXES = {"giou": giou_loss, "ciou": ciou_loss}  # by name; the other losses are of deltas


class BoxLoss(nn.Cell):
    """The loss of deltas against the objects that their boxes are to become, summed over the rows that count.

    settings: `box_type` and `beta`. Boxes are decoded with the coder and not clipped to the image (MMDetection's
    `reg_decoded_bbox=True`).
    """

    def __init__(self, coder: DeltaBoxCoder, settings: BoxLossSettings):
        super().__init__()
        self.coder = coder
        self.beta = settings.beta
        self.of_boxes = OF_BOXES.get(settings.box_type)

    def construct(self, deltas: Tensor, references: Tensor, objects: Tensor, counts: Tensor) -> Tensor:
        """deltas (..., 4), references (..., 4) anchors or RoIs, objects (..., 4), counts (...) bool -> scalar."""
        if self.of_boxes is None:
            targets = self.coder.encode_where(counts, references, objects)
            loss = smooth_l1(deltas, targets, self.beta) * counts[..., None].astype(mstype.float32)
            return loss.sum()
        # Rows that do not count may hold anything, and get no gradient.
        unit = ops.zeros_like(references) + Tensor([0.0, 0.0, 1.0, 1.0], references.dtype)
        wanted = counts[..., None]
        deltas = ops.where(wanted, deltas, ops.zeros_like(deltas))
        boxes = self.coder.decode(ops.where(wanted, references, unit), deltas)
        loss = self.of_boxes(boxes, ops.where(wanted, objects, unit))
        return (loss * counts.astype(mstype.float32)).sum()


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _angle(boxes: Tensor) -> Tensor:
    """Of the diagonal, against the vertical."""
    return ops.atan((boxes[..., 2] - boxes[..., 0]) / (boxes[..., 3] - boxes[..., 1] + EPS))


# `clamp` and not `relu`: at its bound PyTorch's gives the whole gradient, which boxes that touch have.


def _shared_sides(boxes: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Width and height of what two boxes share."""
    side = ops.minimum(boxes[..., 2:], targets[..., 2:]) - ops.maximum(boxes[..., :2], targets[..., :2])
    side = ops.clamp(side, 0.0)
    return side[..., 0], side[..., 1]


def _sides_around(boxes: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Width and height of the smallest box around two."""
    side = ops.maximum(boxes[..., 2:], targets[..., 2:]) - ops.minimum(boxes[..., :2], targets[..., :2])
    side = ops.clamp(side, 0.0)
    return side[..., 0], side[..., 1]

