"""Semantic segmentation with object-contextual representations (Yuan et al., arXiv:1909.11065).

The HRNet authors' `seg_hrnet_ocr.py` (branch HRNet-OCR), whose names the parts keep; MMSegmentation's `OCRHead` behind
its `FCNHead` is the same network but for two biases and the dropout.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype
from mindspore.common.initializer import Uniform

from .layers import MatrixProduct, NormSettings, ResizeBilinear, batch_norm, conv2d
from .randomness import hashed_uniform
from .segmentation import joined_maps

DROPOUT_STREAM = 11  # the random numbers of one sample's seed that are for the dropout


@dataclass(frozen=True)
class OCRSettings:
    """mid_channels: of the pixels' features and of the regions; key_channels: in which they are compared.

    bias: the two convolutions that see the backbone's maps have a bias, though a normalisation follows. dropout: share
    of the channels before the classifier that are left out of a sample in training. aux_weight: factor of the auxiliary
    loss.
    """

    mid_channels: int = 512
    key_channels: int = 256
    bias: bool = True
    dropout: float = 0.05
    aux_weight: float = 0.4


class OCRSegmenter(nn.Cell):
    """All maps of a backbone enlarged to the finest one and concatenated; an auxiliary head classifies them roughly,
    and by its logits `OCRHead` gathers a region for each class, whose features every pixel gets a mixture of.

    In training mode `construct` takes `train_columns` and returns two losses at the image's own size: the weighted one
    of the auxiliary logits too, whose head also learns from the main one. In evaluation mode it takes the image batch
    (B, 3, H, W) and returns the main logits of the finest map (B, num_classes, h, w).
    loss, aux_loss: (logits (B, num_classes, H, W), labels (B, H, W) int32) -> scalar.
    coordinates: of all bilinear enlarging, see `interpolation_matrix`.
    """

    train_columns = ("image", "label", "sample_seed")
    loss_names = ("loss_seg", "loss_aux")
    output_names = ("logits",)
    class_layers = ("aux_head.3.", "ocr_head.cls_head.")
    starts_from = (("last_layer.", "aux_head."),)  # of a plain segmenter, as the authors' `init_weights` does

    def __init__(
        self,
        backbone: nn.Cell,
        num_classes: int,
        loss: Callable[[Tensor, Tensor], Tensor],
        aux_loss: Callable[[Tensor, Tensor], Tensor],
        norm: NormSettings | None = None,
        settings: OCRSettings = OCRSettings(),
        coordinates: str = "align_corners",
    ):
        super().__init__()
        norm = norm or NormSettings()
        width = sum(backbone.out_channels)
        self.backbone = backbone
        self.aux_head = nn.SequentialCell(
            [*_conv_bn_relu(width, width, 1, norm, settings.bias), _conv(width, num_classes, 1, bias=True)]
        )
        self.ocr_head = OCRHead(width, num_classes, norm, settings)
        self.resize = ResizeBilinear(coordinates=coordinates)
        self.loss, self.aux_loss = loss, aux_loss
        self.aux_weight = settings.aux_weight

    def construct(self, *inputs: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if self.training:
            return self.losses(*inputs)
        return self.logits(inputs[0])[1]

    def logits(self, image: Tensor, sample_seed: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> auxiliary and main logits, (B, num_classes, h, w) each.

        sample_seed: (B,) int32, of the dropout; None for none.
        """
        maps = joined_maps(self.backbone(image), self.resize)
        aux = self.aux_head(maps)
        return aux, self.ocr_head(maps, aux, sample_seed)

    def losses(self, image: Tensor, label: Tensor, sample_seed: Tensor) -> tuple[Tensor, Tensor]:
        """label (B, H, W) int32: classes, or the loss's ignored value."""
        aux, main = self.logits(image, sample_seed)
        loss = self.loss(self.resize(main, label), label)
        return loss, self.aux_weight * self.aux_loss(self.resize(aux, label), label)


