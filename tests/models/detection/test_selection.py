"""Which detections of a second stage's outputs stay, by every kind of the last NMS, against plain loops over boxes."""

import numpy as np
import pytest
from mindspore import Tensor

from src.models.detection.bbox_head import DetectionSelector, SelectionSettings
from src.models.detection.boxes import DeltaBoxCoder
from src.ops.soft_nms import Decay
from tests.ops.test_soft_nms import definition

CLASSES, ROIS, THRESHOLD, LEAST = 3, 60, 0.5, 0.1
DECAYS = {"hard": None, "linear": Decay("linear", 0.5, 0.02), "gaussian": Decay("gaussian", 0.5, 0.02)}


def hard(boxes, scores, groups, valid, threshold, slots):
    """Greedy suppression within groups by the textbook."""
    kept = []
    for i in sorted(np.flatnonzero(valid), key=lambda i: (-scores[i], i)):
        rivals = boxes[[j for j in kept if groups[j] == groups[i]]].reshape(-1, 4)
        shared = np.clip(np.minimum(rivals[:, 2:], boxes[i, 2:]) - np.maximum(rivals[:, :2], boxes[i, :2]), 0, None)
        shared, area = shared.prod(axis=1), lambda x: (x[..., 2:] - x[..., :2]).prod(axis=-1)
        if not (shared / (area(rivals) + area(boxes[i]) - shared) > threshold).any():
            kept.append(i)
    return np.array(kept[:slots]), scores[kept[:slots]]


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize("kind", DECAYS)
def test_the_named_nms_runs_within_classes_or_over_all_of_them_and_the_best_stay(pynative_mode, kind, class_agnostic):
    rng, slots = np.random.RandomState(0), 40
    corner = rng.randint(0, 60, (2, ROIS, 2))
    proposals = np.concatenate([corner, corner + rng.randint(9, 40, (2, ROIS, 2))], 2).astype(np.float32)
    logits = rng.randn(2 * ROIS, CLASSES + 1).astype(np.float32)
    settings = SelectionSettings(LEAST, THRESHOLD, slots, decay=DECAYS[kind], nms_class_agnostic=class_agnostic)
    coder = DeltaBoxCoder((0, 0, 0, 0), (1, 1, 1, 1))
    selector = DetectionSelector(coder, CLASSES, settings)
    valid, shape = rng.rand(2, ROIS) < 0.9, np.float32([[100, 100], [100, 100]])
    inputs = (logits, np.zeros((2 * ROIS, 4 * CLASSES), np.float32), proposals, valid, shape)
    found = [x.asnumpy() for x in selector(*map(Tensor, inputs))]

    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    scores = scores[:, :CLASSES].reshape(2, -1)
    labels = np.tile(np.arange(CLASSES), ROIS)
    groups = labels * 0 if class_agnostic else labels
    for image, (boxes, lowered, classes, keep) in enumerate(zip(*found)):
        candidates = np.repeat(proposals[image], CLASSES, axis=0)
        competing = np.repeat(valid[image], CLASSES) & (scores[image] > LEAST)
        rest = (groups, competing, THRESHOLD, slots)
        if kind == "hard":
            index, expected = hard(candidates, scores[image], *rest)
        else:
            index, expected = definition(candidates, scores[image], *rest, DECAYS[kind])
        assert 10 < len(index) == keep.sum()
        np.testing.assert_allclose(boxes[keep], candidates[index], atol=1e-4)
        np.testing.assert_array_equal(classes[keep], labels[index])
        np.testing.assert_allclose(lowered[keep], expected, rtol=1e-4)
        assert not lowered[~keep].any() and not boxes[~keep].any()
