"""Boxes whose x2 and y2 are the last pixel (`BoxStyle`), against MindSpore's operators and hand-worked cases."""

import numpy as np
import pytest
from mindspore import Tensor
from mindspore.ops import operations as P

from src.models.detection.anchors import AnchorSet, base_anchors
from src.models.detection.assign import MaxIoUAssigner
from src.models.detection.boxes import DeltaBoxCoder, clip_boxes
from src.models.detection.points import MaskCropByPoints
from src.models.detection.rpn_head import RPNHead, RPNTraining
from src.ops.nms import Nms
from src.ops.roi_align import RoIAlign

STDS, CANVAS = (0.1, 0.1, 0.2, 0.2), (96, 160)


def random_boxes(rng, count):
    centre, side = rng.uniform(0, CANVAS[::-1], (count, 2)), rng.uniform(2, 90, (count, 2))
    return np.concatenate([centre - side / 2, centre + side / 2], 1).astype(np.float32)


def test_coding_is_mindspores_box_encoding_and_decoding(graph_mode):
    rng = np.random.RandomState(0)
    references, targets = Tensor(random_boxes(rng, 300)), Tensor(random_boxes(rng, 300))
    deltas = Tensor(rng.randn(300, 4).astype(np.float32))
    coder = DeltaBoxCoder((0, 0, 0, 0), STDS, inclusive=True)
    theirs = P.BoundingBoxEncode(means=(0.0,) * 4, stds=STDS)(references, targets).asnumpy()
    np.testing.assert_allclose(coder.encode(references, targets).asnumpy(), theirs, atol=1e-4)
    theirs = P.BoundingBoxDecode(max_shape=CANVAS, means=(0.0,) * 4, stds=STDS)(references, deltas).asnumpy()
    image_shape = Tensor(np.float32([[10, 20]]))  # nobody asks
    ours = clip_boxes(coder.decode(references, deltas)[None], image_shape, CANVAS)[0]
    np.testing.assert_allclose(ours.asnumpy(), theirs, atol=1e-3)


def test_base_anchors_lie_around_the_first_cells_pixels_with_whole_corners():
    np.testing.assert_array_equal(base_anchors(4, [8], [1.0], True), [[-14, -14, 17, 17]])
    # ratio 0.5 of stride 64: sides 724.08 x 362.04 around 31.5
    np.testing.assert_array_equal(base_anchors(64, [8], [0.5], True), [[-330, -149, 393, 212]])


@pytest.mark.parametrize("portable", [False, True])
def test_assignment_counts_the_last_pixels(graph_mode, portable):
    boxes, gt = np.float32([[[0, 0, 9, 9], [0, 0, 9, 4]]]), np.float32([[[0, 0, 9, 9]]])
    yes = Tensor(np.ones((1, 2), bool))
    assigner = MaxIoUAssigner(0.7, 0.3, 0.3, portable=portable, inclusive=True)
    _, best = assigner(Tensor(boxes), yes, Tensor(gt), yes[:, :1], Tensor(np.zeros((1, 1), bool)))
    np.testing.assert_allclose(best.asnumpy(), [[1.0, 0.5]], rtol=1e-6)  # of 10 x 10 and 10 x 5 pixels


def test_training_anchors_stay_on_the_canvas_whatever_the_images_size(graph_mode):
    anchors = AnchorSet([(2, 2)], (32,), [1], [1.0], inclusive=True)  # corners 0, 31 and 32, 63
    training = RPNTraining(MaxIoUAssigner(0.7, 0.3, 0.3), None, 32, canvas=(64, 63))
    head = RPNHead(4, 4, anchors, DeltaBoxCoder((0, 0, 0, 0), (1, 1, 1, 1), True), training)
    valid = head._valid_anchors(Tensor(np.float32([[1, 1], [64, 63]])))
    np.testing.assert_array_equal(valid.asnumpy(), [[True, False, True, False]] * 2)


@pytest.mark.parametrize("portable", [False, True])
def test_a_rois_level_counts_its_last_pixels(graph_mode, portable):
    features = tuple(Tensor(np.full((1, 1, 64 >> k, 64 >> k), k, np.float32)) for k in range(2))
    rois = Tensor(np.float32([[0, 0, 0, 111, 111], [0, 0, 0, 110.9, 110.9]]))  # 112 pixels a side go to level 1
    pool = RoIAlign(2, (4, 8), 56, 2, False, portable, inclusive=True)
    np.testing.assert_allclose(pool(features, rois).asnumpy()[:, 0, 0, 0], [1, 0])
    usual = RoIAlign(2, (4, 8), 56, 2, False, portable)
    np.testing.assert_allclose(usual(features, rois).asnumpy()[:, 0, 0, 0], [0, 0])


def test_the_inclusive_rule_of_suppression_counts_pixels_in_areas_alone_and_drops_at_the_threshold(graph_mode):
    # 9 x 9 boxes, areas 100 each; shared 9 x 6 = 54 of 146 = 0.37; 9 x 9 = 81 of 119 = 0.68; 9 x 20 / 3 = 60: 60 / 140
    boxes = np.float32([[[0, 0, 9, 9], [0, 3, 9, 12], [0, 0, 9, 9]]])
    scores, groups = np.float32([[0.9, 0.8, 0.7]]), np.zeros(3, np.int32)
    inputs = [Tensor(x) for x in (boxes, scores, groups, np.ones((1, 3), bool))]

    def kept(threshold, rule):
        index, keep = Nms(threshold, 3, rule=rule)(*inputs)
        return index.asnumpy()[keep.asnumpy()].tolist()

    assert kept(0.69, "inclusive") == [0, 1, 2] and kept(0.69, "exact") == [0, 1]
    assert kept(float(np.float32(81) / np.float32(119)), "inclusive") == [0, 1]
    assert kept(1.0, "exact") == [0, 1, 2]
    assert kept(float(np.float32(54) / np.float32(146)), "inclusive") == [0]


def test_pointrends_mask_targets_are_roialigns_of_two_samples_without_a_shift(graph_mode):
    rng = np.random.RandomState(3)
    masks = np.kron(rng.rand(2, 3, 12, 20) < 0.5, np.ones((8, 8))).astype(np.uint8)
    boxes = np.clip(random_boxes(rng, 40), 0, [CANVAS[1], CANVAS[0]] * 2)
    boxes[0] = [20, 30, 20.2, 30.1]  # less than a pixel
    image, index = rng.randint(0, 2, 40), rng.randint(0, 3, 40)
    rois = np.concatenate([image[:, None], boxes], 1).astype(np.float32)
    crop = MaskCropByPoints(7)
    ours = crop(Tensor(np.packbits(masks, axis=-1)), Tensor(rois), Tensor(index.astype(np.int32))).asnumpy()
    own = masks[image, index].astype(np.float32)[:, None]
    rois[:, 0] = np.arange(40)
    theirs = P.ROIAlign(7, 7, 1.0, 2, 0)(Tensor(own), Tensor(rois)).asnumpy()[:, 0]
    assert 0.2 < theirs.mean() < 0.8
    clear = np.abs(theirs - 0.5) > 1e-4
    np.testing.assert_array_equal(ours[clear], (theirs >= 0.5)[clear])
    assert clear.mean() > 0.8
