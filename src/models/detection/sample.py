"""Choice of the boxes that the losses look at (MMDetection `RandomSampler`), with fixed shapes."""

import numpy as np
from mindspore import Tensor, get_context, nn, ops
from mindspore import dtype as mstype

from ...ops.library import custom_op
from ..randomness import hashed_uniform
from .assign import BACKGROUND

ORDERS = ("random", "in_order")


class BalancedSampler(nn.Cell):
    """Up to `num` boxes an image: at most `num * pos_fraction` positives, the rest background.

    neg_pos_ub: at most this many background boxes for each positive one; negative means no bound.
    order: 'random' takes candidates by hashed random numbers, 'in_order' takes them by rising index (for comparisons).
    stream: number that separates this sampler's random numbers from others of the same seed.
    portable: use MindSpore's operators, as always on devices other than the CPU. There the compiled operator
        (ops/sample.cc) chooses the same: it is faster, and one node of the graph instead of sixty.

    Four boxes: background, object 1, object 2, background. Of three slots one may hold a positive (3 * 0.5, rounded
    down), which comes first; box 2 finds no place, and background fills the rest.

    >>> sampler = BalancedSampler(num=3, pos_fraction=0.5, order="in_order")
    >>> assigned, seed = Tensor([[0, 1, 2, 0]], mstype.int32), Tensor([0], mstype.int32)
    >>> index, is_positive, is_sampled = (x[0].asnumpy().tolist() for x in sampler(assigned, seed))
    >>> index, is_positive, is_sampled
    ([1, 0, 3], [True, False, False], [True, True, True])
    """

    def __init__(
        self,
        num: int,
        pos_fraction: float,
        neg_pos_ub: float = -1,
        order: str = "random",
        stream: int = 0,
        portable: bool = False,
    ):
        super().__init__()
        self.use_custom = not portable and get_context("device_target") == "CPU"
        if self.use_custom:
            numbers = [num, int(num * pos_fraction), neg_pos_ub, float(order == "in_order"), stream]
            self.settings = Tensor(np.array(numbers, np.float32))

            def output_shapes(assigned, seed, settings):
                slots = [assigned[0], min(num, assigned[1])]
                return slots, slots, slots

            types = (mstype.int32, mstype.bool_, mstype.bool_)
            self.run = custom_op("SampleForward", output_shapes, types, str(num))
        self.num = num
        self.max_positive = int(num * pos_fraction)
        self.neg_pos_ub = neg_pos_ub
        self.order = order
        self.stream = stream

    def construct(self, assigned: Tensor, seed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sample from (B, N) assignments (-1 left out, 0 background, k object) with (B,) int32 seeds.

        Returns index (B, S) int32 into N, is_positive (B, S) and is_sampled (B, S) bool, S = min(num, N). Positives
        come first, then background, then unused slots (index 0).
        """
        if self.use_custom:
            return self.run(assigned, seed, self.settings)
        return self._sample(assigned, seed)

    def _sample(self, assigned: Tensor, seed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count = assigned.shape[1]
        slots = min(self.num, count)
        if self.order == "in_order":
            key = ops.broadcast_to(ops.arange(count, 0, -1).astype(mstype.float32)[None], assigned.shape)
        else:
            key = 1.0 - hashed_uniform(seed, count, self.stream)
        positive, num_positive = _first_by_key(assigned > BACKGROUND, key, min(self.max_positive, count), slots)
        room = self.num - num_positive
        if self.neg_pos_ub >= 0:
            bound = (ops.maximum(num_positive, 1).astype(mstype.float32) * self.neg_pos_ub).astype(mstype.int32)
            room = ops.minimum(room, bound)
        negative, num_negative = _first_by_key(assigned == BACKGROUND, key, slots, slots)
        num_negative = ops.minimum(num_negative, room)

        slot = ops.arange(0, slots).astype(mstype.int32)[None]
        is_positive = slot < num_positive
        is_sampled = slot < num_positive + num_negative
        from_negative = ops.gather_elements(negative, 1, ops.clamp(slot - num_positive, 0, slots - 1))
        index = ops.where(is_positive, positive, from_negative)
        return ops.where(is_sampled, index, ops.zeros_like(index)), is_positive, is_sampled


def _first_by_key(candidate: Tensor, key: Tensor, limit: int, slots: int) -> tuple[Tensor, Tensor]:
    """Indices (B, slots) of the candidates with the largest keys, and how many count (B, 1), at most `limit`."""
    _, index = ops.topk(ops.where(candidate, key, ops.full_like(key, -1.0)), slots)
    found = candidate.astype(mstype.int32).sum(axis=1, keepdims=True)
    return index.astype(mstype.int32), ops.clamp(found, 0, limit)
