"""Views of an image that a detector is run on, and how large each is: `eval_flip` and `eval_scales`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any


def has_views(cfg: Any) -> bool:
    """Whether evaluated images are seen otherwise than once as they are: mirrored too, or at other scales."""
    return bool(cfg.eval_flip) or list(cfg.eval_scales) != [1]


def without_views(cfg: Any) -> Any:
    """The configuration by which each image is seen once."""
    return replace(cfg, eval_flip=False, eval_scales=[1.0])


def scaled_sides(sides: Sequence[int], scale: float) -> tuple[int, ...]:
    """Sides in pixels times a scale, to the nearest pixel, one at least."""
    return tuple(max(int(side * scale + 0.5), 1) for side in sides)


def holding(sides: Sequence[int], divider: int) -> tuple[int, ...]:
    """The least multiples of `divider` that hold these sides."""
    return tuple(-(-side // divider) * divider for side in sides)
