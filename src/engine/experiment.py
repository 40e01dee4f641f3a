"""The folder of one training run: resolved configuration, log, losses and their curves."""

import datetime
import logging
from collections.abc import Sequence
from pathlib import Path

from ..config import Config, differences, load_config, save_config
from ..errors import UserError
from ..process.logs import start_logging
from .curves import CsvTable, Row, plot_losses, plot_metrics

logger = logging.getLogger(__name__)

SYSTEM_NAMES = {
    "mask_rcnn": "MaskRCNN", "pointrend": "PointRend", "classification": "HRNetCls", "segmentation": "HRNetSeg",
}  # fmt: skip
MOST_SHOWN = 4  # keys of another configuration that a message names


class Experiment:
    """Outputs of one run. On ranks other than 0 (`is_main` False) nothing is written."""

    def __init__(self, folder: Path, is_main: bool):
        self.folder = folder
        self.is_main = is_main
        self.losses = CsvTable(folder / "losses.csv")
        self.metrics = CsvTable(folder / "metrics.csv")

    def write_losses(self, rows: Sequence[Row]) -> None:
        """Append one row a step to losses.csv."""
        if self.is_main:
            self.losses.append(rows)

    def write_metrics(self, row: Row, shown: Sequence[str]) -> None:
        """Append the row of an evaluation to metrics.csv; metrics.png shows the metrics `shown`."""
        if self.is_main:
            self.metrics.append([row])
            plot_metrics(self.metrics.read(), shown, self.folder / "metrics.png")

    def cut_curves(self, last_step: int) -> None:
        """Drop the rows after a global step: a resumed run writes them again."""
        if self.is_main:
            self.losses.cut(last_step)
            self.metrics.cut(last_step)

    def plot_losses(self) -> None:
        """losses.png: the total, each loss, and the learning rate on an axis of its own."""
        rows = self.losses.read() if self.is_main else []
        if rows:
            plot_losses(rows, self.folder / "losses.png")


def open_experiment(cfg: Config, is_main: bool) -> Experiment:
    """Make `TRAIN_OUT/<yymmdd>_<system>_<brief>/`, or with `resume` find the newest one of this name.

    UserError if a new run would go into a folder that holds a run already, or if a resumed one has another
    configuration where that matters.
    """
    outputs = Path(cfg.train_outputs)
    system = cfg.detector if cfg.task == "detection" else cfg.task
    name = f"{SYSTEM_NAMES.get(system, system)}_{cfg.brief}"
    folder = outputs / f"{datetime.date.today():%y%m%d}_{name}"
    if cfg.resume:
        older = sorted(path for path in outputs.glob(f"*_{name}") if path.is_dir() and path.name[6:] == f"_{name}")
        folder = older[-1] if older else folder
    elif is_main and (folder / "config.yaml").exists():
        raise UserError(f"{folder} holds a run already: go on with it by --resume 1, or give another --brief")
    if is_main:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"train_outputs: cannot make {folder}: {error.strerror}") from None
        start_logging(folder / "train.log")
        if cfg.resume and (folder / "config.yaml").exists():
            _check_same_run(cfg, folder / "config.yaml")
        elif cfg.resume:
            logger.info("nothing to resume in %s: starting afresh", outputs)
        save_config(cfg, str(folder / "config.yaml"))
    return Experiment(folder, is_main)


def _check_same_run(cfg: Config, saved_file: Path) -> None:
    different = [one for one in differences(load_config(str(saved_file)), cfg) if one.on_resume == "same"]
    if different:
        shown = [f"{name} ({then!r:.40} then, {now!r:.40} now)" for name, then, now, _ in different[:MOST_SHOWN]]
        shown += [f"{len(different) - MOST_SHOWN} more"] if len(different) > MOST_SHOWN else []
        raise UserError(f"{saved_file}: the run to resume was started with another {', '.join(shown)}")
