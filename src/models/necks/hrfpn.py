"""HRFPN: one pyramid from HRNet's parallel maps (Sun et al., arXiv:1904.04514; MMDetection `HRFPN`)."""

from collections.abc import Sequence

from mindspore import Tensor, nn, ops

from ..layers import ConvNormAct, ResizeBilinear, caffe2_xavier


class HRFPN(nn.Cell):
    """Maps (B, in_channels[k], H / 2**k, W / 2**k) -> `num_outs` maps (B, out_channels, H / 2**k, W / 2**k).

    All inputs are brought to the finest size (bilinear, align_corners False), concatenated, reduced by a biased 1x1
    convolution, pooled by averaging, and smoothed by one 3x3 convolution a level.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int, num_outs: int):
        super().__init__()
        self.reduction_conv = ConvNormAct(sum(in_channels), out_channels, 1, activation=False)
        self.fpn_convs = nn.CellList(
            [
                ConvNormAct(
                    out_channels, out_channels, 3, activation=False, weight_init=caffe2_xavier(out_channels * 9)
                )
                for _ in range(num_outs)
            ]
        )
        # a cell for each level: `ops.avg_pool2d` does not export to ONNX
        self.pools = nn.CellList([nn.AvgPool2d(2**k, 2**k, pad_mode="valid") for k in range(1, num_outs)])
        self.resize = ResizeBilinear()
        self.num_outs = num_outs
        self.out_channels = out_channels

    def level_shapes(self, feature_shapes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """(h, w) of each output level for inputs of the given sizes; pooling drops an incomplete last window."""
        height, width = feature_shapes[0]
        return [(height // 2**k, width // 2**k) for k in range(self.num_outs)]

    def construct(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        resized = ()
        for feature in features:
            resized += (self.resize(feature, features[0]),)
        base = self.reduction_conv(ops.concat(resized, 1))
        outputs = ()
        for k in range(self.num_outs):
            pooled = base if k == 0 else self.pools[k - 1](base)
            outputs += (self.fpn_convs[k](pooled),)
        return outputs
