"""A whole detector as one ONNX graph: images in; boxes, scores, labels and masks out. Standard operators only.

The parts with weights are written by MindSpore's exporter; what lies between them, which it cannot write, is stitched
here and in `onnx_boxes.py`.

What would let it go: an exporter of MindSpore that writes RoIAlign with half-pixel corners, suppression with free row
counts, and GridSample; then the detector goes through `cell_to_onnx` like every other network, and `onnx_graph.py`,
`onnx_boxes.py` and `pointrend_onnx.py` go with this file.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import onnx
from mindspore import Tensor, nn
from onnx import TensorProto

from ..errors import UserError
from ..inference.backends import IMAGES
from ..models.detection.bbox_head import BBoxHead, DetectionSelector
from ..models.detection.cascade import LEAST_PROBABILITY
from ..models.detection.mask_head import FCNMaskHead
from ..models.detection.two_stage import TwoStageDetector
from . import onnx_boxes as boxes_onnx
from .dense_onnx import ROWS, cell_to_onnx
from .onnx_graph import GraphBuilder
from .pointrend_onnx import pointrend_masks


def detector_to_onnx(model: TwoStageDetector, image_size: tuple[int, int], images: int = 1) -> onnx.ModelProto:
    """The detector for so many images of (height, width) pixels.

    Inputs: image (B, 3, H, W) float32, normalised, padded at the right and the bottom; image_shape (B, 2) int32, their
    (h, w) before padding. Outputs, best first, N of them from 0 to the configuration's `max_per_img`: boxes (N, 4) xyxy
    in pixels of the input, scores (N,), labels (N,) int64 from 0, and where the detector has a mask head masks
    (N, M, M), probabilities inside the boxes. Of several images these stand one image after the other, and a last
    output `images` (N,) int64 says of which image, from 0, each is. UserError where the mask head is of a kind that is
    not in `MASK_WRITERS`, boxes are not continuous, or NMS is soft.
    """
    if model.selector.canvas is not None:
        raise UserError("file_format ONNX: a detector with box_style legacy cannot be written; MINDIR can")
    if model.selector.is_soft:
        raise UserError("file_format ONNX: a detector with test_cfg.rcnn.nms soft cannot be written; MINDIR can")
    write_masks = _mask_writer(model)
    g = GraphBuilder("detector")
    image = g.input("image", TensorProto.FLOAT, (images, 3, *image_size))
    shapes = g("Cast", g.input("image_shape", TensorProto.INT32, (images, 2)), to=TensorProto.FLOAT)
    blank = {"image": np.zeros((images, 3, *image_size), np.float32)}
    features = g.include(cell_to_onnx(_Features(model), blank, _feature_names(model)), "features", {"image": image})
    found, side = [], 0
    for number in range(images):
        own = [_of_image(g, value, number, images) for value in (*features, shapes)]
        *pyramid, logits, deltas, shape = own
        proposals = _proposals(g, model, logits, deltas, shape)
        one = _detections(g, model, pyramid, proposals, shape)
        if write_masks is not None:
            masks, side = _mean_masks(g, model, write_masks, pyramid, *one[::2], image_size)
            one = (*one, masks)
        found.append(one)
    outputs = [column[0] if images == 1 else g("Concat", *column, axis=0) for column in zip(*found)]
    kinds = (("boxes", TensorProto.FLOAT, (4,)), ("scores", TensorProto.FLOAT, ()), ("labels", TensorProto.INT64, ()),
             ("masks", TensorProto.FLOAT, (side, side)))  # fmt: skip
    for (name, kind, shape), value in zip(kinds, outputs):
        g.output(name, value, kind, ("detections", *shape))
    if images > 1:
        g.output(IMAGES, _image_numbers(g, [one[2] for one in found]), TensorProto.INT64, ("detections",))
    return g.build()


def _of_image(g: GraphBuilder, value: str, number: int, images: int) -> str:
    """The part (1, ...) of one image of a batch (B, ...)."""
    return value if images == 1 else g("Slice", value, [number], [number + 1], [0])


def _image_numbers(g: GraphBuilder, labels: Sequence[str]) -> str:
    """(N,) int64: of which image each detection is; labels: those of each image."""
    counts = [g("Shape", one) for one in labels]
    return g("Concat", *(g("Expand", [number], count) for number, count in enumerate(counts)), axis=0)


def _mask_writer(model: nn.Cell) -> Callable | None:
    """None for a detector without masks."""
    if "masks" not in model.output_names:
        return None
    kind = getattr(next(iter(_heads(model, "mask_head").values())), "kind", None)
    if kind not in MASK_WRITERS:
        raise UserError(
            f"file_format ONNX: a detector with mask head '{kind}' cannot be written, only {', '.join(MASK_WRITERS)}; "
            "MINDIR can"
        )
    return MASK_WRITERS[kind]


def _heads(model: nn.Cell, name: str) -> dict[str, nn.Cell]:
    """The head of this name, or those of a cascade's stages, each by the name that its weights get."""
    found = getattr(model, name, None)
    if not isinstance(found, nn.CellList):
        return {name: found}
    return {f"{name}.{number}": head for number, head in enumerate(found)}


