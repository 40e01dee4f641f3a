import numpy as np
import pytest
from mindspore import Tensor

from src.models.detection.bbox_head import BBoxHead
from src.models.detection.boxes import DeltaBoxCoder


@pytest.mark.parametrize("class_agnostic", [False, True])
def test_boxes_of_the_own_class_are_decoded_and_not_clipped(graph_mode, class_agnostic):
    """Detectron2 `predict_boxes_for_gt_classes` by hand: shift by delta * size, scale by exp(delta); stds 0.1, 0.2."""
    head = BBoxHead(2, 1, 3, DeltaBoxCoder((0, 0, 0, 0), (0.1, 0.1, 0.2, 0.2)), class_agnostic=class_agnostic)
    boxes = np.float32([[10, 20, 30, 60], [0, 0, 8, 8]])
    labels = np.int32([2, 0])  # the second is background: any class may be read, its box is not used
    deltas = np.zeros((2, 3, 4), np.float32)
    deltas[0, 1] = [-20, 5, 5 * np.log(2), 0]
    deltas = deltas[:, 1] if class_agnostic else deltas.reshape(2, 12)
    decoded = head.own_boxes(Tensor(deltas), Tensor(boxes), Tensor(labels)).asnumpy()
    centre_x, centre_y, width, height = 20 - 2.0 * 20, 40 + 0.5 * 40, 40, 40
    expected = [centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2]
    np.testing.assert_allclose(decoded[0], expected, atol=1e-4)
    np.testing.assert_allclose(decoded[1], boxes[1], atol=1e-5)
