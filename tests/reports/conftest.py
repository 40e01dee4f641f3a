"""Two reports of each task, once a file."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from src.data.formats.image_folder import ImageFolder
from src.data.formats.segmentation_list import open_segmentation
from tests.evaluation.tiny import detection
from tests.reports.four_images import results, write_data
from tests.reports.test_segmentation_report import config as segmentation_config
from tests.reports.two_reports import (
    LAST,
    NAMES,
    OUTCOMES,
    PIXELS,
    write_classification,
    write_detection,
    write_segmentation,
)


@pytest.fixture(scope="module")
def detection_reports(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("<i>detection")
    dataset = write_data(folder / "data")
    more = [*results(), detection(*LAST)]
    return write_detection(folder / "r1", dataset, results()), write_detection(folder / "r2", dataset, more)


@pytest.fixture(scope="module")
def classification_reports(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("classification")
    for k, one in enumerate(OUTCOMES):
        (folder / "data" / NAMES[one[0]]).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "data" / NAMES[one[0]] / f"{k} #%.png"), np.full((20, 20, 3), 40 * k, np.uint8))
    (folder / "data" / NAMES[2]).mkdir()
    dataset = ImageFolder(folder / "data", NAMES)
    return tuple(write_classification(folder / f"r{k + 1}", dataset, k) for k in range(2))


@pytest.fixture(scope="module")
def segmentation_reports(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("segmentation")
    (folder / "val.lst").write_text("".join(f"{name}\tl{k}.png\n" for k, name in enumerate(PIXELS)))
    for k, (name, (label, *_)) in enumerate(PIXELS.items()):
        cv2.imwrite(str(folder / name), np.zeros((*np.shape(label), 3), np.uint8))
        cv2.imwrite(str(folder / f"l{k}.png"), np.uint8(label))
    dataset = open_segmentation(segmentation_config(), folder, "val")
    return tuple(write_segmentation(folder / f"r{k + 1}", dataset, k) for k in range(2))
