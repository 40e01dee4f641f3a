"""Semantic segmentation: lists of image and label files, mIoU, label maps as pictures."""

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import nn

from ..config import Config
from ..config.definition import doublings
from ..data import inspection
from ..data.formats.image_list import official_names, unlabelled_images
from ..data.formats.segmentation_list import SegmentationDataset, open_segmentation
from ..data.label_sets import LABEL_SETS, label_set
from ..data.read_ahead import read_ahead
from ..data.sampling import is_sampled
from ..data.segmentation import SegmentationSamples, build_segmentation_loader, pair_sampling
from ..data.survey import Survey, survey_labels
from ..errors import UserError
from ..evaluation.segmentation_eval import SegmentationResult, confusion_matrix, merged, print_result
from ..inference.backends import reordered
from ..inference.bars import bar
from ..inference.draw_inferred import drawing_of
from ..inference.drawing import Drawing
from ..inference.example_inputs import dense_inputs
from ..inference.find import Predict, map_of
from ..inference.output import report_unreadable
from ..inference.sample_pictures import Draw, segmenter_pictures
from ..inference.segment import Scores, exported_size, make_segmenter, scored_label
from ..inference.segment_files import label_pictures, segment_files
from ..inference.sheets import Drawer, label_drawer
from ..models.build_segmentation import build_segmenter, train_columns
from ..outputs import Inputs, check_output_files
from ..process import runtime
from ..process.compile_cache import compile_once
from ..process.log_words import Words
from ..process.runtime import SINGLE, Runtime
from ..reading import is_folder
from ..reports import segmentation as page
from .meaning import in_batches, stated_facts
from .task import GIVE_CHECKPOINT, Section, Task

logger = logging.getLogger(__name__)

WAITING = 4  # images whose scores wait to be counted
MANY_SIZES = 8  # image sizes, each of which compiles the network, from which on a hint is given


