"""The look before the leap: `python -m src.check --config_path C [--checkpoint_path K] [--key value ...]`.

Checks the environment, the configuration, both data sets and the weights, runs a few real training steps, and says how
long the run will take. Exit status 2 with one line where the run could not start.
"""

import logging
import platform
import resource
import statistics
import time
from collections import Counter
from collections.abc import Iterator

import cv2
import mindspore as ms
import numpy as np

from ..checkpoint import checkpoint_hash, load_model_weights
from ..config import Config, config_hash, parse_cli
from ..data.formats.coco import CocoDataset, coco_folder, open_coco
from ..data.imagenet import ImageFolder, open_image_folder, read_rgb
from ..data.pipeline import read_image, unreadable_reason
from ..data.segmentation import SegmentationDataset, open_segmentation
from ..engine.setup import load_start_weights, make_train_step
from ..engine.tasks import TASKS
from ..models.build import build_model
from ..models.detection.anchors import level_anchors
from ..ops.library import device_has_custom_ops, library_path
from ..process import runtime
from ..process.command import entry_point
from ..process.logs import PACKAGE, start_logging

MAX_FILES_READ = 500  # images opened to look for unreadable ones
TIMED_STEPS = 5


@entry_point
def main() -> None:
    cfg = parse_cli(__doc__.splitlines()[0], required=("train_dataset|mindrecord_dir",))
    start_logging()
    logging.getLogger(PACKAGE).setLevel(logging.WARNING)
    runtime.start(cfg, may_run_alone=True)
    for title, lines in sections(cfg):
        print(f"== {title}")
        for line in lines:
            print(f"   {line}", flush=True)


def sections(cfg: Config) -> Iterator[tuple[str, Iterator[str]]]:
    """(title, lines) of every part of the check; the lines are worked out as they are taken."""
    yield "environment", environment(cfg)
    yield "configuration", configuration(cfg)
    yield from DATA_SECTIONS[cfg.task](cfg)
    yield from _model_sections(cfg)


def _coco_sections(cfg: Config) -> Iterator[tuple[str, Iterator[str]]]:
    train = open_coco(cfg, "train")
    yield "training data", data_set(cfg, train, is_train=True)
    if coco_folder(cfg, "val"):
        val = open_coco(cfg, "val")
        yield "validation data", data_set(cfg, val, is_train=False)
    yield "anchors", anchors(cfg, train)


def _folder_sections(cfg: Config) -> Iterator[tuple[str, Iterator[str]]]:
    yield "training data", image_folder(open_image_folder(cfg, cfg.train_dataset))
    if cfg.val_dataset:
        yield "validation data", image_folder(open_image_folder(cfg, cfg.val_dataset))


def _segmentation_sections(cfg: Config) -> Iterator[tuple[str, Iterator[str]]]:
    yield "training data", label_files(open_segmentation(cfg, cfg.train_dataset, "train"), cfg.ignore_label)
    if cfg.val_dataset:
        yield "validation data", label_files(open_segmentation(cfg, cfg.val_dataset, "val"), cfg.ignore_label)


DATA_SECTIONS = {
    "detection": _coco_sections, "classification": _folder_sections, "segmentation": _segmentation_sections,
}  # fmt: skip


def _model_sections(cfg: Config) -> Iterator[tuple[str, Iterator[str]]]:
    model = build_model(cfg)
    yield "weights", weights(cfg, model)
    yield "training step", training_step(cfg, model)


def environment(cfg: Config) -> Iterator[str]:
    """Versions, device, compiled operators."""
    yield f"Python {platform.python_version()}, MindSpore {ms.__version__}"
    yield f"numpy {np.__version__}, OpenCV {cv2.__version__}"
    yield f"device {cfg.device_target}, mode {cfg.mode}"
    if runtime.slow_convolutions(ms.__version__):
        yield "WARNING: this MindSpore convolves ~100 times too slowly on AVX-512 hosts: set ONEDNN_MAX_CPU_ISA=AVX2"
    if device_has_custom_ops():
        yield f"compiled operators: {library_path()}"
    else:
        yield f"no compiled operators for {cfg.device_target}: the framework's own are used"


