"""What infer.py does: one image or a folder of images through a checkpoint, the predictions written down."""

import os
from pathlib import Path

from ..config import Config
from ..errors import UserError
from ..inference.backends import reordered
from ..inference.find_images import find_images
from ..inference.label_files import with_text_names
from ..process import runtime
from ..process.compile_cache import compile_once
from ..process.logs import start_logging
from ..tasks import TASKS
from .places import check_labels, check_pictures, check_predictions

CHECKS = {"pictures": check_pictures, "labels": check_labels}


def infer(cfg: Config) -> None:
    """Write `cfg.pred_output` for `cfg.pred_input`; unreadable images are named. UserError for wrong input.

    pred_output is a JSON file, or a folder where the task writes files (pictures, label files). A run that was stopped
    or killed has left `NAME.part`, from which the same command goes on.
    """
    start_logging()
    task = TASKS[cfg.task]
    output = Path(cfg.pred_output)
    kind = task.writes(cfg)
    paths = find_images(cfg.pred_input, cfg.recursive, [output] if kind == "pictures" else [])
    if kind != "json" and os.path.isfile(output):
        what = "pictures" if kind == "pictures" else "label files"
        raise UserError(f"pred_output {output} is a file; give the name of a folder for the {what}")
    if kind == "json" and os.path.isdir(output):
        raise UserError(f"pred_output {output} is a folder; give the name of a JSON file")
    if kind == "labels":
        paths = with_text_names(cfg.infer_format, paths, cfg.pred_input, output)
    if kind == "json":
        check_predictions(cfg)
    else:
        CHECKS[kind](cfg, paths)
    cfg, order = task.to_run(cfg)
    task.check_inference(cfg)
    process = runtime.start(cfg, may_be_single=True)
    model = task.load(cfg)
    compile_once(cfg, process, model)
    task.infer(cfg, reordered(model, order), paths, output)
