"""The two residual blocks of ResNet (He et al., 2016), 'pytorch style': the stride sits on the 3x3 convolution."""

from mindspore import Tensor, nn

from src.models.layers import NormSettings, batch_norm, conv2d


class BasicBlock(nn.Cell):
    """Two 3x3 convolutions and a shortcut. (B, in, H, W) -> (B, channels, H / stride, W / stride)."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int, norm: NormSettings):
        super().__init__()
        self.conv1 = conv2d(in_channels, channels, 3, stride)
        self.bn1 = batch_norm(channels, norm)
        self.conv2 = conv2d(channels, channels, 3)
        self.bn2 = batch_norm(channels, norm)
        self.downsample = _shortcut(in_channels, channels, stride, norm)
        self.relu = nn.ReLU()

    def construct(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + self.downsample(x))


class Bottleneck(nn.Cell):
    """1x1, 3x3, 1x1 convolutions and a shortcut. (B, in, H, W) -> (B, 4 * channels, H / stride, W / stride)."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int, norm: NormSettings):
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = conv2d(in_channels, channels, 1)
        self.bn1 = batch_norm(channels, norm)
        self.conv2 = conv2d(channels, channels, 3, stride)
        self.bn2 = batch_norm(channels, norm)
        self.conv3 = conv2d(channels, out_channels, 1)
        self.bn3 = batch_norm(out_channels, norm)
        self.downsample = _shortcut(in_channels, out_channels, stride, norm)
        self.relu = nn.ReLU()

    def construct(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + self.downsample(x))


BLOCKS = {"BASIC": BasicBlock, "BOTTLENECK": Bottleneck}


def residual_layer(
    block: type[nn.Cell], in_channels: int, channels: int, num_blocks: int, stride: int, norm: NormSettings
) -> nn.SequentialCell:
    """`num_blocks` blocks in a row; the first one changes stride and width."""
    width = channels * block.expansion
    first = block(in_channels, channels, stride, norm)
    rest = [block(width, channels, 1, norm) for _ in range(num_blocks - 1)]
    return nn.SequentialCell([first, *rest])


def _shortcut(in_channels: int, out_channels: int, stride: int, norm: NormSettings) -> nn.Cell:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.SequentialCell([conv2d(in_channels, out_channels, 1, stride), batch_norm(out_channels, norm)])
