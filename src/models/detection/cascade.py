"""Cascade R-CNN (Cai and Vasconcelos, 2018), with mask heads or without, as MMDetection's `CascadeRoIHead`.

Box heads one after another, each trained for better boxes than the one before and on what that one made of its RoIs.
Weights of Detectron2's `CascadeROIHeads` ask for two things otherwise: the only mask head, the mean of probabilities.
"""

from collections.abc import Sequence
from typing import NamedTuple

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from ...ops.roi_align import RoIAlign
from ..contract import class_layers_of
from .bbox_head import BBoxHead, DetectionSelector
from .boxes import clip_boxes
from .roi_sampler import RoISampler
from .two_stage import ProposalStage, TwoStageDetector

LEAST_PROBABILITY = 1e-30  # its logarithm is finite, its share in any sum none


class CascadeStage(NamedTuple):
    """Choice of the RoIs that a stage trains on, its heads, the factor of its losses; all stages have masks or none."""

    sampler: RoISampler
    bbox_head: BBoxHead
    mask_head: nn.Cell | None
    loss_weight: float = 1.0


class CascadeRCNN(TwoStageDetector):
    """Any number of stages; `bbox_head` and `mask_head` are lists of their heads (mask_head None without masks).

    roi: pools features for the box heads; selector: what becomes of the mean logits and the last stage's deltas.
    The losses of stage 0 are named s0.loss_cls, s0.loss_bbox and s0.loss_mask, as in MMDetection.
    mask_head: the only one, where the stages have none: `mask_head` is this head then, not a list. It trains on the
        first stage's RoIs; its loss comes last, under its own name and without the factor of a stage.
    averages_probabilities: scores are the mean of the stages' softmax, not the softmax of their mean logits.
    """

    def __init__(
        self,
        backbone: nn.Cell,
        neck: nn.Cell,
        proposal_stage: ProposalStage,
        roi: RoIAlign,
        stages: Sequence[CascadeStage],
        selector: DetectionSelector,
        mask_head: nn.Cell | None = None,
        averages_probabilities: bool = False,
    ):
        own_masks = stages[0].mask_head is not None
        super().__init__(backbone, neck, proposal_stage, roi, own_masks or mask_head is not None)
        self.roi_samplers = nn.CellList([stage.sampler for stage in stages])
        self.bbox_head = nn.CellList([stage.bbox_head for stage in stages])
        self.mask_head = nn.CellList([stage.mask_head for stage in stages]) if own_masks else mask_head
        self.has_one_mask_head = self.has_masks and not own_masks
        self.selector = selector
        self.averages_probabilities = averages_probabilities
        self.loss_weights = tuple(stage.loss_weight for stage in stages)
        self.num_stages = len(stages)
        heads = {f"bbox_head.{number}": head for number, head in enumerate(self.bbox_head)}
        if own_masks:
            heads |= {f"mask_head.{number}": head for number, head in enumerate(self.mask_head)}
        elif self.has_one_mask_head:
            heads["mask_head"] = self.mask_head
        self.class_layers = class_layers_of(rpn_head=self.rpn_head, **heads)
        self._keep_losses((True,) * self.num_stages, (own_masks,) * self.num_stages, self.has_one_mask_head)

    def leave_out_idle_losses(self) -> None:
        """From now on compute the losses alone that parameters which learn lead to, see `freeze_parts`.

        No gradient flows from one stage into another.
        """
        self.has_rpn_losses = self.moves_something(self.rpn_head)
        box = tuple(self.moves_something(head) for head in self.bbox_head)
        mask, one_mask = (False,) * len(box), False
        if self.has_one_mask_head:
            one_mask = self.moves_something(self.mask_head)
        elif self.has_masks:
            mask = tuple(self.moves_something(head) for head in self.mask_head)
        self._keep_losses(box, mask, one_mask)

    def _keep_losses(self, box: tuple[bool, ...], mask: tuple[bool, ...], one_mask: bool) -> None:
        """Which stages have losses of their box heads and of their mask heads, and whether the only mask head has one.
        Stages after the last one do not run.
        """
        self.has_bbox_losses, self.has_mask_losses, self.has_one_mask_loss = box, mask, one_mask
        last = [number + 1 for number in range(len(box)) if box[number] or mask[number]]
        self.stages_in_training = max(last or [int(one_mask)])
        names = self.rpn_head.loss_names if self.has_rpn_losses else ()
        for number in range(self.stages_in_training):
            kept = self.bbox_head[number].loss_names if box[number] else ()
            kept += self.mask_head[number].loss_names if mask[number] else ()
            names += tuple(f"s{number}.{name}" for name in kept)
        self.loss_names = names + (self.mask_head.loss_names if one_mask else ())

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
        """The losses of one batch; scalars in the order of `loss_names`. Arguments as `MaskRCNN.losses`.

        What a stage makes of all its RoIs, background too, is what the next one chooses from; objects' own boxes, where
        they compete, are left out of it and join it anew.
        """
        shape = image_shape.astype(mstype.float32)
        pyramid, logits, deltas = self.first_stage(image)
        losses = ()
        anchors, sizes = self.rpn_head.anchors_of(pyramid)
        if self.has_rpn_losses:
            truth = gt_boxes, gt_valid, gt_labels < 0
            cells = self.rpn_head.cells_of(pyramid)
            losses += self.rpn_head.losses(logits, deltas, shape, *truth, sample_seed, anchors, cells)
        if self.stages_in_training == 0:
            return losses
        boxes, _, valid = self.train_proposals(anchors, logits, deltas, shape, sizes)
        first = ()
        for number in range(self.stages_in_training):
            head, sampler, weight = self.bbox_head[number], self.roi_samplers[number], self.loss_weights[number]
            rois = sampler(boxes, valid, gt_boxes, gt_labels, gt_valid, sample_seed)
            if number == 0:
                first = rois
            boxes, labels, is_positive, is_sampled, is_added = rois[0], rois[1], rois[3], rois[4], rois[5]
            cls_logits, box_deltas = self.box_outputs(head, pyramid, boxes, is_sampled)
            if self.has_bbox_losses[number]:
                losses += weighted(self.box_losses(head, cls_logits, box_deltas, rois, gt_boxes), weight)
            if self.has_mask_losses[number]:
                count = sampler.max_positive
                own = self.mask_losses(self.mask_head[number], pyramid, rois, count, gt_masks, gt_has_mask, sample_seed)
                losses += weighted(own, weight)
            if number + 1 < self.stages_in_training:
                labels = ops.where(is_positive.reshape(-1), labels.reshape(-1), likeliest(cls_logits))
                boxes = self.refined(head, box_deltas, boxes, labels, shape)
                valid = ops.logical_and(is_sampled, ops.logical_not(is_added))
        if self.has_one_mask_loss:
            count = self.roi_samplers[0].max_positive
            losses += self.mask_losses(self.mask_head, pyramid, first, count, gt_masks, gt_has_mask, sample_seed)
        return losses

    def find(self, image: Tensor, image_shape: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
        """See `TwoStageDetector`. Scores are the softmax of the stages' mean logits (or the mean of their softmax)."""
        shape = image_shape.astype(mstype.float32)
        pyramid, logits, deltas = self.first_stage(image)
        anchors, sizes = self.rpn_head.anchors_of(pyramid)
        rois, _, roi_valid = self.test_proposals(anchors, logits, deltas, shape, sizes)
        mean_logits, box_deltas, rois = self.refine(pyramid, rois, roi_valid, shape)
        found = self.selector(mean_logits, box_deltas, rois, roi_valid, shape)
        return pyramid, found, found[0]

    def masks(self, pyramid: tuple[Tensor, ...], boxes: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
        """See `TwoStageDetector`. The means of the stages' probabilities, or what the only mask head says."""
        if self.has_one_mask_head:
            return self.mask_head(pyramid, boxes, labels, valid)
        masks = self.mask_head[0](pyramid, boxes, labels, valid)
        for number in range(1, self.num_stages):
            masks = masks + self.mask_head[number](pyramid, boxes, labels, valid)
        return masks / self.num_stages

    def refine(
        self, pyramid: tuple[Tensor, ...], rois: Tensor, valid: Tensor, shape: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Proposals (B, P, 4), valid (B, P) bool -> the stages' mean logits (B * P, C + 1), the last stage's deltas and
        the RoIs (B, P, 4) that these belong to.
        """
        logits, deltas = self.box_outputs(self.bbox_head[0], pyramid, rois, valid)
        all_logits = (logits,)
        for number in range(1, self.num_stages):
            rois = self.refined(self.bbox_head[number - 1], deltas, rois, likeliest(logits), shape)
            logits, deltas = self.box_outputs(self.bbox_head[number], pyramid, rois, valid)
            all_logits += (logits,)
        return mean_logits(all_logits, self.averages_probabilities), deltas, rois

    def refined(self, head: BBoxHead, deltas: Tensor, rois: Tensor, labels: Tensor, shape: Tensor) -> Tensor:
        """What a stage makes of RoIs (B, N, 4) by the deltas of labels (B * N,) int32 1..; no gradient flows."""
        boxes = head.own_boxes(deltas, rois.reshape(-1, 4), labels).reshape(rois.shape)
        return ops.stop_gradient(clip_boxes(boxes, shape))


def mean_logits(all_logits: tuple[Tensor, ...], averages_probabilities: bool) -> Tensor:
    """The mean of the stages' logits (N, C + 1), or logits whose softmax is the mean of the stages' softmax.

    The softmax of the logarithms of probabilities that add up to 1 is these probabilities.
    """
    total = ops.softmax(all_logits[0], -1) if averages_probabilities else all_logits[0]
    for logits in all_logits[1:]:
        total = total + (ops.softmax(logits, -1) if averages_probabilities else logits)
    mean = total / len(all_logits)
    return ops.log(ops.maximum(mean, LEAST_PROBABILITY)) if averages_probabilities else mean


def weighted(losses: tuple[Tensor, ...], weight: float) -> tuple[Tensor, ...]:
    """Each of the losses times the factor."""
    found = ()
    for loss in losses:
        found += (loss * weight,)
    return found


def likeliest(logits: Tensor) -> Tensor:
    """Class logits (N, C + 1), the background last -> (N,) int32 label, 1.., of the likeliest class but background."""
    return logits[:, :-1].argmax(axis=-1).astype(mstype.int32) + 1
