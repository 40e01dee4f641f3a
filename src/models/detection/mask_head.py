"""Fully convolutional mask head and its loss (MMDetection `FCNMaskHead`)."""

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from src.losses import binary_cross_entropy
from src.models.layers import ConvNormAct, NormSettings, conv2d, he_normal_fan_out


class FCNMaskHead(nn.Cell):
    """`num_convs` 3x3 convolutions, a stride-2 deconvolution, and one 1x1 convolution with a mask for every class."""

    def __init__(
        self,
        in_channels: int,
        conv_channels: int,
        num_classes: int,
        num_convs: int = 4,
        norm: NormSettings | None = None,
        loss_weight: float = 1.0,
    ):
        super().__init__()
        widths = [in_channels] + [conv_channels] * num_convs
        self.convs = nn.SequentialCell(
            [ConvNormAct(before, after, 3, norm=norm) for before, after in zip(widths, widths[1:])]
        )
        self.upsample = nn.Conv2dTranspose(
            widths[-1],
            conv_channels,
            2,
            stride=2,
            pad_mode="valid",
            has_bias=True,
            weight_init=he_normal_fan_out(),
            bias_init="zeros",
        )
        self.conv_logits = conv2d(conv_channels, num_classes, 1, bias=True)
        self.relu = nn.ReLU()
        self.num_classes = num_classes
        self.loss_weight = loss_weight

    def construct(self, roi_features: Tensor) -> Tensor:
        """(N, C, s, s) -> mask logits (N, num_classes, 2s, 2s)."""
        return self.conv_logits(self.relu(self.upsample(self.convs(roi_features))))

    def own_class(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(N, num_classes, M, M) logits and (N,) int32 0-based labels -> (N, M, M) logits of each RoI's own class."""
        n, _, height, width = logits.shape
        index = ops.clamp(labels, 0, self.num_classes - 1)[:, None, None, None]
        return ops.gather_elements(logits, 1, ops.broadcast_to(index, (n, 1, height, width)))[:, 0]

    def loss(self, logits: Tensor, labels: Tensor, targets: Tensor, is_positive: Tensor) -> Tensor:
        """Mean cross entropy over the pixels of positive RoIs; 0 when there are none.

        labels (N,) int32 0-based, targets (N, M, M) 0/1, is_positive (N,) bool.
        """
        loss = binary_cross_entropy(self.own_class(logits, labels), targets).mean(axis=(1, 2))
        weight = is_positive.astype(mstype.float32)
        return (loss * weight).sum() / ops.maximum(weight.sum(), 1.0) * self.loss_weight
