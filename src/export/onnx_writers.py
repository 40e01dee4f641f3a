"""Which writer makes ONNX of a network: it is chosen by the outputs that the network declares."""

from collections.abc import Callable

import numpy as np
import onnx
from mindspore import nn

from ..models.detection.detections import BOXES_ALONE, Detections
from ..models.pointrend_segmentation import PointRendSegmenter
from .dense_onnx import cell_to_onnx
from .detector_onnx import detector_to_onnx
from .segmenter_onnx import segmenter_to_onnx

# Networks that MindSpore's own exporter cannot write in one piece, by their `output_names`: (network, (height, width),
# images) -> its graph.
WRITERS: dict[tuple[str, ...], Callable[[nn.Cell, tuple[int, int], int], onnx.ModelProto]] = {
    Detections._fields: detector_to_onnx,
    BOXES_ALONE: detector_to_onnx,
    PointRendSegmenter.output_names: segmenter_to_onnx,
}


def network_to_onnx(model: nn.Cell, inputs: dict[str, np.ndarray]) -> onnx.ModelProto:
    """`model` in evaluation mode for inputs of these names, shapes and types."""
    writer = WRITERS.get(tuple(model.output_names))
    if writer is None:
        return cell_to_onnx(model, inputs, model.output_names)
    images, _, *size = inputs["image"].shape
    return writer(model, tuple(size), images)
