"""PointRend's coarse mask head: a mask from a grid of points.

Detectron2 `ConvFCHead` (`CoarseMaskHead` in older versions).
"""

from dataclasses import dataclass

from mindspore import Tensor, nn
from mindspore.common.initializer import Normal

from ..layers import caffe2_xavier, he_normal_fan_out
from ..point_head import PointHead as PointHead  # which stood here


@dataclass(frozen=True)
class CoarseLayers:
    """Width of the convolutions, number and width of the fully connected layers.

    conv_channels: at most the head's in_channels; a 1x1 convolution comes first where it is less.
    """

    conv_channels: int = 256
    num_fcs: int = 2
    fc_channels: int = 1024


class CoarseMaskHead(nn.Cell):
    """A 2x2 convolution of stride 2 and fully connected layers: one coarse mask for every class.

    in_size: cells a side of the RoI features, even; out_size: cells a side of the coarse mask.
    """

    class_layers = ("prediction.",)

    def __init__(
        self, in_channels: int, in_size: int, num_classes: int, out_size: int, layers: CoarseLayers | None = None
    ):
        super().__init__()
        layers = layers or CoarseLayers()
        conv_channels = layers.conv_channels
        self.reduces_channels = in_channels > conv_channels
        if self.reduces_channels:
            self.reduce_channel_dim_conv = _conv(in_channels, conv_channels, 1)
        self.reduce_spatial_dim_conv = _conv(conv_channels, conv_channels, 2)
        sizes = [conv_channels * (in_size // 2) ** 2] + [layers.fc_channels] * layers.num_fcs
        self.fcs = nn.CellList(
            [
                nn.Dense(before, after, weight_init=caffe2_xavier(before), bias_init="zeros")
                for before, after in zip(sizes, sizes[1:])
            ]
        )
        self.prediction = nn.Dense(
            sizes[-1], num_classes * out_size * out_size, weight_init=Normal(0.001), bias_init="zeros"
        )
        self.relu = nn.ReLU()
        self.num_classes = num_classes
        self.in_size = in_size
        self.out_size = out_size

    def construct(self, roi_features: Tensor) -> Tensor:
        """(N, C, s, s) -> coarse mask logits (N, num_classes, out_size, out_size)."""
        x = roi_features
        if self.reduces_channels:
            x = self.relu(self.reduce_channel_dim_conv(x))
        x = self.relu(self.reduce_spatial_dim_conv(x))
        x = x.reshape(x.shape[0], -1)
        for layer in self.fcs:
            x = self.relu(layer(x))
        return self.prediction(x).reshape(x.shape[0], self.num_classes, self.out_size, self.out_size)


def _conv(in_channels: int, out_channels: int, size: int) -> nn.Conv2d:
    """A convolution whose windows do not overlap."""
    return nn.Conv2d(
        in_channels,
        out_channels,
        size,
        stride=size,
        pad_mode="valid",
        has_bias=True,
        weight_init=he_normal_fan_out(),
        bias_init="zeros",
    )
