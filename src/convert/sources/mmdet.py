"""MMDetection's two-stage detectors: 2.x and 3.x (background last), and 1.x (background first).

A cascade's heads are numbered, bbox_head.0 and mask_head.0 of the first stage, here as there.
"""

from ..table import Expects, Rule, Source
from .hrnet import FUSION

DENSE = (
    FUSION,
    Rule(r"(backbone(?:\..*)?)", "<1>"),
    Rule(r"(neck(?:\..*)?)", "<1>"),
    Rule(r"(rpn_head(?:\..*)?)", "<1>"),
)
POINTREND = (
    Rule(r"roi_head\.mask_head\.downsample_conv\.conv", "mask_head.coarse_head.reduce_spatial_dim_conv"),
    Rule(r"roi_head\.mask_head\.fcs\.(\d+)", "mask_head.coarse_head.fcs.<1>"),
    Rule(r"roi_head\.mask_head\.fc_logits", "mask_head.coarse_head.prediction"),
    Rule(r"roi_head\.point_head\.fcs\.(\d+)\.conv", "mask_head.point_head.fcs.<1>", change="pointwise"),
    Rule(r"roi_head\.point_head\.fc_logits", "mask_head.point_head.predictor", change="pointwise"),
)
HEADS = (*POINTREND, Rule(r"roi_head\.((?:bbox_head|mask_head)(?:\..*)?)", "<1>"))
HEADS_1X = (
    Rule(r"bbox_head((?:\.\d+)?)\.fc_cls", "bbox_head<1>.fc_cls", change="background_last"),
    Rule(r"bbox_head((?:\.\d+)?)\.fc_reg", "bbox_head<1>.fc_reg", change="no_background_boxes"),
    Rule(r"mask_head((?:\.\d+)?)\.conv_logits", "mask_head<1>.conv_logits", change="no_background_masks"),
    Rule(r"((?:bbox_head|mask_head)(?:\..*)?)", "<1>"),
)
BOXES_1X = (
    "MMDetection 1.x counts a box's last pixel and does not shift RoIAlign by half a pixel: set box_style to legacy, "
    "roi.roi_layer.aligned and mask_roi.roi_layer.aligned to 0"
)
A_MASK_HEAD_EACH = "every stage of MMDetection's cascade has a mask head: --cascade.mask_heads each takes them"

MMDET = Source(
    name="mmdet",
    title="MMDetection 2.x and 3.x: Faster, Mask, Cascade and Cascade Mask R-CNN, PointRend",
    marks=(r"rpn_head\.rpn_cls\.weight", r"roi_head\..*"),
    never=(r"backbone\.endpoint_convs\..*",),
    rules=(*DENSE, *HEADS),
    detects=True,
    ignored=(
        (r"ema_.*", "moving averages beside the weights"),
        (r"steps", "counter of MMEngine's moving average"),
        (r"data_preprocessor\..*", "normalisation constants"),
    ),
    no_place=((r"roi_head\.mask_head\.\d+\..*", A_MASK_HEAD_EACH),),
    expects=Expects(resnet_note="MMDetection's *_caffe configurations are other: backbone.style caffe, BGR, img_std 1"),
)

MMDET_1X = Source(
    name="mmdet1",
    title="MMDetection 1.x: Faster, Mask, Cascade and Cascade Mask R-CNN (background first)",
    marks=(r"rpn_head\.rpn_cls\.weight", r"bbox_head(\.\d+)?\.fc_cls\.weight"),
    never=(r"backbone\.endpoint_convs\..*",),
    rules=(*DENSE, *HEADS_1X),
    detects=True,
    no_place=((r"mask_head\.\d+\..*", A_MASK_HEAD_EACH),),
    definition=(("box_style", "legacy"),),
    expects=Expects(note=BOXES_1X),
)
