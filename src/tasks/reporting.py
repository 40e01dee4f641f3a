"""The part of a task that needs no network: the report of an evaluation, and where it may be written."""

from pathlib import Path
from typing import Any

from ..config import Config
from ..errors import UserError
from ..inference.fonts import FontBook
from ..outputs import Inputs
from ..reports.folder import PAGE, check_report_folder, write_report


class Reporting:
    """name: the value of the key `task`. report_files: names of the files that `report` writes, but for pictures; none
    of a task that has no report. shares_report_dir: the report's folder may hold other files too.
    """

    name: str
    report_files: tuple[str, ...] = ()
    shares_report_dir = False

    def check_report(self, cfg: Config, inputs: Inputs) -> None:
        """UserError, before anything is computed, unless the report can be written into `report_dir`."""
        if not self.report_files:
            raise self._no_report()
        FontBook(cfg.font)
        shared = self.report_files if self.shares_report_dir else ()
        check_report_folder("report_dir", Path(cfg.report_dir), inputs, shared)

    def report(self, cfg: Config, dataset: Any, found: Any, folder: Path) -> dict[str, Any]:
        """Write the page of an evaluation with its tables and pictures into `folder`, which is empty; see `reports/`.

        found: what the task's `score` knows of predictions and scores. Returns the facts for `report.json`, as JSON
        has them: `task`, `metrics`, `protocol` (by name), `classes`, `images` (their number), and the task's own.
        """
        raise self._no_report()

    def _no_report(self) -> UserError:
        return UserError(f"report_dir: task {self.name} has no report")

    def write_report(self, cfg: Config, dataset: Any, found: Any) -> None:
        """The report that `report_dir` asks for; rank 0 calls it at the end of `score`."""
        folder = Path(cfg.report_dir)
        write_report(folder, lambda place: self.report(cfg, dataset, found, place))
        print(f"Report written to {folder / PAGE}", flush=True)
