"""The keys that say what a network computes from given weights: what a checkpoint must be loaded with."""

from collections.abc import Collection, Mapping
from functools import reduce
from typing import Any

from .choices import CASCADES
from .config import Config

# By key the value that networks had before there was a choice, and that the PyTorch projects have; None where they have
# none in common.
DEFINITION: dict[str, Any] = {
    "backbone.pool_padding": "symmetric",
    "backbone.conv_padding": "symmetric",
    "seg_head.bilinear": "half_pixel",
    "seg_head.fusion_steps": 1,
    "neck.upsampling": "nearest",
    "cascade.mean_of": "logits",
    "cascade.target_stds": None,
    "box_style": "continuous",
    "resize": "fit",
    "pad_colour": "mean",
    "test_cfg.rcnn.inclusive_nms": False,
    "test_cfg.rcnn.subdivision_resize": "half_pixel",
}
# Values that the same weights go with: MMDetection's train as the one has it and are scored by the other.
ALIKE = {"resize": ("fit", "short_long")}
DETECTION = ("neck", "cascade", "", "test_cfg.rcnn")  # sections of a detector; "" for keys that are in none


def usual_definition(sections: Collection[str]) -> dict[str, Any]:
    """The values of before for the keys in these sections."""
    return {name: value for name, value in DEFINITION.items() if _section(name) in sections and value is not None}


def doublings(cfg: Config) -> int:
    """How often a segmentation network doubles its logits beyond the resolution of the backbone's finest map."""
    return cfg.seg_head.pointrend.subdivision_steps if cfg.segmenter == "pointrend" else 0


def definition(cfg: Config, sections: Collection[str]) -> dict[str, Any]:
    """The configuration's values, of those that it has in these sections (what its task builds networks of)."""
    found = {}
    for dotted in DEFINITION:
        section, _, name = dotted.rpartition(".")
        if section not in sections or (section == "cascade" and cfg.detector not in CASCADES):
            continue
        part = reduce(getattr, filter(None, section.split(".")), cfg)
        if hasattr(part, name):
            found[dotted] = getattr(part, name)
    return found


def typed(value: Any) -> str:
    """A key's value as a command line has it."""
    return str(value).replace(" ", "")


def differences(theirs: Mapping[str, Any], cfg: Config, sections: Collection[str]) -> list[tuple[str, Any, Any]]:
    """(key, its value here, theirs) of every key in these sections that both networks have and that differs."""
    ours = definition(cfg, sections)
    found = [(name, ours[name], value) for name, value in theirs.items() if name in ours and ours[name] != value]
    return [(name, *both) for name, *both in found if any(value not in ALIKE.get(name, ()) for value in both)]


def other_fusion(theirs: Mapping[str, Any], cfg: Config, sections: Collection[str]) -> str:
    """What to say where weights of a segmentation network become the trunk of another one's HRNet, else nothing.

    ImageNet's trunks, whose fusion is nearest, are the usual start of a segmentation network: of that nothing is said.
    """
    if "seg_head.bilinear" not in theirs or "seg_head" in sections or cfg.backbone.type != "hrnet":
        return ""
    return f"its HRNet fuses by bilinear enlarging, that of task {cfg.task} by nearest"


def _section(name: str) -> str:
    return name.rpartition(".")[0]
