"""Images that are not what their entry in the label file says: training and evaluation leave them out alike."""

import struct

import cv2
import numpy as np
import pytest

from src.data.formats.coco import read_coco
from src.data.images import labelled_bgr
from src.errors import UserError
from src.evaluation.coco_eval import evaluate_predictions
from src.inference.prediction_file import load_predictions, save_predictions
from tests.data.tiny import CLASSES, square
from tests.data.truth import entry, learned, perfect_results, scored, truth_of


def turned_jpeg(image: np.ndarray, orientation: int) -> bytes:
    """A JPEG with an EXIF entry that says how it is to be turned."""
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    entry = struct.pack("<HHI", 0x0112, 3, 1) + struct.pack("<HH", orientation, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


@pytest.mark.parametrize(("orientation", "is_used"), [(1, False), (3, False), (6, True), (8, True)])
def test_an_image_of_another_size_takes_no_part_unless_an_exif_turn_explains_it(
    coco_folder, make_config, orientation, is_used, caplog
):
    folder = coco_folder([(12, 20), (20, 12)], [square(1, (2, 2, 6, 6)), square(2, (2, 2, 6, 6))])
    (folder / "data" / "1.png").write_bytes(turned_jpeg(np.full((12, 20, 3), 90, np.uint8), orientation))
    dataset = read_coco(folder, CLASSES)
    assert learned(dataset, make_config(num_gts=8)) == scored(dataset)
    assert list(dataset.coco.imgs) == ([1, 2] if is_used else [2])
    assert ("1.png has 20 x 12 pixels, its entry 12 x 20" in caplog.text) == (not is_used)
    record = dataset.record(0)
    assert (labelled_bgr(record.path, record.height, record.width) is not None) == is_used


@pytest.mark.parametrize("name", ["\0", "x" * 300, "nowhere.png"])
def test_a_name_that_no_file_can_have_is_a_missing_image(coco_folder, name):
    images = [entry(1) | {"file_name": name}, entry(2, 2)]
    dataset = read_coco(coco_folder([(20, 12)] * 2, [square(1, (2, 2, 6, 6))], images=images), CLASSES)
    assert dataset.training_indices(filter_empty=False) == [1]
    assert len(truth_of(dataset)) == 1 and labelled_bgr(dataset.record(0).path, 12, 20) is None


def test_predictions_on_an_image_of_another_size_are_left_out_with_it(coco_folder, tmp_path, capsys):
    folder = coco_folder([(20, 12), (20, 12)], [square(1, (2, 2, 6, 6)), square(2, (2, 2, 6, 6))])
    save_predictions(tmp_path / "p.json", perfect_results(read_coco(folder, CLASSES)))
    cv2.imwrite(str(folder / "data" / "1.png"), np.zeros((9, 9, 3), np.uint8))
    dataset = read_coco(folder, CLASSES)
    results = load_predictions(tmp_path / "p.json", dataset)
    assert [one["image_id"] for one in results] == [2]
    assert evaluate_predictions(dataset, results, {})["bbox_mAP"] == pytest.approx(1)
    assert "Protocol: images 1" in capsys.readouterr().out


@pytest.mark.parametrize("value", [None, "wide", "nan", -3, 0, [20], 1e30, 10**40, True])
@pytest.mark.parametrize("side", ["width", "height"])
def test_an_image_without_a_size_is_an_error_that_names_it(coco_folder, side, value):
    with pytest.raises(UserError, match=f"image 1 has {side} .*must be a number of pixels from 1 to 1,000,000"):
        read_coco(coco_folder([(20, 12)], [], images=[entry(1) | {side: value}]), CLASSES)
