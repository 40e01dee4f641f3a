"""Mask R-CNN (He et al., 2017) and Faster R-CNN, which is the same without a mask head, wired as in MMDetection.

Any backbone, neck and heads; fixed shapes throughout.
"""

from typing import NamedTuple

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from ...ops.roi_align import RoIAlign
from ..contract import class_layers_of
from .bbox_head import BBoxHead, DetectionSelector
from .roi_sampler import RoISampler
from .two_stage import ProposalStage, TwoStageDetector


class BoxStage(NamedTuple):
    """The second stage: pooling of the RoIs' features, choice of those it trains on, the head, and what its outputs
    become in evaluation.

    likeliest_masks: masks of detections are read from their proposals' boxes by the likeliest class.
    train_on_pred_boxes: the mask head trains on the boxes that the box head makes of the RoIs (Detectron2).
    """

    roi: RoIAlign
    sampler: RoISampler
    head: BBoxHead
    selector: DetectionSelector
    likeliest_masks: bool = False
    train_on_pred_boxes: bool = False


class MaskRCNN(TwoStageDetector):
    """Two-stage detection, and instance segmentation where there is a mask head.

    mask_head: `FCNMaskHead`, or `PointRendMaskHead` which makes it PointRend, or None, which makes it Faster R-CNN. It
        declares `loss_names`, `class_layers` and its `kind`, gives its losses by `losses(pyramid, boxes, labels,
        is_positive, gt_index, gt_masks, seed)` and masks of detections when called.
    """

    def __init__(
        self,
        backbone: nn.Cell,
        neck: nn.Cell,
        proposal_stage: ProposalStage,
        box_stage: BoxStage,
        mask_head: nn.Cell | None,
    ):
        super().__init__(backbone, neck, proposal_stage, box_stage.roi, mask_head is not None)
        self.roi_sampler = box_stage.sampler
        self.bbox_head = box_stage.head
        self.selector = box_stage.selector
        self.likeliest_masks = box_stage.likeliest_masks
        self.mask_head = mask_head
        self.train_on_pred_boxes = box_stage.train_on_pred_boxes
        heads = self._heads()
        self.has_bbox_losses = True
        self.has_mask_losses = self.has_masks
        self.loss_names = tuple(name for head in heads.values() for name in head.loss_names)
        self.class_layers = class_layers_of(**heads)

    def leave_out_idle_losses(self) -> None:
        """From now on compute the losses alone that parameters which learn lead to, see `freeze_parts`."""
        self.has_rpn_losses = self.moves_something(self.rpn_head)
        self.has_bbox_losses = self.moves_something(self.bbox_head)
        self.has_mask_losses = self.has_masks and self.moves_something(self.mask_head)
        kept = (self.has_rpn_losses, self.has_bbox_losses, self.has_mask_losses)
        heads = self._heads().values()
        self.loss_names = tuple(name for head, has in zip(heads, kept) if has for name in head.loss_names)

    def _heads(self) -> dict[str, nn.Cell]:
        heads = {"rpn_head": self.rpn_head, "bbox_head": self.bbox_head}
        return heads | {"mask_head": self.mask_head} if self.has_masks else heads

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
        pyramid, logits, deltas = self.first_stage(image)
        losses = ()
        anchors, sizes = self.rpn_head.anchors_of(pyramid)
        if self.has_rpn_losses:
            truth = gt_boxes, gt_valid, gt_labels < 0
            cells = self.rpn_head.cells_of(pyramid)
            losses += self.rpn_head.losses(logits, deltas, shape, *truth, sample_seed, anchors, cells)
        if not self.has_bbox_losses and not self.has_mask_losses:
            return losses

        proposals, _, proposal_valid = self.train_proposals(anchors, logits, deltas, shape, sizes)
        rois = self.roi_sampler(proposals, proposal_valid, gt_boxes, gt_labels, gt_valid, sample_seed)
        boxes, labels, is_sampled = rois[0], rois[1], rois[4]
        box_deltas = None
        if self.has_bbox_losses or self.train_on_pred_boxes:
            cls_logits, box_deltas = self.box_outputs(self.bbox_head, pyramid, boxes, is_sampled)
        if self.has_bbox_losses:
            losses += self.box_losses(self.bbox_head, cls_logits, box_deltas, rois, gt_boxes)
        if not self.has_mask_losses:
            return losses
        if self.train_on_pred_boxes:
            own = self.bbox_head.own_boxes(box_deltas, boxes.reshape(-1, 4), labels.reshape(-1))
            rois = (ops.stop_gradient(own).reshape(boxes.shape), *rois[1:])
        count = self.roi_sampler.max_positive
        return losses + self.mask_losses(self.mask_head, pyramid, rois, count, gt_masks, gt_has_mask, sample_seed)

    def find(self, image: Tensor, image_shape: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
        """See `TwoStageDetector`."""
        shape = image_shape.astype(mstype.float32)
        pyramid, logits, deltas = self.first_stage(image)
        anchors, sizes = self.rpn_head.anchors_of(pyramid)
        proposals, _, proposal_valid = self.test_proposals(anchors, logits, deltas, shape, sizes)
        cls_logits, box_deltas = self.box_outputs(self.bbox_head, pyramid, proposals, proposal_valid)
        if self.likeliest_masks:
            found = self.selector.select(cls_logits, box_deltas, proposals, proposal_valid, shape)
            return pyramid, found[:4], self.selector.likeliest_boxes(cls_logits, box_deltas, proposals, found[4])
        found = self.selector(cls_logits, box_deltas, proposals, proposal_valid, shape)
        return pyramid, found, found[0]

    def masks(self, pyramid: tuple[Tensor, ...], boxes: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
        """See `TwoStageDetector`."""
        return self.mask_head(pyramid, boxes, labels, valid)
