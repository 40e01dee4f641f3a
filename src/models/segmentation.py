"""Semantic segmentation on any backbone, by HRNet's head.

Sun et al., arXiv:1904.04514; the authors' `seg_hrnet.py`, PyTorch 1.1 branch.
"""

from collections.abc import Callable

from mindspore import Tensor, nn, ops
from mindspore.common.initializer import Normal

from .layers import NormSettings, ResizeBilinear, batch_norm, conv2d

HEAD_STD = 0.001  # the authors' initial weights of every convolution


class SemanticSegmenter(nn.Cell):
    """All maps of a backbone enlarged to the finest one, concatenated, mixed by a 1x1 convolution, classified.

    In training mode `construct` takes `train_columns` and returns the loss, computed at the image's own size; in
    evaluation mode it takes the image batch (B, 3, H, W) and returns logits of the finest map (B, num_classes, h, w),
    which for HRNet is ceil(H / 4), ceil(W / 4).
    loss: (logits (B, num_classes, H, W), labels (B, H, W) int32) -> scalar.
    final_conv_kernel: 1 or 3, of the classifying convolution.
    coordinates: of all bilinear enlarging, see `interpolation_matrix`.
    """

    train_columns = ("image", "label")
    loss_names = ("loss_seg",)
    output_names = ("logits",)
    class_layers = ("last_layer.3.",)

    def __init__(
        self,
        backbone: nn.Cell,
        num_classes: int,
        loss: Callable[[Tensor, Tensor], Tensor],
        norm: NormSettings | None = None,
        final_conv_kernel: int = 1,
        coordinates: str = "half_pixel",
    ):
        super().__init__()
        self.backbone = backbone
        self.last_layer = fcn_head(sum(backbone.out_channels), num_classes, norm, final_conv_kernel)
        self.resize = ResizeBilinear(coordinates=coordinates)
        self.loss = loss

    def construct(self, *inputs: Tensor) -> Tensor | tuple[Tensor]:
        if self.training:
            return self.losses(*inputs)
        return self.logits(inputs[0])

    def logits(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, num_classes, h, w) at the size of the backbone's finest map."""
        return self.last_layer(joined_maps(self.backbone(image), self.resize))

    def losses(self, image: Tensor, label: Tensor) -> tuple[Tensor]:
        """label (B, H, W) int32: classes, or the loss's ignored value."""
        return (self.loss(self.resize(self.logits(image), label), label),)


def joined_maps(features: tuple[Tensor, ...], resize: nn.Cell) -> Tensor:
    """(B, C_k, h_k, w_k), finest first -> (B, sum of C_k, h_0, w_0). resize: (map, one of the wanted size) -> map."""
    maps = (features[0],)
    for feature in features[1:]:
        maps += (resize(feature, features[0]),)
    return ops.concat(maps, 1)


def fcn_head(width: int, num_classes: int, norm: NormSettings | None, final_conv_kernel: int) -> nn.SequentialCell:
    """Mixes joined maps of `width` channels by a 1x1 convolution and classifies them."""
    return nn.SequentialCell(
        [
            conv2d(width, width, 1, bias=True, weight_init=Normal(HEAD_STD)),
            batch_norm(width, norm or NormSettings()),
            nn.ReLU(),
            conv2d(width, num_classes, final_conv_kernel, bias=True, weight_init=Normal(HEAD_STD)),
        ]
    )
