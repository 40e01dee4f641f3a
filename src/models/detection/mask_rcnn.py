"""Mask R-CNN (He et al., 2017) and Faster R-CNN, which is the same without a mask head, wired as in MMDetection.

Any backbone, neck and heads; fixed shapes throughout.
"""

from typing import NamedTuple

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from ...ops.roi_align import RoIAlign
from ..contract import class_layers_of
from ..layers import learns
from .assign import MaxIoUAssigner
from .bbox_head import BBoxHead, DetectionSelector
from .boxes import as_rois, take_rows
from .detections import Detections
from .proposals import ProposalGenerator
from .rpn_head import RPNHead
from .sample import BalancedSampler


class ProposalStage(NamedTuple):
    """The first stage: the head over the pyramid, what its outputs become in training and in evaluation."""

    head: RPNHead
    train_proposals: ProposalGenerator
    test_proposals: ProposalGenerator


class RoITraining(NamedTuple):
    """Which proposals the second stage trains on.

    add_gt_as_proposals: objects' own boxes compete as proposals.
    train_on_pred_boxes: the mask head trains on the boxes that the box head makes of the RoIs (Detectron2).
    """

    assigner: MaxIoUAssigner
    sampler: BalancedSampler
    add_gt_as_proposals: bool = False
    train_on_pred_boxes: bool = False


class BoxStage(NamedTuple):
    """The second stage: pooling of the RoIs' features, the head on them, what its outputs become in evaluation.

    likeliest_masks: masks of detections are read from their proposals' boxes by the likeliest class.
    """

    roi: RoIAlign
    head: BBoxHead
    selector: DetectionSelector
    likeliest_masks: bool = False


