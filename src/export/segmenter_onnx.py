"""A segmenter that refines its logits at points as one ONNX graph of standard operators; the doublings are unrolled."""

from collections.abc import Sequence

import numpy as np
import onnx
from mindspore import Tensor, nn
from onnx import TensorProto

from ..models.pointrend_segmentation import PointRendSegmenter, SemanticPointHead
from .dense_onnx import cell_to_onnx
from .onnx_graph import GraphBuilder
from .onnx_points import centres, doubled, export_point_head, flat_rows, values_at


def segmenter_to_onnx(model: PointRendSegmenter, image_size: tuple[int, int], images: int = 1) -> onnx.ModelProto:
    """The network for so many images: image (B, 3, H, W) float32, normalised -> refined_logits (B, C, h, w)."""
    g = GraphBuilder("segmenter")
    image = g.input("image", TensorProto.FLOAT, (images, 3, *image_size))
    blank = np.zeros((images, 3, *image_size), np.float32)
    exported = cell_to_onnx(_Coarse(model), {"image": blank}, ["coarse", "features"])
    sizes = [[dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in exported.graph.output]
    coarse, features = g.include(exported, "coarse", {"image": image})
    point_head = export_point_head(model.refine_head.point_head, sizes[1][1], sizes[0][1])
    logits, shape = _refined(g, model.refine_head, point_head, coarse, features, sizes[0])
    g.output(model.output_names[0], logits, TensorProto.FLOAT, shape)
    return g.build()


class _Coarse(nn.Cell):
    """Backbone and coarse head."""

    def __init__(self, model: PointRendSegmenter):
        super().__init__(auto_prefix=False)
        self.model = model

    def construct(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.coarse(image)


def _refined(
    g: GraphBuilder,
    head: SemanticPointHead,
    point_head: onnx.ModelProto,
    coarse: str,
    features: str,
    size: Sequence[int],
) -> tuple[str, tuple[int, int, int, int]]:
    """As `SemanticPointHead.construct`; size: (B, C, h, w) of the coarse logits. The logits and their shape."""
    (images, classes, height, width), logits = size, coarse
    for _ in range(head.steps):
        logits = doubled(g, logits, height, width)
        height, width = 2 * height, 2 * width
        count = min(head.subdivision_num_points, height * width)
        best, _ = g("TopK", logits, [2], axis=1, outputs=2)
        uncertainty = g("Sub", g("Slice", best, [1], [2], [1]), g("Slice", best, [0], [1], [1]))
        _, index = g("TopK", g("Reshape", uncertainty, [images, height * width]), [count], outputs=2)
        points = centres(g, index, height, width)
        maps = {"fine": features, "coarse": coarse}
        rows = {name: flat_rows(g, values_at(g, value, points)) for name, value in maps.items()}
        (values,) = g.include(point_head, "point_head", rows)
        values = g("Transpose", g("Reshape", values, [images, count, classes]), perm=[0, 2, 1])
        index = g("Expand", g("Unsqueeze", index, [1]), [images, classes, count])
        flat = g("Reshape", logits, [images, classes, height * width])
        logits = g("Reshape", g("ScatterElements", flat, index, values, axis=2), [images, classes, height, width])
    return logits, (images, classes, height, width)
