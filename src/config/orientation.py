"""Whether images have an input of their own orientation."""

from typing import Any


def has_orientations(cfg: Any) -> bool:
    """Whether evaluated images are fitted into an input of their own orientation; keep_ratio 0 stretches all to one."""
    return cfg.resize == "short_long" and bool(cfg.keep_ratio)


def evaluated_input(cfg: Any) -> tuple[int, int]:
    """(width, height) of a detector's input in evaluation, for images of one orientation."""
    if not has_orientations(cfg):
        return cfg.img_width, cfg.img_height
    return cfg.eval_width or cfg.img_width, cfg.eval_height or cfg.img_height


def trains_by_orientation(cfg: Any) -> bool:
    """The same of training images."""
    return cfg.train_resize == "short_long" and bool(cfg.keep_ratio)
