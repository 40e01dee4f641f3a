"""Augmentations that must fit one another, the network's input and the boxes."""

from typing import Any

from ..errors import UserError, listed, short
from .orientation import trains_by_orientation

# What moves boxes and masks as the legacy ones, whose x2 and y2 name the last pixel, do not move.
CONTINUOUS = (
    "train_scales", "large_scale_jitter", "random_erasing", "vertical_flip_ratio", "rotate90_ratio", "mosaic",
    "copy_paste",
)  # fmt: skip
RESIZING = ("train_scales", "large_scale_jitter")
# What may give a sample another orientation than its image has, or an epoch another number of each.
TURNING = (*RESIZING, "rotate90_ratio", "mosaic", "copy_paste", "train_weights")


def check_transforms(cfg: Any) -> None:
    """Of detection."""
    if cfg.box_style == "legacy" and (on := [name for name in CONTINUOUS if getattr(cfg, name)]):
        raise UserError(f"{listed(on)}: for box_style continuous; it is 'legacy'")
    if trains_by_orientation(cfg) and (on := [name for name in TURNING if getattr(cfg, name)]):
        others = listed(on, len(TURNING))
        raise UserError(f"train_resize short_long does not go with {others}: set it to fit, or switch the other off")
    on = [name for name in RESIZING if getattr(cfg, name)]
    if len(on) > 1:
        raise UserError("train_scales and large_scale_jitter both choose an image's size; leave one of them empty")
    if on and not cfg.keep_ratio:
        raise UserError(f"{on[0]} keeps an image's shape: set keep_ratio to 1, or leave it empty")
    if on and cfg.resize == "fit_twice":
        raise UserError(f"{on[0]} has its own resizing; resize is 'fit_twice', set it to fit")
    _check_jitter(cfg.large_scale_jitter)
    if cfg.copy_paste and cfg.copy_paste_selected and cfg.copy_paste_max < 2:
        raise UserError("copy_paste_max is 1, below which no object is left to paste: set it to 2 at least")
    for scale in cfg.train_scales:
        _check_scale(scale, cfg.img_width, cfg.img_height)


def _check_jitter(ratios: list[float]) -> None:
    if ratios and not (len(ratios) == 2 and ratios[0] <= ratios[1]):
        raise UserError(f"large_scale_jitter is {short(ratios)}; it must be [LOW, HIGH], the lower first, or empty")


def _check_scale(scale: list[int], width: int, height: int) -> None:
    if len(scale) != 2:
        raise UserError(f"train_scales has {short(scale)}; a scale is [w, h]")
    sides, bounds = sorted(scale), sorted((width, height))
    if sides[0] > bounds[0] or sides[1] > bounds[1]:
        raise UserError(f"train_scales has {short(scale)}, which does not fit the input of {width} x {height}")
