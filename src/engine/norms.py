"""Norms of a training step's tensors, worked out in its graph."""

from mindspore import Tensor, ops

_square_sum = ops.MultitypeFuncGraph("square_sum")

NAMES = ("grad_norm", "weight_norm")  # of an update: its gradients before they are clipped, the weights after it


@_square_sum.register("Tensor")
def _square_sum_of_tensor(tensor):
    return (tensor * tensor).sum()


def global_norm(tensors: tuple[Tensor, ...]) -> Tensor:
    """() root of the sum of all squares: what PyTorch's `clip_grad_norm_` returns for gradients."""
    return ops.sqrt(ops.addn(ops.HyperMap()(_square_sum, tensors)))
