"""Networks of classification: where their keys meet constructor arguments.

Those of segmentation are in `build_segmentation.py`, a detector's in `detection/`, those of backbones and necks beside
them.
"""

import numpy as np

from ..config import Config
from ..errors import UserError
from .backbones.build import BACKBONES, build_backbone
from .build_helpers import norm_settings
from .build_segmentation import SEGMENTERS, build_segmenter
from .classification import ImageClassifier, truncated_normal_convolutions
from .detection.build import DETECTORS
from .necks.build import DEFAULT_NECKS, NECKS
from .start_weights import normal_layer, uniform_convolution_biases

# The dicts are made elsewhere; they are the same ones here, where they all once stood.
__all__ = [
    "BACKBONES", "DEFAULT_NECKS", "DETECTORS", "NECKS", "SEGMENTERS", "build_backbone", "build_classifier",
    "build_segmenter",
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

