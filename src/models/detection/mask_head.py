"""Fully convolutional mask head, its loss and its masks (MMDetection `FCNMaskHead`)."""

from dataclasses import dataclass

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from ...ops.mask_crop import MaskCrop
from ...ops.roi_align import RoIAlign
from ..layers import NormSettings, conv2d, he_normal_fan_out
from ..losses import binary_cross_entropy
from .boxes import as_rois
from .roi_conv import RoIConv


@dataclass(frozen=True)
class MaskLayers:
    """How many 3x3 convolutions, the width of all layers, the convolutions' normalisation."""

    num_convs: int = 4
    conv_channels: int = 256
    norm: NormSettings | None = None


class FCNMaskHead(nn.Cell):
    """3x3 convolutions, a stride-2 deconvolution, and one 1x1 convolution with a mask for every class.

    roi: pools RoIs from the first `len(roi.strides)` pyramid levels; crop: makes targets of twice its size.
    """

    kind = "fcn"
    loss_names = ("loss_mask",)
    class_layers = ("conv_logits.",)

    def __init__(
        self,
        roi: RoIAlign,
        crop: MaskCrop,
        in_channels: int,
        num_classes: int,
        layers: MaskLayers | None = None,
        loss_weight: float = 1.0,
    ):
        super().__init__()
        layers = layers or MaskLayers()
        self.roi = roi
        self.crop = crop
        self.levels = len(roi.strides)
        widths = [in_channels] + [layers.conv_channels] * layers.num_convs
        self.convs = nn.CellList([RoIConv(before, after, layers.norm) for before, after in zip(widths, widths[1:])])
        self.upsample = nn.Conv2dTranspose(
            widths[-1],
            layers.conv_channels,
            2,
            stride=2,
            pad_mode="valid",
            has_bias=True,
            weight_init=he_normal_fan_out(),
            bias_init="zeros",
        )
        self.conv_logits = conv2d(layers.conv_channels, num_classes, 1, bias=True)
        self.relu = nn.ReLU()
        self.loss_weight = loss_weight

    def construct(self, pyramid: tuple[Tensor, ...], boxes: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
        """boxes (B, D, 4), labels (B, D) int32 0-based, valid (B, D) bool -> mask probabilities (B, D, M, M)."""
        logits = self.logits(self.roi(pyramid[: self.levels], as_rois(boxes, valid)), valid.reshape(-1))
        masks = ops.sigmoid(own_class(logits, labels.reshape(-1)))
        return masks.reshape(*labels.shape, *masks.shape[1:])

    def logits(self, roi_features: Tensor, valid: Tensor) -> Tensor:
        """(N, C, s, s), valid (N,) bool -> mask logits (N, num_classes, 2s, 2s)."""
        x = roi_features
        for conv in self.convs:
            x = conv(x, valid)
        return self.conv_logits(self.relu(self.upsample(x)))

    def losses(
        self,
        pyramid: tuple[Tensor, ...],
        boxes: Tensor,
        labels: Tensor,
        is_positive: Tensor,
        gt_index: Tensor,
        gt_masks: Tensor,
        seed: Tensor,
    ) -> tuple[Tensor]:
        """The mask loss of RoIs: boxes (B, N, 4), labels (B, N) int32 0-based classes, is_positive (B, N) bool,
        gt_index (B, N) int32 number of each RoI's object, gt_masks (B, G, H, W / 8) packed bits; seed is not used.
        """
        rois = as_rois(boxes, is_positive)
        valid = is_positive.reshape(-1)
        logits = self.logits(self.roi(pyramid[: self.levels], rois), valid)
        targets = ops.stop_gradient(self.crop(gt_masks, rois, gt_index.reshape(-1)))
        return (mask_loss(logits, labels.reshape(-1), targets, valid) * self.loss_weight,)


def own_class(logits: Tensor, labels: Tensor) -> Tensor:
    """(N, C, M, M) logits and (N,) int32 0-based labels -> (N, M, M) logits of each RoI's own class."""
    n, classes, height, width = logits.shape
    index = ops.clamp(labels, 0, classes - 1)[:, None, None, None]
    return ops.gather_elements(logits, 1, ops.broadcast_to(index, (n, 1, height, width)))[:, 0]


def mask_loss(logits: Tensor, labels: Tensor, targets: Tensor, is_positive: Tensor) -> Tensor:
    """Mean cross entropy of own-class logits over the pixels of positive RoIs; 0 when there are none.

    logits (N, C, M, M), labels (N,) int32 0-based, targets (N, M, M) 0/1, is_positive (N,) bool.
    """
    loss = binary_cross_entropy(own_class(logits, labels), targets).mean(axis=(1, 2))
    return mean_over(loss, is_positive)


def mean_over(values: Tensor, where: Tensor) -> Tensor:
    """Mean of the (N,) values at which `where` (N,) holds; 0 when there are none."""
    weight = where.astype(mstype.float32)
    return (values * weight).sum() / ops.maximum(weight.sum(), 1.0)
