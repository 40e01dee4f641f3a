"""Drawn inputs of the kernels' comparison; the same numbers on every machine."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

GRID = 4  # steps a pixel of coordinates for which a threshold decides: areas and overlaps are exact in float32


@dataclass(frozen=True)
class Sizes:
    """How large the inputs are. rois, points: (rows, a row's); anchors: (boxes, objects); image,
    masks: pixels a side."""

    image: int
    masks: int
    channels: int
    rois: tuple[tuple[int, int], ...]
    nms: tuple[int, ...]
    slots: int
    points: tuple[int, int]
    anchors: tuple[int, int]


FULL = Sizes(1024, 1024, 256, ((512, 7), (128, 14)), (1000, 2000, 8768), 1000, (128, 196), (261888, 20))
SMALL = Sizes(
    256, 128, 8, ((33, 7), (9, 14)), (1, 100, 401), 150, (7, 31), (1301, 5)
)  # under sanitizers, and on the CPU


def spread(shape: Sequence[int], seed: int) -> torch.Tensor:
    """Normal random numbers."""
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))


def pyramid(sizes: Sizes, strides: Sequence[int]) -> list[torch.Tensor]:
    """(1, C, image / stride, image / stride) a level."""
    return [spread((1, sizes.channels, sizes.image // s, sizes.image // s), s) for s in strides]


def boxes_in(count: int, sizes: Sizes, sides: tuple[float, float], seed: int = 6) -> torch.Tensor:
    """(count, 4) boxes within the image, sides evenly spread over the scales between two, on the grid."""
    random = torch.rand(count, 4, generator=torch.Generator().manual_seed(seed))
    low, high = (torch.tensor(min(side, 0.9 * sizes.image)).log() for side in sides)
    side = (low + (high - low) * random[:, :2]).exp()
    corner = random[:, 2:] * (sizes.image - side)
    corner, side = (corner * GRID).round() / GRID, (side * GRID).round() / GRID
    return torch.cat((corner, corner + side), 1)


def rois_in(count: int, sizes: Sizes, sides: tuple[float, float]) -> torch.Tensor:
    """(count, 5) rows [0, x1, y1, x2, y2], off the grid: no bin has a whole number of cells."""
    boxes = boxes_in(count, sizes, sides)
    boxes = boxes + torch.tensor([0.013, 0.029, 0.041, 0.037])
    return torch.cat((torch.zeros(count, 1), boxes), 1)


def apart_boxes(count: int, sizes: Sizes) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(count, 4) boxes in clusters, as a network proposes them; scores, all of which differ; groups 0 to 4."""
    random = torch.Generator().manual_seed(count)
    centres = boxes_in(max(count // 10, 1), sizes, (16.0, 400.0))
    boxes = centres.repeat((count + len(centres) - 1) // len(centres), 1)[:count]
    shift = torch.randint(-3 * GRID, 3 * GRID + 1, (count, 4), generator=random) / GRID
    boxes = boxes + shift
    scores = (torch.randperm(count, generator=random).float() + 1) / (count + 1)
    groups = torch.randint(0, 5, (count,), generator=random).float()
    return boxes, scores, groups
