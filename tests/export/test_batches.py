"""Files that take several images at once: what goes into the check, and what comes out of them."""

import numpy as np
import pytest

from src.config import load_config
from src.export.parity import batches_of
from src.inference.backends import _of_images, open_model, run_model
from src.tasks import TASKS
from src.tasks.meaning import in_batches
from tests.export.test_detectors import KEYS, Exported, assert_same_detections
from tests.models.test_any_backbone import TINY, overrides

DETECTION = TASKS["detection"]


def test_each_batch_of_the_check_begins_with_its_own_image_and_goes_on_with_the_others():
    cases = {name: {"image": np.full((1, 2), value)} for value, name in enumerate("abc")}
    assert batches_of(cases, 1) is cases
    found = {name: one["image"][:, 0].tolist() for name, one in batches_of(cases, 2).items()}
    assert found == {"a": [0, 1], "b": [1, 2], "c": [2, 0]}
    assert batches_of(cases, 5)["b"]["image"][:, 0].tolist() == [1, 2, 0, 1, 2]


def test_detections_of_several_images_are_put_into_the_slots_of_each():
    boxes = np.float32([[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]])
    scores, labels, owner = np.float32([0.9, 0.8, 0.7]), np.int64([1, 2, 3]), np.int64([0, 2, 2])
    boxes, scores, labels, valid = _of_images((boxes, scores, labels, owner), 2, 3)
    assert boxes[..., 3].tolist() == [[1, 0], [0, 0], [2, 3]] and labels.tolist() == [[1, 0], [0, 0], [2, 3]]
    assert valid.tolist() == [[True, False], [False, False], [True, True]]
    np.testing.assert_array_equal(scores, np.float32([[0.9, 0], [0, 0], [0.8, 0.7]]))


def test_batches_are_as_long_as_the_file_takes_them_unless_another_length_is_typed():
    cfg = load_config(TINY, ["--backend", "onnx"])
    assert in_batches(cfg, {"batch": 3}).test_batch_size == 3 and in_batches(cfg, {}) is cfg
    assert (
        in_batches(load_config(TINY, ["--backend", "onnx", "--test_batch_size", "1"]), {"batch": 3}).test_batch_size
        == 1
    )
    assert in_batches(load_config(TINY, []), {"batch": 3}).test_batch_size == cfg.test_batch_size


@pytest.fixture(scope="module", params=["mask_rcnn", "pointrend"])
def detector(request, tmp_path_factory):
    keys = [*KEYS, *overrides("resnet", request.param), "--img_height", "96", "--test_cfg.rcnn.max_per_img", "25"]
    return Exported(tmp_path_factory.mktemp("batch"), keys)


@pytest.mark.slow
def test_a_detectors_file_of_two_images_gives_its_detections_for_three(graph_mode, detector):
    formats = ("onnx", "mindir") if detector.network.mask_head.kind == "fcn" else ("onnx",)
    for file_format in formats:
        detector.export(file_format.upper(), "two", "--export_batch", "2")
    cases = DETECTION.example_inputs(detector.config("mindspore", "model.ckpt"))
    first, other, nothing = cases.values()
    three = {name: np.concatenate([one[name] for one in (first, nothing, other)]) for name in first}
    for file_format in formats:
        model = open_model(detector.folder / f"two.{file_format}", file_format)
        assert [port.shape[0] for port in model.inputs] == [2, 2] and model.metadata["batch"] == 2
        found = run_model(model, *three.values())
        assert not found[3][1].any()
        for place, inputs in ((0, first), (2, other)):
            own = tuple(one[place : place + 1] for one in found)
            assert_same_detections(detector.network, lambda *_, own=own: tuple(map(Wrapped, own)), inputs, 10, 1e-3)
        cfg = in_batches(detector.config(file_format, f"two.{file_format}"), model.metadata)
        assert cfg.test_batch_size == 1  # which is typed


class Wrapped:
    """An array as a network gives it."""

    def __init__(self, array: np.ndarray):
        self.array = array

    def asnumpy(self) -> np.ndarray:
        return self.array
