"""What training needs to know about each task: where its batches come from and how it is evaluated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mindspore import nn

from src.config import Config
from src.data.coco import CocoDataset
from src.data.pipeline import build_train_loader
from src.evaluation.detection import evaluate_detector


@dataclass(frozen=True)
class Task:
    """make_loader(cfg, rank, size, start_step) -> batches; evaluate(cfg, model) -> metrics.

    metric: the one that ranks checkpoints; reported: those of the log.
    """

    make_loader: Callable[[Config, int, int, int], Any]
    evaluate: Callable[[Config, nn.Cell], dict[str, float]]
    metric: str
    reported: tuple[str, ...]


def _detection_loader(cfg: Config, rank: int, size: int, start_step: int) -> Any:
    dataset = CocoDataset(cfg.train_dataset, cfg.coco_classes[1:], split_hint="train")
    return build_train_loader(cfg, dataset, rank, size, start_step)


def _evaluate_detection(cfg: Config, model: nn.Cell) -> dict[str, float]:
    dataset = CocoDataset(cfg.val_dataset, cfg.coco_classes[1:], split_hint="val")
    return evaluate_detector(cfg, model, dataset, protocol={"checkpoint": "in training"})


TASKS = {"detection": Task(_detection_loader, _evaluate_detection, "bbox_mAP", ("bbox_mAP", "seg_mAP"))}
