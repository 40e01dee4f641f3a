import numpy as np
import pytest
from mindspore import Tensor

from src.models.detection.boxes import DeltaBoxCoder, clip_boxes, pairwise_overlap

CODERS = {"rpn": (1.0, 1.0, 1.0, 1.0), "rcnn": (0.1, 0.1, 0.2, 0.2)}


@pytest.mark.parametrize("name", CODERS)
def test_box_coder_equals_mmdetection(data_files, graph_mode, name):
    reference = np.load(data_files / "box_coder.npz")
    coder = DeltaBoxCoder((0, 0, 0, 0), CODERS[name])
    source, gts = Tensor(reference[f"{name}_source"]), Tensor(reference["gts"])
    np.testing.assert_allclose(coder.encode(source, gts).asnumpy(), reference[f"{name}_deltas"], rtol=1e-5, atol=1e-6)
    decoded = coder.decode(gts, Tensor(reference[f"{name}_random_deltas"]))
    np.testing.assert_allclose(decoded.asnumpy(), reference[f"{name}_decoded"], rtol=1e-5, atol=1e-3)
    clipped = clip_boxes(decoded[None], Tensor(np.float32([[240, 300]])))[0]
    np.testing.assert_allclose(clipped.asnumpy(), reference[f"{name}_decoded_clipped"], rtol=1e-5, atol=1e-3)


def test_encode_where_is_zero_and_finite_for_unwanted_degenerate_boxes(graph_mode):
    coder = DeltaBoxCoder((0, 0, 0, 0), (1, 1, 1, 1))
    references = Tensor(np.float32([[0, 0, 0, 0], [0, 0, 2, 2]]))
    targets = Tensor(np.float32([[5, 5, 5, 5], [1, 0, 3, 2]]))
    deltas = coder.encode_where(Tensor(np.array([False, True])), references, targets).asnumpy()
    np.testing.assert_allclose(deltas, [[0, 0, 0, 0], [0.5, 0, 0, 0]])


def test_overlap_of_hand_worked_boxes(graph_mode):
    a = Tensor(np.float32([[[0, 0, 4, 4], [10, 10, 12, 12]]]))
    b = Tensor(np.float32([[[2, 0, 6, 4], [0, 0, 0, 0], [0, 0, 2, 2]]]))
    np.testing.assert_allclose(pairwise_overlap(a, b).asnumpy()[0], [[8 / 24, 0, 4 / 16], [0, 0, 0]], rtol=1e-6)
    inside = pairwise_overlap(a, b, over_second=True).asnumpy()[0]
    np.testing.assert_allclose(inside, [[0.5, 0, 1.0], [0, 0, 0]], rtol=1e-6)
