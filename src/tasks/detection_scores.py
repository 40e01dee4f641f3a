"""A detector's predictions against the truth: metrics, analysis, report. No network is needed for it, nor MindSpore."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Config, has_masks
from ..data.formats import open_detection
from ..data.formats.fields import Id
from ..data.formats.index import DetectionIndex
from ..evaluation.coco_eval import score_predictions
from ..evaluation.detection_analysis import analyse_detections, format_analysis
from ..evaluation.detection_report import DetectionReport, report_of
from ..inference.prediction_file import load_notes, load_predictions
from ..inference.tiles import TILES
from ..reports import detection as page
from .reporting import Reporting

RULE = "resize"  # key of the protocol


@dataclass(frozen=True)
class Predicted:
    """COCO results, what they depend on, and the images of which there are none because they could not be read."""

    results: list[dict]
    protocol: dict
    unreadable: Sequence[Id] = ()


class DetectionScoring(Reporting):
    """What scores predictions of a data set, wherever they come from."""

    name = "detection"
    report_files = page.FILES

    def open(self, cfg: Config, split: str) -> DetectionIndex:
        return open_detection(cfg, split)

    def evaluate(self, cfg: Config) -> dict[str, float]:
        """Metrics of the predictions in `cfg.prediction_path`."""
        return self.evaluate_saved(cfg, self.open(cfg, "val"))

    def evaluate_saved(self, cfg: Config, dataset: DetectionIndex) -> dict[str, float]:
        """The same where the data set is open already."""
        print(f"Evaluating the predictions in {cfg.prediction_path}; the network is not run.")
        path = cfg.prediction_path
        found = Predicted(load_predictions(path, dataset), *load_notes(path))
        return self.score_results(cfg, dataset, found)

    def score_results(self, cfg: Config, dataset: DetectionIndex, found: Predicted) -> dict[str, float]:
        """Metrics of COCO results, printed with their protocol, the analysis and the report where they are asked for.
        """
        protocol = {key: found.protocol[key] for key in sorted(found.protocol, key=lambda key: key == RULE)}
        scores = score_predictions(dataset, found.results, protocol, has_masks(cfg), all_count=TILES in protocol)
        report = report_of(scores, dataset.classes, found.results) if cfg.report_dir else None
        if cfg.analysis and not all("bbox" in result for result in found.results):
            print("No error analysis: it needs a box of every prediction.")
        elif cfg.analysis:
            analysis = report.analysis if report else analyse_detections(dataset, found.results)
            print(format_analysis(analysis), flush=True)
        if report:
            self.write_report(cfg, dataset, (report, found))
        return scores.metrics

    def report(
        self, cfg: Config, dataset: DetectionIndex, found: tuple[DetectionReport, Predicted], folder: Path
    ) -> dict[str, Any]:
        numbers, predicted = found
        left = page.left_lines(numbers, dataset, predicted.unreadable)
        return page.write_detection_report(folder, cfg, dataset, numbers, predicted.results, left)


def evaluate_saved(cfg: Config, dataset: DetectionIndex) -> dict[str, float]:
    """Metrics of the predictions in `cfg.prediction_path`."""
    return DetectionScoring().evaluate_saved(cfg, dataset)
