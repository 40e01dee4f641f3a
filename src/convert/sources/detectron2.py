"""Detectron2's two-stage detectors with R-FPN, its ImageNet backbones, and Caffe2's from which they come."""

from dataclasses import replace

from ..table import Expects, Rule, Source

BODY = r"(?:backbone\.bottom_up\.)?"
BLOCK = BODY + r"res([2-5])\.(\d+)\."
OURS = "backbone.layer<1-1>.<2>."
COARSE = r"roi_heads\.(?:mask_head\.coarse_head|mask_coarse_head)\."  # now and before 2021
POINT = r"roi_heads\.(?:mask_head\.point_head|mask_point_head)\."
MSRA = Expects(
    img_mean=(103.53, 116.28, 123.675),
    img_std=(1.0, 1.0, 1.0),
    to_rgb=False,
    style="caffe",
)

RESNET = (  # a convolution's module has its normalisation inside, so its output is the normalisation's
    Rule(BODY + r"stem\.conv1", "backbone.conv1", output="backbone.bn1"),
    Rule(BODY + r"stem\.conv1\.norm", "backbone.bn1"),
    Rule(BLOCK + r"conv(\d)", OURS + "conv<3>", output=OURS + "bn<3>"),
    Rule(BLOCK + r"conv(\d)\.norm", OURS + "bn<3>"),
    Rule(BLOCK + r"shortcut", OURS + "downsample.0", output=OURS + "downsample.1"),
    Rule(BLOCK + r"shortcut\.norm", OURS + "downsample.1"),
    Rule(BODY + r"res([2-5])((?:\.\d+)?)", "backbone.layer<1-1><2>"),
)
DENSE = (
    Rule(r"backbone\.fpn_lateral([2-5])", "neck.lateral_convs.<1-2>.conv"),
    Rule(r"backbone\.fpn_output([2-5])", "neck.fpn_convs.<1-2>.conv"),
    Rule(r"proposal_generator\.rpn_head\.conv", "rpn_head.rpn_conv", relu=True),
    Rule(r"proposal_generator\.rpn_head\.objectness_logits", "rpn_head.rpn_cls", change="ratios_outermost"),
    Rule(r"proposal_generator\.rpn_head\.anchor_deltas", "rpn_head.rpn_reg", change="ratios_outermost"),
)
STAGE = r"((?:\.\d+)?)\."  # of a cascade; nothing in a detector with one
ROI_CONV = ("bbox_head<1>.shared_convs.<2-1>", "mask_head.convs.<1-1>")
HEADS = (
    Rule(rf"roi_heads\.box_head{STAGE}conv(\d)", f"{ROI_CONV[0]}.conv", output=ROI_CONV[0]),
    Rule(rf"roi_heads\.box_head{STAGE}conv(\d)\.norm", f"{ROI_CONV[0]}.bn"),
    Rule(rf"roi_heads\.box_head{STAGE}fc(\d)", "bbox_head<1>.shared_fcs.<2-1>"),
    Rule(rf"roi_heads\.box_predictor{STAGE}cls_score", "bbox_head<1>.fc_cls"),
    Rule(rf"roi_heads\.box_predictor{STAGE}bbox_pred", "bbox_head<1>.fc_reg"),
    Rule(r"roi_heads\.mask_head\.mask_fcn(\d)", f"{ROI_CONV[1]}.conv", output=ROI_CONV[1]),
    Rule(r"roi_heads\.mask_head\.mask_fcn(\d)\.norm", f"{ROI_CONV[1]}.bn"),
    Rule(r"roi_heads\.mask_head\.deconv", "mask_head.upsample"),
    Rule(r"roi_heads\.mask_head\.predictor", "mask_head.conv_logits"),
    Rule(COARSE + r"(reduce_(?:spatial|channel)_dim_conv)", "mask_head.coarse_head.<1>", relu=True),
    Rule(COARSE + r"(?:fc|coarse_mask_fc)(\d)", "mask_head.coarse_head.fcs.<1-1>"),
    Rule(COARSE + r"prediction", "mask_head.coarse_head.prediction"),
    Rule(POINT + r"fc(\d)", "mask_head.point_head.fcs.<1-1>", change="pointwise"),
    Rule(POINT + r"predictor", "mask_head.point_head.predictor", change="pointwise"),
)

