import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from src.inference.results import ImagePrediction, to_coco_results, to_json, to_prediction
from src.models.detection.detections import Detections

CATEGORY_IDS = [7, 90]


def example() -> ImagePrediction:
    """Three slots of a network's output, the middle one unused; the image was 200 x 100, resized to 80 x 50."""
    boxes = np.asarray([[8, 5, 40, 45], [0, 0, 1, 1], [0, 0, 80, 50]], np.float32)
    scores = np.asarray([0.9, 0.8, 0.7], np.float32)
    valid = np.asarray([True, False, True])
    masks = np.ones((3, 28, 28), np.float32)
    slots = Detections(boxes, scores, np.asarray([1, 0, 0]), valid, masks)
    return to_prediction(slots, (0.4, 0.5), (100, 200), 0.5)


def test_only_valid_slots_remain_in_pixels_of_the_image():
    prediction = example()
    assert len(prediction) == 2
    assert np.allclose(prediction.boxes, [[20, 10, 100, 90], [0, 0, 200, 100]])
    assert prediction.labels.tolist() == [1, 0]
    assert prediction.scores == pytest.approx([0.9, 0.7])
    filled = coco_mask.decode(prediction.masks[0])
    assert filled.shape == (100, 200)
    assert filled[11:89, 21:99].all() and filled.sum() <= 80 * 80


def test_coco_results_carry_the_data_sets_own_category_ids():
    first, second = to_coco_results(example(), 4711, CATEGORY_IDS)
    assert (first["image_id"], first["category_id"], second["category_id"]) == (4711, 90, 7)
    assert first["bbox"] == pytest.approx([20, 10, 80, 80])
    assert first["segmentation"]["size"] == [100, 200]
    assert json.loads(json.dumps([first, second])) == [first, second]


@pytest.mark.parametrize("category_ids,expected", [(CATEGORY_IDS, 90), (None, "unknown")])
def test_inference_json_has_the_documented_structure(category_ids, expected):
    entry = to_json(example(), ["square", "bar"], category_ids)
    assert json.loads(json.dumps(entry)) == entry
    assert (entry["height"], entry["width"], len(entry["predictions"])) == (100, 200, 2)
    first = entry["predictions"][0]
    assert list(first) == ["bbox", "class", "mask", "score"]
    assert first["bbox"] == pytest.approx({"x_min": 20, "y_min": 10, "width": 80, "height": 80})
    assert first["class"] == {"label": 1, "category_id": expected, "name": "bar"}
    assert set(first["mask"]) == {"size", "counts"} and isinstance(first["mask"]["counts"], str)


@pytest.mark.parametrize("style", ["continuous", "pixels"])
def test_a_detector_without_masks_has_none_in_either_json_form(style):
    slots = Detections(np.float32([[8, 5, 40, 45], [0, 0, 80, 50]]), np.float32([0.9, 0.2]), np.asarray([1, 0]),
                       np.asarray([True, True]))  # fmt: skip
    prediction = to_prediction(slots.of_image(slice(None)), (0.4, 0.5), (100, 200), 0.5, style)
    assert prediction.masks is None and len(prediction) == 2 and prediction.above(0.5).masks is None
    last = style == "pixels"  # the last pixel belongs to the box
    (result,) = to_coco_results(prediction.above(0.5), 4711, CATEGORY_IDS)
    assert result == {"image_id": 4711, "category_id": 90, "score": pytest.approx(0.9),
                      "bbox": pytest.approx([20, 10, 80 + last, 80 + last])}  # fmt: skip
    first, second = to_json(prediction, ["square", "bar"], CATEGORY_IDS)["predictions"]
    assert set(first) == set(second) == {"bbox", "class", "score"} and first["class"]["name"] == "bar"


def test_no_detections_are_a_normal_result():
    slots = Detections(np.zeros((5, 4)), np.zeros(5), np.zeros(5), np.zeros(5, bool), np.zeros((5, 28, 28)))
    empty = to_prediction(slots, (1, 1), (30, 40), 0.5)
    assert len(empty) == 0 and empty.boxes.shape == (0, 4)
    assert to_coco_results(empty, 1, CATEGORY_IDS) == []
    assert to_json(empty, ["square"], None) == {"height": 30, "width": 40, "predictions": []}


def test_a_threshold_may_be_that_of_each_class():
    prediction = example()  # class 1 with 0.9, class 0 with 0.7
    assert prediction.above(0.8).labels.tolist() == [1]
    assert prediction.above([0.6, 0.95]).labels.tolist() == [0]
    score = float(prediction.scores[1])  # as a report has it, of float32
    assert prediction.above([score, 1.0]).labels.tolist() == [0]
    assert prediction.above([np.nextafter(score, 1), 1.0]).labels.tolist() == []