class OCRHead(nn.Cell):
    """Pixels' features, regions of classes, pixels' mixtures of the regions, and what the two together say."""

    def __init__(self, width: int, num_classes: int, norm: NormSettings, settings: OCRSettings):
        super().__init__()
        channels = settings.mid_channels
        self.conv3x3_ocr = nn.SequentialCell(_conv_bn_relu(width, channels, 3, norm, settings.bias))
        self.product = MatrixProduct(transpose_b=True)
        self.object_context_block = ObjectAttention(channels, settings.key_channels, norm)
        self.conv_bn_dropout = nn.SequentialCell(_conv_bn_relu(2 * channels, channels, 1, norm))
        self.cls_head = _conv(channels, num_classes, 1, bias=True)
        self.dropout = settings.dropout

    def construct(self, maps: Tensor, aux: Tensor, sample_seed: Tensor | None = None) -> Tensor:
        """maps (B, width, h, w), aux (B, num_classes, h, w) -> logits as `aux`; sample_seed as in `drop_channels`."""
        pixels = self.conv3x3_ocr(maps)
        context = self.object_context_block(pixels, object_regions(pixels, aux, self.product))
        features = self.conv_bn_dropout(ops.concat((context, pixels), 1))
        if self.training and self.dropout > 0 and sample_seed is not None:
            features = drop_channels(features, sample_seed, self.dropout)
        return self.cls_head(features)


class ObjectAttention(nn.Cell):
    """Each pixel's mixture of the regions, by how alike pixel and region are in `key_channels`."""

    def __init__(self, channels: int, key_channels: int, norm: NormSettings):
        super().__init__()
        self.key_channels = key_channels
        self.compare, self.mix = MatrixProduct(transpose_a=True), MatrixProduct(transpose_b=True)
        self.f_pixel = nn.SequentialCell(
            _conv_bn_relu(channels, key_channels, 1, norm) + _conv_bn_relu(key_channels, key_channels, 1, norm)
        )
        self.f_object = nn.SequentialCell(
            _conv_bn_relu(channels, key_channels, 1, norm) + _conv_bn_relu(key_channels, key_channels, 1, norm)
        )
        self.f_down = nn.SequentialCell(_conv_bn_relu(channels, key_channels, 1, norm))
        self.f_up = nn.SequentialCell(_conv_bn_relu(key_channels, channels, 1, norm))

    def construct(self, pixels: Tensor, regions: Tensor) -> Tensor:
        """(B, channels, h, w), (B, channels, regions, 1) -> (B, channels, h, w).

        The largest matrix has h * w rows and a column a region: no pixel is compared with another one.
        """
        b, _, h, w = pixels.shape
        query = self.f_pixel(pixels).reshape(b, self.key_channels, h * w)
        key = self.f_object(regions)[..., 0]
        value = self.f_down(regions)[..., 0]
        likeness = ops.softmax(self.compare(query, key) * self.key_channels**-0.5, -1)
        return self.f_up(self.mix(value, likeness).reshape(b, self.key_channels, h, w))


def object_regions(pixels: Tensor, aux: Tensor, product: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The mean feature of each class: (B, C, h, w), (B, K, h, w) -> (B, C, K, 1).

    A class weighs the pixels by the softmax of its own logits over them, not over the classes. product: of matrices, of
    which the second one is given transposed.
    """
    b, channels, h, w = pixels.shape
    shares = ops.softmax(aux.reshape(b, -1, h * w), -1)
    return product(pixels.reshape(b, channels, h * w), shares).reshape(b, channels, -1, 1)


def drop_channels(x: Tensor, sample_seed: Tensor, share: float) -> Tensor:
    """(B, C, h, w) with this share of its channels zero, the others divided by 1 - share (PyTorch's `Dropout2d`).

    Which ones, is a function of each sample's seed, (B,) int32, alone.
    """
    stays = hashed_uniform(sample_seed, x.shape[1], DROPOUT_STREAM) >= share
    return x * (stays.astype(mstype.float32) / (1.0 - share)).astype(x.dtype)[..., None, None]


def _conv_bn_relu(
    in_channels: int, out_channels: int, kernel_size: int, norm: NormSettings, bias: bool = False
) -> list[nn.Cell]:
    return [_conv(in_channels, out_channels, kernel_size, bias), batch_norm(out_channels, norm), nn.ReLU()]


def _conv(in_channels: int, out_channels: int, kernel_size: int, bias: bool = False) -> nn.Conv2d:
    """With PyTorch's own initial weights, which the authors leave these layers."""
    bound = Uniform(1.0 / math.sqrt(in_channels * kernel_size**2))
    return conv2d(in_channels, out_channels, kernel_size, bias=bias, weight_init=bound, bias_init=bound)
