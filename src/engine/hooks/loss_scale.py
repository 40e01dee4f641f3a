"""The log's lines of a dynamic loss scale."""

import logging
from collections.abc import Sequence

from ..curves import Row
from ..loss_scale import OVERFLOW
from ..run import Hook, Run

logger = logging.getLogger(__name__)


class LossScaleLog(Hook):
    """A line for each overflow, numbered through the run, and one where the scale has grown."""

    def __init__(self):
        self.before = 0.0  # the last row's scale, 0 where there is none, or where it overflowed

    def on_rows(self, run: Run, rows: Sequence[Row]) -> None:
        count = int(run.step.scaler.overflows.asnumpy()) - int(sum(row[OVERFLOW] for row in rows))
        for row in rows:
            where, scale = (row["epoch"], row["step"]), row["loss_scale"]
            if 0 < self.before < scale:
                logger.info("epoch: %d, step: %d, loss scale %g -> %g", *where, self.before, scale)
            if row[OVERFLOW]:
                count += 1
                text = "epoch: %d, step: %d, overflow %d of the run: no update, loss scale %g -> %g"
                logger.warning(text, *where, count, scale, scale / 2)
            self.before = 0.0 if row[OVERFLOW] else scale
