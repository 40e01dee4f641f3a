"""The folder of one training run: resolved configuration, log, losses and their curves."""

import csv
import dataclasses
import datetime
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from src.config import Config, load_config, save_config, to_dict
from src.errors import UserError

logger = logging.getLogger(__name__)

SYSTEM_NAMES = {
    "mask_rcnn": "MaskRCNN", "pointrend": "PointRend", "classification": "HRNetCls", "segmentation": "HRNetSeg",
}  # fmt: skip
FREE_TO_CHANGE = {
    "epoch_size", "max_steps", "run_eval", "eval_every", "log_every", "save_every", "keep_checkpoint_max",
    "keep_best_checkpoints_max", "train_outputs", "resume", "pre_trained", "finetune", "checkpoint_path",
    "prediction_path", "pred_input", "pred_output", "num_parallel_workers", "python_multiprocessing", "test_batch_size",
    "val_dataset", "device_id", "rank_id", "device_target", "mode", "enable_graph_kernel", "analysis",
    "infer_score_thr", "test_cfg", "report_dir", "end_epoch", "eval_mode", "eval_scales", "eval_flip", "eval_stride",
    "eval_width", "eval_height",
}  # fmt: skip


class Experiment:
    """Outputs of one run. On ranks other than 0 (`is_main` False) nothing is written."""

    def __init__(self, folder: Path, is_main: bool):
        self.folder = folder
        self.is_main = is_main
        self.loss_file = folder / "losses.csv"

    def write_losses(self, rows: Sequence[dict[str, float]]) -> None:
        """Append one row a step; the first call writes the header."""
        if not self.is_main or not rows:
            return
        is_new = not self.loss_file.exists()
        with open(self.loss_file, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            if is_new:
                writer.writeheader()
            writer.writerows(rows)

    def read_losses(self) -> list[dict[str, float]]:
        """All rows; a last line that a kill cut off is left out."""
        if not self.loss_file.exists():
            return []
        with open(self.loss_file, newline="", encoding="utf-8") as file:
            rows = []
            for row in csv.DictReader(file):
                try:
                    rows.append({name: float(value) for name, value in row.items()})
                except (TypeError, ValueError):
                    break
        return rows

    def cut_losses(self, last_step: int) -> None:
        """Drop the rows after a global step: a resumed run writes them again."""
        rows = [row for row in self.read_losses() if row["global_step"] <= last_step]
        if self.is_main and self.loss_file.exists():
            self.loss_file.unlink()
            self.write_losses([{name: _plain(value) for name, value in row.items()} for row in rows])

    def plot_losses(self) -> None:
        """losses.png: the total, each loss, and the learning rate on an axis of its own."""
        rows = self.read_losses() if self.is_main else []
        if not rows:
            return
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        steps = [row["global_step"] for row in rows]
        figure, axis = pyplot.subplots(figsize=(9, 5), dpi=110)
        for name in [name for name in rows[0] if name.startswith("loss")]:
            values = _smooth([row[name] for row in rows])
            axis.plot(steps, values, label=name, linewidth=2.2 if name == "loss" else 1.1)
        axis.set_xlabel("step")
        axis.set_ylabel("loss (running mean)")
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        rate_axis = axis.twinx()
        rate_axis.plot(steps, [row["lr"] for row in rows], color="0.6", linestyle="--", linewidth=1, label="lr")
        rate_axis.set_ylabel("learning rate")
        rate_axis.set_ylim(bottom=0)
        lines = axis.get_lines() + rate_axis.get_lines()
        axis.legend(lines, [line.get_label() for line in lines], loc="upper right")
        figure.tight_layout()
        figure.savefig(self.folder / "losses.png")
        pyplot.close(figure)


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


def start_logging(log_file: Path | None = None) -> None:
    """Send this project's log lines to the terminal and, where given, to a file."""
    root = logging.getLogger("src")
    root.setLevel(logging.INFO)
    root.propagate = False
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if log_file is not None:
        handlers.append(logging.FileHandler(log_file, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(_SeedFormatter())
        root.addHandler(handler)


class _SeedFormatter(logging.Formatter):
    """`[2023-08-16T06:57:11.629] INFO: text`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created)
        return f"[{moment.isoformat(timespec='milliseconds')}] {record.levelname}: {record.getMessage()}"


def _check_same_run(cfg: Config, saved_file: Path) -> None:
    saved = to_dict(load_config(str(saved_file)))
    current = to_dict(cfg)
    names = [field.name for field in dataclasses.fields(Config) if field.name not in FREE_TO_CHANGE]
    different = [name for name in names if saved[name] != current[name]]
    if different:
        shown = ", ".join(f"{name} ({saved[name]!r:.40} then, {current[name]!r:.40} now)" for name in different[:4])
        raise UserError(f"{saved_file}: the run to resume was started with another {shown}")


def _smooth(values: list[float], window: int = 20) -> list[float]:
    """Mean of each value and up to `window` - 1 before it."""
    smoothed = []
    for k in range(len(values)):
        part = values[max(0, k - window + 1) : k + 1]
        smoothed.append(sum(part) / len(part))
    return smoothed


def _plain(value: float) -> float | int:
    return int(value) if value == int(value) else value
