"""Feature pyramid network (Lin et al., arXiv:1612.03144; MMDetection `FPN`)."""

from collections.abc import Sequence

from mindspore import Tensor, nn, ops

from ..layers import ConvNormAct, ResizeBilinear, UpsampleNearest, xavier_uniform


class FPN(nn.Cell):
    """Maps (B, in_channels[k], H / 2**k, W / 2**k) -> `num_outs` maps (B, out_channels, H / 2**k, W / 2**k).

    1x1 convolutions to one width, added from coarse to fine, one 3x3 convolution a level. Levels beyond the inputs take
    every second pixel of the level before (a 1x1 max pooling of stride 2); num_outs is at least the number of inputs.
    upsampling: of a coarse level: 'nearest', or 'asymmetric' for `resize_bilinear` of that name to the finer level's
    size.
    """

    def __init__(
        self, in_channels: Sequence[int], out_channels: int, num_outs: int, upsampling: str = "nearest"
    ):
        super().__init__()
        self.lateral_convs = nn.CellList(
            [
                ConvNormAct(width, out_channels, 1, activation=False, weight_init=xavier_uniform(width, out_channels))
                for width in in_channels
            ]
        )
        init = xavier_uniform(out_channels * 9, out_channels * 9)
        self.fpn_convs = nn.CellList(
            [ConvNormAct(out_channels, out_channels, 3, activation=False, weight_init=init) for _ in in_channels]
        )
        self.is_bilinear = upsampling == "asymmetric"
        self.upsample = ResizeBilinear(coordinates="asymmetric") if self.is_bilinear else UpsampleNearest(2)
        self.num_inputs = len(in_channels)
        self.num_outs = num_outs
        self.out_channels = out_channels

    def level_shapes(self, feature_shapes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """(h, w) of each output level for inputs of the given sizes."""
        shapes = list(feature_shapes)
        while len(shapes) < self.num_outs:
            shapes.append(((shapes[-1][0] + 1) // 2, (shapes[-1][1] + 1) // 2))
        return shapes

    def construct(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        merged = self.lateral_convs[self.num_inputs - 1](features[self.num_inputs - 1])
        levels = (merged,)
        for k in range(self.num_inputs - 2, -1, -1):
            lateral = self.lateral_convs[k](features[k])
            merged = lateral + (self.upsample(merged, lateral) if self.is_bilinear else self.upsample(merged))
            levels = (merged, *levels)
        outputs = ()
        for k in range(self.num_inputs):
            outputs += (self.fpn_convs[k](levels[k]),)
        for _ in range(self.num_outs - self.num_inputs):
            # Not [:, :, ::2, ::2], whose gradient fails in PyNative mode.
            outputs += (ops.strided_slice(outputs[-1], (0, 0, 0, 0), outputs[-1].shape, (1, 1, 2, 2)),)
        return outputs


class NoNeck(nn.Cell):
    """The backbone's own maps as the pyramid; they must have one width."""

    def __init__(self, out_channels: int, num_outs: int):
        super().__init__()
        self.out_channels = out_channels
        self.num_outs = num_outs

    def level_shapes(self, feature_shapes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """(h, w) of each output level."""
        return list(feature_shapes)

    def construct(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return features
