"""PointRend's mask head: masks rendered point by point (Kirillov et al., arXiv:1912.08193).

Detectron2 `PointRendMaskHead` with fixed shapes; it takes the place of Mask R-CNN's mask head.
"""

from dataclasses import dataclass

import numpy as np
from mindspore import Tensor, nn, ops

from ...ops.mask_crop import MaskCrop
from ...ops.point_sample import PointSample
from ..contract import class_layers_of
from ..layers import DoubleBilinear
from ..losses import binary_cross_entropy
from ..randomness import hashed_uniform
from ..start_weights import he_normal_layer, normal_layer
from .boxes import as_rois
from .mask_head import mask_loss, mean_over, own_class
from .point_head import CoarseMaskHead, PointHead
from .points import (
    in_image,
    most_uncertain,
    packed_mask_values,
    regular_grid,
    uncertain_of_grid,
)

NORMAL_STD = 0.01  # MindSpore's own initial weights up to 1.10
POINT_STREAM = 3  # keeps these random numbers apart from the samplers'


@dataclass(frozen=True)
class PointSettings:
    """Which points are looked at.

    num_points: of a RoI in training, chosen among `oversample_ratio` times as many random ones: a share of
        `importance_sample_ratio` are those with the least certain coarse prediction, the rest random.
    subdivision_steps: doublings of the mask's resolution in inference, from the coarse mask's size on, each by
        `resize_bilinear` in the mode subdivision_resize;
        subdivision_num_points: least certain points that are looked at anew at each.
    """

    num_points: int = 196
    oversample_ratio: float = 3.0
    importance_sample_ratio: float = 0.75
    subdivision_steps: int = 5
    subdivision_num_points: int = 784
    subdivision_resize: str = "half_pixel"

    def subdivision(self, coarse_size: int) -> tuple[int, int]:
        """First resolution and number of doublings: steps that would look at every point anyway are left out."""
        size, steps = coarse_size, self.subdivision_steps
        while 4 * size * size <= self.subdivision_num_points and steps > 0:
            size, steps = 2 * size, steps - 1
        return size, steps


@dataclass(frozen=True)
class PointRendLossWeights:
    """Factors of the coarse masks' loss and of the points'."""

    coarse: float = 1.0
    point: float = 1.0


