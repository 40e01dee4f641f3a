"""Region proposal network head: scores and box deltas for every anchor, and their losses (MMDetection `RPNHead`)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype
from mindspore.common.initializer import Normal
from mindspore.ops import constexpr

from ..layers import conv2d
from ..losses import BoxLossSettings, binary_cross_entropy
from .anchors import AnchorSet
from .assign import MaxIoUAssigner
from .box_losses import BoxLoss
from .boxes import DeltaBoxCoder, take_rows
from .sample import BalancedSampler


@dataclass(frozen=True)
class RPNTraining:
    """Which anchors the losses look at.

    size_divisor: an image's own padded area is its size rounded up to this many pixels; anchors of positions outside
        of it take no part.
    allowed_border: >= 0 also leaves out anchors that reach further than this over the image's border.
    canvas: instead of both, an anchor takes part if its pixels lie on the canvas of (height, width), see `BoxStyle`.
    """

    assigner: MaxIoUAssigner
    sampler: BalancedSampler
    size_divisor: int
    allowed_border: float = -1
    canvas: tuple[int, int] | None = None


class RPNHead(nn.Cell):
    """One shared 3x3 convolution and two 1x1 convolutions on every pyramid level.

    anchors: `AnchorSet` of the usual image size; for images of another one `anchors_of` has them.
    """

    loss_names = ("loss_rpn_cls", "loss_rpn_bbox")
    class_layers = ()
    prediction_layers = ("rpn_cls.", "rpn_reg.")

    def __init__(
        self,
        in_channels: int,
        feat_channels: int,
        anchors: AnchorSet,
        coder: DeltaBoxCoder,
        training: RPNTraining,
        loss: BoxLossSettings | None = None,
    ):
        super().__init__()
        loss = loss or BoxLossSettings()
        init = Normal(0.01)
        self.rpn_conv = conv2d(in_channels, feat_channels, 3, bias=True, weight_init=init)
        self.rpn_cls = conv2d(feat_channels, anchors.num_base, 1, bias=True, weight_init=init)
        self.rpn_reg = conv2d(feat_channels, anchors.num_base * 4, 1, bias=True, weight_init=init)
        self.relu = nn.ReLU()
        self.coder = coder
        self.assigner = training.assigner
        self.sampler = training.sampler
        self.anchor_set = anchors
        self.level_sizes = anchors.level_sizes
        self.anchors = Tensor(anchors.boxes)
        self.anchor_cells = Tensor(anchors.cells)
        self.level_shapes, self.anchor_kind = anchors.level_shapes, anchors.kind
        self.size_divisor = training.size_divisor
        self.allowed_border = training.allowed_border
        self.on_canvas = None
        if training.canvas is not None:
            last_pixel = np.float32(training.canvas[::-1]) - 1
            inside = (anchors.boxes[:, :2] >= 0) & (anchors.boxes[:, 2:] <= last_pixel)
            self.on_canvas = Tensor(inside.all(axis=1)[None])
        self.cls_weight = loss.cls_weight
        self.box_weight = loss.box_weight
        self.box_loss = BoxLoss(coder, loss)

    def construct(self, pyramid: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Pyramid of (B, C, h, w) -> logits (B, A), deltas (B, A, 4) in anchor order."""
        logits, deltas = (), ()
        for feature in pyramid:
            batch = feature.shape[0]
            hidden = self.relu(self.rpn_conv(feature))
            logits += (self.rpn_cls(hidden).transpose(0, 2, 3, 1).reshape(batch, -1),)
            deltas += (self.rpn_reg(hidden).transpose(0, 2, 3, 1).reshape(batch, -1, 4),)
        return ops.concat(logits, 1), ops.concat(deltas, 1)

    def anchors_of(self, pyramid: Sequence[Tensor]) -> tuple[Tensor, tuple[int, ...]]:
        """Anchors (A, 4), and how many each level has, for images of the pyramid's size.

        Those of another size than the usual one are worked out while the graph is compiled.
        """
        shapes = _shapes(pyramid)
        if shapes == self.level_shapes:
            return self.anchors, self.level_sizes
        return _boxes(shapes, self.anchor_kind), _level_sizes(shapes, self.anchor_kind)

    def cells_of(self, pyramid: Sequence[Tensor]) -> Tensor:
        """(A, 2): the anchors' cells, see `level_cells`."""
        shapes = _shapes(pyramid)
        return self.anchor_cells if shapes == self.level_shapes else _cells(shapes, self.anchor_kind)

    def losses(
        self,
        logits: Tensor,
        deltas: Tensor,
        image_shape: Tensor,
        gt_boxes: Tensor,
        gt_valid: Tensor,
        gt_crowd: Tensor,
        seed: Tensor,
        anchors: Tensor | None = None,
        cells: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Classification and box loss, both divided by the number of all sampled anchors of the batch.

        logits (B, A), deltas (B, A, 4), image_shape (B, 2) float (h, w), gt_boxes (B, G, 4), gt_valid and gt_crowd
        (B, G) bool, seed (B,) int32, anchors and cells as `anchors_of` and `cells_of` give them, by default of the
        usual size. Each image counts at least one positive and one background anchor in the divisor.
        """
        batch = logits.shape[0]
        boxes = self.anchors if anchors is None else anchors
        valid = self._valid_anchors(image_shape, anchors, cells)
        every = ops.broadcast_to(boxes[None], (batch, *boxes.shape))
        assigned, _ = self.assigner(every, valid, gt_boxes, gt_valid, gt_crowd)
        index, is_positive, is_sampled = self.sampler(ops.stop_gradient(assigned), seed)

        num_positive = is_positive.astype(mstype.float32).sum(axis=1)
        num_negative = is_sampled.astype(mstype.float32).sum(axis=1) - num_positive
        divisor = (ops.maximum(num_positive, 1.0) + ops.maximum(num_negative, 1.0)).sum()

        picked_logits = ops.gather_elements(logits, 1, index)
        cls_loss = binary_cross_entropy(picked_logits, is_positive.astype(mstype.float32))
        cls_loss = (cls_loss * is_sampled.astype(mstype.float32)).sum() / divisor

        picked_deltas = take_rows(deltas, index)
        objects = take_rows(gt_boxes, ops.gather_elements(assigned, 1, index) - 1)
        box_loss = self.box_loss(picked_deltas, ops.gather(boxes, index, 0), objects, is_positive)
        return cls_loss * self.cls_weight, box_loss / divisor * self.box_weight

    def _valid_anchors(
        self, image_shape: Tensor, anchors: Tensor | None = None, cells: Tensor | None = None
    ) -> Tensor:
        """(B, A) bool: the anchor's cell starts inside the image's own padded area (and the border rule holds)."""
        anchors = self.anchors if anchors is None else anchors
        cells = self.anchor_cells if cells is None else cells
        if self.on_canvas is not None:
            return ops.broadcast_to(self.on_canvas, (image_shape.shape[0], self.on_canvas.shape[1]))
        padded = ops.ceil(image_shape / self.size_divisor) * self.size_divisor
        valid = (cells[None] < padded[:, None, :]).all(axis=2)
        if self.allowed_border >= 0:
            x1, y1, x2, y2 = (anchors[None, :, k] for k in range(4))
            height, width = image_shape[:, 0:1], image_shape[:, 1:2]
            border = self.allowed_border
            inside_min = ops.logical_and(x1 >= -border, y1 >= -border)
            inside_max = ops.logical_and(x2 < width + border, y2 < height + border)
            valid = ops.logical_and(valid, ops.logical_and(inside_min, inside_max))
        return valid


def _shapes(pyramid: Sequence[Tensor]) -> tuple[tuple[int, int], ...]:
    """(h, w) of each level."""
    shapes = ()
    for feature in pyramid:
        shapes += (feature.shape[2:],)
    return shapes


@constexpr
def _boxes(level_shapes: tuple[tuple[int, int], ...], kind: tuple) -> Tensor:
    return Tensor(AnchorSet(level_shapes, *kind).boxes)


@constexpr
def _cells(level_shapes: tuple[tuple[int, int], ...], kind: tuple) -> Tensor:
    return Tensor(AnchorSet(level_shapes, *kind).cells)


@constexpr
def _level_sizes(level_shapes: tuple[tuple[int, int], ...], kind: tuple) -> tuple[int, ...]:
    return AnchorSet(level_shapes, *kind).level_sizes
