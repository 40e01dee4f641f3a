"""Views of an image that a detector is run on, and how large each is: `eval_flip` and `eval_scales`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .choices import DEFAULT_NECKS


def has_views(cfg: Any) -> bool:
    """Whether evaluated images are seen otherwise than once as they are: mirrored too, or at other scales."""
    return bool(cfg.eval_flip) or list(cfg.eval_scales) != [1]


def without_views(cfg: Any) -> Any:
    """The configuration by which each image is seen once."""
    return replace(cfg, eval_flip=False, eval_scales=[1.0])


def scaled_sides(sides: Sequence[int], scale: float) -> tuple[int, ...]:
    """Sides in pixels times a scale, to the nearest pixel, one at least."""
    return tuple(max(int(side * scale + 0.5), 1) for side in sides)


def holding(sides: Sequence[int], divider: int, least: int = 0) -> tuple[int, ...]:
    """The least multiples of `divider` that hold these sides, and `least` pixels."""
    return tuple(-(-max(side, least) // divider) * divider for side in sides)


def least_side(cfg: Any) -> int:
    """Pixels that a side of a detector's input must have at least, 0 for any: HRFPN pools its coarsest map from the
    finest one, of stride 4.
    """
    neck = cfg.neck.type or DEFAULT_NECKS.get(cfg.backbone.type, "fpn")
    return 4 * 2 ** (cfg.neck.fpn.num_outs - 1) if neck == "hrfpn" else 0
