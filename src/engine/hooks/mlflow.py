"""The run in MLflow, where the package is there."""

from collections.abc import Sequence

from ..curves import Row
from ..run import Epoch, Hook, Run


class Mlflow(Hook):
    """Passes rows and metrics on to the tracking server, on rank 0. UserError at the start without the package."""

    def __init__(self):
        self.record = None

    def on_start(self, run: Run, state) -> None:
        if run.process.is_main:
            from ...integrations.mlflow import MlflowRecord  # an optional package: looked for only where it is wanted

            self.record = MlflowRecord(run.cfg, run.experiment.folder)

    def on_rows(self, run: Run, rows: Sequence[Row]) -> None:
        if self.record:
            self.record.write_losses(rows)

    def on_epoch(self, run: Run, epoch: Epoch) -> None:
        if self.record and epoch.metrics:
            self.record.write_metrics(epoch.row, epoch.best)

    def on_end(self, error: BaseException | None) -> None:
        if self.record:
            self.record.close(error)
