"""Image classification: a folder a class, top-1 and top-5, the likeliest classes as JSON."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import nn

from ..config import Config
from ..data import inspection
from ..data.decoding import ImageRules
from ..data.formats.classified import open_classified
from ..data.formats.image_folder import ImageFolder
from ..data.imagenet import FolderSamples, Preparation, build_folder_loader, evaluation_batches
from ..data.images import why_unreadable
from ..data.survey import Survey, survey_classes
from ..errors import UserError
from ..evaluation.classification_eval import REPORT_FILES, ClassificationResult, write_report
from ..inference.backends import run_model
from ..inference.classify import TOP, classify_files, known_class_names
from ..inference.example_inputs import dense_inputs
from ..inference.output import write_predictions
from ..inference.sample_pictures import Draw, classifier_pictures
from ..inference.sheets import Drawer, class_drawer
from ..models.build import build_classifier
from ..outputs import Inputs, check_output_files, is_within
from ..process.log_words import Words
from ..process.runtime import SINGLE, Runtime
from .task import Evaluator, Section, Task

logger = logging.getLogger(__name__)


class Classification(Task):
    """HRNet and other backbones with a classifying head."""

    name = "classification"
    metric = "Top_1_Acc"
    reported = ("Loss", "Top_1_Acc", "Top_5_Acc")
    epoch_line = (
        "epoch: [{epoch:2d}/{epochs}], epoch time: {milliseconds:.3f}, steps: {steps}, per step time: {per_step:.3f}, "
        "avg loss: {loss:.3f}, lr:[{lr:.3f}]"
    )

    def run_names(self, cfg: Config) -> tuple[str, ...]:
        return ("Classifier", "HRNetCls")

    def words(self, cfg: Config) -> Words:
        backbone = cfg.backbone
        width = f"_w{backbone.extra.stage4.num_channels[0]}" if backbone.type == "hrnet" else ""
        return Words(self.name, cfg.log_style, model=f"cls_{backbone.type}{width}", device_id=cfg.device_id)

    def build_model(self, cfg: Config) -> nn.Cell:
        return build_classifier(cfg)

    def open(self, cfg: Config, split: str) -> ImageFolder:
        return open_classified(cfg, split)

    def make_loader(self, cfg: Config, rank: int, size: int, start_step: int) -> Any:
        return build_folder_loader(cfg, self.open(cfg, "train"), rank, size, start_step)

    def held_out_samples(self, cfg: Config) -> FolderSamples:
        return FolderSamples(self.open(cfg, "val"), cfg)

    def resolved(self, cfg: Config) -> Config:
        """With the names of the classes. UserError where the run's folder would become a class."""
        for key in ("train_dataset", "val_dataset"):
            folder = getattr(cfg, key)
            if folder and is_within(Path(cfg.train_outputs) / "run", Path(folder)):
                raise UserError(f"train_outputs {cfg.train_outputs} lies in {key}, where each folder is a class")
        return replace(cfg, class_names=self.open(cfg, "train").classes)

    def make_evaluator(self, cfg: Config, process: Runtime) -> Evaluator:
        """Where a report is asked for it is known before the training that it can be written."""
        if cfg.report_dir:
            folders = tuple((key, Path(getattr(cfg, key))) for key in ("train_dataset", "val_dataset"))
            folder = Path(cfg.report_dir)
            files = [folder / name for name in REPORT_FILES]
            check_output_files("report_dir", folder, files, Inputs((), folders), per_set=len(files))
        return super().make_evaluator(cfg, process)

    def score(
        self, cfg: Config, model, dataset: ImageFolder, process: Runtime = SINGLE, protocol: dict | None = None
    ) -> dict[str, float]:
        """Loss, top-1 and top-5; the report where `report_dir` asks for it. No protocol is printed."""
        started = time.perf_counter()
        result = classify_dataset(cfg, model, dataset, process)
        if not process.is_main:
            return {}
        each = (time.perf_counter() - started) / len(dataset)
        metrics = {"Loss": result.loss, "Top_1_Acc": result.top1, "Top_5_Acc": result.top5}
        print(f"total images num: {len(dataset)}, {each:.4f} s per image, unreadable: {result.unreadable}")
        print(metrics, flush=True)
        if cfg.report_dir:
            write_report(Path(cfg.report_dir), result, dataset.classes, cfg.font)
        return metrics

    def sample_pictures(self, cfg: Config, count: int) -> Draw:
        return classifier_pictures(cfg, self.open(cfg, "val"), count)

    def infer(self, cfg: Config, model, paths: Sequence[Path], output: Path) -> None:
        def predict(paths: Sequence[Path]) -> Iterator[tuple[Path, dict | None]]:
            for path, best in classify_files(cfg, model, paths):
                yield path, None if best is None else {"predictions": best}

        write_predictions(cfg, paths, output, predict, {"class_names": known_class_names(cfg)})

    def describe(self, cfg: Config) -> dict[str, Any]:
        return {"short_side": cfg.eval_resize, "class_names": known_class_names(cfg)}

    def example_inputs(self, cfg: Config) -> dict[str, dict[str, np.ndarray]]:
        return dense_inputs(cfg, self.input_size(cfg))

    def blank_inputs(self, cfg: Config) -> list[np.ndarray]:
        return [np.zeros((1, 3, cfg.img_height, cfg.img_width), np.float32)]

    def survey(self, cfg: Config, split: str) -> Survey:
        return survey_classes(self.open(cfg, split))

    def drawer(self, cfg: Config, split: str) -> Drawer:
        return class_drawer(cfg, self.open(cfg, split).classes)

    def inspect(self, cfg: Config) -> Iterator[Section]:
        how = cfg.max_image_pixels, ImageRules.from_config(cfg)
        yield "training data", inspection.image_folder(self.open(cfg, "train"), *how)
        if self.has_validation(cfg):
            yield "validation data", inspection.image_folder(self.open(cfg, "val"), *how)


