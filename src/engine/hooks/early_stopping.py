"""A run that no longer gets better ends."""

import logging
import math
from collections.abc import Mapping

import numpy as np

from ..run import Epoch, Hook, Run

logger = logging.getLogger(__name__)


class EarlyStopping(Hook):
    """Ends the run after `patience` evaluations in a row of which none was better than the best before them.

    Better is a larger value of the task's metric; one that is no number is not. Every rank hears the same metrics and
    keeps the same count, which goes into the checkpoints: a resumed run ends at the evaluation at which an
    uninterrupted one does. Where the checkpoint has no count (`patience` was 0), counting begins.
    """

    def __init__(self, patience: int):
        self.patience = patience
        self.best, self.best_epoch, self.count = -math.inf, 0, 0

    def resume(self, run: Run, state: Mapping[str, np.ndarray]) -> None:
        """Before any hook is started: a run that has ended by this count is complete, unless `patience` is larger."""
        self.best, self.best_epoch = float(state.get("best", -math.inf)), int(state.get("best_epoch", 0))
        self.count = int(state.get("count", 0))
        if self.count >= self.patience and not run.owes_epoch:
            run.last = min(run.last, run.done)
            logger.info("%s; a larger --patience goes on, or 0", self._reason(run, "The run stopped early"))

    def on_epoch(self, run: Run, epoch: Epoch) -> None:
        if not epoch.metrics:
            return
        value = epoch.metrics[run.task.metric]
        if value > self.best:
            self.best, self.best_epoch, self.count = value, epoch.number, 0
            return
        self.count += 1
        if self.count >= self.patience:
            if not run.finished:
                logger.info(self._reason(run, "Early stopping"))
            run.last = run.done

    def state(self) -> dict[str, np.ndarray]:
        return {
            "best": np.float64(self.best),
            "best_epoch": np.int64(self.best_epoch),
            "count": np.int64(self.count),
        }

    def _reason(self, run: Run, what: str) -> str:
        best = f"{self.best:.4f} after epoch {self.best_epoch}" if self.best_epoch else "no number yet"
        return f"{what}: {self.count} evaluations in a row without gain of {run.task.metric}; the best is {best}"
