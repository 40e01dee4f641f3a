import numpy as np

from src.models.detection.anchors import AnchorSet, level_anchors


def test_anchors_equal_mmdetection_bit_for_bit(data_files):
    reference = np.load(data_files / "anchors.npz")
    for name, scale, strides in (("fpn", 8, (4, 8, 16, 32, 64)), ("spinenet", 3, (8, 16, 32, 64, 128))):
        for level, stride in enumerate(strides):
            ours = level_anchors((256 // stride, 384 // stride), stride, [scale], [0.5, 1.0, 2.0])
            np.testing.assert_array_equal(ours, reference[f"{name}_level{level}"])


def test_level_sizes_count_every_anchor_and_cells_follow_the_same_order():
    anchors = AnchorSet([(8, 12), (4, 6)], (8, 16), [2, 4], [0.5, 1.0])
    assert anchors.level_sizes == (8 * 12 * 4, 4 * 6 * 4)
    assert anchors.boxes.shape == (sum(anchors.level_sizes), 4)
    centre = (anchors.boxes[:, :2] + anchors.boxes[:, 2:]) / 2
    np.testing.assert_allclose(centre, anchors.cells[:, ::-1], atol=1e-4)
