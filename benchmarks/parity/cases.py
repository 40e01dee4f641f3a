"""The networks of `benchmarks/trained_parity.py`, ours and their twins in PyTorch, and the recipes they train by."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from src.config import Config, load_config
from src.data.synthetic.__main__ import LAYOUTS
from src.tasks import TASKS
from tests.models.detection.mmdet_case import mmdet_name
from tests.models.detection.torch_mask_rcnn import Settings, TorchMaskRCNN, truths
from tests.models.timm_models import import_timm
from tests.models.torch_hrnet_seg import TorchHRNetSeg, enlarge
from tests.models.torch_originals import SUFFIXES, TorchFPN, TorchResNet

CONFIGS = Path(__file__).parents[2] / "configs"
STEPS_PER_EPOCH, EPOCHS = 50, 4
AUTHORS_MOMENTUM = 0.01  # of the segmenter's batch normalisations
Losses = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Case:
    """layout, size: of the drawn data. twin: PyTorch's network. losses: its losses of our batch, in our order.
    rename: from a parameter's name of ours to its name there. frozen_norms: the backbone keeps its statistics.
    """

    config: str
    keys: dict[str, object]
    layout: str
    size: int
    twin: Callable[[Config], torch.nn.Module]
    losses: Callable[[torch.nn.Module, Config, Sequence[np.ndarray]], Losses]
    rename: Callable[[str], str]
    frozen_norms: bool = False


def _without_backbone(name: str) -> str:
    stem, _, kind = name.removeprefix("backbone.").rpartition(".")
    return f"{stem}.{SUFFIXES.get(kind, kind)}"


def _hrnet_stages(cfg: Config) -> list:
    return [getattr(cfg.backbone.extra, f"stage{number}") for number in (1, 2, 3, 4)]


def _segmenter(cfg: Config) -> torch.nn.Module:
    first, *others = _hrnet_stages(cfg)
    stages = [(list(stage.num_channels), list(stage.num_blocks), stage.num_modules) for stage in others]
    module = TorchHRNetSeg(cfg.num_classes, (first.num_channels[0], first.num_blocks[0]), stages)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = AUTHORS_MOMENTUM  # in residual blocks too, which are shared with other networks there
    return module


def _segmenter_losses(module: torch.nn.Module, cfg: Config, batch: Sequence[np.ndarray]) -> Losses:
    image, label = map(torch.tensor, batch)
    scores, weight = enlarge(module(image), label.shape[1:]), torch.tensor(cfg.class_weights)
    return (torch.nn.functional.cross_entropy(scores, label.long(), weight, ignore_index=cfg.ignore_label),)


def _classifier(cfg: Config) -> torch.nn.Module:
    """timm's; its head has the authors' widths, whatever the configuration says."""
    stages = {
        f"stage{number}": {
            "num_modules": stage.num_modules,
            "num_branches": stage.num_branches,
            "block_type": stage.block,
            "num_blocks": tuple(stage.num_blocks),
            "num_channels": tuple(stage.num_channels),
            "fuse_method": "SUM",
        }
        for number, stage in enumerate(_hrnet_stages(cfg), start=1)
    }
    import_timm()
    from timm.models.hrnet import HighResolutionNet

    return HighResolutionNet({"stem_width": 64, **stages}, num_classes=cfg.num_classes)


def _classifier_losses(module: torch.nn.Module, cfg: Config, batch: Sequence[np.ndarray]) -> Losses:
    image, label, other_label, share = map(torch.tensor, batch)
    keys = {"reduction": "none", "label_smoothing": cfg.label_smoothing}
    logits = module(image)
    own, other = (torch.nn.functional.cross_entropy(logits, x.long(), **keys) for x in (label, other_label))
    return ((own * share + other * (1 - share)).mean(),)


def _detector(cfg: Config) -> torch.nn.Module:
    channels, train = cfg.neck.fpn.out_channels, cfg.train_cfg
    settings = Settings(
        channels,
        cfg.bbox_head.fc_out_channels,
        cfg.num_classes - 1,
        (train.rpn.sampler.num, train.rcnn.sampler.num),
        train.rpn_proposal.nms_pre,
        train.rpn_proposal.max_per_img,
        cfg.mask_head.num_convs,
    )
    backbone = TorchResNet((2, 2, 2, 2), False, cfg.backbone.base_channels)
    for part in (backbone.conv1, backbone.bn1, backbone.layer1):  # frozen_stages 1
        part.requires_grad_(False)
    return TorchMaskRCNN(backbone, TorchFPN(cfg.neck.fpn.in_channels, channels, 5), settings)


def _detector_losses(module: torch.nn.Module, cfg: Config, batch: Sequence[np.ndarray]) -> Losses:
    image, *truth, _ = batch
    return module(torch.tensor(image), truths(*truth))


CASES = {
    "segmenter": Case(
        "demo/hrnet_seg_cityscapes_shapes",
        {"batch_size": 4, "backbone.norm_cfg.momentum": AUTHORS_MOMENTUM},
        "cityscapes",
        128,
        _segmenter,
        _segmenter_losses,
        _without_backbone,
    ),
    "classifier": Case(
        "demo/hrnet_cls_shapes",
        {
            "batch_size": 16,
            "label_smoothing": 0.1,
            "cls_head.head_channels": [32, 64, 128, 256],
            "cls_head.final_channels": 2048,
        },
        "imagenet",
        64,
        _classifier,
        _classifier_losses,
        _without_backbone,
    ),
    "detector": Case(
        "demo/mask_rcnn_hrnet_shapes",
        {
            "batch_size": 4,
            "backbone.type": "resnet",
            "backbone.depth": 18,
            "backbone.base_channels": 16,
            "backbone.frozen_stages": 1,
            "backbone.norm_eval": 1,
            "neck.type": "fpn",
            "neck.fpn.in_channels": [16, 32, 64, 128],
            "neck.fpn.out_channels": 32,
            **dict.fromkeys(("rpn.in_channels", "rpn.feat_channels", "roi.out_channels", "mask_roi.out_channels"), 32),
            **dict.fromkeys(("bbox_head.in_channels", "mask_head.in_channels", "mask_head.conv_out_channels"), 32),
            "bbox_head.fc_out_channels": 128,
            "train_cfg.rpn_proposal.nms_pre": 200,
            "train_cfg.rpn_proposal.max_per_img": 64,
            **dict.fromkeys(("train_cfg.rpn.sampler.order", "train_cfg.rcnn.sampler.order"), "in_order"),
            "train_cfg.rpn.sampler.num": 8192,
            "train_cfg.rcnn.sampler.num": 256,
        },
        "coco",
        128,
        _detector,
        _detector_losses,
        mmdet_name,
        frozen_norms=True,
    ),
}

COMMON = {
    "epoch_size": EPOCHS,
    "norm_bias_decay": 1,
    "warmup_epochs": 0,
    "warmup_step": 20,
    "warmup_ratio": 0.1,
    "warmup_first_step": 0,
    "min_lr": 0,
    "loss_scale": 1,
    "ema_decay": 0.99,
    "seed": 1,
}
RECIPES = {
    "sgd": {
        "opt_type": "sgd", "lr": 0.002, "momentum": 0.9, "weight_decay": 0.0005, "lr_type": "multistep",
        "lr_steps": [2, 3], "grad_clip": 5,
    },
    "adamw": {
        "opt_type": "adamw", "lr": 0.0003, "weight_decay": 0.05, "lr_type": "cosine", "accumulate_step": 2,
        "grad_clip": 1,
    },
}  # fmt: skip
TRAIN = {"coco": "train", "imagenet": "train"}  # folder of the training images, where they have one of their own


def configuration(case: Case, recipe: str, data: Path, **more: object) -> Config:
    """data: what `draw` has filled."""
    keys = {**case.keys, **COMMON, **RECIPES[recipe], "train_dataset": data / TRAIN.get(case.layout, "")}
    words = [word for key, value in (keys | more).items() for word in (f"--{key}", str(value))]
    return load_config(str(CONFIGS / f"{case.config}.yaml"), words)


def draw(case: Case, folder: Path, steps_per_epoch: int = STEPS_PER_EPOCH) -> None:
    """The drawn images of an epoch."""
    LAYOUTS[case.layout](folder, steps_per_epoch * case.keys["batch_size"], 8, case.size, 1)


def batches(cfg: Config, steps: int) -> list[tuple[np.ndarray, ...]]:
    """The run's first batches, from the project's own pipeline."""
    source = TASKS[cfg.task].make_loader(cfg, 0, 1, 0).source
    return [source[k] for k in range(steps)]
