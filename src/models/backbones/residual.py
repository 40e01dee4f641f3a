"""The two residual blocks of ResNet (He et al., 2016) and rows of them."""

from mindspore import Tensor, nn

from ..layers import AddReLU, NormSettings, batch_norm, conv2d


class BasicBlock(nn.Cell):
    """Two 3x3 convolutions and a shortcut. (B, in, H, W) -> (B, channels, H / stride, W / stride).

    style: no difference here; both have the stride on the first convolution. padding: see `conv2d`.
    """

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        norm: NormSettings,
        style: str = "pytorch",
        padding: str = "symmetric",
    ):
        super().__init__()
        self.conv1 = conv2d(in_channels, channels, 3, stride, padding=padding)
        self.bn1 = batch_norm(channels, norm)
        self.relu1 = nn.ReLU()
        self.conv2 = conv2d(channels, channels, 3)
        self.bn2 = batch_norm(channels, norm)
        self.downsample = _shortcut(in_channels, channels, stride, norm)
        self.add_relu = AddReLU()

    def construct(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.add_relu(out, self.downsample(x))


class Bottleneck(nn.Cell):
    """1x1, 3x3, 1x1 convolutions and a shortcut. (B, in, H, W) -> (B, 4 * channels, H / stride, W / stride).

    style: 'pytorch' has the stride on the 3x3 convolution, 'caffe' on the first 1x1 (the MSRA and Detectron2 weights).
    padding: see `conv2d`.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        norm: NormSettings,
        style: str = "pytorch",
        padding: str = "symmetric",
    ):
        super().__init__()
        out_channels = channels * self.expansion
        first, second = (stride, 1) if style == "caffe" else (1, stride)
        self.conv1 = conv2d(in_channels, channels, 1, first)
        self.bn1 = batch_norm(channels, norm)
        self.relu1 = nn.ReLU()
        self.conv2 = conv2d(channels, channels, 3, second, padding=padding)
        self.bn2 = batch_norm(channels, norm)
        self.relu2 = nn.ReLU()
        self.conv3 = conv2d(channels, out_channels, 1)
        self.bn3 = batch_norm(out_channels, norm)
        self.downsample = _shortcut(in_channels, out_channels, stride, norm)
        self.add_relu = AddReLU()

    def construct(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.relu2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.add_relu(out, self.downsample(x))


STYLES = ("pytorch", "caffe")
BLOCKS = {"BASIC": BasicBlock, "BOTTLENECK": Bottleneck}


def residual_layer(
    block: type[nn.Cell],
    in_channels: int,
    channels: int,
    num_blocks: int,
    stride: int,
    norm: NormSettings,
    style: str = "pytorch",
    padding: str = "symmetric",
) -> nn.SequentialCell:
    """`num_blocks` blocks in a row; the first one changes stride and width."""
    width = channels * block.expansion
    first = block(in_channels, channels, stride, norm, style, padding)
    rest = [block(width, channels, 1, norm, style) for _ in range(num_blocks - 1)]
    return nn.SequentialCell([first, *rest])


def _shortcut(in_channels: int, out_channels: int, stride: int, norm: NormSettings) -> nn.Cell:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.SequentialCell([conv2d(in_channels, out_channels, 1, stride), batch_norm(out_channels, norm)])
