"""The run in TensorBoard, where a package that writes its files is there."""

from collections.abc import Sequence

from ..curves import CsvTable, Row
from ..run import Epoch, Hook, Run

FOLDER = "tb"  # in that of the run


class Tensorboard(Hook):
    """Event files of rank 0: `train/` with every column of losses.csv, `eval/` with every metric, `epoch/train_loss`,
    and the sample pictures as `pictures/`.

    A resumed run says from which step on it writes again. UserError at the start without the package.
    """

    def __init__(self):
        self.record = None

    def on_start(self, run: Run, state) -> None:
        if not run.process.is_main:
            return
        from ...integrations.tensorboard import TensorboardRecord  # an optional package: only where it is wanted

        again = int(run.owes_epoch)  # the last step's metrics may be there already: it is written anew, with its losses
        self.record = TensorboardRecord(run.experiment.folder / FOLDER, run.done - again)
        if again:
            rows = CsvTable(run.experiment.folder / "losses.csv").read()
            self.on_rows(run, [row for row in rows if row["global_step"] == run.done])

    def on_rows(self, run: Run, rows: Sequence[Row]) -> None:
        if self.record:
            self.record.write_losses(rows)

    def on_epoch(self, run: Run, epoch: Epoch) -> None:
        if self.record:
            self.record.write_epoch(epoch.global_step, epoch.loss, epoch.metrics)
            self.record.write_pictures(epoch.global_step, epoch.pictures)

    def on_end(self, error: BaseException | None) -> None:
        if self.record:
            self.record.close()
