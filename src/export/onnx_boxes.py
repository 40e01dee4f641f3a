"""Box arithmetic, suppression and RoI pooling of `src/models/detection` in standard ONNX operators, for one image.

Every function adds nodes to a graph; arguments and results are names of tensors. Rows come and go: nothing is padded.
Operations and their order follow the MindSpore code, so that rounding and ties agree too.
"""

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto, numpy_helper

from ..models.detection.boxes import MAX_LOG_RATIO, DeltaBoxCoder
from ..ops.nms import Nms
from ..ops.roi_align import RoIAlign
from .onnx_graph import GraphBuilder

DROPPED = float(np.finfo(np.float32).min)  # the score of what takes no part; logits are scores too
LOWEST_SCORE = np.float32([DROPPED / 2])


def columns(g: GraphBuilder, x: str, first: int, last: int) -> str:
    """x[..., first:last]."""
    return g("Slice", x, [first], [last], [-1])


def decode(g: GraphBuilder, coder: DeltaBoxCoder, references: str, deltas: str) -> str:
    """(..., 4) references and deltas -> (..., 4) boxes, as `DeltaBoxCoder.decode`."""
    deltas = g("Add", g("Mul", deltas, coder.stds.asnumpy()), coder.means.asnumpy())
    low, high = columns(g, references, 0, 2), columns(g, references, 2, 4)
    size = g("Sub", high, low)
    centre = g("Add", g("Mul", g("Add", low, high), 0.5), g("Mul", size, columns(g, deltas, 0, 2)))
    growth = g("Clip", columns(g, deltas, 2, 4), -MAX_LOG_RATIO, MAX_LOG_RATIO)
    half = g("Mul", g("Mul", size, g("Exp", growth)), 0.5)
    return g("Concat", g("Sub", centre, half), g("Add", centre, half), axis=-1)


def clip(g: GraphBuilder, boxes: str, image_shape: str) -> str:
    """Boxes (..., 4) inside the image of image_shape (1, 2) float (h, w)."""
    limit = g("Gather", image_shape, [1, 0, 1, 0], axis=1)
    return g("Min", g("Max", boxes, 0.0), limit)


def suppress_levels(
    g: GraphBuilder, nms: Nms, boxes: str, scores: str, groups: np.ndarray, valid: str
) -> tuple[str, str]:
    """`Nms` on boxes (K, 4) and scores (K,) whose groups (K,) are known beforehand; valid (K,) bool.

    Returns the numbers of the kept boxes (M,) int64, best first, and their scores.
    """
    shift = g("Mul", groups[:, None].astype(np.float32), _group_distance(g, boxes, g("Unsqueeze", valid, [1])))
    own_group = groups[None, None, :] == np.arange(groups.max() + 1)[None, :, None]
    scores_of_group = g("Where", g("And", own_group, valid), scores, DROPPED)  # (1, groups, K)
    moved = g("Unsqueeze", g("Add", boxes, shift), [0])
    selected = _suppress(g, nms, moved, scores_of_group)
    return _best(g, nms, scores, g("Gather", selected, 2, axis=1))


def suppress_classes(g: GraphBuilder, nms: Nms, boxes: str, scores: str, valid: str) -> tuple[str, str]:
    """`Nms` on boxes (P, C, 4) and scores (P, C) within each of the C classes; valid (P, C) bool.

    Returns the numbers p * C + c of the kept pairs (M,) int64, best first, and their scores.
    """
    classes = g("Shape", scores, start=1)
    numbers = g("Range", 0, g("Squeeze", classes), 1)
    distance = _group_distance(g, boxes, g("Unsqueeze", valid, [2]))
    shift = g("Mul", g("Unsqueeze", g("Cast", numbers, to=TensorProto.FLOAT), [1]), distance)
    moved = g("Transpose", g("Add", boxes, shift), perm=[1, 0, 2])  # classes stand where ONNX has images
    scores_of_class = g("Transpose", g("Where", valid, scores, DROPPED))
    selected = _suppress(g, nms, moved, g("Unsqueeze", scores_of_class, [1]))
    row, column = g("Gather", selected, 2, axis=1), g("Gather", selected, 0, axis=1)
    flat_scores = g("Reshape", scores, [-1])
    return _best(g, nms, flat_scores, g("Add", g("Mul", row, classes), column))


