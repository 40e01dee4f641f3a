"""The segmentation network that a configuration names: where `segmenter` and the keys of its head meet constructors.

A further head is a file with its class beside `segmentation.py`, and a line in `SEGMENTERS` (here and in
`config/choices.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mindspore import nn

from ..config import Config
from .backbones.build import build_backbone, build_hrnet
from .backbones.hrnet import Fusion
from .build_helpers import choose, norm_settings
from .losses import OhemCrossEntropy, PixelCrossEntropy
from .ocr import OCRSegmenter, OCRSettings
from .point_head import PointHead
from .pointrend_segmentation import PointRendSegmenter, SemanticPointHead, SemanticPoints
from .segmentation import HEAD_STD, SemanticSegmenter
from .start_weights import he_uniform_convolutions, normal_convolutions, uniform_convolution_biases


@dataclass(frozen=True)
class Segmenter:
    """kind: the class, which declares what it trains on (`train_columns`), its losses, outputs and class layers
    (`contract.Declares`). build: what makes one of a configuration and the backbone.
    """

    kind: type[nn.Cell]
    build: Callable[[Config, nn.Cell], nn.Cell]


def build_segmenter(cfg: Config) -> nn.Cell:
    """The network that `cfg.segmenter` names, freshly initialised; UserError for an unknown name.

    HRNet here fuses by bilinear enlargement, as its authors' segmentation code does.
    """
    head = cfg.seg_head
    if cfg.backbone.type == "hrnet":
        backbone = build_hrnet(cfg.backbone, Fusion("bilinear", head.bilinear, head.fusion_steps))
    else:
        backbone = build_backbone(cfg)
    model = choose(SEGMENTERS, cfg.segmenter, "segmenter").build(cfg, backbone)
    rng = np.random.RandomState(cfg.seed % 2**32)
    if head.conv_init == "Normal":
        normal_convolutions(model.backbone, HEAD_STD, rng)
    if head.conv_init == "HeUniform":
        he_uniform_convolutions(model, rng)
        uniform_convolution_biases(model, rng)
    return model


def train_columns(cfg: Config) -> tuple[str, ...]:
    """What the configured segmenter trains on: image, label and, where it draws at random, sample_seed."""
    return choose(SEGMENTERS, cfg.segmenter, "segmenter").kind.train_columns


def build_pixel_loss(cfg: Config) -> nn.Cell:
    """The loss of the outputs that are evaluated: logits (B, C, H, W), labels (B, H, W) int32 -> scalar."""
    if cfg.ohem:
        return OhemCrossEntropy(cfg.ignore_label, tuple(cfg.class_weights), cfg.ohem_threshold, cfg.ohem_min_kept)
    return build_plain_loss(cfg)


def build_plain_loss(cfg: Config) -> PixelCrossEntropy:
    """The same over all pixels, whatever `ohem` says: of auxiliary outputs."""
    return PixelCrossEntropy(cfg.ignore_label, tuple(cfg.class_weights), cfg.loss_over_all)


def _fcn(cfg: Config, backbone: nn.Cell) -> SemanticSegmenter:
    head = cfg.seg_head
    norm = norm_settings(cfg.backbone.norm_cfg, frozen=cfg.backbone.norm_eval)
    loss = build_pixel_loss(cfg)
    return SemanticSegmenter(backbone, cfg.num_classes, loss, norm, head.final_conv_kernel, head.bilinear)


def _pointrend(cfg: Config, backbone: nn.Cell) -> PointRendSegmenter:
    head, keys = cfg.seg_head, cfg.seg_head.pointrend
    norm = norm_settings(cfg.backbone.norm_cfg, frozen=cfg.backbone.norm_eval)
    fine = backbone.out_channels[0]
    point_head = PointHead(fine, keys.num_fcs, keys.fc_channels, cfg.num_classes, keys.coarse_pred_each_layer)
    settings = SemanticPoints(
        keys.num_points,
        keys.oversample_ratio,
        keys.importance_sample_ratio,
        keys.subdivision_steps,
        keys.subdivision_num_points,
    )
    points = SemanticPointHead(point_head, settings, cfg.ignore_label, cfg.portable)
    return PointRendSegmenter(
        backbone,
        cfg.num_classes,
        build_pixel_loss(cfg),
        points,
        norm,
        head.final_conv_kernel,
        head.bilinear,
        keys.loss_weight,
    )


def _ocr(cfg: Config, backbone: nn.Cell) -> OCRSegmenter:
    head = cfg.seg_head
    norm = norm_settings(cfg.backbone.norm_cfg, frozen=cfg.backbone.norm_eval)
    settings = OCRSettings(
        head.ocr.mid_channels, head.ocr.key_channels, head.ocr.bias, head.ocr.dropout, head.ocr.aux_weight
    )
    losses = build_pixel_loss(cfg), build_plain_loss(cfg)
    return OCRSegmenter(backbone, cfg.num_classes, *losses, norm, settings, head.bilinear)


SEGMENTERS = {
    "fcn": Segmenter(SemanticSegmenter, _fcn),
    "ocr": Segmenter(OCRSegmenter, _ocr),
    "pointrend": Segmenter(PointRendSegmenter, _pointrend),
}
