"""Augmentations of classification that must fit one another."""

from typing import Any

from ..errors import UserError, short
from .classification_keys import PERMUTED
from .rand_augment import parse

LEAST_ALPHA = 1e-6  # of mixup and cutmix: Beta numbers of far smaller ones are no numbers


def check_augmentations(cfg: Any) -> None:
    for name in ("crop_scale", "crop_ratio"):
        bounds = getattr(cfg, name)
        if bounds[0] > bounds[1]:
            raise UserError(f"{name} {bounds} runs backwards")
    for name in ("mixup", "cutmix"):
        alpha = getattr(cfg, name)
        if 0 < alpha < LEAST_ALPHA:
            raise UserError(f"{name} is {alpha:g}; it must be 0 (off), or {LEAST_ALPHA:g} at least")
    if cfg.auto_augment:
        parse(cfg.auto_augment)
        if cfg.rand_augment:
            raise UserError(
                f"rand_augment is {cfg.rand_augment} and auto_augment {short(cfg.auto_augment)}: torchvision's and "
                "timm's of one thing; leave one of them off"
            )
    _check_boxes(cfg)
    mixes = cfg.mixup or cfg.cutmix or cfg.cutmix_minmax
    if cfg.mixup_mode != PERMUTED and mixes and cfg.batch_size % 2:
        raise UserError(
            f"batch_size is {cfg.batch_size}; mixup_mode {cfg.mixup_mode} mixes a batch with itself read backwards and "
            "needs an even one"
        )


def _check_boxes(cfg: Any) -> None:
    bounds = cfg.cutmix_minmax
    if not bounds:
        return
    if cfg.mixup_mode == PERMUTED:
        raise UserError("cutmix_minmax is timm's: set mixup_mode to batch, pair or elem")
    sides = cfg.img_height, cfg.img_width
    if len(bounds) != 2 or any(int(side * bounds[0]) >= int(side * bounds[1]) for side in sides):
        raise UserError(f"cutmix_minmax is {short(bounds)}; it must be [LOW, HIGH], the lower share first, or empty")
