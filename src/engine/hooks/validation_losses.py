"""The losses of training on held-out data."""

import logging
import time

import numpy as np
from mindspore import Tensor, nn

from ...data.held_losses import loss_batches
from ...process.compile_cache import compile_once
from ..run import Epoch, Hook, Run
from .evaluation import as_evaluated

logger = logging.getLogger(__name__)


class HeldOutLosses(nn.Cell):
    """The losses of `model` with all its parts in evaluation mode: statistics stay, nothing is dropped.

    By the contract of networks the outermost one alone asks whether it is to return losses or outputs.
    """

    def __init__(self, model: nn.Cell):
        super().__init__(auto_prefix=False)
        self.model = model

    def construct(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The model's `train_columns` -> its losses; to be called by `of`."""
        return self.model(*inputs)

    def of(self, batch: tuple[np.ndarray, ...]) -> np.ndarray:
        """The losses of one batch of the model, which is in evaluation mode before and after."""
        self.model.add_flags(training=True)  # not those of its parts
        try:
            losses = self(*map(Tensor, batch))
        finally:
            self.model.add_flags(training=False)
        return np.float64([float(loss.asnumpy()) for loss in losses])


class ValidationLosses(Hook):
    """After each evaluation: `val_loss` and `val_NAME` of every loss, among the epoch's metrics and in the log.

    Each is the mean over the held-out images that can be read, of all ranks, prepared without augmentation: batches of
    `test_batch_size` count by their images, those that are left one by one. With the weights that are evaluated: the
    moving average, if one is kept. Random choices within the graph follow from seed and image, the same each time.
    """

    def on_start(self, run: Run, state) -> None:
        if run.finished and not run.owes_epoch:
            return
        self.samples = run.task.held_out_samples(run.cfg)
        self.network = HeldOutLosses(run.model)
        compile_once(run.cfg, run.process, self.network)

    def on_epoch(self, run: Run, epoch: Epoch) -> None:
        if not epoch.metrics:
            return
        started = time.perf_counter()
        names = ("loss", *run.model.loss_names)
        sums = np.zeros(1 + len(run.model.loss_names))  # images, then each loss times its images
        entries = run.process.share(len(self.samples.keys))
        with as_evaluated(run):
            for batch, images in loss_batches(run.cfg, self.samples, entries):
                sums += images * np.append(1.0, self.network.of(batch))
        images, *totals = run.process.sum_arrays(sums).tolist()
        means = [total / images if images else float("nan") for total in totals]
        losses = {f"val_{name}": value for name, value in zip(names, [sum(means), *means])}
        epoch.metrics.update(losses)
        if run.process.is_main:
            shown = ", ".join(f"{name}: {value:.6f}" for name, value in losses.items())
            milliseconds = 1000 * (time.perf_counter() - started)
            logger.info("Losses on %d held-out images: %s (%.3f ms)", images, shown, milliseconds)
