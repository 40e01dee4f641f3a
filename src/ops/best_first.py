"""The largest numbers of a row in a fixed order."""

from mindspore import Tensor, ops
from mindspore import dtype as mstype


def best_first(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest of each row (..., N), falling, and their places int32; of equal ones the lower place first.

    MindSpore's TopK does that (on the CPU) for whole rows alone: asked for less it takes any of equal numbers.
    """
    ranked, places = ops.topk(values, values.shape[-1])
    return ranked[..., :count], places[..., :count].astype(mstype.int32)
