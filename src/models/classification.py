"""Image classification on any backbone, by HRNet's head (Wang et al., arXiv:1908.07919; `cls_hrnet.py`)."""

from collections.abc import Sequence

import numpy as np
from mindspore import Tensor, nn

from .backbones.residual import Bottleneck, residual_layer
from .layers import NormSettings, batch_norm, conv2d
from .losses import cross_entropy

TRUNCATION_STD = 0.87962566103423978  # standard deviation of a unit normal cut off at two


class ImageClassifier(nn.Cell):
    """A backbone of four maps, widened, added up from fine to coarse, averaged over the image, classified.

    In training mode `construct` takes `train_columns` and returns the loss; in evaluation mode it takes the image
    batch (B, 3, H, W) and returns logits (B, num_classes).
    head_channels: width of each map's bottleneck before its expansion; final_channels: features before the classifier.
    label_smoothing: as PyTorch's `cross_entropy`.
    """

    train_columns = ("image", "label", "other_label", "share")
    loss_names = ("loss_cls",)
    output_names = ("logits",)
    class_layers = ("classifier.",)

    def __init__(
        self,
        backbone: nn.Cell,
        num_classes: int,
        head_channels: Sequence[int] = (32, 64, 128, 256),
        final_channels: int = 2048,
        norm: NormSettings | None = None,
        label_smoothing: float = 0.0,
    ):
        super().__init__()
        norm = norm or NormSettings()
        widths = [channels * Bottleneck.expansion for channels in head_channels]
        self.backbone = backbone
        self.incre_modules = nn.CellList(
            [
                residual_layer(Bottleneck, inputs, channels, 1, 1, norm)
                for inputs, channels in zip(backbone.out_channels, head_channels)
            ]
        )
        self.downsamp_modules = nn.CellList(
            [_conv_bn_relu(before, after, 3, 2, norm) for before, after in zip(widths, widths[1:])]
        )
        self.final_layer = _conv_bn_relu(widths[-1], final_channels, 1, 1, norm)
        self.classifier = nn.Dense(final_channels, num_classes)
        self.label_smoothing = label_smoothing

    def construct(self, *inputs: Tensor) -> Tensor | tuple[Tensor]:
        if self.training:
            return self.losses(*inputs)
        return self.logits(inputs[0])

    def logits(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, num_classes)."""
        features = self.backbone(image)
        y = self.incre_modules[0](features[0])
        for k in range(len(features) - 1):
            y = self.incre_modules[k + 1](features[k + 1]) + self.downsamp_modules[k](y)
        return self.classifier(self.final_layer(y).mean(axis=(2, 3)))

    def losses(self, image: Tensor, label: Tensor, other_label: Tensor, share: Tensor) -> tuple[Tensor]:
        """Mean cross entropy of the batch: label and other_label (B,) int32, share (B,) weight of the first (mixup)."""
        logits = self.logits(image)
        own = cross_entropy(logits, label, self.label_smoothing)
        other = cross_entropy(logits, other_label, self.label_smoothing)
        return ((own * share + other * (1.0 - share)).mean(),)


def truncated_normal_convolutions(model: nn.Cell, rng: np.random.RandomState, sigma: float = 0.0) -> None:
    """Draw every convolution's weights anew: truncated normal of variance 1 / fan_in.

    sigma: the deviation before the cut at two sigma instead, whatever the size (the MindSpore original's 0.027).
    """
    for _, cell in model.cells_and_names():
        if isinstance(cell, nn.Conv2d):
            shape = cell.weight.shape
            values = rng.standard_normal(shape)
            while (outside := np.abs(values) > 2).any():
                values[outside] = rng.standard_normal(int(outside.sum()))
            std = sigma or 1.0 / TRUNCATION_STD / np.sqrt(np.prod(shape[1:]))
            cell.weight.set_data(Tensor((values * std).astype(np.float32)))


def _conv_bn_relu(in_channels: int, out_channels: int, size: int, stride: int, norm: NormSettings) -> nn.SequentialCell:
    """The authors' convolution here has a bias besides its normalisation."""
    cells = [conv2d(in_channels, out_channels, size, stride, bias=True), batch_norm(out_channels, norm), nn.ReLU()]
    return nn.SequentialCell(cells)
