"""Faster R-CNN of a configuration: the two-stage detector without a mask head."""

from ...config import Config
from .build_two_stage import build_two_stage
from .mask_rcnn import MaskRCNN


def build_faster_rcnn(cfg: Config) -> MaskRCNN:
    """UserError names the keys that do not fit one another."""
    return build_two_stage(cfg, None)
