"""Networks of classification and segmentation: where their keys meet constructor arguments.

Those of a detector are in `detection/`, those of backbones and necks beside them.
"""

import numpy as np

from ..config import Config
from ..errors import UserError
from .backbones.build import BACKBONES, build_backbone, build_hrnet
from .backbones.hrnet import Fusion
from .build_helpers import norm_settings
from .classification import ImageClassifier, truncated_normal_convolutions
from .detection.build import DETECTORS
from .losses import OhemCrossEntropy, PixelCrossEntropy
from .necks.build import DEFAULT_NECKS, NECKS
from .segmentation import SemanticSegmenter
from .start_weights import he_uniform_convolutions, normal_layer, uniform_convolution_biases

# The dicts are made elsewhere; they are the same ones here, where they all once stood.
__all__ = [
    "BACKBONES", "DEFAULT_NECKS", "DETECTORS", "NECKS", "build_backbone", "build_classifier", "build_segmenter",
]  # fmt: skip
CLASSIFIER_STD = 0.01  # of HRNetW48_cls


def build_classifier(cfg: Config) -> ImageClassifier:
    """UserError names the keys that do not fit one another."""
    backbone = build_backbone(cfg)
    head = cfg.cls_head
    if len(head.head_channels) != len(backbone.out_channels):
        raise UserError(
            f"cls_head.head_channels {list(head.head_channels)} must name one width for each of the "
            f"{len(backbone.out_channels)} outputs of backbone.type {cfg.backbone.type}"
        )
    norm = norm_settings(cfg.backbone.norm_cfg, frozen=cfg.backbone.norm_eval)
    model = ImageClassifier(
        backbone, cfg.num_classes, head.head_channels, head.final_channels, norm, cfg.label_smoothing
    )
    rng = np.random.RandomState(cfg.seed % 2**32)
    if head.conv_init == "TruncatedNormal":
        truncated_normal_convolutions(model, rng, head.conv_sigma)
    if head.conv_bias_init == "uniform":
        uniform_convolution_biases(model, rng)
    if head.dense_init == "RandomNormal":
        normal_layer(model.classifier, CLASSIFIER_STD, rng)
    return model


def build_segmenter(cfg: Config) -> SemanticSegmenter:
    """HRNet here fuses by bilinear enlargement, as its authors' segmentation code does."""
    head = cfg.seg_head
    if cfg.backbone.type == "hrnet":
        backbone = build_hrnet(cfg.backbone, Fusion("bilinear", head.bilinear, head.fusion_steps))
    else:
        backbone = build_backbone(cfg)
    loss = PixelCrossEntropy(cfg.ignore_label, tuple(cfg.class_weights))
    if cfg.ohem:
        loss = OhemCrossEntropy(cfg.ignore_label, tuple(cfg.class_weights), cfg.ohem_threshold, cfg.ohem_min_kept)
    norm = norm_settings(cfg.backbone.norm_cfg, frozen=cfg.backbone.norm_eval)
    model = SemanticSegmenter(backbone, cfg.num_classes, loss, norm, head.final_conv_kernel, head.bilinear)
    if head.conv_init == "HeUniform":
        rng = np.random.RandomState(cfg.seed % 2**32)
        he_uniform_convolutions(model, rng)
        uniform_convolution_biases(model, rng)
    return model
