"""timm on machines where torchvision's binary does not fit the installed torch (a CPU build, for instance)."""

import sys

import torch


def import_timm():
    """timm; where torchvision cannot register its operators, their names are declared first (timm calls none here)."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        import_timm.library = torch.library.Library("torchvision", "DEF")  # kept: the declarations live as long as it
        for operator in ("nms", "qnms"):
            import_timm.library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import timm

    return timm
