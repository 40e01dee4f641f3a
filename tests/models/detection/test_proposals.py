"""Proposals of saturated scores: the logits rank them, in the network by either kind of operators and in ONNX."""

from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from mindspore import Tensor
from onnx import TensorProto

from src.export import detector_onnx
from src.export.onnx_graph import GraphBuilder
from src.models.detection.boxes import DeltaBoxCoder
from src.models.detection.proposals import ProposalGenerator, ProposalSettings

SIZES, IMAGE = (300, 60), np.float32([[90, 100]])
SETTINGS = ProposalSettings(nms_pre=120, max_per_img=50, iou_threshold=0.7)


@pytest.fixture(scope="module")
def inputs():
    """Anchors, logits with ties whose sigmoids are all 1, deltas."""
    rng = np.random.RandomState(2)
    corner = rng.randint(0, 60, (sum(SIZES), 2))
    anchors = np.concatenate([corner, corner + rng.randint(8, 40, corner.shape)], 1).astype(np.float32)
    logits = (20 + rng.randint(0, 80, (1, len(anchors))) / 4).astype(np.float32)
    return anchors, logits, (rng.randn(1, len(anchors), 4) * 0.1).astype(np.float32)


def generator(portable: bool = False) -> ProposalGenerator:
    return ProposalGenerator(SIZES, DeltaBoxCoder((0, 0, 0, 0), (1, 1, 1, 1)), SETTINGS, portable)


def proposals(inputs, portable: bool = False) -> np.ndarray:
    boxes, scores, valid = generator(portable)(*map(Tensor, inputs), Tensor(IMAGE))
    assert (scores.asnumpy()[valid.asnumpy()] == 1).all()
    return boxes.asnumpy()[valid.asnumpy()]


def test_saturated_scores_are_ranked_by_logit_and_ties_by_anchor(graph_mode, inputs):
    anchors, logits, deltas = inputs
    order = np.argsort(-logits[0], kind="stable")
    boxes = generator().coder.decode(Tensor(anchors), Tensor(deltas[0])).asnumpy()
    boxes = np.clip(boxes, 0, IMAGE[0, [1, 0, 1, 0]])
    level = np.repeat(np.arange(len(SIZES)), SIZES)
    order = [k for k in order if k in order[level[order] == level[k]][: SETTINGS.nms_pre]]
    kept: list[int] = []
    for k in order:
        if all(level[j] != level[k] or iou(boxes[j], boxes[k]) <= SETTINGS.iou_threshold for j in kept):
            kept.append(k)
    np.testing.assert_allclose(proposals(inputs), boxes[kept[: SETTINGS.max_per_img]], atol=1e-5)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    side = np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None)
    return side.prod() / ((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - side.prod())


def test_the_portable_operators_and_the_onnx_file_give_the_same_proposals(graph_mode, inputs):
    anchors, logits, deltas = inputs
    expected = proposals(inputs)
    np.testing.assert_array_equal(proposals(inputs, portable=True), expected)

    g = GraphBuilder("proposals")
    names = {"logits": logits, "deltas": deltas, "shape": IMAGE}
    tensors = [g.input(name, TensorProto.FLOAT, array.shape) for name, array in names.items()]
    model = SimpleNamespace(
        test_proposals=generator(), rpn_head=SimpleNamespace(anchor_set=SimpleNamespace(boxes=anchors))
    )
    g.output("boxes", detector_onnx._proposals(g, model, *tensors), TensorProto.FLOAT, ("proposals", 4))
    session = onnxruntime.InferenceSession(g.build().SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, names)
    np.testing.assert_allclose(found, expected, atol=1e-4)
