"""What infer.py does: one image or a folder of images through a checkpoint, the predictions written down."""

import os
from pathlib import Path

from ..config import Config
from ..errors import UserError
from ..inference.backends import reordered
from ..inference.find_images import find_images
from ..process import runtime
from ..process.compile_cache import compile_once
from ..process.logs import start_logging
from ..tasks import TASKS
from .places import check_pictures, check_predictions


def infer(cfg: Config) -> None:
    """Write `cfg.pred_output` for `cfg.pred_input`; unreadable images are named. UserError for wrong input.

    pred_output is a JSON file, or a folder where the task writes files (segmentation: pictures). A run that was stopped
    or killed has left `NAME.part`, from which the same command goes on.
    """
    start_logging()
    task = TASKS[cfg.task]
    output = Path(cfg.pred_output)
    paths = find_images(cfg.pred_input, cfg.recursive, [output] if task.writes_folder else [])
    if task.writes_folder and os.path.isfile(output):
        raise UserError(f"pred_output {output} is a file; give the name of a folder for the pictures")
    if not task.writes_folder and os.path.isdir(output):
        raise UserError(f"pred_output {output} is a folder; give the name of a JSON file")
    if task.writes_folder:
        check_pictures(cfg, paths)
    else:
        check_predictions(cfg)
    cfg, order = task.to_run(cfg)
    task.check_inference(cfg)
    process = runtime.start(cfg, may_be_single=True)
    model = task.load(cfg)
    compile_once(cfg, process, model)
    task.infer(cfg, reordered(model, order), paths, output)
