"""The detector that a configuration names."""

from mindspore import nn

from ...config import Config
from ..build_helpers import choose
from .build_cascade import build_cascade
from .build_faster_rcnn import build_faster_rcnn
from .build_mask_rcnn import build_mask_rcnn
from .build_pointrend import build_pointrend

DETECTORS = {
    "mask_rcnn": build_mask_rcnn,
    "pointrend": build_pointrend,
    "faster_rcnn": build_faster_rcnn,
    "cascade_rcnn": build_cascade,
    "cascade_mask_rcnn": build_cascade,
}


def build_detector(cfg: Config) -> nn.Cell:
    """The detector that `cfg.detector` names, freshly initialised; UserError for an unknown name."""
    return choose(DETECTORS, cfg.detector, "detector")(cfg)
