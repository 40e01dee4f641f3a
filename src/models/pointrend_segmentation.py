"""Semantic segmentation whose logits are rendered point by point (Kirillov et al., arXiv:1912.08193).

Detectron2's `PointRendSemSegHead` with fixed shapes: `SemanticPointHead` works on given coarse logits and features,
`PointRendSegmenter` puts it on HRNet's head, where Detectron2 has a panoptic FPN's.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from ..ops.point_sample import PointSample
from .layers import DoubleBilinear, NormSettings, ResizeBilinear
from .losses import PixelCrossEntropy, class_numbers
from .point_head import PointHead
from .points import highest_cells, highest_points
from .randomness import hashed_uniform
from .segmentation import fcn_head, joined_maps

POINT_STREAM = 12  # the random numbers of one sample's seed that are for the points
LOWEST = -3.4e38  # below every logit


@dataclass(frozen=True)
class SemanticPoints:
    """Which points of an image are looked at.

    num_points: in training, chosen among `oversample_ratio` times as many random ones: a share of
        `importance_sample_ratio` are the least certain of them, the rest are further random ones.
    subdivision_steps: doublings of the coarse logits' resolution in inference;
        subdivision_num_points: least certain points that are looked at anew at each.
    """

    num_points: int = 2048
    oversample_ratio: float = 3.0
    importance_sample_ratio: float = 0.75
    subdivision_steps: int = 2
    subdivision_num_points: int = 8192


class SemanticPointHead(nn.Cell):
    """A point head that refines coarse logits (B, C, h, w), of two classes at least, by features (B, F, h', w').

    Inference (`construct`) doubles the logits step by step and replaces the least certain ones; the coarse prediction
    that the point head sees is always of the first logits. Training (`point_loss`) is at random points of each image.
    Both maps cover the whole image, whatever their sizes. ignore_label: labels that do not count. portable: see
    `PointSample`.
    """

    def __init__(
        self,
        point_head: PointHead,
        settings: SemanticPoints = SemanticPoints(),
        ignore_label: int = 255,
        portable: bool = False,
    ):
        super().__init__()
        self.point_head = point_head
        self.sample = PointSample(portable)
        self.double = DoubleBilinear()
        self.loss = PixelCrossEntropy(ignore_label)
        self.num_candidates = int(settings.num_points * settings.oversample_ratio)
        self.num_uncertain = int(settings.importance_sample_ratio * settings.num_points)
        self.num_random = settings.num_points - self.num_uncertain
        self.steps = settings.subdivision_steps
        self.subdivision_num_points = settings.subdivision_num_points

    def construct(self, coarse: Tensor, features: Tensor) -> Tensor:
        """Logits (B, C, h * 2^steps, w * 2^steps)."""
        logits = coarse
        for _ in range(self.steps):
            logits = self.double(logits)
            batch, classes, height, width = logits.shape
            index, points = highest_cells(uncertainty(logits), self.subdivision_num_points)
            values = self.point_logits(coarse, features, points).transpose(0, 2, 1)
            index = ops.broadcast_to(index[:, None], (batch, classes, index.shape[1]))
            flat = ops.tensor_scatter_elements(logits.reshape(batch, classes, height * width), index, values, 2)
            logits = flat.reshape(batch, classes, height, width)
        return logits

    def point_loss(self, coarse: Tensor, features: Tensor, label: Tensor, seed: Tensor) -> Tensor:
        """Mean cross entropy over the points: label (B, H, W) int32 -> scalar, 0 where no point's label counts.

        seed: (B,) int32, of which the points of each image are a function.
        """
        points = ops.stop_gradient(self.train_points(coarse, self.random_points(seed)))
        logits = self.point_logits(coarse, features, points)
        return self.loss(logits.transpose(0, 2, 1)[..., None], labels_at(label, points)[..., None])

    def point_logits(self, coarse: Tensor, features: Tensor, points: Tensor) -> Tensor:
        """(B, P, C) at points (B, P, 2)."""
        return self.point_head(self.sample(features, points), self.sample(coarse, points))

    def random_points(self, seed: Tensor) -> Tensor:
        """(B, candidates + random points, 2) uniform in the unit square."""
        count = self.num_candidates + self.num_random
        return hashed_uniform(seed, count * 2, POINT_STREAM).reshape(seed.shape[0], count, 2)

    def train_points(self, coarse: Tensor, random: Tensor) -> Tensor:
        """(B, num_points, 2): the least certain of the candidates, which lead `random`, and the random rest of it.

        How certain the coarse prediction is, is asked of its value at the point: between two cells that are sure of
        different classes lies a point that is not.
        """
        if self.num_uncertain == 0:
            return random[:, self.num_candidates :]
        candidates = random[:, : self.num_candidates]
        values = self.sample(coarse, candidates).transpose(0, 2, 1)[..., None]
        chosen = highest_points(candidates, uncertainty(values)[..., 0], self.num_uncertain)
        if self.num_random == 0:
            return chosen
        return ops.concat((chosen, random[:, self.num_candidates :]), 1)


class PointRendSegmenter(nn.Cell):
    """A plain segmenter (`SemanticSegmenter`) whose logits `SemanticPointHead` refines by the backbone's finest map.

    In training mode `construct` takes `train_columns` and returns two losses: of the coarse logits at the image's own
    size and, weighted, of the points. In evaluation mode it takes the image batch (B, 3, H, W) and returns the refined
    logits, for HRNet and two steps (B, num_classes, 4 * ceil(H / 4), 4 * ceil(W / 4)).
    loss: (logits (B, num_classes, H, W), labels (B, H, W) int32) -> scalar, of the coarse logits.
    norm, final_conv_kernel, coordinates: as of `SemanticSegmenter`; the subdivision always has half-pixel centres.
    """

    train_columns = ("image", "label", "sample_seed")
    loss_names = ("loss_seg", "loss_point")
    output_names = ("refined_logits",)  # of any network that ends in points: they are compared and written as such
    class_layers = ("last_layer.3.", *(f"refine_head.point_head.{layer}" for layer in PointHead.class_layers))

    def __init__(
        self,
        backbone: nn.Cell,
        num_classes: int,
        loss: Callable[[Tensor, Tensor], Tensor],
        points: SemanticPointHead,
        norm: NormSettings | None = None,
        final_conv_kernel: int = 1,
        coordinates: str = "half_pixel",
        point_weight: float = 1.0,
    ):
        super().__init__()
        self.backbone = backbone
        self.last_layer = fcn_head(sum(backbone.out_channels), num_classes, norm, final_conv_kernel)
        self.refine_head = points
        self.resize = ResizeBilinear(coordinates=coordinates)
        self.loss = loss
        self.point_weight = point_weight

    def construct(self, *inputs: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if self.training:
            return self.losses(*inputs)
        return self.refine_head(*self.coarse(inputs[0]))

    def coarse(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> coarse logits and features, both at the size of the backbone's finest map."""
        features = self.backbone(image)
        return self.last_layer(joined_maps(features, self.resize)), features[0]

    def losses(self, image: Tensor, label: Tensor, sample_seed: Tensor) -> tuple[Tensor, Tensor]:
        """label (B, H, W) int32: classes, or the losses' ignored value; sample_seed (B,) int32."""
        coarse, features = self.coarse(image)
        loss = self.loss(self.resize(coarse, label), label)
        return loss, self.point_weight * self.refine_head.point_loss(coarse, features, label, sample_seed)


def uncertainty(logits: Tensor) -> Tensor:
    """Second largest minus largest logit of each place: (B, C, h, w) -> (B, h, w), at most 0; no gradient.

    Written out: TopK works along the last axis alone.
    """
    logits = ops.stop_gradient(logits)
    index, largest = ops.ArgMaxWithValue(1, True)(logits)
    others = ops.where(class_numbers(logits.shape[1]) == index, LOWEST, logits)
    return others.max(axis=1) - largest[:, 0]


def labels_at(label: Tensor, points: Tensor) -> Tensor:
    """The labels (B, H, W) int32 of the pixels nearest to the points (B, P, 2): (B, P).

    As PyTorch's `grid_sample` in mode nearest: between two pixels it is the even one. A point at 1.0 is in the last.
    """
    batch, height, width = label.shape
    x, y = (ops.round(points[:, :, k] * side - 0.5) for k, side in enumerate((width, height)))
    cell = ops.clamp(y, 0, height - 1).astype(mstype.int32) * width + ops.clamp(x, 0, width - 1).astype(mstype.int32)
    return ops.gather_elements(label.reshape(batch, height * width), 1, cell)