def configuration(cfg: Config) -> Iterator[str]:
    """What will be trained, in one look."""
    if cfg.task == "detection":
        yield f"{cfg.detector} on {cfg.backbone.type}, {cfg.num_classes - 1} classes, config {config_hash(cfg)}"
    else:
        yield f"{cfg.task} with {cfg.backbone.type}, {cfg.num_classes} classes, config {config_hash(cfg)}"
    images = cfg.batch_size * cfg.device_num * cfg.accumulate_step
    yield f"images {cfg.img_width}x{cfg.img_height}, {images} of them make one optimizer step"
    if cfg.task == "detection" and cfg.opt_type != "adam":
        usual = 0.02 * images / 16
        yield f"{cfg.opt_type}, lr {cfg.lr} (0.02 is usual for 16 images a step, {usual:.5f} for {images})"
    else:
        yield f"{cfg.opt_type}, lr {cfg.lr} for {images} images a step"


def data_set(cfg: Config, dataset: CocoDataset, is_train: bool) -> Iterator[str]:
    """Counts, class balance, and whatever is odd."""
    records = [dataset.record(i) for i in range(len(dataset))]
    objects = [item for record in records for item in record.objects]
    crowds = dataset.report.crowds
    yield f"{dataset.annotation_file}: {len(records)} images, {len(objects)} objects, {crowds} of them crowds"
    yield f"category ids {_shorten(dataset.category_ids)}"
    counts = Counter(dataset.classes[item.label] for item in objects if not item.crowd)
    ranked = counts.most_common()
    if ranked:
        yield f"most frequent {ranked[0][0]} ({ranked[0][1]}), least frequent {ranked[-1][0]} ({ranked[-1][1]})"
    never = [name for name in dataset.classes if not counts[name]]
    if never:
        yield f"WARNING: {len(never)} classes never occur: {_shorten(never)}"
    yield from dataset.report.lines()
    if dataset.report.empty_images:
        fate = "left out of training" if is_train and cfg.filter_empty_gt else "kept"
        yield f"{len(dataset.report.empty_images)} images show no object: {fate}"
    above = dataset.images_above(cfg.num_gts)
    if above and is_train:
        yield f"WARNING: {above} images have more than num_gts = {cfg.num_gts} objects; the rest is left out"
    step = max(1, len(records) // MAX_FILES_READ)
    looked_at = records[::step]
    bad = [f"{record.path.name}: {unreadable_reason(record)}" for record in looked_at if read_image(record) is None]
    yield f"{len(looked_at)} image files opened, {len(bad)} unreadable{': ' + _shorten(bad) if bad else ''}"


def image_folder(dataset: ImageFolder) -> Iterator[str]:
    """Counts, class balance, unreadable files."""
    counts = Counter(dataset.classes[label] for _, label in dataset.images)
    ranked = counts.most_common()
    yield f"{dataset.folder}: {len(dataset)} images in {len(dataset.classes)} classes: {_shorten(dataset.classes)}"
    yield f"most images: {ranked[0][0]} ({ranked[0][1]}), least: {ranked[-1][0]} ({ranked[-1][1]})"
    empty = [name for name in dataset.classes if not counts[name]]
    if empty:
        yield f"WARNING: {len(empty)} classes have no image: {_shorten(empty)}"
    looked_at = dataset.images[:: max(1, len(dataset) // MAX_FILES_READ)]
    bad = [path for path, _ in looked_at if read_rgb(path) is None]
    yield f"{len(looked_at)} image files opened, {len(bad)} unreadable{': ' + _shorten(bad) if bad else ''}"


def label_files(dataset: SegmentationDataset, ignore_label: int) -> Iterator[str]:
    """Counts, class balance by pixels, image sizes, unreadable files."""
    names = dataset.labels.names
    yield f"{dataset.list_file}: {len(dataset)} samples, {len(dataset.missing)} files missing"
    looked_at = range(0, len(dataset), max(1, len(dataset) // MAX_FILES_READ))
    pixels, sizes, bad = np.zeros(256, np.int64), Counter(), []
    for index in looked_at:
        image, label = dataset.read_image(index), dataset.read_label(index)
        if image is None or label is None or image.shape[:2] != label.shape:
            bad.append(dataset.why_unreadable(index))
            continue
        pixels += np.bincount(label.ravel(), minlength=256)
        sizes[label.shape[::-1]] += 1
    yield f"{len(looked_at)} samples read, {len(bad)} unusable{': ' + _shorten(bad) if bad else ''}"
    if sizes:
        (width, height), _ = sizes.most_common(1)[0]
        yield f"{len(sizes)} sizes of images, most often {width}x{height}"
    share = pixels / max(int(pixels.sum()), 1)
    order = np.argsort(-share[: len(names)], kind="stable")
    yield f"most pixels: {names[order[0]]} ({share[order[0]]:.1%}), least: {names[order[-1]]} ({share[order[-1]]:.2%})"
    yield f"ignored pixels: {share[ignore_label]:.1%}"
    never = [name for name, count in zip(names, pixels) if not count]
    if never:
        yield f"WARNING: {len(never)} classes have no pixel: {_shorten(never)}"


def weights(cfg: Config, model) -> Iterator[str]:
    """Parameters, and whether the named checkpoints fit."""
    count = sum(int(np.prod(parameter.shape)) for parameter in model.get_parameters())
    learning = sum(int(np.prod(parameter.shape)) for parameter in model.trainable_params())
    yield f"{count:,} numbers in the checkpoint, {learning:,} of them learn"
    load_start_weights(cfg, model)
    named = [
        (key, path)
        for key, path in (("backbone.pretrained", cfg.backbone.pretrained), ("pre_trained", cfg.pre_trained))
        if path
    ]
    for key, path in named:
        yield f"{key} {path} fits ({checkpoint_hash(path)})"
    if cfg.checkpoint_path:
        skipped = load_model_weights(model, cfg.checkpoint_path, finetune=cfg.finetune)
        digest = checkpoint_hash(cfg.checkpoint_path)
        yield f"checkpoint_path {cfg.checkpoint_path} fits ({digest}), {len(skipped)} class layers fresh"
    if not named and not cfg.checkpoint_path:
        yield "no weights named: training starts from scratch"
        if cfg.backbone.norm_eval:
            yield "WARNING: backbone.norm_eval keeps the fresh normalisation statistics; from scratch it should be 0"


def anchors(cfg: Config, dataset: CocoDataset) -> Iterator[str]:
    """How many objects some anchor overlaps well, at the training size."""
    generator = cfg.rpn.anchor_generator
    sides, shapes = [], level_anchors((1, 1), 1, generator.scales, generator.ratios)
    for i in range(len(dataset)):
        record = dataset.record(i)
        scale = min(cfg.img_width / record.width, cfg.img_height / record.height)
        sides += [((b[2] - b[0]) * scale, (b[3] - b[1]) * scale) for b in (item.box for item in record.objects)]
    if not sides:
        return
    box = np.array(sides)[:, None]
    base = np.concatenate([stride * (shapes[:, 2:] - shapes[:, :2]) for stride in generator.strides])[None]
    overlap = np.minimum(box, base).prod(2)
    best = (overlap / (box.prod(2) + base.prod(2) - overlap)).max(1)  # IoU with a centred anchor: an upper bound
    threshold = cfg.train_cfg.rpn.assigner.pos_iou_thr
    yield f"{(best >= threshold).mean():.0%} of the objects can reach IoU {threshold} with an anchor (upper bound)"
    side = np.sqrt(np.array(sides).prod(1))
    small = np.quantile(side, 0.05)
    yield f"object sides in the network's input: median {np.median(side):.0f} px, 5% below {small:.0f} px"
    if small < min(generator.strides):
        yield "WARNING: 5% of the objects are smaller than one cell of the finest level; consider larger images"


def training_step(cfg: Config, model) -> Iterator[str]:
    """Real steps on real batches: time, memory, losses, forecast."""
    loader = TASKS[cfg.task].make_loader(cfg, 0, 1, 0)
    step, _ = make_train_step(cfg, model, loader.steps_per_epoch)
    started = time.perf_counter()
    times, waits, losses = [], [], ()
    mark = started
    for number, batch in enumerate(loader):
        waits.append(time.perf_counter() - mark)
        mark = time.perf_counter()
        losses = [float(loss.asnumpy()) for loss in step(*batch)]
        times.append(time.perf_counter() - mark)
        if number == TIMED_STEPS:
            break
        mark = time.perf_counter()
    yield f"first step with compilation {times[0]:.1f} s"
    per_step = statistics.median(times[1:] or times)
    wait = statistics.median(waits[1:] or waits)
    yield f"then {per_step:.3f} s a step, of which the data pipeline makes the network wait {wait:.3f} s more"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    yield f"peak memory of this process {peak:.1f} GiB"
    yield "losses " + ", ".join(f"{name} {value:.4f}" for name, value in zip(model.loss_names, losses))
    if not np.isfinite(losses).all():
        yield "WARNING: a loss is not finite"
    steps = cfg.epoch_size * max(loader.steps_per_epoch // cfg.device_num, 1)
    hours = steps * (per_step + wait) / 3600
    yield f"forecast: {steps:,} steps in {cfg.epoch_size} epochs, about {hours:.1f} hours plus evaluations"


def _shorten(items: list, shown: int = 8) -> str:
    return ", ".join(map(str, items[:shown])) + (", ..." if len(items) > shown else "")


if __name__ == "__main__":
    main()
