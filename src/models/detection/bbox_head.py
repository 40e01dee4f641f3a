"""Second-stage box head: class scores and box deltas for every RoI, their losses and detections.

MMDetection `ConvFCBBoxHead` (Shared2FCBBoxHead by default) and `multiclass_nms`; the last class is background.
"""

from dataclasses import dataclass

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype
from mindspore.common.initializer import Normal

from ...ops.nms import Nms
from ...ops.soft_nms import Decay, SoftNms
from ..layers import NormSettings, xavier_uniform
from ..losses import BoxLossSettings
from .box_losses import BoxLoss
from .boxes import CONTINUOUS, BoxStyle, DeltaBoxCoder, clip_boxes, take_rows
from .roi_conv import RoIConv


@dataclass(frozen=True)
class BBoxLayers:
    """The shared layers: how many convolutions and fully connected ones, their widths, the convolutions' norm."""

    num_shared_convs: int = 0
    conv_channels: int = 256
    num_shared_fcs: int = 2
    fc_channels: int = 1024
    norm: NormSettings | None = None


class BBoxHead(nn.Cell):
    """Shared convolutions, shared fully connected layers, then one linear layer for classes and one for deltas.

    num_classes: foreground classes C; scores have C + 1 columns, background last.
    class_agnostic: one box per RoI instead of one per class.
    background_box: the background has a box as well, behind those of the classes; nothing trains it, see
        `DetectionSelector.likeliest_boxes`.
    """

    loss_names = ("loss_cls", "loss_bbox")
    class_layers = ("fc_cls.", "fc_reg.")

    def __init__(
        self,
        in_channels: int,
        roi_size: int,
        num_classes: int,
        coder: DeltaBoxCoder,
        layers: BBoxLayers | None = None,
        class_agnostic: bool = False,
        loss: BoxLossSettings | None = None,
        background_box: bool = False,
    ):
        super().__init__()
        layers, loss = layers or BBoxLayers(), loss or BoxLossSettings()
        widths = [in_channels] + [layers.conv_channels] * layers.num_shared_convs
        self.shared_convs = nn.CellList(
            [RoIConv(before, after, layers.norm) for before, after in zip(widths, widths[1:])]
        )
        sizes = [widths[-1] * roi_size * roi_size] + [layers.fc_channels] * layers.num_shared_fcs
        self.shared_fcs = nn.CellList(
            [
                nn.Dense(before, after, weight_init=xavier_uniform(before, after), bias_init="zeros")
                for before, after in zip(sizes, sizes[1:])
            ]
        )
        reg_outputs = 4 if class_agnostic else 4 * (num_classes + int(background_box))
        self.fc_cls = nn.Dense(sizes[-1], num_classes + 1, weight_init=Normal(0.01), bias_init="zeros")
        self.fc_reg = nn.Dense(sizes[-1], reg_outputs, weight_init=Normal(0.001), bias_init="zeros")
        self.relu = nn.ReLU()
        self.num_classes = num_classes
        self.coder = coder
        self.class_agnostic = class_agnostic
        self.cls_weight = loss.cls_weight
        self.box_weight = loss.box_weight
        self.box_loss = BoxLoss(coder, loss)

    def construct(self, roi_features: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, s, s), valid (N,) bool -> class logits (N, num_classes + 1), deltas (N, 4 * num_classes or 4)."""
        x = roi_features
        for conv in self.shared_convs:
            x = conv(x, valid)
        x = x.reshape(x.shape[0], -1)
        for layer in self.shared_fcs:
            x = self.relu(layer(x))
        return self.fc_cls(x), self.fc_reg(x)

    def losses(
        self,
        logits: Tensor,
        deltas: Tensor,
        boxes: Tensor,
        objects: Tensor,
        labels: Tensor,
        is_positive: Tensor,
        is_sampled: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Classification and box loss, both divided by the number of sampled RoIs (N rows, some of them unused).

        boxes (N, 4) RoIs, objects (N, 4) their objects' boxes, labels (N,) int32 1.. = classes (used where positive),
        is_positive and is_sampled (N,) bool.
        """
        weight = is_sampled.astype(mstype.float32)
        divisor = ops.maximum(weight.sum(), 1.0)
        background = ops.full_like(labels, self.num_classes)
        column = ops.where(is_positive, ops.clamp(labels - 1, 0, self.num_classes - 1), background)
        log_probability = ops.log_softmax(logits, -1)
        picked = ops.gather_elements(log_probability, 1, column[:, None])[:, 0]
        cls_loss = -(picked * weight).sum() / divisor

        own = self._own_class(deltas, ops.minimum(column, self.num_classes - 1))
        box_loss = self.box_loss(own, boxes, objects, is_positive)
        return cls_loss * self.cls_weight, box_loss / divisor * self.box_weight

    def own_boxes(self, deltas: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
        """What RoIs (N, 4) become by the deltas of their labels (N,) int32 1..; no clipping. (N, 4)."""
        column = ops.clamp(labels - 1, 0, self.num_classes - 1)
        return self.coder.decode(boxes, self._own_class(deltas, column))

    def _own_class(self, deltas: Tensor, column: Tensor) -> Tensor:
        """(N, 4): the deltas of each RoI's own class."""
        if self.class_agnostic:
            return deltas
        return of_column(deltas, column)


def of_column(deltas: Tensor, column: Tensor) -> Tensor:
    """(N, 4 * K) deltas of K boxes a row, column (N,) int32 -> (N, 4)."""
    per_class = deltas.reshape(deltas.shape[0], -1, 4)
    index = ops.broadcast_to(column[:, None, None], (deltas.shape[0], 1, 4))
    return ops.gather_elements(per_class, 1, index)[:, 0]


@dataclass(frozen=True)
class SelectionSettings:
    """Pairs of RoI and class above `score_threshold` compete; NMS by `iou_threshold` runs within each class; the best
    `max_per_img` stay.

    nms_rule: see `Nms`. decay: Soft-NMS instead, see `SoftNms`; the scores are then the lowered ones.
    nms_class_agnostic: NMS runs over all classes together.
    """

    score_threshold: float
    iou_threshold: float
    max_per_img: int
    nms_rule: str = "moved"
    decay: Decay | None = None
    nms_class_agnostic: bool = False


class DetectionSelector(nn.Cell):
    """Scores and deltas of all RoIs -> the best detections of each image (MMDetection `multiclass_nms`).

    portable: see `Nms`.
    """

    def __init__(
        self,
        coder: DeltaBoxCoder,
        num_classes: int,
        settings: SelectionSettings,
        class_agnostic: bool = False,
        portable: bool = False,
        style: BoxStyle = CONTINUOUS,
    ):
        super().__init__()
        self.coder = coder
        self.num_classes = num_classes
        self.score_threshold = settings.score_threshold
        self.class_agnostic = class_agnostic
        self.canvas = style.canvas
        self.nms_class_agnostic = settings.nms_class_agnostic
        self.is_soft = settings.decay is not None
        limits, rule = (settings.iou_threshold, settings.max_per_img), settings.nms_rule
        if self.is_soft:
            self.nms = SoftNms(*limits, settings.decay, portable, rule)
        else:
            self.nms = Nms(*limits, portable, rule=rule)

    def construct(
        self, logits: Tensor, deltas: Tensor, proposals: Tensor, proposal_valid: Tensor, image_shape: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """logits (B * P, C + 1), deltas (B * P, 4 * C), proposals (B, P, 4), proposal_valid (B, P), image_shape (B, 2).

        Returns boxes (B, D, 4), scores (B, D), labels (B, D) int32 0-based classes, valid (B, D), best first.
        """
        return self.select(logits, deltas, proposals, proposal_valid, image_shape)[:4]

    def select(
        self, logits: Tensor, deltas: Tensor, proposals: Tensor, proposal_valid: Tensor, image_shape: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """What `construct` gives, and (B, D) int32 number of the proposal that each detection comes from."""
        batch, count, classes = proposals.shape[0], proposals.shape[1], self.num_classes
        scores = ops.softmax(logits, -1)[:, :classes].reshape(batch, count * classes)
        boxes = self._decode(deltas, proposals, image_shape)
        valid = ops.broadcast_to(proposal_valid[:, :, None], (batch, count, classes)).reshape(batch, -1)
        valid = ops.logical_and(valid, scores > self.score_threshold)
        label = ops.broadcast_to(ops.arange(0, classes).astype(mstype.int32)[None], (count, classes)).reshape(-1)
        groups = ops.zeros_like(label) if self.nms_class_agnostic else label
        if self.is_soft:
            index, keep, kept_scores = self.nms(boxes, scores, groups, valid)
        else:
            index, keep = self.nms(boxes, scores, groups, valid)
            kept_scores = ops.gather_elements(scores, 1, index) * keep.astype(scores.dtype)
        kept_boxes = take_rows(boxes, index) * keep[:, :, None].astype(boxes.dtype)
        labels = ops.gather(label, index, 0) * keep.astype(mstype.int32)
        return kept_boxes, kept_scores, labels, keep, ops.floor_div(index, classes)

    def likeliest_boxes(self, logits: Tensor, deltas: Tensor, proposals: Tensor, chosen: Tensor) -> Tensor:
        """(B, D, 4): what the chosen proposals (B, D) become by the deltas of their likeliest class, be it background.

        logits (B * P, C + 1), deltas (B * P, 4 * (C + 1)), proposals (B, P, 4). The MindSpore original of Mask R-CNN
        reads masks there.
        """
        batch, count = proposals.shape[:2]
        own = of_column(deltas, logits.argmax(axis=-1).astype(mstype.int32)).reshape(batch, count, 4)
        boxes = self.coder.decode(take_rows(proposals, chosen), take_rows(own, chosen))
        return clip_boxes(boxes, ops.zeros((batch, 2), boxes.dtype), self.canvas)

    def _decode(self, deltas: Tensor, proposals: Tensor, image_shape: Tensor) -> Tensor:
        """(B, P * C, 4) boxes clipped to the image, classes running fastest."""
        batch, count, classes = proposals.shape[0], proposals.shape[1], self.num_classes
        shape = (batch, count, classes, 4)
        deltas = deltas.reshape(batch, count, -1, 4)
        if self.class_agnostic:
            deltas = ops.broadcast_to(deltas, shape)
        elif deltas.shape[2] > classes:  # the background's is no detection's
            deltas = deltas[:, :, :classes]
        references = ops.broadcast_to(proposals[:, :, None, :], shape)
        boxes = self.coder.decode(references, deltas).reshape(batch, count * classes, 4)
        return clip_boxes(boxes, image_shape, self.canvas)
