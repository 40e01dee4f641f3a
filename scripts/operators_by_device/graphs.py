"""The operators in a network's graph as an Ascend would get it: `python -m scripts.operators_by_device.graphs NAME`.

Networks and steps are built with `device_target` Ascend for all that asks in Python, this project's Cells and
MindSpore's own (so none of this project's compiled operators is in them), and compiled by MindSpore's front end,
without a device, up to where a back end would take the graph: gradients are there, kernels are not chosen. What the
front end itself asks in C++ it is told of the CPU.
"""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.process.threads import share_cores

share_cores()  # before MindSpore is imported

# ruff: noqa: E402
import mindspore as ms
import numpy as np
from mindspore import Tensor, nn
from mindspore.common.api import _cell_graph_executor
from mindspore.train.mind_ir_pb2 import ModelProto

from benchmarks.training_cases import OBJECTS, classifier_batch, detector_batch, segmenter_batch
from src.config import load_config
from src.engine.setup import make_train_step
from src.tasks import TASKS

CONFIGS = Path(__file__).parents[2] / "configs"
STEPS = 100  # of the schedule
BATCH = 2


def _segmenter_batch(size: int, batch: int, columns: Sequence[str]) -> tuple[np.ndarray, ...]:
    seed = (np.arange(batch, dtype=np.int32),) if "sample_seed" in columns else ()
    return (*segmenter_batch(size, batch, columns), *seed)


BATCHES = {"detection": detector_batch, "segmentation": _segmenter_batch, "classification": classifier_batch}
# What holds a graph together and is no kernel's work; TensorMove is a copy that the front end puts in.
STRUCTURE = {
    "Constant", "Depend", "Load", "MakeList", "MakeTuple", "Partial", "Return", "Switch", "TensorMove", "TupleGetItem",
    "UpdateState",
}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """A configuration below configs/ with more keys; `kinds` are the graphs that are looked at.

    chip: as MindSpore calls it; 'ascend910' is that of before the Atlas A2, which tells of overflows in another way.
    """

    name: str
    config: str
    keys: str = ""
    kinds: tuple[str, ...] = ("train", "infer")
    chip: str = "ascend910b"


_OBJECTS = f"--num_gts {OBJECTS}"
_SMALL = f"--img_width 128 --img_height 128 {_OBJECTS}"
_SMALL_SEG = "--img_width 64 --img_height 64 --eval_width 64 --eval_height 64"
FAMILIES = {
    family.name: family
    for family in (
        Family("classification", "demo/hrnet_cls_shapes"),
        Family("segmentation", "demo/hrnet_seg_cityscapes_shapes", _SMALL_SEG),
        Family("segmentation of the MindSpore original", "hrnet_w48_seg_cityscapes_mindspore", _SMALL_SEG),
        Family("OCR", "demo/hrnet_ocr_cityscapes_shapes", _SMALL_SEG),
        Family("PointRend segmentation", "demo/hrnet_pointrend_cityscapes_shapes", _SMALL_SEG),
        Family("Faster R-CNN", "demo/faster_rcnn_hrnet_shapes", _OBJECTS),
        Family("Mask R-CNN", "demo/mask_rcnn_hrnet_shapes", _OBJECTS),
        Family("Cascade Mask R-CNN", "demo/cascade_mask_rcnn_hrnet_shapes", _OBJECTS),
        Family("SpineNet", "demo/mask_rcnn_spinenet_shapes", _OBJECTS),
        Family("ResNet", "mask_rcnn_r50_fpn_1x_coco", _SMALL),
        Family("PointRend", "demo/pointrend_hrnet_shapes", _OBJECTS),
        Family("PointRend of the MindSpore original", "pointrend_r50_fpn_mindspore", _SMALL),
        Family("soft NMS", "demo/faster_rcnn_hrnet_shapes", f"{_OBJECTS} --test_cfg.rcnn.nms soft", ("infer",)),
        Family(
            "half precision and AdamW",
            "demo/hrnet_cls_shapes",
            "--amp_level O2 --loss_scale dynamic --accumulate_step 2 --ema_decay 0.99 --grad_clip 1 --opt_type adamw",
            ("train",),
        ),
        Family(
            "half precision and SGD",
            "demo/mask_rcnn_hrnet_shapes",
            f"{_OBJECTS} --amp_level O1 --opt_type sgd",
            ("train",),
        ),
        Family("RMSProp", "demo/hrnet_cls_shapes", "--opt_type rmsprop", ("train",)),
        Family("the first 910", "demo/hrnet_cls_shapes", "", ("train",), "ascend910"),
    )
}


class _Chip:
    """MindSpore's context but for the name of the chip."""

    def __init__(self, name: str):
        self.get_instance = lambda: self
        self.get_ascend_soc_version = lambda: name


@contextlib.contextmanager
def as_on_ascend(chip: str) -> Iterator[None]:
    """While active, `get_context("device_target")` is Ascend, under whatever name a module has the function, and
    MindSpore's check of gradients sees this chip.
    """
    real = ms.get_context

    def told(name: str):
        return "Ascend" if name == "device_target" else real(name)

    places = [
        (module, name, told)
        for module in list(sys.modules.values())
        for name, value in list(getattr(module, "__dict__", {}).items())
        if value is real
    ]
    places.append((ms.amp, "MSContext", _Chip(chip)))
    before = [getattr(module, name) for module, name, _ in places]
    for module, name, value in places:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(places, before, strict=True):
            setattr(module, name, value)


def operators(net: nn.Cell, inputs: list[Tensor]) -> set[str]:
    """Names of the primitives in the graph of a call."""
    phase, _ = _cell_graph_executor.compile(net, *inputs, phase="export.mindir", do_convert=False)
    model = ModelProto.FromString(_cell_graph_executor._get_func_graph_proto(net, phase, "mind_ir"))
    return {primitive.op_type for primitive in model.primitives} - STRUCTURE


def of_family(family: Family) -> dict[str, set[str]]:
    """{'train' and 'infer': operators}."""
    words = ["--batch_size", str(BATCH), *family.keys.split()]
    cfg = load_config(str(CONFIGS / f"{family.config}.yaml"), words)
    task = TASKS[cfg.task]
    found = {}
    with as_on_ascend(family.chip):
        for kind in family.kinds:
            model = task.build_model(cfg)
            if kind == "train":
                columns = getattr(model, "train_columns", ())
                net, _ = make_train_step(cfg, model, STEPS)
                batch = BATCHES[cfg.task](cfg.img_width, BATCH, columns)
            else:
                net, batch = model.set_train(False), task.blank_inputs(cfg)
            found[kind] = operators(net, [Tensor(array) for array in batch])
    return found


def main() -> None:
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    found = of_family(FAMILIES[sys.argv[1]])
    print(json.dumps({kind: sorted(names) for kind, names in found.items()}))


if __name__ == "__main__":
    main()