FIRST_STAGE = r"roi_heads\.box_predictor\.0\.cls_score\.weight"
ONE_MASK_HEAD = "Detectron2's cascade has one mask head: --cascade.mask_heads one takes it"
CASCADE_NOTE = (  # of its CascadeROIHeads; keys for that are not needed to use the weights
    "where they are trained on, Detectron2's cascade differs in this: all RoIs of the first stage go on to the later "
    "ones, none is sampled or added there, and empty boxes are dropped; the stages' losses have no factors, but the "
    "gradients that reach the pyramid from the box heads are divided by the number of stages"
)
CASCADE = (
    ("cascade.mean_of", "probabilities"),
    ("cascade.target_stds", [[1 / w, 1 / w, 2 / w, 2 / w] for w in (10, 20, 30)]),
)

DETECTRON2 = Source(
    name="detectron2",
    title="Detectron2's Faster R-CNN, Mask R-CNN and PointRend (R-FPN), or its ResNet alone",
    marks=(BODY + r"res5\.0\.conv1\.weight", BODY + r"stem\.conv1\.weight"),
    never=(FIRST_STAGE,),
    rules=(*RESNET, *DENSE, *HEADS),
    detects=True,
    ignored=(
        (r"pixel_(mean|std)", "normalisation constants, see the line on what the source expects"),
        (r"proposal_generator\.anchor_generator\.cell_anchors\..*", "anchors, which the configuration makes"),
        (BODY + r"(stem\.fc|linear)\..*", "ImageNet classifier"),
    ),
    affine_norms=True,
    expects=MSRA,
)

DETECTRON2_CASCADE = replace(
    DETECTRON2,
    name="detectron2-cascade",
    title="Detectron2's Cascade R-CNN (R-FPN), with masks or without",
    marks=(*DETECTRON2.marks, FIRST_STAGE),
    never=(),
    no_place=((r"roi_heads\.mask_head\..*", ONE_MASK_HEAD),),
    expects=replace(MSRA, note=CASCADE_NOTE),
    definition=CASCADE,
    ready=("configs/cascade_mask_rcnn_r50_fpn_detectron2.yaml",),
)

CAFFE2 = Source(
    name="caffe2",
    title="Caffe2's and Detectron 1's ImageNet ResNet (MSRA's R-50.pkl)",
    marks=(r"conv1_w", r"res5_0_branch2a_w"),
    spelling=(
        (r"^res_conv1_bn_", "conv1_bn_"),
        (r"_bn_s$", "_bn.weight"),
        (r"_bn_b$", "_bn.bias"),
        (r"_w$", ".weight"),
        (r"_b$", ".bias"),
    ),
    rules=(
        Rule(r"conv1", "backbone.conv1"),
        Rule(r"conv1_bn", "backbone.bn1"),
        *(
            rule
            for branch, conv, norm in (
                ("1", "downsample.0", "downsample.1"),
                ("2a", "conv1", "bn1"),
                ("2b", "conv2", "bn2"),
                ("2c", "conv3", "bn3"),
            )
            for rule in (
                Rule(rf"res([2-5])_(\d+)_branch{branch}", OURS + conv),
                Rule(rf"res([2-5])_(\d+)_branch{branch}_bn", OURS + norm),
            )
        ),
    ),
    ignored=(
        (r"conv1\.bias", "bias before a normalisation, which Detectron2 leaves out too"),
        (r"(fc|pred)1000\..*", "ImageNet classifier"),
        (r".*_momentum", "optimizer's state"),
    ),
    affine_norms=True,
    expects=MSRA,
)