class PointRendMaskHead(nn.Cell):
    """Coarse mask from a grid of points, then a point head that refines it where it is uncertain.

    All points are read from the finest pyramid level, `stride` pixels a cell; the coarse head takes `in_size` of them a
    side. portable: see `PointSample`.
    """

    kind = "points"
    loss_names = ("loss_mask", "loss_mask_point")

    def __init__(
        self,
        coarse_head: CoarseMaskHead,
        point_head: PointHead,
        crop: MaskCrop,
        stride: int,
        settings: PointSettings,
        loss_weights: PointRendLossWeights | None = None,
        portable: bool = False,
    ):
        super().__init__()
        loss_weights = loss_weights or PointRendLossWeights()
        self.coarse_head = coarse_head
        self.point_head = point_head
        self.class_layers = class_layers_of(coarse_head=coarse_head, point_head=point_head)
        self.crop = crop
        self.sample = PointSample(portable)
        self.stride = stride
        self.grid_size = coarse_head.in_size
        self.num_candidates = int(settings.num_points * settings.oversample_ratio)
        self.num_uncertain = int(settings.importance_sample_ratio * settings.num_points)
        self.num_random = settings.num_points - self.num_uncertain
        self.first_size, self.steps = settings.subdivision(coarse_head.out_size)
        self.subdivision_num_points = settings.subdivision_num_points
        self.double = DoubleBilinear(settings.subdivision_resize)
        self.coarse_weight = loss_weights.coarse
        self.point_weight = loss_weights.point

    def draw_normal(self, rng: np.random.RandomState) -> None:
        """Start weights of the MindSpore original: its framework's defaults of then, He-normal layers of points."""
        coarse, point = self.coarse_head, self.point_head
        convolutions = [coarse.reduce_channel_dim_conv] if coarse.reduces_channels else []
        for layer in (*convolutions, coarse.reduce_spatial_dim_conv, *coarse.fcs, coarse.prediction, point.predictor):
            normal_layer(layer, NORMAL_STD, rng)
        for layer in point.fcs:
            he_normal_layer(layer, rng)

    def construct(self, pyramid: tuple[Tensor, ...], boxes: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
        """Mask probabilities of detections by adaptive subdivision: boxes (B, D, 4), labels (B, D) int32 0-based,
        valid (B, D) bool -> (B, D, M, M). Masks of rows that are not valid mean nothing.
        """
        feature = pyramid[0]
        flat_boxes, flat_labels = boxes.reshape(-1, 4), labels.reshape(-1)
        rows = flat_boxes.shape[0]
        coarse = self.coarse_logits(feature, flat_boxes)
        size = self.first_size
        logits = self.point_logits(feature, coarse, regular_grid(rows, size), flat_boxes, flat_labels)
        for _ in range(self.steps):
            size = 2 * size
            before = logits.reshape(rows, 1, size // 2, size // 2)
            finer = self.double(before)
            index, points = uncertain_of_grid(finer[:, 0], self.subdivision_num_points)
            values = self.point_logits(feature, coarse, points, flat_boxes, flat_labels)
            logits = ops.tensor_scatter_elements(finer.reshape(rows, size * size), index, values, 1)
        return ops.sigmoid(logits).reshape(*labels.shape, size, size)

    def losses(
        self,
        pyramid: tuple[Tensor, ...],
        boxes: Tensor,
        labels: Tensor,
        is_positive: Tensor,
        gt_index: Tensor,
        gt_masks: Tensor,
        seed: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Losses of the coarse masks and of the points; arguments as `FCNMaskHead.losses`, seed (B,) int32."""
        feature = pyramid[0]
        flat_boxes, flat_labels, valid = boxes.reshape(-1, 4), labels.reshape(-1), is_positive.reshape(-1)
        coarse = self.coarse_logits(feature, flat_boxes)
        targets = ops.stop_gradient(self.crop(gt_masks, as_rois(boxes, is_positive), gt_index.reshape(-1)))
        coarse_loss = mask_loss(coarse, flat_labels, targets, valid)

        points = ops.stop_gradient(self.train_points(coarse, flat_labels, self._random_points(seed, boxes.shape[1])))
        logits = self.point_logits(feature, coarse, points, flat_boxes, flat_labels)
        batch, objects, height, row_bytes = gt_masks.shape
        first = (ops.arange(0, batch) * objects).astype(gt_index.dtype)[:, None]
        rows = (gt_index + first).reshape(-1)
        packed = gt_masks.reshape(batch * objects, height, row_bytes)
        point_targets = ops.stop_gradient(packed_mask_values(packed, rows, in_image(points, flat_boxes)))
        point_loss = mean_over(binary_cross_entropy(logits, point_targets).mean(axis=1), valid)
        return coarse_loss * self.coarse_weight, point_loss * self.point_weight

    def coarse_logits(self, feature: Tensor, boxes: Tensor) -> Tensor:
        """Coarse masks (N, num_classes, s, s) of boxes (N, 4); N / B of them lie in each image of (B, C, h, w)."""
        rows, channels = boxes.shape[0], feature.shape[1]
        grid = self._fine(feature, regular_grid(rows, self.grid_size), boxes)
        grid = grid.transpose(0, 2, 1).reshape(rows, channels, self.grid_size, self.grid_size)
        return self.coarse_head(grid)

    def point_logits(self, feature: Tensor, coarse: Tensor, points: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
        """Own-class logits (N, P) of points (N, P, 2), shares of boxes (N, 4); labels (N,) int32 0-based."""
        logits = self.point_head(self._fine(feature, points, boxes), self.sample(coarse, points))
        index = ops.clamp(labels, 0, logits.shape[2] - 1)[:, None, None]
        return ops.gather_elements(logits, 2, ops.broadcast_to(index, (*logits.shape[:2], 1)))[:, :, 0]

    def train_points(self, coarse: Tensor, labels: Tensor, random: Tensor) -> Tensor:
        """(N, num_points, 2): the least certain of the candidates, which lead `random`, and the random rest of it."""
        if self.num_uncertain == 0:
            return random[:, self.num_candidates :]
        candidates = random[:, : self.num_candidates]
        logits = self.sample(own_class(coarse, labels)[:, None], candidates)[:, :, 0]
        uncertain = most_uncertain(candidates, logits, self.num_uncertain)
        if self.num_random == 0:
            return uncertain
        return ops.concat((uncertain, random[:, self.num_candidates :]), 1)

    def _random_points(self, seed: Tensor, rois: int) -> Tensor:
        """(B * rois, candidates + random points, 2) uniform in the unit square."""
        count = self.num_candidates + self.num_random
        return hashed_uniform(seed, rois * count * 2, POINT_STREAM).reshape(seed.shape[0] * rois, count, 2)

    def _fine(self, feature: Tensor, points: Tensor, boxes: Tensor) -> Tensor:
        """Features (N, P, C) at points (N, P, 2) of the boxes (N, 4)."""
        x, y = (in_image(points, boxes)[:, :, k] for k in range(2))
        height, width = feature.shape[2] * self.stride, feature.shape[3] * self.stride
        return self.sample(feature, ops.stack((x / width, y / height), -1))
