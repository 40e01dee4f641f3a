"""ResNet (He et al., arXiv:1512.03385) as a pyramid of four feature maps (MMDetection and torchvision `ResNet`).

Module names follow torchvision's and MMDetection's checkpoints, so that converted weights fit one to one.
"""

from dataclasses import replace

from mindspore import Tensor, nn

from ..layers import MaxPool, NormSettings, batch_norm, conv2d, stop_learning
from .residual import BasicBlock, Bottleneck, residual_layer

STEM_CHANNELS = 64
DEPTHS = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}


class ResNet(nn.Cell):
    """(B, 3, H, W) -> four maps (B, out_channels[k], H / strides[k], W / strides[k]), finest first.

    H and W must be multiples of `size_divisor`.
    depth: a key of `DEPTHS`.
    base_channels: channels of the first stage before the block's expansion; 64 in the published models.
    style: where a bottleneck has its stride, see `Bottleneck`.
    frozen_stages: -1 none, 0 the stem, k the stem and stages 1..k do not learn and keep their statistics.
    pool_padding, conv_padding: of the stem's pooling and of all convolutions of stride 2, 'symmetric' (PyTorch) or
        'same' (MindCV has it for the pooling, MindSpore's official ResNet-50 and 101 for both), see `same_border`.
    """

    size_divisor = 32
    strides = (4, 8, 16, 32)
    # beginnings of parameters' names by depth, the stem first
    parts_by_depth = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))

    def __init__(
        self,
        depth: int,
        norm: NormSettings | None = None,
        frozen_stages: int = -1,
        style: str = "pytorch",
        base_channels: int = 64,
        pool_padding: str = "symmetric",
        conv_padding: str = "symmetric",
    ):
        super().__init__()
        norm = norm or NormSettings()
        frozen = replace(norm, frozen=True)
        norms = [frozen if stage <= frozen_stages else norm for stage in range(5)]
        block, counts = DEPTHS[depth]
        self.conv1 = conv2d(3, STEM_CHANNELS, 7, stride=2, padding=conv_padding)
        self.bn1 = batch_norm(STEM_CHANNELS, norms[0])
        self.relu1 = nn.ReLU()
        self.maxpool = MaxPool(3, 2, pool_padding)
        channels = [base_channels * 2**k for k in range(4)]
        self.out_channels = tuple(width * block.expansion for width in channels)
        widths = (STEM_CHANNELS, *self.out_channels)
        layers = [
            residual_layer(
                block, widths[k], channels[k], counts[k], 1 if k == 0 else 2, norms[k + 1], style, conv_padding
            )
            for k in range(4)
        ]
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        for parts in self.parts_by_depth[: frozen_stages + 1]:
            stop_learning(*(getattr(self, part) for part in parts))

    def feature_shapes(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        """(h, w) of each output for images of (H, W) pixels."""
        return [(image_size[0] // stride, image_size[1] // stride) for stride in self.strides]

    def construct(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.maxpool(self.relu1(self.bn1(self.conv1(x))))
        x1 = self.layer1(x)
        x2 = self.layer2(x1)
        x3 = self.layer3(x2)
        return x1, x2, x3, self.layer4(x3)
