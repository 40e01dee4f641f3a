"""Which proposals a second stage trains on, and what each of them stands for."""

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from .assign import MaxIoUAssigner
from .boxes import take_rows
from .sample import BalancedSampler


class RoISampler(nn.Cell):
    """Assignment of proposals to objects, then a choice among them.

    add_gt_as_proposals: objects' own boxes compete as proposals.
    Attribute `max_positive`: positives stand in that many first slots.
    """

    def __init__(self, assigner: MaxIoUAssigner, sampler: BalancedSampler, add_gt_as_proposals: bool = False):
        super().__init__()
        self.assigner = assigner
        self.sampler = sampler
        self.add_gt_as_proposals = add_gt_as_proposals
        self.max_positive = sampler.max_positive

    def construct(
        self,
        proposals: Tensor,
        proposal_valid: Tensor,
        gt_boxes: Tensor,
        gt_labels: Tensor,
        gt_valid: Tensor,
        sample_seed: Tensor,
    ) -> tuple[Tensor, ...]:
        """proposals (B, P, 4), proposal_valid (B, P) bool; the rest as in `train_columns`.

        Returns RoIs (B, S, 4), their labels (B, S) int32 and their objects' numbers (B, S) int32 (of both only those of
        positives mean something), is_positive, is_sampled and is_added (an object's own box), all (B, S) bool.
        No gradient flows.
        """
        assigned, _ = self.assigner(proposals, proposal_valid, gt_boxes, gt_valid, gt_labels < 0)
        boxes = proposals
        if self.add_gt_as_proposals:
            own = ops.broadcast_to(ops.arange(1, gt_boxes.shape[1] + 1).astype(mstype.int32)[None], gt_valid.shape)
            own = ops.where(gt_valid, own, ops.full_like(own, -1))
            boxes = ops.concat((gt_boxes, boxes), 1)
            assigned = ops.concat((own, assigned), 1)
        assigned, boxes = ops.stop_gradient(assigned), ops.stop_gradient(boxes)
        index, is_positive, is_sampled = self.sampler(assigned, sample_seed)
        gt_index = ops.clamp(ops.gather_elements(assigned, 1, index) - 1, 0, gt_boxes.shape[1] - 1)
        labels = ops.gather_elements(gt_labels, 1, gt_index)
        added = gt_boxes.shape[1] if self.add_gt_as_proposals else 0  # they stand first
        is_added = ops.logical_and(is_positive, index < added)
        return take_rows(boxes, index), labels, gt_index, is_positive, is_sampled, is_added
