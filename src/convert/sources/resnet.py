"""ResNet backbones of torchvision, timm and MMDetection, which share their names."""

from ..table import Expects, Rule, Source

RESNET = Source(
    name="resnet",
    title="torchvision's, timm's and MMDetection's ResNet",
    marks=(r"(backbone\.)?layer4\..*", r"(backbone\.)?conv1\.weight"),
    never=(r"rpn_head\..*", r"(backbone\.)?stage4\..*"),
    rules=(Rule(r"(?:backbone\.)?((?:conv1|bn1|layer[1-4])(?:\..*)?)", "backbone.<1>"),),
    ignored=((r"(head\.)?fc\..*", "ImageNet classifier"),),
    expects=Expects(
        style="pytorch",
        resnet_note="OpenMMLab's files named *_caffe are other: backbone.style caffe, to_rgb 0, "
        "img_mean [103.53, 116.28, 123.675], img_std [1, 1, 1]",
    ),
)
