"""Checkpoints of the MindSpore world that are no checkpoint of this project, told by the names of their parameters."""

import re
from collections.abc import Collection
from dataclasses import dataclass

STATISTICS = r"moving_variance"  # of a normalisation in MindSpore: what PyTorch calls running_var


@dataclass(frozen=True)
class Known:
    """title: whose they are. marks: each matches some name as a whole; never: none of them does.

    is_trunk: what is a backbone in it has this project's names and does the same, so that it may be loaded as it is.
    """

    title: str
    marks: tuple[str, ...]
    never: tuple[str, ...] = ()
    is_trunk: bool = False

    def fits(self, names: Collection[str]) -> bool:
        marked = all(any(re.fullmatch(mark, name) for name in names) for mark in self.marks)
        return marked and not any(re.fullmatch(mark, name) for mark in self.never for name in names)


_HRNET = rf"stage4\..*\.{STATISTICS}"
_RESNET = rf"layer4\..*\.{STATISTICS}"
_SEGMENTATION = r"last_layer\..*"
_MINDCV = r"(.*\.)?down_sample\.[01]\..*"
_BASIC = r"layer1\.0\.bn1d\..*"

HRNET_W48_CLS = Known(
    "HRNetW48_cls of MindSpore's models (research/cv)",
    (_HRNET, r"downsamp_modules\..*"),
    (_SEGMENTATION,),
    is_trunk=True,
)
HRNET_W48_SEG = Known("HRNetW48_seg of MindSpore's models (research/cv)", (_HRNET, _SEGMENTATION))
MINDCV_HRNET = Known("MindCV's HRNet", (_HRNET, _MINDCV))
MINDCV_RESNET = Known("MindCV's ResNet", (_RESNET, _MINDCV), (_HRNET,))
RESNET_BASIC = Known("ResNet-18 or 34 of MindSpore's models (official/cv/ResNet)", (_RESNET, _BASIC))
RESNET = Known(
    "ResNet-50 or 101 of MindSpore's models (official/cv/ResNet)",
    (_RESNET, r"(.*\.)?down_sample_layer\.[01]\..*"),
    (_BASIC,),
)
POINTREND = Known("pointrend of MindSpore's models (community/cv)", (r"fpn_ncek\..*", r"mask_point_head\..*"))
MASK_RCNN = Known(
    "MaskRCNN_resnet50 of MindSpore's models (official/cv)",
    (r"fpn_ncek\..*", r"rcnn_cls\..*"),
    (r"mask_point_head\..*",),
)
KNOWN = (HRNET_W48_CLS, HRNET_W48_SEG, MINDCV_HRNET, MINDCV_RESNET, RESNET_BASIC, RESNET, POINTREND, MASK_RCNN)


def known_checkpoint(names: Collection[str]) -> Known | None:
    """Whose checkpoint has parameters of these names; None for this project's own and for unknown ones."""
    plain = [name.removeprefix("network.") for name in names]
    return next((known for known in KNOWN if known.fits(plain)), None)