def suppress_all(g: GraphBuilder, nms: Nms, boxes: str, scores: str, valid: str) -> tuple[str, str]:
    """As `suppress_classes`, but boxes of all classes compete with one another."""
    flat_scores = g("Reshape", scores, [-1])
    competing = g("Where", g("Reshape", valid, [-1]), flat_scores, DROPPED)
    selected = _suppress(g, nms, g("Reshape", boxes, [1, -1, 4]), g("Reshape", competing, [1, 1, -1]))
    return _best(g, nms, flat_scores, g("Gather", selected, 2, axis=1))


def pool(g: GraphBuilder, roi: RoIAlign, pyramid: Sequence[str], boxes: str) -> tuple[str, str]:
    """`RoIAlign` of boxes (N, 4), each on its own level: features (N, C, s, s) in the order of levels, and the numbers
    (N,) at which each box's row stands there (`restore_order` takes both).
    """
    low, high = columns(g, boxes, 0, 2), columns(g, boxes, 2, 4)
    side = g("Sub", high, low)
    area = g("Relu", g("Mul", columns(g, side, 0, 1), columns(g, side, 1, 2)))
    scale = g("Squeeze", g("Add", g("Div", g("Sqrt", area), float(roi.finest_scale)), 1e-6), [1])
    count = len(roi.strides)
    pooled, orders = [], []
    for level, (feature, stride) in enumerate(zip(pyramid, roi.strides, strict=True)):
        bounds = []
        if level > 0:
            bounds.append(g("GreaterOrEqual", scale, float(2**level)))
        if level < count - 1:
            bounds.append(g("Less", scale, float(2 ** (level + 1))))
        own = g("And", *bounds) if len(bounds) == 2 else (bounds or [g("GreaterOrEqual", scale, 0.0)])[0]
        index = g("Squeeze", g("NonZero", own), [0])
        pooled.append(
            g(
                "RoiAlign",
                feature,
                g("Gather", boxes, index),
                g("Mul", index, 0),
                output_height=roi.out_size,
                output_width=roi.out_size,
                sampling_ratio=roi.sampling_ratio,
                spatial_scale=1.0 / stride,
                coordinate_transformation_mode="half_pixel" if roi.aligned else "output_half_pixel",
            )
        )
        orders.append(index)
    order = g("Concat", *orders, axis=0)
    _, rank = g("TopK", order, g("Shape", order), outputs=2, largest=0)
    return g("Concat", *pooled, axis=0), rank


def restore_order(g: GraphBuilder, rows: str, rank: str) -> str:
    """Rows in the order of levels -> in the order of the boxes that `pool` got."""
    return g("Gather", rows, rank)


def own_class(g: GraphBuilder, values: str, labels: str) -> str:
    """values (N, C, ...) and labels (N,) -> (N, ...): what belongs to each row's label."""
    return g("GatherND", values, g("Unsqueeze", labels, [1]), batch_dims=1)


def _group_distance(g: GraphBuilder, boxes: str, valid: str) -> str:
    """By how much neighbouring groups are moved apart: the largest valid coordinate + 1."""
    coordinates = g("Reshape", g("Where", valid, boxes, 0.0), [-1])
    present = g("Concat", coordinates, np.zeros(1, np.float32), axis=0)  # there may be none
    return g("Add", g("ReduceMax", present, keepdims=0), 1.0)


def _suppress(g: GraphBuilder, nms: Nms, boxes: str, scores: str) -> str:
    """ONNX's NonMaxSuppression: boxes (batch, N, 4), scores (batch, classes, N) -> (M, 3) of batch, class, box."""
    return g("NonMaxSuppression", boxes, scores, [nms.max_output], np.float32([nms.iou_threshold]), LOWEST_SCORE)


def _best(g: GraphBuilder, nms: Nms, scores: str, selected: str) -> tuple[str, str]:
    """The best `max_output` of the selected numbers; of equal scores the lower number goes first."""
    everything = g("ConstantOfShape", g("Shape", scores), value=numpy_helper.from_array(np.float32([DROPPED])))
    kept = g("ScatterElements", everything, selected, g("Gather", scores, selected), axis=0)
    count = g("Min", g("Shape", selected), [nms.max_output])
    best_scores, best = g("TopK", kept, count, outputs=2)
    return best, best_scores