class _Features(nn.Cell):
    """Backbone, neck and the RPN's convolutions."""

    def __init__(self, model: TwoStageDetector):
        super().__init__(auto_prefix=False)
        self.backbone, self.neck, self.rpn_head = model.backbone, model.neck, model.rpn_head

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        pyramid = self.neck(self.backbone(image))
        logits, deltas = self.rpn_head(pyramid)
        return (*pyramid, logits, deltas)


class _BoxHead(nn.Cell):
    def __init__(self, head: nn.Cell):
        super().__init__(auto_prefix=False)
        self.head = head
        self.valid = Tensor(np.ones(ROWS, bool))

    def construct(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.head(features, self.valid)


class _MaskHead(nn.Cell):
    def __init__(self, head: FCNMaskHead):
        super().__init__(auto_prefix=False)
        self.head = head
        self.valid = Tensor(np.ones(ROWS, bool))

    def construct(self, features: Tensor) -> Tensor:
        return self.head.logits(features, self.valid)


def _feature_names(model: TwoStageDetector) -> list[str]:
    levels = len(model.rpn_head.level_sizes)
    return [*(f"level_{k}" for k in range(levels)), "rpn_logits", "rpn_deltas"]


def _proposals(g: GraphBuilder, model: TwoStageDetector, logits: str, deltas: str, shape: str) -> str:
    """`ProposalGenerator`: (P, 4), best first by logit."""
    settings, anchors = model.test_proposals, model.rpn_head.anchor_set.boxes
    logits = g("Reshape", logits, [-1])
    indices, levels, start = [], [], 0
    for level, size in enumerate(settings.level_sizes):
        count = min(settings.nms_pre, size)
        _, best = g("TopK", g("Slice", logits, [start], [start + size]), [count], outputs=2)
        indices.append(g("Add", best, start))
        levels += [level] * count
        start += size
    index = g("Concat", *indices, axis=0)
    own_deltas = g("Gather", g("Reshape", deltas, [-1, 4]), index)
    boxes = boxes_onnx.decode(g, settings.coder, g("Gather", anchors, index), own_deltas)
    boxes = boxes_onnx.clip(g, boxes, shape)
    side = g("Sub", boxes_onnx.columns(g, boxes, 2, 4), boxes_onnx.columns(g, boxes, 0, 2))
    least = g("ReduceMin", side, axes=[1], keepdims=0)
    valid = g("Greater", least, float(settings.min_bbox_size if settings.min_bbox_size >= 0 else -np.inf))
    kept, _ = boxes_onnx.suppress_levels(g, settings.nms, boxes, g("Gather", logits, index), np.array(levels), valid)
    return g("Gather", boxes, kept)


def _detections(
    g: GraphBuilder, model: TwoStageDetector, pyramid: list[str], rois: str, shape: str
) -> tuple[str, str, str]:
    """The box heads, in a cascade one after the other (`CascadeRCNN.refine`), and the selection from what they give:
    boxes (N, 4), scores (N,), labels (N,), best first.
    """
    heads = _heads(model, "bbox_head")
    all_logits: list[str] = []
    for number, (part, head) in enumerate(heads.items(), start=1):
        logits, deltas = _box_outputs(g, model, part, head, pyramid, rois)
        all_logits.append(logits)
        if number < len(heads):
            rois = _refined(g, head, logits, deltas, rois, shape)
    mean = _mean_logits(g, all_logits, getattr(model, "averages_probabilities", False))
    return _selected(g, model.selector, mean, deltas, rois, shape)


def _mean_logits(g: GraphBuilder, logits: Sequence[str], averages_probabilities: bool) -> str:
    """`cascade.mean_logits`."""
    if not averages_probabilities:
        return _mean(g, logits)
    probability = _mean(g, [g("Softmax", one, axis=-1) for one in logits])
    return g("Log", g("Max", probability, LEAST_PROBABILITY))


def _box_outputs(
    g: GraphBuilder, model: TwoStageDetector, part: str, head: BBoxHead, pyramid: list[str], rois: str
) -> tuple[str, str]:
    """`TwoStageDetector.box_outputs`: logits (P, C + 1) and deltas of the RoIs (P, 4); part: the head's name."""
    features, rank = boxes_onnx.pool(g, model.bbox_roi, pyramid[: model.bbox_levels], rois)
    size = model.bbox_roi.out_size
    rows = np.zeros((ROWS, model.neck.out_channels, size, size), np.float32)
    export = functools.partial(cell_to_onnx, _BoxHead(head), {"features": rows}, ["logits", "deltas"], free_rows=True)
    exported = g.part(part, export)
    logits, deltas = g.include(exported, part, {"features": features})
    return boxes_onnx.restore_order(g, logits, rank), boxes_onnx.restore_order(g, deltas, rank)


def _refined(g: GraphBuilder, head: BBoxHead, logits: str, deltas: str, rois: str, shape: str) -> str:
    """What a stage makes of its RoIs (P, 4), by the deltas of the likeliest class but the background."""
    if not head.class_agnostic:
        likeliest = g("ArgMax", boxes_onnx.columns(g, logits, 0, head.num_classes), axis=1, keepdims=0)
        deltas = boxes_onnx.own_class(g, g("Reshape", deltas, [-1, head.num_classes, 4]), likeliest)
    return boxes_onnx.clip(g, boxes_onnx.decode(g, head.coder, rois, deltas), shape)


def _selected(
    g: GraphBuilder, selector: DetectionSelector, logits: str, deltas: str, rois: str, shape: str
) -> tuple[str, str, str]:
    """`DetectionSelector`: boxes (N, 4), scores (N,), labels (N,), best first."""
    classes = selector.num_classes
    scores = boxes_onnx.columns(g, g("Softmax", logits, axis=-1), 0, classes)
    per_class = g("Reshape", deltas, [-1, 1 if selector.class_agnostic else classes, 4])
    boxes = boxes_onnx.decode(g, selector.coder, g("Unsqueeze", rois, [1]), per_class)
    boxes = boxes_onnx.clip(g, boxes, shape)
    if selector.class_agnostic:
        boxes = g("Expand", boxes, [1, classes, 1])
    valid = g("Greater", scores, float(selector.score_threshold))
    suppress = boxes_onnx.suppress_all if selector.nms_class_agnostic else boxes_onnx.suppress_classes
    kept, kept_scores = suppress(g, selector.nms, boxes, scores, valid)
    return g("Gather", g("Reshape", boxes, [-1, 4]), kept), kept_scores, g("Mod", kept, classes)


def _mean_masks(
    g: GraphBuilder, model: TwoStageDetector, write_masks: Callable, pyramid: list[str], boxes: str, labels: str,
    image_size: tuple[int, int],
) -> tuple[str, int]:  # fmt: skip
    """Mask probabilities (N, M, M), in a cascade the means of its stages', and M."""
    heads = _heads(model, "mask_head").items()
    masks, sides = zip(*(write_masks(g, head, pyramid, boxes, labels, image_size, part) for part, head in heads))
    return _mean(g, masks), sides[0]


def _mean(g: GraphBuilder, values: Sequence[str]) -> str:
    total = functools.reduce(lambda left, right: g("Add", left, right), values)
    return total if len(values) == 1 else g("Div", total, float(len(values)))


def _fcn_masks(
    g: GraphBuilder, head: FCNMaskHead, pyramid: list[str], boxes: str, labels: str, image_size: tuple[int, int],
    part: str,
) -> tuple[str, int]:  # fmt: skip
    """`FCNMaskHead`: mask probabilities (N, M, M), and M."""
    features, rank = boxes_onnx.pool(g, head.roi, pyramid[: head.levels], boxes)
    size, channels = head.roi.out_size, head.convs[0].conv.in_channels
    rows = np.zeros((ROWS, channels, size, size), np.float32)
    export = functools.partial(cell_to_onnx, _MaskHead(head), {"features": rows}, ["logits"], free_rows=True)
    exported = g.part(part, export)
    (logits,) = g.include(exported, part, {"features": features})
    return g("Sigmoid", boxes_onnx.own_class(g, boxes_onnx.restore_order(g, logits, rank), labels)), 2 * size


# By the `kind` of a mask head: (graph, head, pyramid, boxes, labels, image size, name of its weights) -> masks
# (N, M, M), M.
MASK_WRITERS: dict[str, Callable] = {"fcn": _fcn_masks, "points": pointrend_masks}
