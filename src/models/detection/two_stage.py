"""What detectors of two stages share: backbone, neck, region proposals, the losses of box and mask heads on RoIs."""

from typing import NamedTuple

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from ...ops.roi_align import RoIAlign
from ..layers import learns
from .bbox_head import BBoxHead
from .boxes import as_rois, take_rows
from .detections import Detections
from .proposals import ProposalGenerator
from .rpn_head import RPNHead


class ProposalStage(NamedTuple):
    """The first stage: the head over the pyramid, what its outputs become in training and in evaluation."""

    head: RPNHead
    train_proposals: ProposalGenerator
    test_proposals: ProposalGenerator


class TwoStageDetector(nn.Cell):
    """The first stage, and the steps of which a second one is wired: `losses`, `find` and `masks` are its own.

    `find(image, image_shape)` gives the pyramid, boxes, scores, labels and valid as `Detections` names them, and the
    boxes (B, D, 4) in which masks are read; `masks(pyramid, boxes, labels, valid)` the masks (B, D, M, M) of any boxes,
    of a detector that has some.

    bbox_roi: the pooling of RoIs for box heads.
    In training mode `construct` takes `train_columns`, and `gt_has_mask` where not every object has a mask, and returns
    the weighted losses named in `loss_names`; in evaluation mode it takes (image, image_shape) and returns detections
    as `Detections` names them. Without masks there is no gt_masks among its inputs and no masks among its outputs.
    In evaluation mode there are two graphs more, of which views of an image are merged: (image, image_shape, ALONE)
    gives boxes, scores, labels and valid without masks; (image, boxes, labels, valid) the masks of given boxes alone.

    MMDetection divides the boxes of a detector without masks by the image's scale factors before the last NMS, those of
    one with masks after it. Both choose the same boxes: each axis' factor is in intersections and in areas alike, so
    that IoU stays what it is, whether the two factors are equal or not; classes stay apart; scores have no scale. Only
    rounding differs. Here both kinds return boxes of the network's input.
    """

    train_columns = ("image", "image_shape", "gt_boxes", "gt_labels", "gt_valid", "gt_masks", "sample_seed")
    output_names = Detections._fields

    def __init__(
        self, backbone: nn.Cell, neck: nn.Cell, proposal_stage: ProposalStage, bbox_roi: RoIAlign, has_masks: bool
    ):
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.rpn_head = proposal_stage.head
        self.train_proposals = proposal_stage.train_proposals
        self.test_proposals = proposal_stage.test_proposals
        self.bbox_roi = bbox_roi
        self.bbox_levels = len(bbox_roi.strides)
        self.has_rpn_losses = True
        self.has_masks = has_masks
        if not has_masks:
            self.train_columns = tuple(name for name in self.train_columns if name != "gt_masks")
            self.output_names = tuple(name for name in self.output_names if name != "masks")

    def construct(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        if not self.training:
            if len(inputs) == 4:
                return self.masks_of(*inputs)
            if len(inputs) == 3:
                return self.find(*inputs[:2])[1]
            return self.detections(*inputs)
        if self.has_masks:
            return self.losses(*inputs)
        return self.losses(*inputs[:5], None, *inputs[5:])

    def detections(self, image: Tensor, image_shape: Tensor) -> tuple[Tensor, ...]:
        """Detections of (B, 3, H, W) images, best first; D slots an image.

        Returns what `Detections` names: boxes (B, D, 4) in pixels of the network's input, scores (B, D), labels (B, D)
        int32 0-based classes, valid (B, D) bool, with a mask head masks (B, D, M, M) probabilities inside the boxes.
        """
        pyramid, found, mask_boxes = self.find(image, image_shape)
        if not self.has_masks:
            return found
        return found + (self.masks(pyramid, mask_boxes, found[2], found[3]),)

    def masks_of(self, image: Tensor, boxes: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
        """Mask probabilities (B, D, M, M) inside boxes (B, D, 4), in pixels of the network's input, whoever found them;
        labels (B, D) int32 0-based classes, valid (B, D) bool. Those of rows that are not valid mean nothing.
        """
        return self.masks(self.neck(self.backbone(image)), boxes, labels, valid)

    def moves_something(self, head: nn.Cell) -> bool:
        """Whether a loss of the head leads to a parameter that learns."""
        return learns(self.backbone) or learns(self.neck) or learns(head)

    def first_stage(self, image: Tensor) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """The pyramid of images (B, 3, H, W), the RPN's logits and deltas."""
        pyramid = self.neck(self.backbone(image))
        logits, deltas = self.rpn_head(pyramid)
        return pyramid, logits, deltas

    def box_outputs(
        self, head: BBoxHead, pyramid: tuple[Tensor, ...], boxes: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        """A box head's logits and deltas of RoIs (B, N, 4), valid (B, N) bool; a row a RoI."""
        features = self.bbox_roi(pyramid[: self.bbox_levels], as_rois(boxes, valid))
        return head(features, valid.reshape(-1))

    def box_losses(
        self, head: BBoxHead, logits: Tensor, deltas: Tensor, rois: tuple[Tensor, ...], gt_boxes: Tensor
    ) -> tuple[Tensor, ...]:
        """The losses of a box head's outputs for rois, what a `RoISampler` gives."""
        boxes, labels, gt_index, is_positive, is_sampled, _ = rois
        return head.losses(
            logits,
            deltas,
            boxes.reshape(-1, 4),
            take_rows(gt_boxes, gt_index).reshape(-1, 4),
            labels.reshape(-1),
            is_positive.reshape(-1),
            is_sampled.reshape(-1),
        )

    def mask_losses(
        self,
        head: nn.Cell,
        pyramid: tuple[Tensor, ...],
        rois: tuple[Tensor, ...],
        max_positive: int,
        gt_masks: Tensor,
        gt_has_mask: Tensor | None,
        sample_seed: Tensor,
    ) -> tuple[Tensor, ...]:
        """The losses of a mask head on the positives of rois, which stand in the first max_positive slots."""
        boxes, labels, gt_index, is_positive = rois[:4]
        count = min(max_positive, boxes.shape[1])
        has_target = is_positive[:, :count]
        if gt_has_mask is not None:
            own_mask = ops.gather_elements(gt_has_mask.astype(mstype.int32), 1, gt_index[:, :count])
            has_target = ops.logical_and(has_target, own_mask > 0)
        return head.losses(
            pyramid,
            boxes[:, :count],
            labels[:, :count] - 1,
            has_target,
            gt_index[:, :count],
            gt_masks,
            sample_seed,
        )
