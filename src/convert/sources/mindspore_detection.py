"""The MindSpore originals MaskRCNN_resnet50 (official/cv) and pointrend (community/cv): background first, linear layers
of the box head stored (in, out).
"""

from ...config import known_checkpoints as known
from ..table import Rule, Source
from .mindspore import IGNORED

TRUNK = (
    Rule(r"(backbone\.layer[1-4]\.\d+)\.conv_down_sample", "<1>.downsample.0"),
    Rule(r"(backbone\.layer[1-4]\.\d+)\.bn_down_sample", "<1>.downsample.1"),
    Rule(r"(backbone\..*)", "<1>"),
    Rule(r"fpn_ncek\.(lateral|fpn)_convs_list\.(\d+)", "neck.<1>_convs.<2>.conv"),
    Rule(r"rpn_with_loss\.rpn_convs_list\.0\.(rpn_conv|rpn_cls|rpn_reg)", "rpn_head.<1>"),
    Rule(r"rcnn_cls\.fpn_cls\.shared_fc_(\d+)", "bbox_head.shared_fcs.<1>", change="transposed"),
    Rule(r"rcnn_cls\.fpn_cls\.cls_scores", "bbox_head.fc_cls", change="transposed_background_last"),
    Rule(r"rcnn_cls\.fpn_cls\.reg_scores", "bbox_head.fc_reg", change="transposed_background_box"),
)
FCN_MASKS = (
    Rule(r"rcnn_mask\.fpn_mask\.mask_conv([1-4])", "mask_head.convs.<1-1>.conv"),
    Rule(r"rcnn_mask\.fpn_mask\.mask_deconv5", "mask_head.upsample"),
    Rule(r"rcnn_mask\.fpn_mask\.mask_conv6", "mask_head.conv_logits", change="no_background_masks"),
)
POINT_MASKS = (
    Rule(r"mask_coarse_head\.reduce_spatial_dim_conv", "mask_head.coarse_head.reduce_spatial_dim_conv"),
    Rule(r"mask_coarse_head\.fcs_seq\.(\d+)", "mask_head.coarse_head.fcs.<1>"),
    Rule(r"mask_coarse_head\.prediction", "mask_head.coarse_head.prediction", change="background_mask_last"),
    Rule(r"mask_point_head\.seq\.(\d+)", "mask_head.point_head.fcs.<1>", change="point_inputs"),
    Rule(r"mask_point_head\.predictor", "mask_head.point_head.predictor", change="point_outputs"),
)

BOXES = (("box_style", "legacy"), ("resize", "fit_twice"), ("pad_colour", "black"))
DENSE = (("backbone.pool_padding", "same"), ("neck.upsampling", "asymmetric"))

MASK_RCNN = Source(
    name="mindspore-maskrcnn",
    title=known.MASK_RCNN.title,
    framework="mindspore",
    marks=known.MASK_RCNN.marks,
    never=known.MASK_RCNN.never,
    rules=(*TRUNK, *FCN_MASKS),
    ignored=IGNORED,
    detects=True,
    definition=(*DENSE, *BOXES),
    ready=("configs/mask_rcnn_r50_fpn_mindspore.yaml",),
)
POINTREND = Source(
    name="mindspore-pointrend",
    title=known.POINTREND.title,
    framework="mindspore",
    marks=known.POINTREND.marks,
    rules=(*TRUNK, *POINT_MASKS),
    ignored=(*IGNORED, (r"rcnn_mask\..*", "Mask R-CNN's mask head, which the original keeps and does not use")),
    detects=True,
    definition=(
        *DENSE, *BOXES, ("test_cfg.rcnn.inclusive_nms", True), ("test_cfg.rcnn.subdivision_resize", "asymmetric")
    ),
    ready=("configs/pointrend_r50_fpn_mindspore.yaml",),
)
SOURCES = (MASK_RCNN, POINTREND)
