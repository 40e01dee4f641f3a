"""The keys that say what a network computes from given weights: what a checkpoint must be loaded with."""

from collections.abc import Collection, Mapping
from typing import Any

from .config import Config

# By key the value that networks had before there was a choice, and that the PyTorch projects have.
DEFINITION: dict[str, Any] = {
    "backbone.pool_padding": "symmetric",
    "backbone.conv_padding": "symmetric",
    "seg_head.bilinear": "half_pixel",
    "seg_head.fusion_steps": 1,
}


def usual_definition(sections: Collection[str]) -> dict[str, Any]:
    """The values of before for the keys in these sections."""
    return {name: value for name, value in DEFINITION.items() if name.rpartition(".")[0] in sections}


def definition(cfg: Config, sections: Collection[str]) -> dict[str, Any]:
    """The configuration's values, of those that it has in these sections (what its task builds networks of)."""
    found = {}
    for dotted in usual_definition(sections):
        part, _, name = dotted.rpartition(".")
        if hasattr(getattr(cfg, part), name):
            found[dotted] = getattr(getattr(cfg, part), name)
    return found


def differences(theirs: Mapping[str, Any], cfg: Config, sections: Collection[str]) -> list[tuple[str, Any, Any]]:
    """(key, its value here, theirs) of every key that both networks have and that differs."""
    ours = definition(cfg, sections)
    return [(name, ours[name], value) for name, value in theirs.items() if name in ours and ours[name] != value]


def other_fusion(theirs: Mapping[str, Any], cfg: Config, sections: Collection[str]) -> str:
    """What to say where weights of a segmentation network become the trunk of another one's HRNet, else nothing.

    ImageNet's trunks, whose fusion is nearest, are the usual start of a segmentation network: of that nothing is said.
    """
    if "seg_head.bilinear" not in theirs or "seg_head" in sections or cfg.backbone.type != "hrnet":
        return ""
    return f"its HRNet fuses by bilinear enlarging, that of task {cfg.task} by nearest"
