"""The log's lines of losses, epochs and evaluations in the words of the MindSpore originals (`log_style: original`)."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..curves import CsvTable, Row
from ..pace import Span
from ..progress import progress
from ..run import Epoch, Hook, Run
from .log import EpochLog

logger = logging.getLogger(__name__)

EVERY = 20  # steps between pointrend's lines


class OriginalLossLog(Hook):
    """pointrend's line every 20 steps of an epoch, MaskRCNN_resnet50's after each step in the file loss_0.log of the
    run's folder, which is its state: a resumed run cuts off what came after the checkpoint. The others have none.

    every: steps after which losses are fetched where there is no line, and after which a line of this project's own
    says how the run gets on: behind the originals' words, which are theirs to the last digit, it would be in the way.
    """

    def __init__(self, every: int):
        self.every, self.lines_every, self.started = every, every, time.time()
        self.since = Span()  # the run's pace at its last line
        self.path: Path | None = None
        self.size = 0

    def on_start(self, run: Run, state: Mapping[str, np.ndarray]) -> None:
        self.words = run.task.words(run.cfg)
        if self.words.has("step_in_file") and run.process.is_main:
            self.path, self.size = run.experiment.folder / f"loss_{run.process.rank}.log", int(state.get("size", 0))
            self._append("")
        self.every = 1 if self.path else EVERY if self.words.has("step") else self.every

    def on_step(self, run: Run, losses) -> None:
        if run.step_of_epoch % self.every == 0 or run.finished:
            run.fetch_rows()
        if run.step_of_epoch % min(self.lines_every, run.schedule.steps_per_epoch) == 0 or run.finished:
            run.fetch_rows()
            logger.info(", ".join(progress(run, self.since)))
            self.since = run.pace.total

    def on_rows(self, run: Run, rows: Sequence[Row]) -> None:
        seconds = int(time.time() - self.started)
        for row in rows:
            facts = {"seconds": seconds, "epoch": row["epoch"], "step": row["step"], "loss": row["loss"]}
            if row["step"] % EVERY == 0:
                self.words.log("step", **facts)
            self._append(self.words.line("step_in_file", **facts))

    def state(self) -> dict[str, np.ndarray]:
        return {"size": np.asarray(self.size)} if self.path else {}

    def _append(self, line: str) -> None:
        """A run goes on without a log that cannot be written; that is said once."""
        if self.path is None:
            return
        try:
            with open(self.path, "ab") as file:
                file.truncate(self.size)
                file.write(f"{line}\n".encode() if line else b"")
                self.size = file.tell() if line else self.size
        except OSError as error:
            logger.warning("%s cannot be written (%s)", self.path, error.strerror)
            self.path = None


class OriginalEpochLog(EpochLog):
    """An epoch's line, then the line of its evaluation."""

    def on_start(self, run: Run, state: Mapping[str, np.ndarray]) -> None:
        self.words, self.best = run.task.words(run.cfg), 0.0
        if run.process.is_main:
            rows = CsvTable(run.experiment.folder / "metrics.csv").read()
            before = [row.get(run.task.metric) for row in rows if row["global_step"] <= run.done]
            self.best = max((value for value in before if value is not None), default=0.0)

    def on_epoch(self, run: Run, epoch: Epoch) -> None:
        if self.words.has("epoch"):
            self.words.log("epoch", **self.facts(run, epoch))
        else:
            super().on_epoch(run, epoch)
        if epoch.metrics and run.process.is_main:
            self.best = max(self.best, epoch.metrics[run.task.metric])
            self.words.log("evaluated", epoch=epoch.number, best=self.best, **epoch.metrics)
