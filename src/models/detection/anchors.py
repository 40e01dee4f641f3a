"""Anchors of all pyramid levels, in the order of the RPN's flattened outputs (MMDetection `AnchorGenerator`)."""

from collections.abc import Sequence

import numpy as np


def base_anchors(
    stride: int, scales: Sequence[float], ratios: Sequence[float], inclusive: bool = False
) -> np.ndarray:
    """(len(ratios) * len(scales), 4) float32 xyxy boxes around the origin; ratio = height / width, ratios outermost.

    inclusive: see `BoxStyle`; around the middle of the first cell's pixels instead, corners rounded to whole pixels.

    >>> base_anchors(4, [8], [1.0], inclusive=True).tolist()
    [[-14.0, -14.0, 17.0, 17.0]]
    """
    if inclusive:
        return _inclusive_base_anchors(stride, scales, ratios)
    height_factor = np.sqrt(np.asarray(ratios, np.float32))
    width_factor = np.float32(1.0) / height_factor
    scales = np.asarray(scales, np.float32)
    widths = (np.float32(stride) * width_factor[:, None] * scales[None, :]).reshape(-1)
    heights = (np.float32(stride) * height_factor[:, None] * scales[None, :]).reshape(-1)
    half = np.float32(0.5)
    return np.stack([-half * widths, -half * heights, half * widths, half * heights], axis=-1)


def _inclusive_base_anchors(stride: int, scales: Sequence[float], ratios: Sequence[float]) -> np.ndarray:
    height_factor = np.sqrt(np.asarray(ratios, np.float64))[:, None]
    scales = np.asarray(scales, np.float64)[None, :]
    half_width = 0.5 * ((stride / height_factor * scales).reshape(-1) - 1)
    half_height = 0.5 * ((stride * height_factor * scales).reshape(-1) - 1)
    centre = 0.5 * (stride - 1)
    corners = (centre - half_width, centre - half_height, centre + half_width, centre + half_height)
    return np.round(np.stack(corners, axis=-1)).astype(np.float32)


def level_anchors(
    feature_size: tuple[int, int],
    stride: int,
    scales: Sequence[float],
    ratios: Sequence[float],
    inclusive: bool = False,
) -> np.ndarray:
    """(h * w * K, 4) float32 anchors of one level: row by row, then column by column, then the K base anchors."""
    height, width = feature_size
    shift_x, shift_y = np.meshgrid(
        np.arange(width, dtype=np.float32) * stride, np.arange(height, dtype=np.float32) * stride
    )
    shifts = np.stack([shift_x, shift_y, shift_x, shift_y], axis=-1).reshape(-1, 1, 4)
    return (shifts + base_anchors(stride, scales, ratios, inclusive)[None]).reshape(-1, 4).astype(np.float32)


def level_cells(feature_size: tuple[int, int], stride: int, num_base: int) -> np.ndarray:
    """(h * w * K, 2) float32: top-left corner (y, x) in pixels of each anchor's cell; `valid_anchors` compares it."""
    height, width = feature_size
    y, x = np.meshgrid(np.arange(height) * stride, np.arange(width) * stride, indexing="ij")
    cells = np.stack([y, x], axis=-1).reshape(-1, 1, 2)
    return np.broadcast_to(cells, (height * width, num_base, 2)).reshape(-1, 2).astype(np.float32)


class AnchorSet:
    """All anchors for one fixed image size.

    level_shapes: (h, w) of each pyramid level; inclusive: see `base_anchors`.
    Attributes: `level_sizes` (anchors a level), `boxes` (A, 4), `cells` (A, 2), `num_base` anchors a position; of
    images of another size `AnchorSet(their level shapes, *kind)` has them.
    """

    def __init__(
        self,
        level_shapes: Sequence[tuple[int, int]],
        strides: Sequence[int],
        scales: Sequence[float],
        ratios: Sequence[float],
        inclusive: bool = False,
    ):
        self.level_shapes = tuple(tuple(shape) for shape in level_shapes)
        self.kind = tuple(strides), tuple(scales), tuple(ratios), inclusive
        self.num_base = len(scales) * len(ratios)
        boxes = [
            level_anchors(shape, stride, scales, ratios, inclusive) for shape, stride in zip(level_shapes, strides)
        ]
        self.level_sizes = tuple(len(level) for level in boxes)
        self.boxes = np.concatenate(boxes)
        self.cells = np.concatenate(
            [level_cells(shape, stride, self.num_base) for shape, stride in zip(level_shapes, strides)]
        )
