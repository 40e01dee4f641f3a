"""Augmentations of classification that must fit one another."""

from typing import Any

from ..errors import UserError, short
from .classification_keys import PERMUTED
from .rand_augment import parse


def check_timm(cfg: Any) -> None:
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
