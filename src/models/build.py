"""Where configuration keys meet constructor arguments: `build_model(config)` and plain dicts of constructors."""

import numpy as np
from mindspore import nn

from ..config import Config
from ..errors import UserError
from .backbones.build import BACKBONES, _hrnet, build_backbone
from .build_helpers import _choose, _norm
from .classification import HRNetClassifier, truncated_normal_convolutions
from .detection.build import DETECTORS
from .losses import OhemCrossEntropy, PixelCrossEntropy
from .segmentation import HRNetSegmenter

__all__ = ["BACKBONES", "DETECTORS", "build_backbone", "build_model"]


def build_model(cfg: Config) -> nn.Cell:
    """The network that `cfg.task` and `cfg.detector` name, freshly initialised; UserError for an unknown name."""
    if cfg.task == "classification":
        return _classifier(cfg)
    if cfg.task == "segmentation":
        return _segmenter(cfg)
    return _choose(DETECTORS, cfg.detector, "detector")(cfg)


def _classifier(cfg: Config) -> HRNetClassifier:
    backbone = build_backbone(cfg)
    head = cfg.cls_head
    if len(head.head_channels) != len(backbone.out_channels):
        raise UserError(
            f"cls_head.head_channels {list(head.head_channels)} must name one width for each of the "
            f"{len(backbone.out_channels)} outputs of backbone.type {cfg.backbone.type}"
        )
    norm = _norm(cfg.backbone.norm_cfg, frozen=cfg.backbone.norm_eval)
    model = HRNetClassifier(
        backbone, cfg.num_classes, head.head_channels, head.final_channels, norm, cfg.label_smoothing
    )
    if head.conv_init == "TruncatedNormal":
        truncated_normal_convolutions(model, np.random.RandomState(cfg.seed % 2**32))
    return model


def _segmenter(cfg: Config) -> HRNetSegmenter:
    is_hrnet = cfg.backbone.type == "hrnet"
    backbone = _hrnet(cfg.backbone, upsampling="bilinear") if is_hrnet else build_backbone(cfg)
    loss = PixelCrossEntropy(cfg.ignore_label, tuple(cfg.class_weights))
    if cfg.ohem:
        loss = OhemCrossEntropy(cfg.ignore_label, tuple(cfg.class_weights), cfg.ohem_threshold, cfg.ohem_min_kept)
    norm = _norm(cfg.backbone.norm_cfg, frozen=cfg.backbone.norm_eval)
    return HRNetSegmenter(backbone, cfg.num_classes, loss, norm, cfg.seg_head.final_conv_kernel)
