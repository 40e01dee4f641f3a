"""The numbers of a run as CSV files and pictures. A resumed run cuts off the rows that it writes again."""

from collections.abc import Sequence

from ..curves import CsvTable, Row, plot_losses, plot_metrics
from ..loss_scale import counted_losses
from ..run import Epoch, Hook, Run


class LossCurves(Hook):
    """losses.csv, a row a step, and losses.png."""

    def on_start(self, run: Run, state) -> None:
        self.table = CsvTable(run.experiment.folder / "losses.csv")
        if run.process.is_main:
            self.table.cut(run.done)

    def on_rows(self, run: Run, rows: Sequence[Row]) -> None:
        if run.process.is_main:
            self.table.append(rows)

    def on_epoch(self, run: Run, epoch: Epoch) -> None:
        rows = self.table.read() if run.process.is_main else []
        if rows:
            plot_losses([row for row in rows if counted_losses([row])], run.experiment.folder / "losses.png")


class MetricCurves(Hook):
    """metrics.csv, a row an evaluation, and metrics.png with the metrics that the task reports, as far as there are."""

    def on_start(self, run: Run, state) -> None:
        self.table = CsvTable(run.experiment.folder / "metrics.csv")
        if run.process.is_main:
            self.table.cut(run.done - run.owes_epoch)

    def on_epoch(self, run: Run, epoch: Epoch) -> None:
        if epoch.metrics and run.process.is_main:
            self.table.append([epoch.row])
            names = [name for name in run.task.reported if name in epoch.metrics]
            plot_metrics(self.table.read(), names, run.experiment.folder / "metrics.png")
