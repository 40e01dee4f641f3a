"""Cascade R-CNN of a configuration, with masks or without: the two-stage detector's parts, once a stage."""

from dataclasses import replace

from ...config import Config, has_masks
from .build_mask_rcnn import build_fcn_mask_head
from .build_two_stage import (
    RCNN_STREAM,
    build_bbox_head,
    build_first_stage,
    build_roi_align,
    build_roi_sampler,
    build_selector,
)
from .cascade import CascadeRCNN, CascadeStage

STREAMS = 100  # far apart: each stage's sampler has random numbers of its own


def build_cascade(cfg: Config) -> CascadeRCNN:
    """UserError names the keys that do not fit one another."""
    first = build_first_stage(cfg)
    num_classes, has_one = cfg.num_classes - 1, cfg.cascade.mask_heads == "one"
    stages = []
    for number, loss_weight in enumerate(cfg.cascade.stage_loss_weights):
        own = stage_config(cfg, number)
        stages.append(
            CascadeStage(
                build_roi_sampler(own, RCNN_STREAM + STREAMS * number),
                build_bbox_head(own, first.width),
                build_fcn_mask_head(own, num_classes, first.width) if has_masks(cfg) and not has_one else None,
                loss_weight,
            )
        )
    roi = build_roi_align(cfg, "roi", first.width)
    selector = build_selector(cfg, stages[-1].bbox_head)
    return CascadeRCNN(
        first.backbone,
        first.neck,
        first.proposals,
        roi,
        stages,
        selector,
        build_fcn_mask_head(cfg, num_classes, first.width) if has_masks(cfg) and has_one else None,
        cfg.cascade.mean_of == "probabilities",
    )


def stage_config(cfg: Config, number: int) -> Config:
    """The configuration of a stage (from 0): its box coder and assigner by the section cascade, the rest as it is."""
    head, rcnn, threshold = cfg.bbox_head, cfg.train_cfg.rcnn, cfg.cascade.pos_iou_thr[number]
    coder = replace(head.bbox_coder, target_stds=cfg.cascade.target_stds[number])
    assigner = replace(
        rcnn.assigner,
        pos_iou_thr=threshold,
        neg_iou_thr=threshold,
        min_pos_iou=threshold,
        match_low_quality=False,
    )
    return replace(
        cfg,
        bbox_head=replace(head, bbox_coder=coder),
        train_cfg=replace(cfg.train_cfg, rcnn=replace(rcnn, assigner=assigner)),
    )
