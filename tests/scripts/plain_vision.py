"""RoIAlign and NMS for the comparison of kernels where torchvision's compiled operators do not load: torchvision's own
RoIAlign in Python, and a greedy loop.
"""

import torch

from tests.models.timm_models import import_timm

import_timm()  # by which torchvision can be imported

from torchvision.ops import roi_align as module  # noqa: E402


def roi_align(features, rois, size, scale, ratio, aligned):
    """torchvision's `_roi_align`, not compiled."""
    pool = getattr(module, "_roi_align", None) or module.__globals__["_roi_align"]
    return pool.__wrapped__(features, rois, scale, size, size, ratio, aligned)


def batched_nms(boxes, scores, groups, threshold):
    """Places of the kept boxes, best first; each against all better ones of its group."""
    boxes, groups = boxes.double().tolist(), groups.tolist()
    kept: list[int] = []
    for i in torch.argsort(scores, descending=True).tolist():
        if not any(groups[k] == groups[i] and iou(boxes[k], boxes[i]) > threshold for k in kept):
            kept.append(i)
    return torch.tensor(kept)


def iou(a, b):
    width, height = (max(min(a[k + 2], b[k + 2]) - max(a[k], b[k]), 0.0) for k in (0, 1))
    shared = width * height
    areas = ((one[2] - one[0]) * (one[3] - one[1]) for one in (a, b))
    return shared / (sum(areas) - shared)
