"""Configuration keys of the backbones: a class for each `backbone.type`. A new one is a class and a line at the end."""

from .choices import MOST_CHANNELS, MOST_LAYERS
from .schema import key, keys, section


@keys(on_resume="same")
class NormCfg:
    type: str = key("BN", "normalisation layer", choices=("BN",), matters="weights")
    momentum: float = key(
        0.1, "share of the new value in the running statistics (PyTorch's sense)", low=0, high=1, matters="training"
    )
    eps: float = key(1e-5, "added to the variance", low=0, high=1, matters="scores")
    requires_grad: bool = key(True, "weight and bias of the normalisation learn", matters="training")


@keys(matters="weights", on_resume="same")
class Backbone:
    """The keys that every backbone has."""

    type: str = key("hrnet", "backbone network: hrnet, resnet, spinenet, or one of your own in src/models/build.py")
    norm_cfg: NormCfg = section(NormCfg)
    norm_eval: bool = key(False, "normalise with the running statistics in training too", matters="training")
    frozen_stages: int = key(
        -1,
        "stages that do not learn: -1 none, 0 the stem, k the stem and stages 1..k",
        low=-1,
        high=4,
        matters="training",
    )
    pretrained: str = key("", "checkpoint with weights for the backbone alone", matters="training")


@keys(matters="weights", on_resume="same")
class HRNetStage:
    num_modules: int = key(1, "high-resolution modules in the stage", low=1, high=MOST_LAYERS)
    num_branches: int = key(1, "parallel branches", low=1, high=8)
    block: str = key("BASIC", "residual block", choices=("BASIC", "BOTTLENECK"))
    num_blocks: list[int] = key([4], "residual blocks on each branch", low=1, high=MOST_LAYERS, least=1, most=8)
    num_channels: list[int] = key(
        [64], "channels of each branch before the block's expansion", low=1, high=MOST_CHANNELS, least=1, most=8
    )


@keys()
class HRNetExtra:
    stage1: HRNetStage = section(HRNetStage)
    stage2: HRNetStage = section(HRNetStage)
    stage3: HRNetStage = section(HRNetStage)
    stage4: HRNetStage = section(HRNetStage)


PADDING = ("symmetric", "same")  # same: TensorFlow's, MindSpore's and Paddle's; the odd pixel at the bottom and right


@keys(matters="weights", on_resume="same")
class HRNetBackbone(Backbone):
    extra: HRNetExtra = section(HRNetExtra)
    conv_padding: str = key(
        "symmetric",
        "padding of convolutions of stride 2: same for PaddleSeg's weights and MindSpore's official ResNet-50, 101",
        choices=PADDING,
        matters="scores",
    )


@keys(matters="weights", on_resume="same")
class ResNetBackbone(Backbone):
    depth: int = key(50, "ResNet's number of layers: 18, 34, 50, 101", low=1, high=1000)
    base_channels: int = key(
        64, "ResNet's width: channels of its first stage before the block's expansion", low=1, high=1024
    )
    style: str = key(
        "pytorch", "ResNet's stride on the 3x3 or the first 1x1", choices=("pytorch", "caffe"), matters="scores"
    )
    pool_padding: str = key(
        "symmetric",
        "padding of ResNet's pooling: same for weights of MindCV and of MindSpore's ResNet-50, MaskRCNN, pointrend",
        choices=PADDING,
        matters="scores",
    )
    conv_padding: str = key(
        "symmetric",
        "padding of convolutions of stride 2: same for PaddleSeg's weights and MindSpore's official ResNet-50, 101",
        choices=PADDING,
        matters="scores",
    )


@keys(matters="weights", on_resume="same")
class SpineNetScaling:
    endpoint_channels: int = key(0, "channels of every output; 0 takes the architecture's", low=0, high=MOST_CHANNELS)
    width: float = key(0.0, "factor on all block widths; 0 takes the architecture's", low=0, high=16)
    alpha: float = key(0.0, "width of the resampling; 0 takes the architecture's", low=0, high=16)
    repeats: int = key(0, "residual blocks in each block; 0 takes the architecture's", low=0, high=MOST_LAYERS)


@keys(matters="weights", on_resume="same")
class SpineNetBackbone(Backbone):
    arch: str = key("49", "SpineNet's architecture: 49S, 49, 96, 143, 190")
    scaling: SpineNetScaling = section(SpineNetScaling)


BACKBONE_KEYS = {  # in the order in which --help lists them
    "spinenet": SpineNetBackbone,
    "resnet": ResNetBackbone,
    "hrnet": HRNetBackbone,
}
