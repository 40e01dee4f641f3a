"""What a training step costs, calculated: arithmetic and memory by a walk over the shapes of its forward pass.

No convolution and no matrix product of features is computed: `shapes_only` puts blank results in their places.
"""

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from .batch_statistics import BatchStatistics
from .layers import AddReLU
from .precision import PRODUCTS

FLOAT, HALF = 4, 2  # bytes
STATES = {"sgd": 1, "momentum": 1, "adam": 2, "adamw": 2, "rmsprop": 2}  # copies of the learning weights
PRODUCT, NORM, FUSED_NORM, RELU, BITS, POOL = "product", "norm", "fused norm", "relu", "bits", "pool"


class Blank(nn.Cell):
    """Zeros of the shape that a convolution (`conv`), its transpose or a matrix product would give, uncomputed."""

    def __init__(self, layer: nn.Cell):
        super().__init__(auto_prefix=False)
        self.conv = getattr(layer.conv2d, "convolve", layer.conv2d) if isinstance(layer, nn.Conv2d) else None
        self.same = self.conv is not None and layer.pad_mode == "same"
        self.pads = (0, 0, 0, 0) if self.conv is None or layer.pad_mode != "pad" else self.conv.padding
        if self.conv is not None:
            self.stride, self.dilation = layer.stride, layer.dilation

    def construct(self, x: Tensor, weight: Tensor, *shape) -> Tensor:
        if shape:  # a transposed convolution is told it
            return ops.zeros(tuple(shape[0]), x.dtype)
        if self.conv is None:  # (N, I) times (I, O), or its transpose
            return ops.zeros((*x.shape[:-1], weight.shape[0]), x.dtype)
        sides = []
        for axis in range(2):
            side, step = x.shape[2 + axis], self.stride[axis]
            covered = self.dilation[axis] * (weight.shape[2 + axis] - 1) + 1
            if not self.same:
                side += self.pads[2 * axis] + self.pads[2 * axis + 1] - covered + 1
            sides.append(-(-side // step))
        return ops.zeros((x.shape[0], weight.shape[0], *sides), x.dtype)


@contextlib.contextmanager
def shapes_only(network: nn.Cell) -> Iterator[None]:
    """While active, the network's convolutions and dense layers give zeros of the right shape (in PyNative mode)."""
    places = [
        (cell, place, getattr(cell, place))
        for _, cell in network.cells_and_names()
        for kind, place in PRODUCTS.items()
        if type(cell) is kind
    ]
    for cell, place, _ in places:
        setattr(cell, place, Blank(cell))
    try:
        yield
    finally:
        for cell, place, product in places:
            delattr(cell, place)
            setattr(cell, place, product)


def multiply_accumulates(cell: nn.Cell, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    """Of one call of an nn.Conv2d, Conv2dTranspose or Dense."""
    # a transposed convolution uses each weight once per input pixel, the others once per output element
    positions = inputs[0] if isinstance(cell, nn.Conv2dTranspose) else output
    channels = positions.shape[-1] if isinstance(cell, nn.Dense) else positions.shape[1]
    return positions.size // channels * _size(cell.weight)


@dataclass
class Kept:
    """A tensor of the forward pass that the backward pass needs: elements of it, and (layer kind, block) for each
    layer that keeps it. enters: it is the input of a block. A block is the number of a residual block's call, or 0.
    """

    elements: int
    keepers: set[tuple[str, int]] = field(default_factory=set)
    enters: bool = False


@dataclass
class Walk:
    """One forward pass in training mode of one image. macs: multiply-accumulates of all convolutions and dense layers;
    backward_macs: of those gradients that somebody needs; block_macs: of what is inside of residual blocks.
    """

    macs: int = 0
    backward_macs: int = 0
    block_macs: int = 0
    kept: list[Kept] = field(default_factory=list)

    def activations(self, half: bool = False, recompute: bool = False) -> int:
        """Bytes that are kept at once for the backward pass.

        recompute: residual blocks keep their inputs alone, and are computed again one at a time in the backward pass.
        """
        total, inside = 0, defaultdict(int)
        for tensor in self.kept:
            outside = {kind for kind, block in tensor.keepers if not block}
            if not recompute:
                total += _bytes(tensor, {kind for kind, _ in tensor.keepers}, half)
            else:
                stays = _bytes(tensor, outside | ({PRODUCT} if tensor.enters else set()), half)
                total += stays
                for block in {block for _, block in tensor.keepers if block}:
                    own = {kind for kind, number in tensor.keepers if number == block}
                    inside[block] += 0 if stays else _bytes(tensor, own, half)
        return total + max(inside.values(), default=0)


def walk(network: nn.Cell, inputs: list[Tensor], fused: bool) -> Walk:
    """Of a network's forward pass in training mode, in PyNative mode; the network is of no use for training after it.

    fused: a ReLU after a normalisation by the batch's statistics is one operator with it, which keeps bits.
    """
    watcher = _Watcher(fused)
    network.set_train(True)
    with watcher.watching(network), shapes_only(network):
        network(*inputs)
    return watcher.walk


class _Watcher:
    def __init__(self, fused: bool):
        self.walk = Walk()
        self.fused = fused
        self.blocks = 0  # called so far
        self.block = 0
        self.flows = False  # gradients go through what is called now: something before it learns

    @contextlib.contextmanager
    def watching(self, network: nn.Cell) -> Iterator[None]:
        handles = []
        for _, cell in network.cells_and_names():
            if isinstance(getattr(cell, "add_relu", None), AddReLU):
                handles += [cell.register_forward_pre_hook(self._enter), cell.register_forward_hook(self._leave)]
            for kinds, hook in (
                (tuple(PRODUCTS), self._product),
                ((nn.BatchNorm2d, BatchStatistics), self._norm),
                ((nn.ReLU, AddReLU), self._relu),
                ((nn.MaxPool2d, nn.AvgPool2d), self._pool),
            ):
                if isinstance(cell, kinds):
                    handles.append(cell.register_forward_hook(hook))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, cell, inputs):
        self.blocks += 1
        self.block = self.blocks
        if self.flows or any(parameter.requires_grad for parameter in cell.get_parameters()):
            self._kept(inputs[0]).enters = True

    def _leave(self, cell, inputs, output):
        self.block = 0

    def _product(self, cell, inputs, output):
        macs, learns = multiply_accumulates(cell, inputs, output), cell.weight.requires_grad
        self.walk.macs += macs
        self.walk.backward_macs += macs * (learns + self.flows)
        self.walk.block_macs += macs if self.block and (learns or self.flows) else 0
        if learns:
            self._keep(inputs[0], PRODUCT)
        self.flows |= learns

    def _norm(self, cell, inputs, output):
        is_rows = isinstance(cell, BatchStatistics)
        by_batch = is_rows or cell.use_batch_statistics is None
        learns = is_rows or cell.gamma.requires_grad
        fused = self.fused and by_batch and not is_rows
        if learns or self.flows:  # the framework's one operator of all its gradients takes the input in any case
            self._keep(inputs[0], FUSED_NORM if fused else NORM)
        self.flows |= learns
        if fused:
            output.is_normalised = True

    def _relu(self, cell, inputs, output):
        if self.flows:
            fused = any(getattr(x, "is_normalised", False) for x in inputs)
            self._keep(output, BITS if fused else RELU)

    def _pool(self, cell, inputs, output):
        if self.flows:
            self._keep(inputs[0], POOL)
            self._keep(output, POOL)

    def _keep(self, tensor: Tensor, kind: str) -> None:
        self._kept(tensor).keepers.add((kind, self.block))

    def _kept(self, tensor: Tensor) -> Kept:
        """The same for the same tensor; by a mark on it, so that the walk holds none."""
        found = getattr(tensor, "kept_in_backward", None)
        if found is None:
            found = tensor.kept_in_backward = Kept(int(np.prod(tensor.shape)))
            self.walk.kept.append(found)
        return found


@dataclass
class Weights:
    """Bytes of a training step that do not go with the batch."""

    parameters: int
    gradients: int
    optimizer: int
    average: int
    half_copies: int


def weights(network: nn.Cell, optimizer: str, averages: bool, accumulates: bool) -> Weights:
    """optimizer: a name of `STATES`. averages: a moving average of all parameters. accumulates: gradients have a copy.

    half_copies: those of the weights of convolutions and dense layers that amp_level O1 and O2 compute with.
    """
    everything = sum(map(_size, network.get_parameters())) * FLOAT
    learning = sum(map(_size, network.trainable_params())) * FLOAT
    layers = [cell for _, cell in network.cells_and_names() if isinstance(cell, tuple(PRODUCTS))]
    half = sum(_size(weight) for weight in {id(cell.weight): cell.weight for cell in layers}.values()) * HALF
    return Weights(
        everything, learning * (1 + accumulates), learning * STATES[optimizer], everything if averages else 0, half
    )


def _bytes(tensor: Kept, kinds: set[str], half: bool) -> int:
    """Bytes a tensor takes that layers of these kinds keep. In half precision a normalisation that is not fused keeps
    its input in float32, in which it is computed.
    """
    float32 = not half or NORM in kinds
    total = (FLOAT if float32 else 0) if kinds - {BITS} else 0
    if half and kinds - {BITS, NORM}:
        total += HALF
    return tensor.elements * total + (-(-tensor.elements // 8) if BITS in kinds else 0)


def _size(parameter: Parameter) -> int:
    return int(np.prod(parameter.shape))
