"""Two reports of each task, for what compares them."""

import csv
from pathlib import Path

import numpy as np

from src.config import default_config
from src.data.decoding import USUAL_RULES
from src.data.formats.image_folder import ImageFolder
from src.data.images import MAX_PIXELS
from src.evaluation.classification_eval import ClassificationResult
from src.evaluation.classification_images import ImageOutcome
from src.evaluation.segmentation_eval import SegmentationResult, confusion_matrix
from src.reports.classification import write_classification_report
from src.reports.folder import write_report
from src.reports.segmentation import write_segmentation_report
from src.tasks import TASKS
from src.tasks.detection_scores import Predicted
from tests.pages.test_page import Reader
from tests.reports.four_images import IMAGES, SQUARE

LAST = (14, SQUARE, (30, 30, 30, 30), 0.85)  # the square that nothing finds in the first report
A, B, C, D = IMAGES.values()


def write_detection(folder: Path, dataset, found: list[dict]) -> Path:
    cfg = default_config(["--report_dir", str(folder), "--analysis", "1"])
    TASKS["detection"].score_results(cfg, dataset, Predicted(found, {"size": "100x100", "checkpoint": "<i>"}, ()))
    return folder


NAMES = ["cat <b>'x'", 'dog, "d" 猫', "never"]
OUTCOMES = [  # (truth, prediction of the first report, its probability, of the second) of each image
    (0, 0, 0.9, 0, 0.8), (0, 1, 0.3, 0, 0.6), (1, 1, 0.7, 1, 0.7), (1, 1, 0.8, 0, 0.1), (1, 0, 0.2, 1, 0.9),
]  # fmt: skip


def write_classification(folder: Path, dataset: ImageFolder, which: int) -> Path:
    confusion, images = np.zeros((3, 3), np.int64), []
    for index, one in enumerate(OUTCOMES):
        label, predicted, share = one[0], *one[1 + 2 * which : 3 + 2 * which]
        confusion[label, predicted] += 1
        images.append(ImageOutcome(index, label, predicted, share if label == predicted else 1 - share, share, True))
    result = ClassificationResult(confusion, 0.5, np.trace(confusion) / 5, 1.0, 0, images)
    write_report(folder, lambda new: write_classification_report(new, dataset, result, {}, "", MAX_PIXELS, USUAL_RULES))
    return folder


def rows(folder: Path, file: str) -> list[list[str]]:
    with (folder / file).open(newline="", encoding="utf-8") as opened:
        return list(csv.reader(opened))


def numbers(cells: list[str]) -> list[float | None]:
    return [float(cell) if cell else None for cell in cells]


def shown(folder: Path) -> list[str]:
    return Reader((folder / "index.html").read_text(encoding="utf-8")).texts


PIXELS = {  # label, then prediction of both reports
    "i #1%.png": ([[0, 0, 1, 1], [0, 0, 1, 255]], [[0, 0, 1, 0], [0, 0, 1, 1]], [[0, 0, 1, 1], [0, 0, 1, 1]]),
    "<b>.png": ([[0, 0], [1, 1]], [[0, 0], [1, 1]], [[0, 0], [0, 1]]),
    "ignored.png": ([[255, 255]], [[0, 0]], [[1, 1]]),
}


def write_segmentation(folder: Path, dataset, which: int, *, images: tuple[int, ...] = (0, 1, 2)) -> Path:
    result = SegmentationResult.empty(3, with_images=True)
    for index in images:
        label, predicted = (np.uint8(one) for one in list(PIXELS.values())[index][:: which + 1][:2])
        confusion = confusion_matrix(label, predicted, 3, 255)
        result.confusion += confusion
        result.images.add(index, confusion, label, predicted)
    write_report(folder, lambda new: write_segmentation_report(new, dataset, result, {}, ""))
    return folder
