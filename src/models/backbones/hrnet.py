"""HRNet: parallel branches of falling resolution that exchange features (Wang et al., arXiv:1908.07919).

Module names follow the HRNet authors' and MMDetection's checkpoints, so that converted weights fit one to one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mindspore import Tensor, nn

from ..layers import (
    NormSettings,
    ResizeBilinear,
    UpsampleNearest,
    batch_norm,
    conv2d,
    resize_bilinear,
    stop_learning,
)
from .residual import BLOCKS, residual_layer

STEM_CHANNELS = 64


@dataclass(frozen=True)
class StageSettings:
    """One stage: `num_modules` modules of `len(num_blocks)` branches; channels before the block's expansion."""

    num_modules: int
    block: str
    num_blocks: tuple[int, ...]
    num_channels: tuple[int, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each branch's output."""
        return tuple(channels * BLOCKS[self.block].expansion for channels in self.num_channels)


@dataclass(frozen=True)
class Fusion:
    """How a coarse branch is enlarged when it is added to a finer one.

    upsampling: 'nearest' by a factor (the authors' classification, MMDetection); 'bilinear' to the finer branch's own
        size (the authors' segmentation code).
    coordinates: of bilinear: 'half_pixel', 'asymmetric' (the MindSpore original) or 'align_corners' (the authors' OCR
        branch), see `interpolation_matrix`.
    steps: of bilinear: 1, or 2 for first by the factor, then to the size (MMSegmentation), which is another result
        where sides are no multiples of 32.
    """

    upsampling: str = "nearest"
    coordinates: str = "half_pixel"
    steps: int = 1


NEAREST = Fusion()


class HRNet(nn.Cell):
    """(B, in_channels, H, W) -> four maps (B, widths[k], H / 2**(k + 2), W / 2**(k + 2)), finest first.

    fusion: how a coarse branch is enlarged. conv_padding: of all convolutions of stride 2, 'symmetric', or 'same' as
        PaddleSeg has it, see `conv2d`.
    H and W must be multiples of `size_divisor`: 32, or 1 with bilinear fusion, which takes any size (sides of the maps
    are then rounded up at each halving).
    frozen_stages: -1 none, 0 the stem, k the stem and stages 1..k do not learn and keep their statistics.
    """

    parts_by_depth = (  # beginnings of parameters' names by depth, the stem first
        ("conv1", "bn1", "conv2", "bn2"),
        ("layer1",),
        ("transition1", "stage2"),
        ("transition2", "stage3"),
        ("transition3", "stage4"),
    )

    def __init__(
        self,
        stages: Sequence[StageSettings],
        in_channels: int = 3,
        norm: NormSettings | None = None,
        frozen_stages: int = -1,
        fusion: Fusion = NEAREST,
        conv_padding: str = "symmetric",
    ):
        super().__init__()
        norm = norm or NormSettings()
        self.size_divisor = 32 if fusion.upsampling == "nearest" else 1
        frozen = replace(norm, frozen=True)
        norms = [frozen if stage <= frozen_stages else norm for stage in range(len(stages) + 1)]

        self.conv1 = conv2d(in_channels, STEM_CHANNELS, 3, stride=2, padding=conv_padding)
        self.bn1 = batch_norm(STEM_CHANNELS, norms[0])
        self.relu1 = nn.ReLU()
        self.conv2 = conv2d(STEM_CHANNELS, STEM_CHANNELS, 3, stride=2, padding=conv_padding)
        self.bn2 = batch_norm(STEM_CHANNELS, norms[0])
        self.relu2 = nn.ReLU()

        first = stages[0]
        self.layer1 = residual_layer(
            BLOCKS[first.block], STEM_CHANNELS, first.num_channels[0], first.num_blocks[0], 1, norms[1]
        )
        self.transition1 = _transition(first.widths, stages[1].widths, norms[2], conv_padding)
        self.stage2 = _stage(stages[1], norms[2], fusion, conv_padding)
        self.transition2 = _transition(stages[1].widths, stages[2].widths, norms[3], conv_padding)
        self.stage3 = _stage(stages[2], norms[3], fusion, conv_padding)
        self.transition3 = _transition(stages[2].widths, stages[3].widths, norms[4], conv_padding)
        self.stage4 = _stage(stages[3], norms[4], fusion, conv_padding)
        self.out_channels = stages[3].widths
        self.strides = (4, 8, 16, 32)
        for parts in self.parts_by_depth[: frozen_stages + 1]:
            stop_learning(*(getattr(self, part) for part in parts))

    def feature_shapes(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        """(h, w) of each output for images of (H, W) pixels."""
        return [(-(-image_size[0] // stride), -(-image_size[1] // stride)) for stride in self.strides]

    def construct(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.relu2(self.bn2(self.conv2(x)))
        features = (self.layer1(x),)
        features = self.stage2(_apply_transition(self.transition1, features))
        features = self.stage3(_apply_transition(self.transition2, features))
        return self.stage4(_apply_transition(self.transition3, features))


class HRModule(nn.Cell):
    """Residual blocks on every branch, then each output branch sums all branches brought to its resolution."""

    def __init__(self, settings: StageSettings, norm: NormSettings, fusion: Fusion, conv_padding: str):
        super().__init__()
        block, widths = BLOCKS[settings.block], settings.widths
        self.branches = nn.CellList(
            [
                residual_layer(block, width, channels, count, 1, norm)
                for width, channels, count in zip(widths, settings.num_channels, settings.num_blocks)
            ]
        )
        count = len(widths)
        self.fuse_layers = nn.CellList(
            [nn.CellList([_fuse_layer(widths, i, j, norm, conv_padding) for j in range(count)]) for i in range(count)]
        )
        self.relu = nn.ReLU()
        self.num_branches = count
        self.is_bilinear = fusion.upsampling == "bilinear"
        self.fusion_steps = fusion.steps
        self.resize = ResizeBilinear(coordinates=fusion.coordinates)
        self.upsample = nn.CellList([UpsampleNearest(2**steps) for steps in range(count)])

    def construct(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        outputs = ()
        for i in range(self.num_branches):
            outputs += (self.branches[i](features[i]),)
        fused = ()
        for i in range(self.num_branches):
            total = self._to_branch(outputs, i, 0)
            for j in range(1, self.num_branches):
                total = total + self._to_branch(outputs, i, j)
            fused += (self.relu(total),)
        return fused

    def _to_branch(self, outputs: tuple[Tensor, ...], i: int, j: int) -> Tensor:
        out = self.fuse_layers[i][j](outputs[j])
        if j <= i:
            return out
        if self.is_bilinear:
            if self.fusion_steps == 2:
                height, width = out.shape[-2:]
                out = resize_bilinear(out, height * 2 ** (j - i), width * 2 ** (j - i), False, self.resize.coordinates)
            return self.resize(out, outputs[i])
        return self.upsample[j - i](out)


def _stage(settings: StageSettings, norm: NormSettings, fusion: Fusion, conv_padding: str) -> nn.SequentialCell:
    return nn.SequentialCell([HRModule(settings, norm, fusion, conv_padding) for _ in range(settings.num_modules)])


def _fuse_layer(widths: Sequence[int], i: int, j: int, norm: NormSettings, conv_padding: str) -> nn.Cell:
    """Branch j to branch i: 1x1 convolution where it must grow, stride-2 3x3 convolutions where it must shrink."""
    if i == j:
        return nn.Identity()
    if j > i:
        return nn.SequentialCell([conv2d(widths[j], widths[i], 1), batch_norm(widths[i], norm)])
    steps = []
    for step in range(i - j):
        last = step == i - j - 1
        width = widths[i] if last else widths[j]
        cells = [conv2d(widths[j], width, 3, stride=2, padding=conv_padding), batch_norm(width, norm)]
        steps.append(nn.SequentialCell(cells if last else [*cells, nn.ReLU()]))
    return nn.SequentialCell(steps)


def _transition(before: Sequence[int], after: Sequence[int], norm: NormSettings, conv_padding: str) -> nn.CellList:
    """One cell per branch of the next stage: a width change for old branches, stride-2 convolutions for new ones."""
    cells = []
    for k, width in enumerate(after):
        if k < len(before):
            same = before[k] == width
            cells.append(nn.Identity() if same else _conv_bn_relu(before[k], width, 1, norm, conv_padding))
        else:
            steps = []
            for step in range(k + 1 - len(before)):
                last = step == k - len(before)
                steps.append(_conv_bn_relu(before[-1], width if last else before[-1], 2, norm, conv_padding))
            cells.append(nn.SequentialCell(steps))
    return nn.CellList(cells)


def _conv_bn_relu(
    in_channels: int, out_channels: int, stride: int, norm: NormSettings, conv_padding: str
) -> nn.SequentialCell:
    conv = conv2d(in_channels, out_channels, 3, stride, padding=conv_padding)
    return nn.SequentialCell([conv, batch_norm(out_channels, norm), nn.ReLU()])


def _apply_transition(transition: nn.CellList, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    outputs = ()
    for k, cell in enumerate(transition):
        outputs += (cell(features[min(k, len(features) - 1)]),)
    return outputs
