"""Image classification: a folder a class, top-1 and top-5, the likeliest classes as JSON."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import nn

from ..config import Config
from ..config.train_sets import texts
from ..data import inspection
from ..data.decoding import ImageRules
from ..data.formats.classified import open_classified
from ..data.formats.image_folder import ImageFolder
from ..data.imagenet import FolderSamples, Preparation, build_folder_loader, evaluation_batches, folder_sampling
from ..data.images import why_unreadable
from ..data.sampling import is_sampled
from ..data.survey import Survey, survey_classes
from ..errors import UserError
from ..evaluation.classification_eval import ClassificationResult
from ..evaluation.classification_images import ImageOutcome
from ..inference.backends import run_model
from ..inference.bars import with_bar
from ..inference.classify import TOP, known_class_names
from ..inference.draw_inferred import InferredPictures
from ..inference.example_inputs import dense_inputs
from ..inference.find import Predict, classes_of, entries_of
from ..inference.fonts import FontBook
from ..inference.output import write_json, write_predictions
from ..inference.sample_pictures import Draw, classifier_pictures
from ..inference.sheets import Drawer, class_drawer
from ..models.build import build_classifier
from ..outputs import Inputs, check_output_files, is_within
from ..process.log_words import Words
from ..process.runtime import SINGLE, Runtime
from ..reports import classification as page
from ..reports.classification_files import FOUR_FILES, write_four_files
from ..reports.folder import check_report_folder, report_files
from .task import Section, Task

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

    report_files = page.FILES
    shares_report_dir = True

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
        for key, folder in _folders(cfg):
            if is_within(Path(cfg.train_outputs) / "run", folder):
                raise UserError(f"train_outputs {cfg.train_outputs} lies in {key}, where each folder is a class")
        return replace(cfg, class_names=self.open(cfg, "train").classes)

    def check_report(self, cfg: Config, inputs: Inputs) -> None:
        """The folder may hold other files too; where one has a name of the page's, the four files alone are written.

        One of the four that no report has written is not replaced. Without `report.json` they are a report's, of before
        there was a page, where all four are there.
        """
        FontBook(cfg.font)
        folder = Path(cfg.report_dir)
        if os.path.exists(folder) and not os.path.isdir(folder):
            raise UserError(f"report_dir {folder} is a file; give the name of a folder")
        files = [folder / name for name in FOUR_FILES]
        check_output_files("report_dir", folder, files, inputs, per_set=len(files))
        there = [file.name for file in files if os.path.lexists(file)]
        if len(there) < len(files) and (foreign := sorted(set(there) - set(report_files(folder)))):
            raise UserError(f"report_dir {folder} holds {foreign[0]}, which no report has written: give another folder")
        if why := self._no_page(cfg):
            logger.warning("%s for the page; only %s are written", why, ", ".join(FOUR_FILES))

    def _no_page(self, cfg: Config) -> str:
        """Why there is no room for the page in `report_dir`, if there is none."""
        if not os.path.isdir(cfg.report_dir):
            return ""
        try:
            check_report_folder("report_dir", Path(cfg.report_dir), Inputs(), self.report_files)
        except UserError as error:
            return str(error)
        return ""

    def score(
        self, cfg: Config, model, dataset: ImageFolder, process: Runtime = SINGLE, protocol: dict | None = None
    ) -> dict[str, float]:
        """Loss, top-1 and top-5; the report where `report_dir` asks for it. No protocol is printed."""
        started = time.perf_counter()
        result = classify_dataset(cfg, model, dataset, process, with_images=bool(cfg.report_dir))
        if not process.is_main:
            return {}
        each = (time.perf_counter() - started) / len(dataset)
        metrics = result.metrics()
        print(f"total images num: {len(dataset)}, {each:.4f} s per image, unreadable: {result.unreadable}")
        print(metrics, flush=True)
        if cfg.report_dir and (why := self._no_page(cfg)):
            write_four_files(Path(cfg.report_dir), result, dataset.classes, cfg.font)
            print(f"{', '.join(FOUR_FILES)} written to {cfg.report_dir}, but no page: {why}", flush=True)
        elif cfg.report_dir:
            conditions = {"images": len(dataset), "size": f"{cfg.img_width}x{cfg.img_height}"}
            conditions |= {"short side": cfg.eval_resize} | self.origin(cfg, protocol)
            self.write_report(cfg, dataset, (result, conditions))
        return metrics

    def report(
        self, cfg: Config, dataset: ImageFolder, found: tuple[ClassificationResult, dict], folder: Path
    ) -> dict[str, Any]:
        """found: the result with the outcome of each image, and its protocol."""
        result, protocol = found
        write_four_files(folder, result, dataset.classes, cfg.font)
        how = cfg.max_image_pixels, ImageRules.from_config(cfg)
        return page.write_classification_report(folder, dataset, result, protocol, cfg.font, *how)

    def sample_pictures(self, cfg: Config, count: int) -> Draw:
        return classifier_pictures(cfg, self.open(cfg, "val"), count)

    def predictor(self, cfg: Config, model) -> Predict:
        return classes_of(replace(cfg, class_names=known_class_names(cfg)), model)

    def infer(self, cfg: Config, model, paths: Sequence[Path], output: Path) -> None:
        facts, predict = {"class_names": known_class_names(cfg)}, entries_of(self.predictor(cfg, model))
        write = write_json if cfg.pred_output else None
        pictures = InferredPictures(cfg, paths) if cfg.draw else None
        write_predictions(cfg, paths, output, predict, facts, cfg.test_batch_size, write, pictures)

    def describe(self, cfg: Config) -> dict[str, Any]:
        return {"short_side": cfg.eval_resize, "class_names": known_class_names(cfg)}

    def example_inputs(self, cfg: Config) -> dict[str, dict[str, np.ndarray]]:
        return dense_inputs(cfg, self.input_size(cfg))

    def blank_inputs(self, cfg: Config) -> list[np.ndarray]:
        return [np.zeros((1, 3, cfg.img_height, cfg.img_width), np.float32)]

    def blank_columns(self, cfg: Config) -> dict[str, np.ndarray]:
        label, (image,) = np.zeros(1, np.int32), self.blank_inputs(cfg)
        return {"image": image, "label": label, "other_label": label, "share": np.ones(1, np.float32)}

    def survey(self, cfg: Config, split: str) -> Survey:
        return survey_classes(self.open(cfg, split))

    def drawer(self, cfg: Config, split: str) -> Drawer:
        return class_drawer(cfg, self.open(cfg, split).classes)

    def inspect(self, cfg: Config) -> Iterator[Section]:
        how = cfg.max_image_pixels, ImageRules.from_config(cfg)
        train = self.open(cfg, "train")
        yield "training data", inspection.image_folder(train, *how)
        if is_sampled(cfg) and (lines := folder_sampling(cfg, train)[1]):
            yield "sampling", iter(lines)
        if self.has_validation(cfg):
            yield "validation data", inspection.image_folder(self.open(cfg, "val"), *how)


def _folders(cfg: Config) -> Iterator[tuple[str, Path]]:
    """Key and place of the data."""
    for key in ("train_dataset", "val_dataset"):
        yield from ((key, Path(place)) for place in texts(getattr(cfg, key)))


def classify_dataset(
    cfg: Config, model, dataset: ImageFolder, process: Runtime = SINGLE, with_images: bool = False
) -> ClassificationResult:
    """Run the network over the data set; each rank over its share, and every rank has the whole result.

    with_images: on rank 0 the outcome of each image too.
    """
    classes = len(dataset.classes)
    confusion = np.zeros((classes, classes), np.int64)
    loss, in_top5, unreadable = 0.0, 0, 0
    smoothing = cfg.label_smoothing if cfg.eval_smoothing else 0.0
    share = process.share(len(dataset))
    images, outcomes, indices = [dataset.images[k] for k in share], [], iter(share)
    batches = evaluation_batches(images, Preparation.from_config(cfg), cfg.test_batch_size, cfg.num_parallel_workers)
    for image, items, readable in with_bar(batches, -(-len(share) // cfg.test_batch_size), "batch"):
        logits = run_model(model, image)[0].astype(np.float64)
        for row, (path, label), is_readable, index in zip(logits, items, readable, indices):  # that one last
            if not is_readable:
                unreadable += 1
                outcomes.append(ImageOutcome(index, label))
                logger.warning("%s; it counts as wrong", why_unreadable(path, cfg.max_image_pixels))
                continue
            confusion[label, int(row.argmax())] += 1
            is_in_top5 = label in np.argsort(-row, kind="stable")[:TOP]
            in_top5 += is_in_top5
            loss += _cross_entropy(row, label, smoothing)
            if with_images:
                outcomes.append(ImageOutcome.of(index, label, row, is_in_top5))
    confusion = process.sum_arrays(confusion)
    loss, in_top5, unreadable = process.sum_arrays(np.float64([loss, in_top5, unreadable])).tolist()
    gathered = process.gather(outcomes) if with_images else []
    readable_count = len(dataset) - unreadable
    return ClassificationResult(
        confusion,
        loss / max(readable_count, 1),
        float(np.trace(confusion)) / len(dataset),
        in_top5 / len(dataset),
        int(unreadable),
        [one for part in gathered for one in part] if with_images else None,
    )


def _cross_entropy(logits: np.ndarray, label: int, smoothing: float) -> float:
    """Of one image's logits (C,); smoothing: share that is spread over all classes, see `cross_entropy`."""
    plain = np.logaddexp.reduce(logits) - logits[label]
    return float(plain + smoothing * (logits[label] - logits.mean())) if smoothing else float(plain)
