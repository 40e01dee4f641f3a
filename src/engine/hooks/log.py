"""The log's lines of losses and epochs, and the bar in a terminal."""

import logging
import math
import sys
import time

from tqdm import tqdm

from ..loss_scale import counted_losses
from ..pace import Span
from ..progress import progress
from ..run import Epoch, Hook, Run

logger = logging.getLogger(__name__)

BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"  # tqdm's own end would count compilation
REDRAWN = 0.5  # seconds after which what stands behind the bar is worked out anew


class LossLog(Hook):
    """A line with the mean loss since the one before: every `every` steps of an epoch and at the end of the run.

    Where an epoch has fewer steps, at the end of each. Behind the original's words stands how the run gets on.
    """

    def __init__(self, every: int):
        self.every = every
        self.window: list[float] = []  # total losses since the last line
        self.figures: dict[str, list[float]] = {}  # what the step gives beside them
        self.since = Span()  # the run's pace at that line

    def on_step(self, run: Run, losses) -> None:
        every = min(self.every, run.schedule.steps_per_epoch)
        is_line = run.step_of_epoch % every == 0 or run.finished
        if not is_line:
            return
        run.fetch_rows()
        mean = sum(self.window) / len(self.window) if self.window else math.nan  # each of the steps has overflowed
        rate = run.schedule.rate(run.done)
        tail = [f"{name}: {sum(values) / len(values):.6g}" for name, values in self.figures.items()]
        tail += progress(run, self.since)
        words = "epoch: %d, step: %d, loss: %.6f,  lr: %.6f, %s"
        logger.info(words, run.epoch, run.step_of_epoch, mean, rate, ", ".join(tail))
        self.window, self.figures, self.since = [], {}, run.pace.total

    def on_rows(self, run: Run, rows) -> None:
        self.window += counted_losses(rows)
        for name in run.step.figures:
            self.figures.setdefault(name, []).extend(row[name] for row in rows)


class EpochLog(Hook):
    """The task's line at the end of an epoch. last: number of the last epoch."""

    def __init__(self, last: int):
        self.last = last

    def on_epoch(self, run: Run, epoch: Epoch) -> None:
        logger.info(run.task.epoch_line.format(**self.facts(run, epoch)))

    def facts(self, run: Run, epoch: Epoch) -> dict[str, float]:
        """What the line may name."""
        return {
            "epoch": epoch.number,
            "epochs": self.last,
            "steps": epoch.steps,
            "milliseconds": 1000 * epoch.seconds,
            "per_step": 1000 * epoch.seconds / max(epoch.steps, 1),
            "loss": epoch.loss,
            "lr": run.schedule.rate(run.done),
        }


class ProgressBar(Hook):
    """A bar over the run's steps, where a person looks on; behind it how the run gets on, and the last loss fetched.

    It is away while an epoch is told, since evaluations print.
    """

    def on_start(self, run: Run, state) -> None:
        self.is_watched = sys.stderr.isatty() and run.process.is_main and not run.finished
        self.bar = tqdm(
            total=run.last, initial=run.done, disable=not self.is_watched, dynamic_ncols=True, bar_format=BAR
        )
        self.loss, self.told_at = "", 0.0
        self.since, self.fetched = Span(), Span()  # the pace when losses were fetched the last time but one, and last

    def on_rows(self, run: Run, rows) -> None:
        self.loss, self.told_at = f"loss: {rows[-1]['loss']:.4f}", 0.0
        self.since, self.fetched = self.fetched, run.pace.total

    def on_step(self, run: Run, losses) -> None:
        if self.is_watched and time.monotonic() - self.told_at > REDRAWN:
            parts = progress(run, self.since)
            self.bar.set_postfix_str(", ".join([self.loss, *parts] if self.loss else parts), refresh=False)
            self.told_at = time.monotonic()
        self.bar.disable = not self.is_watched
        self.bar.update()

    def on_epoch(self, run: Run, epoch: Epoch) -> None:
        self.bar.clear()
        if run.finished:  # nothing is left to come
            self.bar.set_postfix_str(self.loss, refresh=False)
        self.bar.disable = True

    def on_end(self, error) -> None:
        self.bar.disable = not self.is_watched
        self.bar.close()
