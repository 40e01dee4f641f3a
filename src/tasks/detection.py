"""Detection, with instance masks or without: COCO-style data, box and mask AP, detections as JSON."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import nn

from ..checkpoint import checkpoint_hash
from ..config import (
    Config,
    config_hash,
    has_masks,
    has_open_classes,
    has_orientations,
    score_settings,
    trains_by_orientation,
    without_views,
)
from ..config.choices import AUTO
from ..config.definition import DETECTION
from ..config.thresholds import class_thresholds, named_thresholds
from ..data import inspection
from ..data.decoding import ImageRules
from ..data.formats import detection_source
from ..data.formats.index import DetectionIndex
from ..data.formats.unlabelled import open_unlabelled
from ..data.network_input import ImageSettings, evaluated_size, resize_rule, short_long_rule
from ..data.pipeline import DetectionSamples, build_train_loader, sampling_lines
from ..data.sampling import is_sampled
from ..data.survey import Survey, survey_objects
from ..errors import UserError
from ..inference.backends import ExportedModel
from ..inference.draw_inferred import InferredPictures
from ..inference.example_inputs import detector_inputs
from ..inference.find import Predict, entries_of, objects_on
from ..inference.label_files import label_writer
from ..inference.output import write_json, write_predictions
from ..inference.prediction_file import (
    require_same_origin,
    save_predictions,
)
from ..inference.sample_pictures import Draw, detector_pictures
from ..inference.sheets import Drawer, object_drawer
from ..inference.tiles import tile_rule
from ..inference.unfinished import Unfinished
from ..models.detection.build import build_detector
from ..process import runtime
from ..process.compile_cache import compile_once
from ..process.log_words import Words
from ..process.runtime import SINGLE, Runtime
from ..reading import is_file
from .detection_classes import known_category_ids, with_classes
from .detection_predictions import predict_dataset, together, unfinished_predictions, view_facts
from .detection_scores import RULE, DetectionScoring, Predicted
from .meaning import stated_facts
from .task import GIVE_CHECKPOINT, Evaluator, Section, Task

logger = logging.getLogger(__name__)

SYSTEMS = {  # in names of folders
    "mask_rcnn": "MaskRCNN",
    "pointrend": "PointRend",
    "faster_rcnn": "FasterRCNN",
    "cascade_rcnn": "CascadeRCNN",
    "cascade_mask_rcnn": "CascadeMaskRCNN",
}
USUAL_RATE, USUAL_IMAGES = 0.02, 16  # of SGD, for images a step


class Detection(DetectionScoring, Task):
    """Mask R-CNN and its kin."""

    metric = "bbox_mAP"
    reported = ("bbox_mAP", "seg_mAP")
    network_sections = ("backbone", *DETECTION)
    kind_key = "detector"

    def system(self, cfg: Config) -> str:
        return cfg.detector

    def run_names(self, cfg: Config) -> tuple[str, ...]:
        return (SYSTEMS.get(cfg.detector, cfg.detector),)

    def words(self, cfg: Config) -> Words:
        """pointrend's, else MaskRCNN_resnet50's."""
        return Words("pointrend" if cfg.detector == "pointrend" else "mask_rcnn", cfg.log_style)

    def build_model(self, cfg: Config) -> nn.Cell:
        if has_open_classes(cfg):
            raise UserError("coco_classes names no class: take the config.yaml of the run, which has those it learned")
        return build_detector(cfg)

    def resolved(self, cfg: Config) -> Config:
        """With the classes of the training data, where the configuration names none."""
        return with_classes(cfg, self.open(cfg, "train")) if has_open_classes(cfg) else cfg

    def make_loader(self, cfg: Config, rank: int, size: int, start_step: int) -> Any:
        return build_train_loader(cfg, self.open(cfg, "train"), rank, size, start_step)

    def held_out_samples(self, cfg: Config) -> DetectionSamples:
        dataset = self.open(cfg, "val")
        return DetectionSamples(dataset, list(range(len(dataset))), cfg)

    def class_names(self, cfg: Config) -> tuple[str, ...]:
        return tuple(cfg.coco_classes[1:])

    def with_class_names(self, cfg: Config, names: Sequence[str]) -> Config:
        return replace(cfg, coco_classes=["background", *names], num_classes=len(names) + 1)

    def facts(self, cfg: Config, loader: Any = None) -> dict[str, Any]:
        """With the training data's own id of each class."""
        known = {} if loader is None else {"category_ids": list(loader.source.samples.dataset.category_ids)}
        return super().facts(cfg) | known

    def may_know_fewer(self, cfg: Config) -> tuple[bool, str]:
        return cfg.classes == "subset", "--classes subset evaluates it on those that it knows"

    def input_size(self, cfg: Config) -> tuple[int, int]:
        return evaluated_size(cfg)

    def to_run(self, cfg: Config) -> tuple[Config, tuple[int, ...]]:
        """An exported file tells for which size of those that the configuration has it was written."""
        cfg, order = super().to_run(cfg)
        if cfg.backend == "mindspore" or not has_orientations(cfg) or not is_file(cfg.checkpoint_path):
            return cfg, order
        facts, (height, width) = stated_facts(cfg), evaluated_size(cfg)
        own = facts.get("height"), facts.get("width")
        if own in ((width, height), (cfg.img_height, cfg.img_width)):
            cfg = replace(cfg, eval_height=own[0], eval_width=own[1])
        return cfg, order

    def load_network(self, cfg: Config, checkpoint_path: str, fold: bool = True) -> nn.Cell:
        if has_orientations(cfg):
            height, width = evaluated_size(cfg)
            cfg = replace(cfg, img_height=height, img_width=width)
        return super().load_network(cfg, checkpoint_path, fold)

    def load(self, cfg: Config):
        """UserError too for an exported file that gives masks where the detector gives none, or the other way round."""
        model = super().load(cfg)
        own = model.metadata.get("has_masks") if isinstance(model, ExportedModel) else None
        if own not in (None, has_masks(cfg)):
            which = "with" if own else "without"
            raise UserError(f"{model.path} is of a detector {which} masks; detector is {cfg.detector}")
        return model

    # ------------------------------------------------------------------------------------------------- evaluation

    def make_evaluator(self, cfg: Config, process: Runtime) -> Evaluator:
        """Each image is seen once, whatever `eval_flip` and `eval_scales`: they are for the end (MMDetection's --tta).
        """
        return super().make_evaluator(without_views(cfg), process)

    def evaluate(self, cfg: Config) -> dict[str, float]:
        """Where `prediction_path` exists, it is evaluated and no network is run.

        UserError where `checkpoint_path` is named too and they were made by another one, or otherwise.
        """
        if cfg.format_only:
            return self.format_results(cfg)
        if cfg.prediction_path and Path(cfg.prediction_path).exists():
            if cfg.checkpoint_path:
                cfg = self.as_trained(cfg)
                digest = checkpoint_hash(cfg.checkpoint_path)
                require_same_origin(cfg.prediction_path, cfg.checkpoint_path, digest, score_settings(cfg))
            return super().evaluate(cfg)
        if not cfg.checkpoint_path:
            raise UserError(f"checkpoint_path is empty: {GIVE_CHECKPOINT}, or saved --prediction_path")
        cfg, _ = self.to_run(cfg)
        dataset = self.open(cfg, "val")
        cfg = with_classes(cfg, dataset)
        process, words = runtime.start(cfg, may_be_single=True), self.words(cfg)
        words.say("evaluation")
        model = self.load(cfg)
        compile_once(cfg, process, model)
        protocol = {"config": config_hash(cfg), "checkpoint": checkpoint_hash(cfg.checkpoint_path)}
        if not cfg.prediction_path:
            metrics = self.score(cfg, model, dataset, process, protocol)
        else:
            keys = cfg.prediction_path, score_settings(cfg)
            with unfinished_predictions(cfg, dataset, process) as part:
                metrics = self.score(cfg, model, dataset, process, protocol, *keys, part)
        words.say("evaluated_all", path=cfg.checkpoint_path)
        return metrics

    def format_results(self, cfg: Config) -> dict[str, float]:
        """COCO results on a test set without labels in `cfg.prediction_path`; no metrics."""
        if not cfg.prediction_path:
            raise UserError("prediction_path is empty: format_only 1 writes COCO results there")
        if Path(cfg.prediction_path).exists():
            raise UserError(f"prediction_path {cfg.prediction_path} is there already: move it away, or name another")
        if not cfg.checkpoint_path:
            raise UserError(f"checkpoint_path is empty: {GIVE_CHECKPOINT}")
        cfg, _ = self.to_run(cfg)
        dataset = self.open_unlabelled(cfg)
        cfg = with_classes(cfg, dataset)
        process = runtime.start(cfg, may_be_single=True)
        model = self.load(cfg)
        compile_once(cfg, process, model)
        with unfinished_predictions(cfg, dataset, process) as part:
            protocol = {"config": config_hash(cfg), "checkpoint": checkpoint_hash(cfg.checkpoint_path)}
            self._predict(cfg, model, dataset, process, protocol, cfg.prediction_path, score_settings(cfg), part)
        return {}

    def open_unlabelled(self, cfg: Config) -> DetectionIndex:
        """The images of a test set; what they show is not asked."""
        if cfg.val_data_type not in (AUTO, "coco"):
            return self.open(cfg, "val")
        names = self.class_names(cfg)
        facts = stated_facts(cfg)
        own = facts.get("category_ids") if facts.get("class_names") == list(names) else None
        return open_unlabelled(cfg, list(zip(own or range(1, len(names) + 1), names)))

    def score(
        self, cfg: Config, model, dataset: DetectionIndex, process: Runtime = SINGLE, protocol: dict | None = None,
        save_to: str = "", settings: dict | None = None, part: Unfinished | None = None,
    ) -> dict[str, float]:  # fmt: skip
        """Box metrics, and of a detector with masks those of masks.

        save_to: a file for the predictions; settings: what stands beside them; part: where they are kept until then.
        """
        found = self._predict(cfg, model, dataset, process, protocol, save_to, settings, part)
        return self.score_results(cfg, dataset, found) if process.is_main else {}

    def _predict(
        self, cfg: Config, model, dataset: DetectionIndex, process: Runtime, protocol: dict | None, save_to: str,
        settings: dict | None, part: Unfinished | None,
    ) -> Predicted:  # fmt: skip
        """COCO results of all ranks' images, saved where that is asked for; see `score`."""
        size = "{1}x{0}".format(*evaluated_size(cfg))
        rule = resize_rule(size, cfg.keep_ratio, cfg.resize)
        if has_orientations(cfg):
            rule = short_long_rule(ImageSettings.from_config(cfg))
        protocol = {"size": size, **view_facts(cfg)} | tile_rule(cfg) | (protocol or {}) | {RULE: rule}
        results, unreadable = predict_dataset(cfg, model, dataset, process, part, self.words(cfg))
        if save_to and process.is_main:
            save_predictions(save_to, results, protocol, settings, unreadable)
            print(f"Predictions written to {save_to}")
        if part is not None:
            process.barrier()
            part.remove()
        return Predicted(results, protocol, unreadable)

    def sample_pictures(self, cfg: Config, count: int) -> Draw:
        return detector_pictures(without_views(cfg), self.open(cfg, "val"), count)

    # -------------------------------------------------------------------------------------------------- inference

    def check_inference(self, cfg: Config) -> None:
        class_thresholds(cfg.infer_score_thr, cfg.coco_classes[1:], "infer_score_thr")
        class_thresholds(cfg.draw_score_thr, cfg.coco_classes[1:], "draw_score_thr")

    def writes(self, cfg: Config) -> str:
        return "json" if cfg.infer_format == "json" else "labels"

    def predictor(self, cfg: Config, model) -> Predict:
        return objects_on(cfg, model, known_category_ids(cfg))

    def infer(self, cfg: Config, model, paths: Sequence[Path], output: Path) -> None:
        names, category_ids = cfg.coco_classes[1:], known_category_ids(cfg)
        least = class_thresholds(cfg.infer_score_thr, names, "infer_score_thr")
        predict = entries_of(objects_on(cfg, model, category_ids))
        write = write_json if cfg.pred_output else None
        if cfg.infer_format != "json":
            write = label_writer(cfg.infer_format, paths, cfg.pred_input, names, category_ids)
        pictures = InferredPictures(cfg, paths) if cfg.draw else None
        facts = {"category_ids": category_ids, "infer_score_thr": named_thresholds(least, names)}
        write_predictions(cfg, paths, output, predict, facts, together(cfg), write, pictures)

    # --------------------------------------------------------------------------------------------- exported files

    def describe(self, cfg: Config) -> dict[str, Any]:
        rcnn = cfg.test_cfg.rcnn
        of_masks = {"mask_threshold": rcnn.mask_thr_binary} if has_masks(cfg) else {}
        return {
            "class_names": cfg.coco_classes[1:],
            "category_ids": known_category_ids(cfg),
            "keep_ratio": bool(cfg.keep_ratio),
            **({"fitted_into": ImageSettings.from_config(cfg).bounds} if has_orientations(cfg) else {}),
            "has_masks": has_masks(cfg),
            **of_masks,
            "score_threshold": rcnn.score_thr,
            "max_detections": rcnn.max_per_img,
        }

    def example_inputs(self, cfg: Config) -> dict[str, dict[str, np.ndarray]]:
        of_file = replace(ImageSettings.from_config(cfg), turns=False, own=0)  # one size, one orientation
        return detector_inputs(of_file, cfg.val_dataset)

    def blank_inputs(self, cfg: Config) -> list[np.ndarray]:
        height, width = cfg.img_height, cfg.img_width
        return [np.zeros((1, 3, height, width), np.float32), np.array([[height, width]], np.int32)]

    def blank_columns(self, cfg: Config) -> dict[str, np.ndarray]:
        image, shape = self.blank_inputs(cfg)
        return {
            "image": image,
            "image_shape": shape,
            "gt_boxes": np.zeros((1, cfg.num_gts, 4), np.float32),
            "gt_labels": np.zeros((1, cfg.num_gts), np.int32),
            "gt_valid": np.zeros((1, cfg.num_gts), bool),
            "gt_masks": np.zeros((1, cfg.num_gts, cfg.img_height, (cfg.img_width + 7) // 8), np.uint8),
            "sample_seed": np.zeros(1, np.int32),
        }

    # ------------------------------------------------------------------------------------------------- inspection

    def headline(self, cfg: Config) -> str:
        return f"{cfg.detector} on {cfg.backbone.type}, {cfg.num_classes - 1} classes"

    def rate_line(self, cfg: Config, images: int) -> str:
        if cfg.opt_type == "adam":
            return super().rate_line(cfg, images)
        usual = USUAL_RATE * images / USUAL_IMAGES
        line = f"{cfg.opt_type}, lr {cfg.lr} ({USUAL_RATE} is usual for {USUAL_IMAGES} images a step"
        return f"{line}, {usual:.5f} for {images})"

    def has_validation(self, cfg: Config) -> bool:
        return bool(detection_source(cfg, "val"))

    def survey(self, cfg: Config, split: str) -> Survey:
        dataset = self.open(cfg, split)
        survey = survey_objects(dataset, (cfg.img_height, cfg.img_width))
        above = dataset.images_above(cfg.num_gts) if split == "train" else 0
        line = f"{above} images have more than num_gts = {cfg.num_gts} objects; the rest is left out"
        return replace(survey, lines=[*survey.lines, line]) if above else survey

    def drawer(self, cfg: Config, split: str) -> Drawer:
        return object_drawer(cfg, self.class_names(cfg))

    def inspect(self, cfg: Config) -> Iterator[Section]:
        train, rules = self.open(cfg, "train"), ImageRules.from_config(cfg)
        fate = "left out of training" if cfg.filter_empty_gt else "kept"
        yield "training data", inspection.annotated_images(train, fate, cfg.num_gts, rules)
        if (is_sampled(cfg) or trains_by_orientation(cfg)) and (lines := sampling_lines(cfg, train)):
            yield "sampling", iter(lines)
        if self.has_validation(cfg):
            yield "validation data", inspection.annotated_images(self.open(cfg, "val"), "kept", rules=rules)
        generator = cfg.rpn.anchor_generator
        threshold = cfg.train_cfg.rpn.assigner.pos_iou_thr
        yield "anchors", inspection.anchor_overlaps(train, (cfg.img_height, cfg.img_width), generator, threshold)
