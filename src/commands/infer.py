"""What infer.py does: images or a video through a checkpoint, the predictions written down and drawn."""

import logging
import os
from pathlib import Path
from typing import Any

from ..config import Config
from ..data.decoding import ImageRules
from ..data.video import Source, open_video
from ..errors import UserError
from ..inference.backends import reordered
from ..inference.inputs import find_inputs
from ..inference.label_files import with_text_names
from ..inference.video_predictions import Outputs, write_video_predictions
from ..process import runtime
from ..process.compile_cache import compile_once
from ..process.logs import start_logging
from ..tasks import TASKS
from ..tasks.task import Task
from .places import check_drawn, check_labels, check_pictures, check_predictions, check_video

logger = logging.getLogger(__name__)

CHECKS = {"json": check_predictions, "pictures": check_pictures, "labels": check_labels}
OF_VIDEO = ("frame_step", "max_frames")


def infer(cfg: Config) -> None:
    """Write `cfg.pred_output`, and pictures into `cfg.draw`, for `cfg.pred_input`; unreadable images are named.

    UserError for wrong input. pred_output is a JSON file, or a folder where the task writes files (pictures, label
    files); of a video a file of JSON lines. A run that was stopped or killed has left `NAME.part`, from which the same
    command goes on.
    """
    start_logging()
    task = TASKS[cfg.task]
    folders = [cfg.draw, cfg.pred_output if task.writes(cfg) == "pictures" else ""]
    given = find_inputs(cfg, [Path(folder) for folder in folders if folder])
    if given.video is not None:
        _infer_video(cfg, task, given.video)
        return
    paths = _checked(cfg, task, given.images)
    cfg, model = _loaded(cfg, task)
    task.infer(cfg, model, paths, Path(cfg.pred_output or cfg.draw))


def _infer_video(cfg: Config, task: Task, source: Source) -> None:
    if cfg.infer_format != "json":
        raise UserError(f"infer_format {cfg.infer_format} is for images; of a video there are lines of JSON")
    if "recursive" in cfg.typed:
        logger.warning("keys without effect: recursive (pred_input is a video)")
    check_video(cfg, source)
    _tell_form(cfg, ".json", "a line of JSON for each frame, as .jsonl says")
    with open_video(source, cfg.max_image_pixels, ImageRules.from_config(cfg).upright) as video:
        cfg, model = _loaded(cfg, task)
        how = task.predictor(cfg, model), task.drawing(cfg), Outputs.from_config(cfg, source), task.describe(cfg)
        write_video_predictions(cfg, video, *how)


def _loaded(cfg: Config, task: Task) -> tuple[Config, Any]:
    """The configuration to go on with, and its network, ready to run."""
    cfg, order = task.to_run(cfg)
    task.check_inference(cfg)
    process = runtime.start(cfg, may_be_single=True)
    model = task.load(cfg)
    compile_once(cfg, process, model)
    return cfg, reordered(model, order)


def _checked(cfg: Config, task: Task, paths: list[Path]) -> list[Path]:
    """The images that are to be run on. UserError unless everything can be written and replaces no input."""
    output, kind = Path(cfg.pred_output), task.writes(cfg)
    if typed := sorted(cfg.typed.intersection(OF_VIDEO)):
        logger.warning("keys without effect: %s (pred_input is no video)", ", ".join(typed))
    if not cfg.pred_output and kind == "labels":
        raise UserError(f"pred_output is empty: infer_format {cfg.infer_format} writes label files into this folder")
    if kind != "json" and os.path.isfile(output):
        what = "pictures" if kind == "pictures" else "label files"
        raise UserError(f"pred_output {output} is a file; give the name of a folder for the {what}")
    if kind == "json" and cfg.pred_output and os.path.isdir(output):
        raise UserError(f"pred_output {output} is a folder; give the name of a JSON file")
    if kind == "json":
        _tell_form(cfg, ".jsonl", "one JSON object of all images, as .json says; lines are of videos")
    if kind == "labels":
        paths = with_text_names(cfg.infer_format, paths, cfg.pred_input, output)
    if cfg.pred_output:
        CHECKS[kind](cfg, paths)
    if cfg.draw:
        check_drawn(cfg, paths)
    return paths


def _tell_form(cfg: Config, suffix: str, what: str) -> None:
    """Say what is written where the name of `pred_output` promises another form. Any name will do."""
    if Path(cfg.pred_output).suffix.lower() == suffix:
        logger.warning("pred_output %s gets %s", cfg.pred_output, what)