class MaskRCNN(nn.Cell):
    """Two-stage detection, and instance segmentation where there is a mask head.

    mask_head: `FCNMaskHead`, or `PointRendMaskHead` which makes it PointRend, or None, which makes it Faster R-CNN. It
        declares `loss_names`, `class_layers` and its `kind`, gives its losses by `losses(pyramid, boxes, labels,
        is_positive, gt_index, gt_masks, seed)` and masks of detections when called.
    In training mode `construct` takes `train_columns`, and `gt_has_mask` where not every object has a mask, and returns
    the weighted losses named in `loss_names`; in evaluation mode it takes (image, image_shape) and returns detections,
    see `detections`. Without a mask head there is no gt_masks among its inputs and no masks among its outputs.

    MMDetection divides the boxes of a detector without masks by the image's scale factors before the last NMS, those of
    one with masks after it. Both choose the same boxes: each axis' factor is in intersections and in areas alike, so
    that IoU stays what it is, whether the two factors are equal or not; classes stay apart; scores have no scale. Only
    rounding differs. Here both kinds return boxes of the network's input.
    """

    train_columns = ("image", "image_shape", "gt_boxes", "gt_labels", "gt_valid", "gt_masks", "sample_seed")
    output_names = Detections._fields

    def __init__(
        self,
        backbone: nn.Cell,
        neck: nn.Cell,
        proposal_stage: ProposalStage,
        roi_training: RoITraining,
        box_stage: BoxStage,
        mask_head: nn.Cell | None,
    ):
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.rpn_head = proposal_stage.head
        self.train_proposals = proposal_stage.train_proposals
        self.test_proposals = proposal_stage.test_proposals
        self.rcnn_assigner = roi_training.assigner
        self.rcnn_sampler = roi_training.sampler
        self.add_gt_as_proposals = roi_training.add_gt_as_proposals
        self.bbox_roi = box_stage.roi
        self.bbox_head = box_stage.head
        self.selector = box_stage.selector
        self.likeliest_masks = box_stage.likeliest_masks
        self.mask_head = mask_head
        self.train_on_pred_boxes = roi_training.train_on_pred_boxes
        self.bbox_levels = len(box_stage.roi.strides)
        heads = self._heads()
        self.has_rpn_losses = self.has_bbox_losses = True
        self.has_mask_losses = mask_head is not None
        self.loss_names = tuple(name for head in heads.values() for name in head.loss_names)
        self.class_layers = class_layers_of(**heads)
        if mask_head is None:
            self.train_columns = tuple(name for name in self.train_columns if name != "gt_masks")
            self.output_names = tuple(name for name in self.output_names if name != "masks")

    def leave_out_idle_losses(self) -> None:
        """From now on compute the losses alone that parameters which learn lead to, see `freeze_parts`."""
        is_shared = learns(self.backbone) or learns(self.neck)
        self.has_rpn_losses = is_shared or learns(self.rpn_head)
        self.has_bbox_losses = is_shared or learns(self.bbox_head)
        self.has_mask_losses = self.mask_head is not None and (is_shared or learns(self.mask_head))
        kept = (self.has_rpn_losses, self.has_bbox_losses, self.has_mask_losses)
        heads = self._heads().values()
        self.loss_names = tuple(name for head, has in zip(heads, kept) if has for name in head.loss_names)

    def _heads(self) -> dict[str, nn.Cell]:
        heads = {"rpn_head": self.rpn_head, "bbox_head": self.bbox_head}
        return heads if self.mask_head is None else heads | {"mask_head": self.mask_head}

    def construct(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        if not self.training:
            return self.detections(*inputs)
        if self.mask_head is None:
            return self.losses(*inputs[:5], None, *inputs[5:])
        return self.losses(*inputs)

    def losses(
        self,
        image: Tensor,
        image_shape: Tensor,
        gt_boxes: Tensor,
        gt_labels: Tensor,
        gt_valid: Tensor,
        gt_masks: Tensor | None,
        sample_seed: Tensor,
        gt_has_mask: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """The losses of one batch; scalars in the order of `loss_names`.

        image (B, 3, H, W) float32; image_shape (B, 2) int32 (h, w) before padding; gt_boxes (B, G, 4) xyxy pixels;
        gt_labels (B, G) int32, 1.. = classes, -1 = crowd region; gt_valid (B, G) bool; gt_masks (B, M, H, W / 8) uint8
        packed bits, M at most G and no less than the objects of any image, None without a mask head; sample_seed (B,)
        int32; gt_has_mask (B, G) bool, by default all: the others have no mask loss.
        """
        shape = image_shape.astype(mstype.float32)
        gt_crowd = gt_labels < 0
        pyramid = self.neck(self.backbone(image))
        logits, deltas = self.rpn_head(pyramid)
        losses = ()
        if self.has_rpn_losses:
            losses += self.rpn_head.losses(logits, deltas, shape, gt_boxes, gt_valid, gt_crowd, sample_seed)
        if not self.has_bbox_losses and not self.has_mask_losses:
            return losses

        proposals, _, proposal_valid = self.train_proposals(self.rpn_head.anchors, logits, deltas, shape)
        boxes, assigned, is_positive, is_sampled = self._sample_rois(
            proposals, proposal_valid, gt_boxes, gt_valid, gt_crowd, sample_seed
        )
        gt_index = ops.clamp(assigned - 1, 0, gt_boxes.shape[1] - 1)
        labels = ops.gather_elements(gt_labels, 1, gt_index)

        box_deltas = None
        if self.has_bbox_losses or self.train_on_pred_boxes:
            cls_logits, box_deltas = self._box_outputs(pyramid, boxes, is_sampled)
        if self.has_bbox_losses:
            losses += self.bbox_head.losses(
                cls_logits,
                box_deltas,
                boxes.reshape(-1, 4),
                take_rows(gt_boxes, gt_index).reshape(-1, 4),
                labels.reshape(-1),
                is_positive.reshape(-1),
                is_sampled.reshape(-1),
            )
        if not self.has_mask_losses:
            return losses
        count = min(self.rcnn_sampler.max_positive, boxes.shape[1])  # positives stand in the first slots
        if self.train_on_pred_boxes:
            own = self.bbox_head.own_boxes(box_deltas, boxes.reshape(-1, 4), labels.reshape(-1))
            boxes = ops.stop_gradient(own).reshape(boxes.shape)
        has_target = is_positive[:, :count]
        if gt_has_mask is not None:
            own_mask = ops.gather_elements(gt_has_mask.astype(mstype.int32), 1, gt_index[:, :count])
            has_target = ops.logical_and(has_target, own_mask > 0)
        return losses + self.mask_head.losses(
            pyramid,
            boxes[:, :count],
            labels[:, :count] - 1,
            has_target,
            gt_index[:, :count],
            gt_masks,
            sample_seed,
        )

    def detections(self, image: Tensor, image_shape: Tensor) -> tuple[Tensor, ...]:
        """Detections of (B, 3, H, W) images, best first; D slots an image.

        Returns what `Detections` names: boxes (B, D, 4) in pixels of the network's input, scores (B, D), labels (B, D)
        int32 0-based classes, valid (B, D) bool, with a mask head masks (B, D, M, M) probabilities inside
        the boxes.
        """
        shape = image_shape.astype(mstype.float32)
        pyramid = self.neck(self.backbone(image))
        logits, deltas = self.rpn_head(pyramid)
        proposals, _, proposal_valid = self.test_proposals(self.rpn_head.anchors, logits, deltas, shape)
        cls_logits, box_deltas = self._box_outputs(pyramid, proposals, proposal_valid)
        if self.likeliest_masks:
            found = self.selector.select(cls_logits, box_deltas, proposals, proposal_valid, shape)
            boxes, scores, labels, valid, chosen = found
            mask_boxes = self.selector.likeliest_boxes(cls_logits, box_deltas, proposals, chosen)
        else:
            boxes, scores, labels, valid = self.selector(cls_logits, box_deltas, proposals, proposal_valid, shape)
            mask_boxes = boxes
        if self.mask_head is None:
            return boxes, scores, labels, valid
        return boxes, scores, labels, valid, self.mask_head(pyramid, mask_boxes, labels, valid)

    def _box_outputs(self, pyramid: tuple[Tensor, ...], boxes: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        features = self.bbox_roi(pyramid[: self.bbox_levels], as_rois(boxes, valid))
        return self.bbox_head(features, valid.reshape(-1))

    def _sample_rois(
        self,
        proposals: Tensor,
        proposal_valid: Tensor,
        gt_boxes: Tensor,
        gt_valid: Tensor,
        gt_crowd: Tensor,
        sample_seed: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Sampled RoIs (B, S, 4), their assignment (B, S), is_positive (B, S), is_sampled (B, S); positives first."""
        assigned, _ = self.rcnn_assigner(proposals, proposal_valid, gt_boxes, gt_valid, gt_crowd)
        boxes = proposals
        if self.add_gt_as_proposals:
            own = ops.broadcast_to(ops.arange(1, gt_boxes.shape[1] + 1).astype(mstype.int32)[None], gt_valid.shape)
            own = ops.where(gt_valid, own, ops.full_like(own, -1))
            boxes = ops.concat((gt_boxes, boxes), 1)
            assigned = ops.concat((own, assigned), 1)
        assigned, boxes = ops.stop_gradient(assigned), ops.stop_gradient(boxes)
        index, is_positive, is_sampled = self.rcnn_sampler(assigned, sample_seed)
        return take_rows(boxes, index), ops.gather_elements(assigned, 1, index), is_positive, is_sampled
