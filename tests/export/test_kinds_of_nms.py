"""Exported files of detectors whose last NMS is soft, or runs over all classes together."""

import numpy as np
import onnxruntime
import pytest
from mindspore import Tensor, nn
from onnx import TensorProto
from pycocotools import mask as coco_mask

from src.config import load_config
from src.errors import UserError
from src.export.detector_onnx import detector_to_onnx
from src.export.mindir import write_mindir
from src.export.onnx_boxes import suppress_all
from src.export.onnx_graph import GraphBuilder
from src.inference.mindir_file import load_graph, read_mindir
from src.ops.nms import Nms
from src.ops.soft_nms import Decay, SoftNms
from src.tasks import build_model
from tests.export.test_detectors import DETECTION, KEYS, Exported, assert_same_detections
from tests.models.test_any_backbone import TINY, overrides

NARROW = [*overrides("resnet", "mask_rcnn"), *KEYS]


def random_boxes(rng, count):
    corner = rng.randint(0, 60, (count, 2))
    return np.concatenate([corner, corner + rng.randint(5, 30, (count, 2))], 1).astype(np.float32)


def test_suppression_over_all_classes_gives_nms_s_boxes_in_onnxruntime_ties_too(graph_mode):
    rng, slots = np.random.RandomState(0), 30
    boxes = random_boxes(rng, 80 * 3).reshape(80, 3, 4)
    scores, valid = np.float32(rng.randint(1, 40, (80, 3)) / 40), rng.rand(80, 3) < 0.8
    nms = Nms(0.5, slots)
    g = GraphBuilder("nms")
    ports = g.input("boxes", TensorProto.FLOAT, (80, 3, 4)), g.input("scores", TensorProto.FLOAT, (80, 3))
    kept, best = suppress_all(g, nms, *ports, g.input("valid", TensorProto.BOOL, (80, 3)))
    g.output("kept", kept, TensorProto.INT64, ("n",))
    g.output("best", best, TensorProto.FLOAT, ("n",))
    session = onnxruntime.InferenceSession(g.build().SerializeToString(), providers=["CPUExecutionProvider"])
    kept, best = session.run(None, {"boxes": boxes, "scores": scores, "valid": valid})
    flat = (boxes.reshape(1, -1, 4), scores.reshape(1, -1), np.zeros(240, np.int32), valid.reshape(1, -1))
    index, keep = (x.asnumpy()[0] for x in nms(*map(Tensor, flat)))
    assert keep.sum() == slots and len(set(best)) < slots
    np.testing.assert_array_equal(kept, index[keep])
    np.testing.assert_array_equal(best, scores.reshape(-1)[kept])


def test_an_onnx_file_of_a_detector_with_class_agnostic_nms_gives_its_detections(graph_mode, tmp_path):
    exported = Exported(tmp_path, [*NARROW, "--test_cfg.rcnn.nms_class_agnostic", "1"])
    exported.export("ONNX", "model")
    model = exported.open("model.onnx")
    inputs = next(iter(DETECTION.example_inputs(exported.config("mindspore", "model.ckpt")).values()))
    assert_same_detections(exported.network, model, inputs, 20, 1e-3)
    boxes, _, labels, valid, _ = (x.asnumpy()[0] for x in exported.network(*map(Tensor, inputs.values())))
    boxes, labels = boxes[valid], labels[valid]
    sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).astype(np.float64)
    iou = coco_mask.iou(sides, sides, [0] * len(sides))
    assert len(set(labels)) > 1 and iou[~np.eye(len(iou), dtype=bool)].max() <= 0.5001


def test_a_detector_with_soft_nms_is_not_written_as_onnx_which_is_one_line(pynative_mode):
    model = build_model(load_config(TINY, [*NARROW, "--test_cfg.rcnn.nms", "soft"]))
    line = "file_format ONNX: a detector with test_cfg.rcnn.nms soft cannot be written; MINDIR can"
    with pytest.raises(UserError, match=f"^{line}$"):
        detector_to_onnx(model, (96, 128))


class _Kept(nn.Cell):
    def __init__(self, portable: bool):
        super().__init__()
        self.nms = SoftNms(0.4, 20, Decay("gaussian", 0.5, 0.05), portable)
        self.groups = Tensor(np.int32(np.arange(60) % 3))

    def construct(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.nms(boxes, scores, self.groups, scores > 0.1)


@pytest.mark.parametrize("portable", [False, True])
def test_a_mindir_file_holds_soft_nms_whose_operator_is_known_by_its_function(graph_mode, tmp_path, portable):
    rng = np.random.RandomState(0)
    arrays = {"boxes": random_boxes(rng, 60)[None], "scores": np.float32(rng.rand(1, 60))}
    cell, path = _Kept(portable), tmp_path / "kept.mindir"
    expected = [x.asnumpy() for x in cell(*map(Tensor, arrays.values()))]
    write_mindir(cell, arrays, {}, path)
    model = read_mindir(path)
    assert (b"custom_ops_cpu.so:SoftNmsForward" in model.SerializeToString()) is not portable
    found = nn.GraphCell(load_graph(model, path))(*map(Tensor, arrays.values()))
    assert expected[1].sum() > 10
    for one, other in zip(expected, found):
        np.testing.assert_array_equal(one, other.asnumpy())


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--portable", "1", "--test_cfg.rcnn.nms_class_agnostic", "1")])
def test_a_mindir_file_of_a_detector_with_soft_nms_gives_its_detections(graph_mode, tmp_path, more):
    keys = ("--test_cfg.rcnn.nms", "soft", "--test_cfg.rcnn.soft_nms.method", "gaussian")
    exported = Exported(tmp_path, [*NARROW, *keys, *more])
    exported.export("MINDIR", "model")
    model = exported.open("model.mindir")
    for inputs in list(DETECTION.example_inputs(exported.config("mindspore", "model.ckpt")).values())[:2]:
        assert_same_detections(exported.network, model, inputs, 20, 1e-3)