class Segmentation(Task):
    """HRNet and other backbones with a head that labels every pixel."""

    name = "segmentation"
    metric = "mIoU"
    reported = ("mIoU", "pixel_acc", "mean_acc")
    epoch_line = (
        "epoch: [{epoch:3d}/{epochs:3d}], epoch time: {milliseconds:.3f}, steps: {steps:5d}, per step time: "
        "{per_step:.3f}, avg loss: {loss:.3f}, lr:[{lr:.6f}]"
    )
    writes_folder = True
    network_sections = ("backbone", "seg_head")
    report_files = page.FILES
    kind_key = "segmenter"

    def run_names(self, cfg: Config) -> tuple[str, ...]:
        return ("HRNetSeg",)

    def words(self, cfg: Config) -> Words:
        return Words(self.name, cfg.log_style, device=cfg.device_target, device_id=cfg.device_id)

    def build_model(self, cfg: Config) -> nn.Cell:
        return build_segmenter(cfg)

    def class_names(self, cfg: Config) -> tuple[str, ...]:
        """The data set's, where it has as many as the network."""
        if cfg.dataset == "custom":
            return tuple(cfg.class_names)
        names = LABEL_SETS[cfg.dataset](cfg).names
        return names if len(names) == cfg.num_classes else ()

    def to_run(self, cfg: Config) -> tuple[Config, tuple[int, ...]]:
        """Label files and pictures keep the configuration's order."""
        own, wanted = self.as_trained(cfg).class_names, list(self.class_names(cfg))
        is_other = own and sorted(own) == sorted(wanted) and own != wanted
        return in_batches(cfg, stated_facts(cfg)), tuple(own.index(name) for name in wanted) if is_other else ()

    def open(self, cfg: Config, split: str) -> SegmentationDataset:
        return open_segmentation(cfg, getattr(cfg, f"{split}_dataset"), split)

    def make_loader(self, cfg: Config, rank: int, size: int, start_step: int) -> Any:
        return build_segmentation_loader(cfg, self.open(cfg, "train"), rank, size, start_step, train_columns(cfg))

    def held_out_samples(self, cfg: Config) -> SegmentationSamples:
        return SegmentationSamples(self.open(cfg, "val"), cfg, train_columns(cfg))

    def input_size(self, cfg: Config) -> tuple[int, int]:
        return exported_size(cfg)

    def score(
        self, cfg: Config, model, dataset: SegmentationDataset, process: Runtime = SINGLE, protocol: dict | None = None
    ) -> dict[str, float]:
        """mIoU and accuracies, printed in the original's form with a protocol of its own; the report, if asked for."""
        started, words = time.perf_counter(), self.words(cfg)
        told = words if protocol is None else None  # not in the midst of training
        share, with_images = process.share(len(dataset)), bool(cfg.report_dir)
        parts = process.gather(segment_dataset(cfg, model, dataset, share, told, with_images))
        if not process.is_main:
            return {}
        result = merged(parts)
        seconds = time.perf_counter() - started
        print(f"Protocol: {protocol_line(cfg)}")
        words.say("samples", count=len(dataset), seconds=seconds, each=seconds / len(dataset))
        print_result(result, dataset.labels.names, words)
        if cfg.report_dir:
            conditions = {"images": len(dataset)} | conditions_of(cfg) | self.origin(cfg, protocol)
            self.write_report(cfg, dataset, (result, conditions))
        return result.metrics()

    def report(
        self, cfg: Config, dataset: SegmentationDataset, found: tuple[SegmentationResult, dict], folder: Path
    ) -> dict[str, Any]:
        """found: the result with the scores of each image, and its protocol."""
        return page.write_segmentation_report(folder, dataset, *found, cfg.font)

    def evaluate(self, cfg: Config) -> dict[str, float]:
        """With `format_only` label pictures of a test set without labels, as its server takes them; no metrics."""
        if not cfg.format_only:
            return super().evaluate(cfg)
        if not cfg.pred_output:
            raise UserError("pred_output is empty: format_only 1 writes label pictures into this folder")
        if not cfg.checkpoint_path:
            raise UserError(f"checkpoint_path is empty: {GIVE_CHECKPOINT}")
        cfg, order = self.to_run(cfg)
        out, source = Path(cfg.pred_output), Path(cfg.val_dataset)
        images = unlabelled_images(cfg)
        pictures = [out / name for name in official_names(images, source if is_folder(source) else source.parent)]
        _check_label_pictures(cfg, images, pictures)
        process = runtime.start(cfg, may_be_single=True)
        model = self.load(cfg)
        compile_once(cfg, process, model)
        share = process.share(len(images))
        own = out.with_name(f"{out.name}.rank{process.rank}of{process.size}") if process.size > 1 else out
        parts = [images[k] for k in share], [pictures[k] for k in share]
        written, unreadable = label_pictures(cfg, reordered(model, order), *parts, out, own)
        report_unreadable(unreadable, cfg.val_dataset, len(share))
        print(f"{sum(process.gather(len(written)))} label pictures written to {out}", flush=True)
        return {}

    def sample_pictures(self, cfg: Config, count: int) -> Draw:
        return segmenter_pictures(cfg, self.open(cfg, "val"), count)

    def predictor(self, cfg: Config, model) -> Predict:
        return map_of(cfg, model)

    def drawing(self, cfg: Config) -> Drawing:
        return drawing_of(cfg, label_set(cfg).palette)

    def infer(self, cfg: Config, model, paths: Sequence[Path], output: Path) -> None:
        """Pictures of every image in the folder `output`."""
        written, unreadable = segment_files(cfg, model, paths, output)
        report_unreadable(unreadable, cfg.pred_input, len(paths))
        for path, pictures in written.items():
            logger.info("%s: %s", path, ", ".join(picture.name for picture in pictures))
        logger.info("%d images written to %s", len(written), output)

    def describe(self, cfg: Config) -> dict[str, Any]:
        labels = label_set(cfg)
        names, colours = list(labels.names), dict(zip(labels.names, labels.palette.tolist()))
        if sorted(cfg.class_names) == sorted(names):  # as the network has them
            names = list(cfg.class_names)
        palette = [colours[name] for name in names]
        return {
            "class_names": names,
            "palette": palette,
            "keep_ratio": bool(cfg.keep_ratio),
            "bilinear": cfg.seg_head.bilinear,
        }

    def load(self, cfg: Config):
        """As every task; an exported file is asked too how its logits are to be enlarged, which is done outside it."""
        model = super().load(cfg)
        theirs = "" if cfg.backend == "mindspore" else model.metadata.get("bilinear", "half_pixel")
        if theirs and theirs != cfg.seg_head.bilinear:
            logger.warning(
                "seg_head.bilinear is %s in the configuration, but %s was exported with %s: run with "
                "--seg_head.bilinear %s",
                cfg.seg_head.bilinear, cfg.checkpoint_path, theirs, theirs,
            )  # fmt: skip
        return model

    def example_inputs(self, cfg: Config) -> dict[str, dict[str, np.ndarray]]:
        return dense_inputs(cfg, self.input_size(cfg), constant=not doublings(cfg))

    def blank_inputs(self, cfg: Config) -> list[np.ndarray]:
        return [np.zeros((1, 3, cfg.img_height, cfg.img_width), np.float32)]

    def survey(self, cfg: Config, split: str) -> Survey:
        return survey_labels(self.open(cfg, split))

    def drawer(self, cfg: Config, split: str) -> Drawer:
        return label_drawer(cfg, label_set(cfg))

    def inspect(self, cfg: Config) -> Iterator[Section]:
        train = self.open(cfg, "train")
        yield "training data", inspection.label_files(train, cfg.ignore_label)
        if is_sampled(cfg) and (lines := pair_sampling(cfg, SegmentationSamples(train, cfg))[1]):
            yield "sampling", iter(lines)
        if self.has_validation(cfg):
            yield "validation data", inspection.label_files(self.open(cfg, "val"), cfg.ignore_label)


