"""Operators for training that do at once what networks here say in two or three steps (on the CPU)."""

from mindspore import Tensor, nn

from ..ops.batch_norm import FusedBatchNorm, FusedBatchNormSum
from ..ops.pixel_loss import FusedLabelLogProbability
from ..ops.resize import BilinearResizing, NearestUpsampling
from .detection.roi_conv import RoIConv
from .fold import replace_with_parameters
from .layers import AddReLU, BatchNorm2d, ResizeBilinear, UpsampleNearest
from .losses import LabelLogProbability


class FusedNorm(nn.Cell):
    """Takes the place of `norm`, a BatchNorm2d of batch statistics, and of `then`, the ReLU after it (or nothing).

    It has the parameters under their own names. Outside of training it does what they did.
    """

    def __init__(self, norm: BatchNorm2d, then: nn.Cell, fused: FusedBatchNorm):
        super().__init__(auto_prefix=False)
        self.norm = norm
        self.then = then
        self.fused = fused

    def construct(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        norm = self.norm
        if self.training:
            return self.fused(x, norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)[0]
        return self.then(norm(x))


class FusedNormSum(FusedNorm):
    """The same where `then` adds another map before its ReLU."""

    def construct(self, x: Tensor, added: Tensor) -> Tensor:
        """Twice (B, C, H, W) -> the same shape."""
        norm = self.norm
        if self.training:
            return self.fused(x, norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance, added)[0]
        return self.then(norm(x), added)


def fuse_for_training(network: nn.Cell) -> int:
    """Let `network` train with the fused operators; how many normalisations have one.

    Those by running statistics (frozen), over all ranks, in half precision, and those of RoI heads, which see some rows
    only, stay as they are. Parameters keep their names. Only where `why_not_fast` has nothing against it.
    """
    shared: dict[tuple, FusedBatchNorm] = {}  # equal operators are one Cell, which is compiled in less time
    count = 0
    for _, parent in list(network.cells_and_names()):
        _exchange(parent)
        if isinstance(parent, RoIConv | FusedNorm):
            continue
        for name, norm in list(parent.name_cells().items()):
            if type(norm) is not BatchNorm2d or norm.use_batch_statistics is not None or _is_half(norm):
                continue
            place, cell = follower(parent, name)
            key = (type(cell), norm.eps, norm.momentum)
            if isinstance(cell, AddReLU):
                fused = shared.setdefault(key, FusedBatchNormSum(*key[1:]))
                replace_with_parameters(parent, place, FusedNormSum(norm, cell, fused))
                replace_with_parameters(parent, name, nn.Identity())
            else:
                fused = shared.setdefault(key, FusedBatchNorm(*key[1:], relu=cell is not None))
                replace_with_parameters(parent, name, FusedNorm(norm, cell or nn.Identity(), fused))
                if cell is not None:
                    replace_with_parameters(parent, place, nn.Identity())
            count += 1
    return count


def follower(parent: nn.Cell, name: str) -> tuple[str, nn.Cell | None]:
    """Name and cell of the ReLU, or of the sum and ReLU, that takes what the normalisation `name` gives.

    By the names that all networks here share: `bn` and `activation`, `bn1` and `relu1`, a block's last and `add_relu`.
    """
    children = parent.name_cells()
    if isinstance(parent, nn.SequentialCell):
        names = list(children)
        following = names[names.index(name) + 1] if name != names[-1] else ""
    else:
        is_last = "add_relu" in children and name == max(child for child in children if child.startswith("bn"))
        following = "add_relu" if is_last else "activation" if name == "bn" else name.replace("bn", "relu")
    cell = children.get(following)
    return following, cell if isinstance(cell, nn.ReLU | AddReLU) else None


def _exchange(cell: nn.Cell) -> None:
    """Gives a cell the operator that it takes in training."""
    if isinstance(cell, UpsampleNearest):
        cell.for_training = NearestUpsampling(cell.factor)
    elif isinstance(cell, ResizeBilinear) and cell.coordinates != "asymmetric":  # which the operator does not know
        cell.for_training = BilinearResizing(cell.align_corners)
    elif isinstance(cell, LabelLogProbability):
        cell.for_training = FusedLabelLogProbability()


def _is_half(cell: nn.Cell) -> bool:
    return any(cell.get_flags().get(name) for name in ("fp16", "bf16"))