def classify_dataset(cfg: Config, model, dataset: ImageFolder, process: Runtime = SINGLE) -> ClassificationResult:
    """Run the network over the data set; each rank over its share, and every rank has the whole result."""
    classes = len(dataset.classes)
    confusion = np.zeros((classes, classes), np.int64)
    loss, in_top5, unreadable = 0.0, 0, 0
    smoothing = cfg.label_smoothing if cfg.eval_smoothing else 0.0
    images = [dataset.images[k] for k in process.share(len(dataset))]
    batches = evaluation_batches(images, Preparation.from_config(cfg), cfg.test_batch_size, cfg.num_parallel_workers)
    for image, items, readable in batches:
        logits = run_model(model, image)[0].astype(np.float64)
        for row, (path, label), is_readable in zip(logits, items, readable):
            if not is_readable:
                unreadable += 1
                logger.warning("%s; it counts as wrong", why_unreadable(path, cfg.max_image_pixels))
                continue
            confusion[label, int(row.argmax())] += 1
            in_top5 += label in np.argsort(-row, kind="stable")[:TOP]
            loss += _cross_entropy(row, label, smoothing)
    confusion = process.sum_arrays(confusion)
    loss, in_top5, unreadable = process.sum_arrays(np.float64([loss, in_top5, unreadable])).tolist()
    readable_count = len(dataset) - unreadable
    return ClassificationResult(
        confusion,
        loss / max(readable_count, 1),
        float(np.trace(confusion)) / len(dataset),
        in_top5 / len(dataset),
        int(unreadable),
    )


def _cross_entropy(logits: np.ndarray, label: int, smoothing: float) -> float:
    """Of one image's logits (C,); smoothing: share that is spread over all classes, see `cross_entropy`."""
    plain = np.logaddexp.reduce(logits) - logits[label]
    return float(plain + smoothing * (logits[label] - logits.mean())) if smoothing else float(plain)