def _check_label_pictures(cfg: Config, images: Sequence[Path], pictures: Sequence[Path]) -> None:
    """UserError, before anything is computed, unless the pictures can be written and replace no input."""
    files = [("checkpoint_path", Path(cfg.checkpoint_path)), *(("an image of val_dataset", path) for path in images)]
    source = Path(cfg.val_dataset)
    folder = ("val_dataset", source if is_folder(source) else source.parent)
    check_output_files("pred_output", Path(cfg.pred_output), pictures, Inputs(tuple(files), (folder,)))


def segment_dataset(
    cfg: Config,
    model,
    dataset: SegmentationDataset,
    indices: Sequence[int] | None = None,
    words: Words | None = None,
    with_images: bool = False,
) -> SegmentationResult:
    """Run the network over the entries `indices` (all of them by default). words: of whom there may be a line an image.
    with_images: the result has the scores of each image too.

    A sample whose label has another size than its image is left out and named, as in training.
    """
    labels = dataset.labels
    segmenter = make_segmenter(cfg, model, labels)
    result = SegmentationResult.empty(len(labels.names), with_images)
    sizes: set[tuple[int, ...]] = set()
    indices = range(len(dataset)) if indices is None else indices

    def read(index: int) -> tuple[int, np.ndarray | None, np.ndarray | None]:
        image, label = dataset.read(index)
        return index, image, scored_label(cfg, label)

    def scored() -> Iterator[tuple[int, Scores, np.ndarray]]:
        workers = max(cfg.num_parallel_workers, 1)
        for index, image, label in read_ahead(read, indices, workers, ahead=workers):
            if words is not None:
                words.say("image", number=index)
            if image is None or label is None:
                result.add_unreadable(dataset.why_unreadable(index), label, cfg.ignore_label, index)
                continue
            sizes.add(image.shape)
            if len(sizes) == MANY_SIZES and cfg.keep_ratio and cfg.eval_mode == "whole":
                print(f"{MANY_SIZES} sizes of images: each compiles the network anew; --eval_mode slide does not")
            yield index, segmenter.scores(image), label

    def count(item: tuple[int, Scores, np.ndarray]) -> np.ndarray:
        index, scores, label = item
        predicted = scores.label_map(label.shape)
        confusion = confusion_matrix(label, predicted, len(labels.names), cfg.ignore_label)
        if result.images is not None:
            result.images.add(index, confusion, label, predicted)
        return confusion

    with bar(len(indices)) as progress:
        for confusion in read_ahead(count, scored(), workers=1, ahead=WAITING, name="count"):
            result.confusion += confusion
            progress.update()
    return result


def protocol_line(cfg: Config) -> str:
    """Under which conditions the scores were made, in one line."""
    found = conditions_of(cfg)
    return "{dataset}, {size}, scales {scales}, flip {flip}, scored {scored}".format(**found)


def conditions_of(cfg: Config) -> dict[str, Any]:
    """The same by name."""
    size = "whole images" if cfg.keep_ratio else f"stretched to {cfg.img_width}x{cfg.img_height}"
    if cfg.eval_mode == "slide":
        windows = f"windows of {cfg.img_width}x{cfg.img_height}, stride {cfg.eval_stride:g}"
        size = windows if cfg.keep_ratio else f"{size}, {windows}"
    scales = ", ".join(f"{scale:g}" for scale in cfg.eval_scales)
    is_own = cfg.keep_ratio or cfg.eval_label_size == "own"
    scored = "at the labels' own size" if is_own else "at that size, labels stretched too"
    return {"dataset": cfg.dataset, "size": size, "scales": scales, "flip": int(cfg.eval_flip), "scored": scored}
