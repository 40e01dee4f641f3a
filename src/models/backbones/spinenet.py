"""SpineNet: scale-permuted blocks joined across scales (Du et al., arXiv:1912.05027).

Module names follow the PyTorch ports on MMDetection (yan-roo, lucifer443), so that converted weights fit one to one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mindspore import Tensor, nn
from mindspore.common.initializer import initializer

from ..layers import ConvNormAct, MaxPool, NormSettings, UpsampleNearest, stop_learning
from .residual import BasicBlock, Bottleneck, residual_layer

STEM_CHANNELS = 64
LEVEL_WIDTHS = {2: 64, 3: 128, 4: 256, 5: 256, 6: 256, 7: 256}  # before a bottleneck's expansion
NUM_STEM_BLOCKS = 2
STEM_LEVEL = 2


@dataclass(frozen=True)
class BlockSpec:
    """A block of the scale-permuted network: its level (stride 2**level) and the numbers of its two inputs.

    Numbers count the two stem blocks first. An output block also takes what no earlier block has used, see `_extras`.
    """

    level: int
    block: type[nn.Cell]
    inputs: tuple[int, int]
    is_output: bool = False


BLOCKS = (  # Table 8 of the paper; the search's result
    BlockSpec(2, Bottleneck, (0, 1)),
    BlockSpec(4, BasicBlock, (0, 1)),
    BlockSpec(3, Bottleneck, (2, 3)),
    BlockSpec(4, Bottleneck, (2, 4)),
    BlockSpec(6, BasicBlock, (3, 5)),
    BlockSpec(4, Bottleneck, (3, 5)),
    BlockSpec(5, BasicBlock, (6, 7)),
    BlockSpec(7, BasicBlock, (6, 8)),
    BlockSpec(5, Bottleneck, (8, 9)),
    BlockSpec(5, Bottleneck, (8, 10)),
    BlockSpec(4, Bottleneck, (5, 10), True),
    BlockSpec(3, Bottleneck, (4, 10), True),
    BlockSpec(5, Bottleneck, (7, 12), True),
    BlockSpec(7, Bottleneck, (5, 14), True),
    BlockSpec(6, Bottleneck, (12, 14), True),
)


@dataclass(frozen=True)
class Scaling:
    """One member of the family.

    endpoint_channels: of every output; width: factor on all block widths; alpha: width of the resampling relative to
    the un-expanded width of its input; repeats: residual blocks in each block.
    """

    endpoint_channels: int
    width: float
    alpha: float
    repeats: int


ARCHITECTURES = {
    "49S": Scaling(128, 0.65, 0.5, 1),
    "49": Scaling(256, 1.0, 0.5, 1),
    "96": Scaling(256, 1.0, 0.5, 2),
    "143": Scaling(256, 1.0, 1.0, 3),
    "190": Scaling(512, 1.3, 1.0, 4),
}


class SpineNet(nn.Cell):
    """(B, 3, H, W) -> five maps (B, endpoint_channels, H / stride, W / stride), strides 8, 16, 32, 64, 128.

    H and W must be multiples of `size_divisor`.
    frozen_stages: -1 none, 0 and above the stem (first convolution and the two blocks on stride 4) does not learn.
    """

    size_divisor = 128
    strides = (8, 16, 32, 64, 128)
    parts_by_depth = (  # beginnings of names: the stem, each block with what leads to it, the outputs
        ("conv1", "init_block1", "init_block2"),
        *((f"merge_ops.{k}", f"scale_permuted_blocks.{k}") for k in range(len(BLOCKS))),
        ("endpoint_convs",),
    )

    def __init__(self, scaling: Scaling, norm: NormSettings | None = None, frozen_stages: int = -1):
        super().__init__()
        norm = norm or NormSettings(momentum=0.01, eps=1e-3)
        width = _width(STEM_LEVEL, scaling)
        self.conv1 = ConvNormAct(3, STEM_CHANNELS, 7, stride=2, norm=norm)
        self.maxpool = MaxPool(3, 2)
        self.init_block1 = residual_layer(Bottleneck, STEM_CHANNELS, width, scaling.repeats, 1, norm)
        self.init_block2 = residual_layer(Bottleneck, 4 * width, width, scaling.repeats, 1, norm)
        self.merge_ops = nn.CellList([Merge(spec, scaling, norm) for spec in BLOCKS])
        self.scale_permuted_blocks = nn.CellList(
            [
                residual_layer(
                    spec.block, _out_channels(spec, scaling), _width(spec.level, scaling), scaling.repeats, 1, norm
                )
                for spec in BLOCKS
            ]
        )
        self.outputs = sorted((spec.level, number) for number, spec in enumerate(BLOCKS) if spec.is_output)
        self.endpoint_convs = nn.CellList(
            [
                ConvNormAct(
                    _out_channels(BLOCKS[number], scaling), scaling.endpoint_channels, 1, norm=norm, activation=False
                )
                for _, number in self.outputs
            ]
        )
        self.inputs = tuple(spec.inputs for spec in BLOCKS)
        self.extras = _extras(BLOCKS)
        self.relu = nn.ReLU()
        self.out_channels = (scaling.endpoint_channels,) * len(self.outputs)
        _start_residuals_at_zero(self)
        if frozen_stages >= 0:
            stop_learning(self.conv1, self.init_block1, self.init_block2)

    def feature_shapes(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        """(h, w) of each output for images of (H, W) pixels."""
        return [(image_size[0] // stride, image_size[1] // stride) for stride in self.strides]

    def construct(self, x: Tensor) -> tuple[Tensor, ...]:
        first = self.init_block1(self.maxpool(self.conv1(x)))
        features = (first, self.init_block2(first))
        for k, (left, right) in enumerate(self.inputs):
            merged = self.merge_ops[k](features[left], features[right])
            for extra in self.extras[k]:
                merged = merged + features[extra]
            features += (self.scale_permuted_blocks[k](self.relu(merged)),)
        endpoints = ()
        for k, (_, number) in enumerate(self.outputs):
            endpoints += (self.endpoint_convs[k](features[NUM_STEM_BLOCKS + number]),)
        return endpoints


class Merge(nn.Cell):
    """Two blocks' outputs, each brought to the level and width of the block that takes them, added up."""

    def __init__(self, spec: BlockSpec, scaling: Scaling, norm: NormSettings):
        super().__init__()
        self.resample_ops = nn.CellList([_resample(source, spec, scaling, norm) for source in spec.inputs])

    def construct(self, left: Tensor, right: Tensor) -> Tensor:
        return self.resample_ops[0](left) + self.resample_ops[1](right)


