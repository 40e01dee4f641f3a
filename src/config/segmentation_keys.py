"""Configuration keys of segmentation's heads."""

from .choices import MOST_CHANNELS
from .pointrend_keys import PointRendCfg
from .schema import key, keys, section

BILINEAR = ("half_pixel", "asymmetric", "align_corners")  # ONNX's words


@keys(matters="weights", on_resume="same")
class OCRCfg:
    mid_channels: int = key(512, "channels of pixels and regions", low=1, high=MOST_CHANNELS)
    key_channels: int = key(256, "channels in which they are compared", low=1, high=MOST_CHANNELS)
    bias: bool = key(
        True,
        "the two convolutions on the backbone's maps have a bias (the HRNet authors), or none (MMSegmentation)",
    )
    dropout: float = key(
        0.05, "share of channels before the classifier left out in training", low=0, high=0.99, matters="training"
    )
    aux_weight: float = key(0.4, "factor of the auxiliary loss", low=0, high=1e6, matters="training")


@keys(matters="weights", on_resume="same")
class SegHead:
    final_conv_kernel: int = key(1, "kernel size of the classifying convolution", choices=(1, 3))
    conv_init: str = key(
        "HeNormal",
        "initial convolution weights: HeNormal (fcn's head normal, 0.001; ocr's heads as PyTorch's), Normal (the "
        "backbone's too, 0.001: the HRNet authors), or HeUniform everywhere with uniform biases (the MindSpore "
        "original)",
        choices=("HeNormal", "Normal", "HeUniform"),
        matters="training",
    )
    bilinear: str = key(
        "half_pixel",
        "where bilinear enlarging looks, in fusion, head, loss and evaluation: half_pixel as PyTorch, asymmetric (y at "
        "y * in / out) for weights of the MindSpore original, align_corners (y at y * (in - 1) / (out - 1)) for those "
        "of the HRNet authors' OCR branch",
        choices=BILINEAR,
        matters="scores",
    )
    fusion_steps: int = key(
        1,
        "HRNet's fusion enlarges at once, or in 2 steps (by a factor, then to the size) as MMSegmentation does",
        choices=(1, 2),
        matters="scores",
    )
    ocr: OCRCfg = section(OCRCfg)
    pointrend: PointRendCfg = section(PointRendCfg)
