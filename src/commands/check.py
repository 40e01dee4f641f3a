"""The look before the leap: `python -m src.check --config_path C [--checkpoint_path K] [--key value ...]`.

Checks the environment, the configuration, both data sets and the weights, runs a few real training steps, and says how
long the run will take. Exit status 2 with one line where the run could not start.
"""

import contextlib
import logging
import resource
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace

from ..process.command import entry_point
from ..process.threads import share_cores

entry_point(share_cores)()  # before MindSpore is imported

# ruff: noqa: E402
import mindspore as ms
import numpy as np

from ..checkpoint import checkpoint_hash, load_model_weights
from ..config import Config, config_hash
from ..data.decoding import ImageRules
from ..data.formats import image_folder, index, joined
from ..data.near_duplicates import Fingerprint, fingerprints
from ..data.survey import Survey, duplicate_lines, image_sizes
from ..engine.setup import gradient_line, load_start_weights, make_train_step
from ..models.freeze import freeze_parts
from ..ops.library import device_has_custom_ops, library_path, why_no_library
from ..process import runtime
from ..process.logs import PACKAGE, start_logging
from ..process.provenance import provenance
from ..tasks import TASKS, Task
from ..tasks.task import Section
from ..zoo.command_line import parse_cli

TIMED_STEPS = 5
MOST_COMPARED = 1000  # images of a set, evenly: seconds


@entry_point
def main() -> None:
    required = ("train_dataset|train_annotations|mindrecord_dir",)
    cfg = parse_cli(__doc__.splitlines()[0], required=required, command="check")
    start_logging()
    logging.getLogger(PACKAGE).setLevel(logging.WARNING)
    runtime.start(cfg, may_be_single=True)
    with _readers_silent():
        for title, lines in sections(cfg):
            print(f"== {title}")
            for line in lines:
                print(f"   {line}", flush=True)


@contextlib.contextmanager
def _readers_silent() -> Iterator[None]:
    """What is odd about the data is among the lines of the check."""
    loggers = [logging.getLogger(module.__name__) for module in (index, image_folder, joined)]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for one in loggers:
            one.setLevel(logging.NOTSET)


def sections(cfg: Config) -> Iterator[Section]:
    """(title, lines) of every part of the check; the lines are worked out as they are taken."""
    yield "environment", environment(cfg)
    task = TASKS[cfg.task]
    cfg = task.resolved(cfg)
    yield "configuration", configuration(cfg, task)
    yield from task.inspect(cfg)
    if (survey := task.survey(cfg, "train")) is not None:
        yield "image files", image_files(cfg, task, survey)
    yield from _model_sections(cfg, task)


def _model_sections(cfg: Config, task: Task) -> Iterator[Section]:
    model = task.build_model(cfg)
    freeze_parts(model, cfg.frozen_parts)
    yield "weights", weights(cfg, model)
    yield "training step", training_step(cfg, model, task)


def environment(cfg: Config) -> Iterator[str]:
    """Command line, commit, versions and device, as `train.log` has them; compiled operators."""
    yield from provenance(cfg)
    if runtime.slow_convolutions(ms.__version__):
        yield "WARNING: this MindSpore convolves ~100 times too slowly on AVX-512 hosts: set ONEDNN_MAX_CPU_ISA=AVX2"
    if cfg.portable:
        yield "no compiled operators (portable is 1): the framework's own are used"
    elif device_has_custom_ops():
        reason = why_no_library()  # detectors need them, and say so when they are built
        yield f"WARNING: no compiled operators: {reason}" if reason else f"compiled operators: {library_path()}"
    else:
        yield f"no compiled operators for {cfg.device_target}: the framework's own are used"
    yield gradient_line(cfg)


def configuration(cfg: Config, task: Task) -> Iterator[str]:
    """What will be trained, in one look."""
    yield f"{task.headline(cfg)}, config {config_hash(cfg)}"
    images = cfg.batch_size * cfg.device_num * cfg.accumulate_step
    yield f"images {cfg.img_width}x{cfg.img_height}, {images} of them make one optimizer step"
    yield task.rate_line(cfg, images)


def image_files(cfg: Config, task: Task, train: Survey) -> Iterator[str]:
    """Sizes, and pictures that are in the data twice, in training and validation above all."""
    surveys = {"training": train} | ({"validation": task.survey(cfg, "val")} if task.has_validation(cfg) else {})
    sets: dict[str, tuple[Survey, list[Fingerprint | None]]] = {}
    for name, survey in surveys.items():
        step = -(-len(survey.files) // MOST_COMPARED)
        part = replace(survey, files=survey.files[::step])
        sets[name] = part, fingerprints(part.files, cfg.max_image_pixels, ImageRules.from_config(cfg))
        for one in (*image_sizes(sets[name][1]), *survey.distributions):
            yield f"{name}: {one.line()}"
    if any(len(survey.files) > MOST_COMPARED for survey in surveys.values()):
        yield f"{MOST_COMPARED} images of a set are compared with one another; python -m src.commands.browse takes all"
    yield from duplicate_lines(sets)


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
        TASKS[cfg.task].tell_definition(cfg, cfg.checkpoint_path)
        digest = checkpoint_hash(cfg.checkpoint_path)
        yield f"checkpoint_path {cfg.checkpoint_path} fits ({digest}), {len(skipped)} class layers fresh"
    if not named and not cfg.checkpoint_path:
        yield "no weights named: training starts from scratch"
        if cfg.backbone.norm_eval:
            yield "WARNING: backbone.norm_eval keeps the fresh normalisation statistics; from scratch it should be 0"


def training_step(cfg: Config, model, task: Task) -> Iterator[str]:
    """Real steps on real batches: time, memory, losses, forecast."""
    loader = task.make_loader(cfg, 0, 1, 0)
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


if __name__ == "__main__":
    main()