class Resample(nn.Cell):
    """(B, in, h, w) -> (B, out, h * 2**steps, w * 2**steps): 1x1 convolution down, resize, 1x1 convolution up.

    Growing repeats pixels. Shrinking is a 3x3 convolution of stride 2, then for a quarter a max pooling 3x3 of stride
    2, for less one of 5x5 and the rest of the stride.
    """

    def __init__(self, in_channels: int, channels: int, out_channels: int, steps: int, norm: NormSettings):
        super().__init__()
        self.squeeze_conv = ConvNormAct(in_channels, channels, 1, norm=norm)
        if steps < 0:
            self.downsample_conv = ConvNormAct(channels, channels, 3, stride=2, norm=norm)
            self.pool = nn.Identity() if steps == -1 else MaxPool(3 if steps == -2 else 5, 2 ** (-steps - 1))
        self.upsample = UpsampleNearest(2 ** max(steps, 0))
        self.expand_conv = ConvNormAct(channels, out_channels, 1, norm=norm, activation=False)
        self.steps = steps

    def construct(self, x: Tensor) -> Tensor:
        x = self.squeeze_conv(x)
        if self.steps > 0:
            x = self.upsample(x)
        elif self.steps < 0:
            x = self.pool(self.downsample_conv(x))
        return self.expand_conv(x)


def _resample(source: int, target: BlockSpec, scaling: Scaling, norm: NormSettings) -> Resample:
    """The way from block number `source` (stem blocks count) to `target`."""
    is_stem = source < NUM_STEM_BLOCKS
    level = STEM_LEVEL if is_stem else BLOCKS[source - NUM_STEM_BLOCKS].level
    expansion = Bottleneck.expansion if is_stem else BLOCKS[source - NUM_STEM_BLOCKS].block.expansion
    width = _width(level, scaling)
    steps = level - target.level
    return Resample(width * expansion, int(width * scaling.alpha), _out_channels(target, scaling), steps, norm)


def _width(level: int, scaling: Scaling) -> int:
    return int(LEVEL_WIDTHS[level] * scaling.width)


def _out_channels(spec: BlockSpec, scaling: Scaling) -> int:
    return _width(spec.level, scaling) * spec.block.expansion


def _extras(blocks: Sequence[BlockSpec]) -> tuple[tuple[int, ...], ...]:
    """For each block the earlier outputs that it takes besides its two inputs.

    An output block also adds every earlier output of its own level and width that nothing has used so far.
    """
    kinds = [(STEM_LEVEL, Bottleneck)] * NUM_STEM_BLOCKS
    used = [False] * NUM_STEM_BLOCKS
    extras = []
    for spec in blocks:
        kind = (spec.level, spec.block)
        own = [n for n, other in enumerate(kinds) if spec.is_output and other == kind and not used[n]]
        for number in (*own, *spec.inputs):
            used[number] = True
        extras.append(tuple(own))
        kinds.append(kind)
        used.append(False)
    return tuple(extras)


def _start_residuals_at_zero(network: nn.Cell) -> None:
    """Every residual block starts as its shortcut: the scale of its last normalisation is zero."""
    for _, cell in network.cells_and_names():
        if isinstance(cell, Bottleneck | BasicBlock):
            last = cell.bn3 if isinstance(cell, Bottleneck) else cell.bn2
            last.gamma.set_data(initializer("zeros", last.gamma.shape))
