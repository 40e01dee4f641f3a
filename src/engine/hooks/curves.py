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


class EpochLosses(Hook):
    """epochs.csv, a row an epoch with its mean loss, for runs that do not evaluate each one (metrics.csv has those).

    A resumed run writes it again from losses.csv, so that it has the epochs before too, whatever was evaluated then.
    """

    def on_start(self, run: Run, state) -> None:
        self.table, self.written = CsvTable(run.experiment.folder / "epochs.csv"), 0
        if not run.process.is_main:
            return
        self.table.path.unlink(missing_ok=True)
        steps: dict[float, list[Row]] = {}
        for row in CsvTable(run.experiment.folder / "losses.csv").read():
            if row["global_step"] <= run.done:
                steps.setdefault(row["epoch"], []).append(row)
        whole = [rows for rows in steps.values() if rows[-1]["step"] == run.schedule.steps_per_epoch]
        losses = [counted_losses(rows) for rows in whole]
        self._append([(rows[-1], sum(own) / max(len(own), 1)) for rows, own in zip(whole, losses)])

    def on_epoch(self, run: Run, epoch: Epoch) -> None:
        if run.process.is_main and epoch.global_step > self.written:
            self._append([(epoch.row, epoch.loss)])

    def _append(self, epochs: Sequence[tuple[Row, float]]) -> None:
        """epochs: the last row of each, or one like it, and the mean loss."""
        place = ("epoch", "global_step")
        rows = [{name: int(last[name]) for name in place} | {"train_loss": loss} for last, loss in epochs]
        self.table.append(rows)
        self.written = max((row["global_step"] for row in rows), default=0)


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
