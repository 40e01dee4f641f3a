"""Checkpoints of MindSpore's models and of MindCV: HRNet and ResNet, trained ones with the optimizer's entries too."""

from ...config import known_checkpoints as known
from ..table import Rule, Source
from . import hrnet

EMA = "ema"  # how the entries of a moving average begin
STATE = (  # what training adds to a network's own entries
    (
        r"(moments?|moment[12]|momentum|mean_square|mean_gradient|accum|stat|vhat|exp_avg|exp_avg_sq|accumulated_grads?"
        r"|accum_grads?|inner_grads?)\..*",
        "the optimizer's state of each weight",
    ),
    (
        r"global_step|learning_rate|momentum|beta[12]_power|weight_decay|scale_sense|loss_scale|updates|accum_step"
        r"|exp_avg_updates|current_iterator_step|last_overflow_iterator_step|epoch_num|step_num",
        "counters and rates of the training",
    ),
)
AVERAGES = (rf"{EMA}\..*", f"moving averages of the weights (--pt_entry {EMA} takes them instead)")
IGNORED = (*STATE, AVERAGES)
CLASSIFIER = r"(?:incre_modules|downsamp_modules|final_layer|classifier)(?:\..*)?"

HRNET_W48_CLS = Source(
    name="mindspore-hrnet-cls",
    title=known.HRNET_W48_CLS.title,
    framework="mindspore",
    marks=known.HRNET_W48_CLS.marks,
    never=known.HRNET_W48_CLS.never,
    rules=(hrnet.BACKBONE, Rule(f"({CLASSIFIER})", "<1>", optional=True)),
    ignored=IGNORED,
    ready=("configs/hrnet_w48_cls.yaml", "configs/hrnet_w48_cls_mindspore.yaml"),
)
HRNET_W48_SEG = Source(
    name="mindspore-hrnet-seg",
    title=known.HRNET_W48_SEG.title,
    framework="mindspore",
    marks=known.HRNET_W48_SEG.marks,
    rules=(hrnet.BACKBONE, Rule(r"(last_layer(?:\..*)?)", "<1>", optional=True)),
    ignored=(*IGNORED, (CLASSIFIER, "the ImageNet classifier that torch2mindspore.py keeps")),
    segments=True,
    definition=(("seg_head.bilinear", "asymmetric"),),
    ready=("configs/hrnet_w48_seg_cityscapes_mindspore.yaml", "configs/hrnet_w48_seg_lip_mindspore.yaml"),
)
MINDCV_HRNET = Source(
    name="mindcv-hrnet",
    title=known.MINDCV_HRNET.title,
    framework="mindspore",
    marks=known.MINDCV_HRNET.marks,
    spelling=((r"(^|\.)down_sample\.", r"\1downsample."), (r"^downsample_modules\.", "downsamp_modules.")),
    rules=HRNET_W48_CLS.rules,
    ignored=IGNORED,
    zero_biases=(r"downsamp_modules\.\d\.0\.bias", r"final_layer\.0\.bias"),
    ready=("configs/hrnet_w48_cls.yaml", "configs/hrnet_w32_cls.yaml"),
)

TRUNK = Rule(r"((?:conv1|bn1|layer[1-4])(?:\..*)?)", "backbone.<1>")
IMAGENET = (r"(classifier|end_point)\..*", "ImageNet classifier")

MINDCV_RESNET = Source(
    name="mindcv-resnet",
    title=known.MINDCV_RESNET.title,
    framework="mindspore",
    marks=known.MINDCV_RESNET.marks,
    never=known.MINDCV_RESNET.never,
    spelling=((r"\.down_sample\.", ".downsample."),),
    rules=(TRUNK,),
    ignored=(*IGNORED, IMAGENET),
    definition=(("backbone.pool_padding", "same"),),
    ready=("configs/mask_rcnn_r50_fpn_mindcv.yaml",),
)
RESNET = Source(
    name="mindspore-resnet",
    title=known.RESNET.title,
    framework="mindspore",
    marks=known.RESNET.marks,
    never=known.RESNET.never,
    spelling=((r"\.down_sample_layer\.", ".downsample."),),
    rules=(TRUNK,),
    ignored=(*IGNORED, IMAGENET),
    norm_eps=((r".*", 1e-4),),
    definition=(("backbone.pool_padding", "same"), ("backbone.conv_padding", "same")),
    ready=("configs/mask_rcnn_r50_fpn_mindspore_resnet.yaml",),
)
RESNET_BASIC = Source(  # 18 and 34 pad evenly, and their two epsilons are the original's own mixture
    name="mindspore-resnet-basic",
    title=known.RESNET_BASIC.title,
    framework="mindspore",
    marks=known.RESNET_BASIC.marks,
    spelling=((r"\.down_sample_layer\.", ".downsample."), (r"\.bn([12])d\.", r".bn\1.")),
    rules=(TRUNK,),
    ignored=(*IGNORED, IMAGENET),
    norm_eps=((r"layer\d\.\d\.bn[12]", 1e-4), (r".*", 1e-5)),
)
SOURCES = (HRNET_W48_CLS, HRNET_W48_SEG, MINDCV_HRNET, MINDCV_RESNET, RESNET, RESNET_BASIC)
