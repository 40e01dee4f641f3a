"""What training needs to know about each task: where its batches come from and how it is evaluated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mindspore import nn

from ..config import Config
from ..data.formats import open_detection
from ..data.formats.image_folder import open_image_folder
from ..data.formats.segmentation_list import open_segmentation
from ..data.imagenet import build_folder_loader
from ..data.pipeline import build_train_loader
from ..data.segmentation import build_segmentation_loader
from ..evaluation.classification_eval import evaluate_classifier
from ..evaluation.detection import evaluate_detector
from ..evaluation.segmentation_eval import evaluate_segmenter
from ..process.runtime import Runtime

Evaluator = Callable[[nn.Cell], dict[str, float]]


@dataclass(frozen=True)
class Task:
    """make_loader(cfg, rank, size, start_step) -> batches; make_evaluator(cfg, process) -> evaluate(model) -> metrics.

    Both makers look at the data first and raise UserError for what is wrong with it, before any training. All ranks
    evaluate together, each its share; the metrics are rank 0's.
    metric: the one that ranks checkpoints; reported: those of the log.
    epoch_line: the log line at the end of an epoch, filled by name: epoch, epochs, steps, milliseconds, per_step
        (milliseconds), loss (mean), lr (last).
    """

    make_loader: Callable[[Config, int, int, int], Any]
    make_evaluator: Callable[[Config, Runtime], Evaluator]
    metric: str
    reported: tuple[str, ...]
    epoch_line: str = "Train epoch time: {milliseconds:.3f} ms, per step time: {per_step:.3f} ms"


def _detection_loader(cfg: Config, rank: int, size: int, start_step: int) -> Any:
    dataset = open_detection(cfg, "train")
    return build_train_loader(cfg, dataset, rank, size, start_step)


def _detection_evaluator(cfg: Config, process: Runtime) -> Evaluator:
    dataset = open_detection(cfg, "val")
    protocol = {"checkpoint": "in training"}
    return lambda model: evaluate_detector(cfg, model, dataset, protocol=protocol, process=process)


def _classification_loader(cfg: Config, rank: int, size: int, start_step: int) -> Any:
    dataset = open_image_folder(cfg, cfg.train_dataset)
    cfg.class_names = dataset.classes  # the run's config.yaml tells the names from now on
    return build_folder_loader(cfg, dataset, rank, size, start_step)


def _classification_evaluator(cfg: Config, process: Runtime) -> Evaluator:
    dataset = open_image_folder(cfg, cfg.val_dataset)
    return lambda model: evaluate_classifier(cfg, model, dataset, process)


def _segmentation_loader(cfg: Config, rank: int, size: int, start_step: int) -> Any:
    return build_segmentation_loader(cfg, open_segmentation(cfg, cfg.train_dataset, "train"), rank, size, start_step)


def _segmentation_evaluator(cfg: Config, process: Runtime) -> Evaluator:
    dataset = open_segmentation(cfg, cfg.val_dataset, "val")
    return lambda model: evaluate_segmenter(cfg, model, dataset, process)


TASKS = {
    "detection": Task(_detection_loader, _detection_evaluator, "bbox_mAP", ("bbox_mAP", "seg_mAP")),
    "classification": Task(
        _classification_loader,
        _classification_evaluator,
        "Top_1_Acc",
        ("Loss", "Top_1_Acc", "Top_5_Acc"),
        "epoch: [{epoch:2d}/{epochs}], epoch time: {milliseconds:.3f}, steps: {steps}, per step time: {per_step:.3f}, "
        "avg loss: {loss:.3f}, lr:[{lr:.3f}]",
    ),
    "segmentation": Task(
        _segmentation_loader,
        _segmentation_evaluator,
        "mIoU",
        ("mIoU", "pixel_acc", "mean_acc"),
        "epoch: [{epoch:3d}/{epochs:3d}], epoch time: {milliseconds:.3f}, steps: {steps:5d}, per step time: "
        "{per_step:.3f}, avg loss: {loss:.3f}, lr:[{lr:.6f}]",
    ),
}
