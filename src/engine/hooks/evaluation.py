"""Metrics in the midst of training, and the weights that gave the best."""

import contextlib
import logging
import time
from collections.abc import Iterator

from ..run import Epoch, Hook, Run

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def as_evaluated(run: Run) -> Iterator[None]:
    """While active, the model is in evaluation mode, with the moving average of its weights if one is kept.

    Each rank has running statistics of its own batches; evaluated and saved are those of rank 0.
    """
    run.model.set_train(False)
    with run.step.averaged():
        run.copy_from_main([one for one in run.model.get_parameters() if not one.requires_grad])
        yield
    run.model.set_train(True)


class Evaluation(Hook):
    """Evaluates every `every` epochs, counted from epoch `start`, and at the end of the run; with the moving average of
    the weights, if one is kept.

    The metrics go to the log and, for the hooks behind this one, into the epoch.
    """

    def __init__(self, every: int, start: int = 0):
        self.every, self.start = every, start

    def is_due(self, run: Run) -> bool:
        """Whether an evaluation follows the epoch that the step just done has ended."""
        return run.finished or (run.epoch >= self.start and (run.epoch - self.start) % self.every == 0)

    def left(self, epoch: int, last: int) -> int:
        """How many evaluations follow the epochs from `epoch` to the `last` one of the run."""
        first = max(epoch, self.start)
        if first > last:
            return 1
        count = (last - self.start) // self.every - (first - 1 - self.start) // self.every
        return count + ((last - self.start) % self.every > 0)

    def on_epoch(self, run: Run, epoch: Epoch) -> None:
        if not self.is_due(run):
            return
        started = time.perf_counter()
        with as_evaluated(run):
            metrics = run.evaluate(run.model)
        run.pace.evaluation = time.perf_counter() - started
        epoch.metrics.update(run.process.from_main(metrics))
        if not run.process.is_main:
            return
        logger.info("Eval epoch time: %.3f ms", 1000 * (time.perf_counter() - started))
        reported = {name: epoch.metrics[name] for name in run.task.reported if name in epoch.metrics}
        reported |= {"loss": epoch.loss}
        logger.info("Result metrics for epoch %d: %s", epoch.number, dict(sorted(reported.items())))


class BestWeights(Hook):
    """Keeps the weights of the best evaluations by the task's metric, as they were evaluated."""

    def on_epoch(self, run: Run, epoch: Epoch) -> None:
        if not epoch.metrics or not run.process.is_main:
            return
        run.fetch_rows()  # no weights after a bad step are ever written
        best = run.experiment.best
        with run.step.averaged():
            path = best.save(run.model, run.task.metric, epoch.metrics[run.task.metric], epoch.number)
        epoch.best = best.top()
        if path:  # it may be kept without being the best
            logger.info("Best checkpoint so far: %s", epoch.best)
