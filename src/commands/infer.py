"""What infer.py does: one image or a folder of images through a checkpoint, the predictions written down."""

from pathlib import Path

from ..config import Config
from ..errors import UserError
from ..inference.backends import reordered
from ..inference.predictor import find_images
from ..process import runtime
from ..process.compile_cache import compile_once
from ..process.logs import start_logging
from ..tasks import TASKS


def infer(cfg: Config) -> None:
    """Write `cfg.pred_output` for `cfg.pred_input`; unreadable images are named. UserError for wrong input.

    pred_output is a JSON file, or a folder where the task writes files (segmentation: pictures).
    """
    start_logging()
    task = TASKS[cfg.task]
    paths = find_images(cfg.pred_input)
    output = Path(cfg.pred_output)
    if task.writes_folder and output.is_file():
        raise UserError(f"pred_output {output} is a file; give the name of a folder for the pictures")
    if not task.writes_folder and output.is_dir():
        raise UserError(f"pred_output {output} is a folder; give the name of a JSON file")
    cfg, order = task.to_run(cfg)
    process = runtime.start(cfg, may_be_single=True)
    model = task.load(cfg)
    compile_once(cfg, process, model)
    task.infer(cfg, reordered(model, order), paths, output)
