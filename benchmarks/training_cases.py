"""Training steps of six networks, ours and PyTorch's, each in a process of its own, for the two benchmarks beside it.

    python benchmarks/training_cases.py CASE SIDE SIZE BATCH [PROFILE_FOLDER]

is such a process: it answers every line on its standard input with a step and a line of JSON. Cases, with HRNet-W18:
the detector's backbone (forward and backward of the sum of its squared maps), the whole Mask R-CNN, Faster R-CNN and
Cascade Mask R-CNN, the segmenter and the classifier (steps of `TrainStep`; PyTorch's forward, backward and SGD). Sides:
`fast` (gradients of convolutions by oneDNN), `framework` (fast_gradients 0) and `torch` (timm's networks, and the
authors' segmenter as the tests have it; the detectors have no twin in PyTorch here).
"""

import contextlib
import csv
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("GLOG_v", "3")

import numpy as np  # noqa: E402

from benchmarks.asked import Asked  # noqa: E402
from benchmarks.figures import versioned  # noqa: E402

CONFIGS = {
    "backbone": "mask_rcnn_hrnetv2p_w18_1x_coco",
    "detector": "mask_rcnn_hrnetv2p_w18_1x_coco",
    "faster_rcnn": "faster_rcnn_hrnetv2p_w18_1x_coco",
    "cascade_mask_rcnn": "cascade_mask_rcnn_hrnetv2p_w18_20e_coco",
    "segmenter": "hrnet_w18_seg_cityscapes",
    "classifier": "hrnet_w18_cls",
}
SIDES = ("fast", "framework", "torch")
DETECTORS = ("detector", "faster_rcnn", "cascade_mask_rcnn")
HAS_TORCH = ("backbone", "segmenter", "classifier")
OBJECTS = 8


def sides_beside(measured: Mapping[str, object]) -> list[str]:
    """The references of those that were measured, if `fast` was."""
    return [side for side in measured if side != "fast"] if "fast" in measured else []


def reference_name(side: str) -> str:
    return versioned("torch", "PyTorch") if side == "torch" else "fast_gradients: 0"


class Network(Asked):
    """One of the processes. `step()` makes it take a step; without a call it sleeps."""

    def __init__(self, case: str, side: str, size: int, batch: int, profile_folder: str = ""):
        super().__init__([sys.executable, __file__, case, side, str(size), str(batch), profile_folder])

    def step(self) -> dict[str, float]:
        """seconds of the step, peak: GB that the process has held at most so far."""
        return self.ask("step")


def torch_step(case: str, size: int, batch: int) -> Callable[[], object]:
    """PyTorch's step on the same amount of data."""
    import torch

    from tests.models.timm_models import import_timm
    from tests.models.torch_hrnet_seg import TorchHRNetSeg

    image = torch.randn(batch, 3, size, size)
    if case == "segmenter":
        widths = (18, 36, 72, 144)
        stages = [(widths[:2], (4, 4), 1), (widths[:3], (4, 4, 4), 4), (widths, (4, 4, 4, 4), 3)]
        network, target = TorchHRNetSeg(19, (64, 4), stages), torch.randint(0, 19, (batch, size, size))
    elif case == "classifier":
        network, target = import_timm().create_model("hrnet_w18"), torch.randint(0, 1000, (batch,))
    else:
        network = import_timm().create_model("hrnet_w18", features_only=True, feature_location="")
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9)

    def step():
        optimizer.zero_grad()
        outputs = network(image)
        if case == "backbone":
            loss = sum((x * x).sum() for x in outputs[1:])
        else:
            if case == "segmenter":
                outputs = torch.nn.functional.interpolate(outputs, size=(size, size), mode="bilinear")
            loss = torch.nn.functional.cross_entropy(outputs, target)
        loss.backward()
        if case != "backbone":
            optimizer.step()

    return step


def mindspore_step(case: str, fast: bool, size: int, batch: int) -> Callable[[], object]:
    """Ours; the first call compiles."""
    import mindspore as ms
    from mindspore import Tensor, nn

    from src.config import load_config
    from src.engine.setup import make_train_step
    from src.models.fused import fuse_for_training
    from src.ops.conv_gradient import use_fast_gradients, why_not_fast
    from src.tasks import build_model

    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    keys = {"device_target": "CPU", "fast_gradients": int(fast), "img_width": size, "img_height": size}
    keys |= {"batch_size": batch, "num_gts": OBJECTS, "lr": 1e-3}
    if case in ("backbone", *DETECTORS):
        keys["backbone.norm_eval"] = 0
    cfg = load_config(f"{ROOT}/configs/{CONFIGS[case]}.yaml", [w for k, v in keys.items() for w in (f"--{k}", str(v))])
    model = build_model(cfg)
    if fast and why_not_fast():
        raise SystemExit(f"error: no fast gradients here: {why_not_fast()}")
    if case != "backbone":
        inputs = [Tensor(array) for array in BATCHES[case](size, batch, model.train_columns)]
        step, _ = make_train_step(cfg, model, steps_per_epoch=100)
        return lambda: [loss.asnumpy() for loss in step(*inputs)]

    class Energy(nn.Cell):
        def __init__(self, backbone):
            super().__init__()
            self.backbone = backbone

        def construct(self, x):
            total = 0
            for y in self.backbone(x):
                total = total + (y * y).sum()
            return total

    if fast:
        use_fast_gradients(model.backbone)
        fuse_for_training(model.backbone)
    energy = Energy(model.backbone).set_train()
    gradient = ms.jit(ms.value_and_grad(energy, None, energy.trainable_params()))
    image = Tensor(np.random.RandomState(0).randn(batch, 3, size, size).astype(np.float32))
    return lambda: [x.asnumpy() for x in gradient(image)[1]]


def detector_batch(size: int, batch: int, columns: Sequence[str]) -> tuple[np.ndarray, ...]:
    """Images with a few rectangles; the model's `train_columns`."""
    rng = np.random.RandomState(0)
    corners = rng.randint(0, size // 2, (batch, OBJECTS, 2))
    boxes = np.concatenate([corners, corners + rng.randint(size // 8, size // 2, (batch, OBJECTS, 2))], 2)
    masks = np.zeros((batch, OBJECTS, size, size), np.uint8)
    for image, number in np.ndindex(batch, OBJECTS):
        x1, y1, x2, y2 = boxes[image, number]
        masks[image, number, y1:y2, x1:x2] = 1
    arrays = {
        "image": rng.randn(batch, 3, size, size).astype(np.float32),
        "image_shape": np.int32([[size, size]] * batch),
        "gt_boxes": boxes.astype(np.float32),
        "gt_labels": rng.randint(1, 81, (batch, OBJECTS)).astype(np.int32),
        "gt_valid": np.ones((batch, OBJECTS), bool),
        "gt_masks": np.packbits(masks, axis=-1),
        "sample_seed": np.arange(batch, dtype=np.int32),
    }
    return tuple(arrays[name] for name in columns)


def segmenter_batch(size: int, batch: int, columns: Sequence[str]) -> tuple[np.ndarray, ...]:
    rng = np.random.RandomState(0)
    return rng.randn(batch, 3, size, size).astype(np.float32), rng.randint(0, 19, (batch, size, size)).astype(np.int32)


def classifier_batch(size: int, batch: int, columns: Sequence[str]) -> tuple[np.ndarray, ...]:
    rng = np.random.RandomState(0)
    labels = rng.randint(0, 1000, batch).astype(np.int32)
    return rng.randn(batch, 3, size, size).astype(np.float32), labels, labels, np.ones(batch, np.float32)


BATCHES = {"segmenter": segmenter_batch, "classifier": classifier_batch, **dict.fromkeys(DETECTORS, detector_batch)}


@contextlib.contextmanager
def profiled(side: str, folder: str):
    """While active, the side's own profiler adds up operators; table.json in `folder` has milliseconds by operator."""
    if side == "torch":
        import torch

        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            yield
        table = {event.key: event.self_cpu_time_total / 1000 for event in profiler.key_averages()}
    else:
        from mindspore.profiler import ProfilerActivity, profile, tensorboard_trace_handler

        with profile(activities=[ProfilerActivity.CPU], on_trace_ready=tensorboard_trace_handler(folder)):
            yield
        with next(Path(folder).rglob("cpu_op_type_info_*.csv")).open() as file:
            table = {row["op_type"]: float(row["total_compute_time"]) for row in csv.DictReader(file)}
    Path(folder, "table.json").write_text(json.dumps(table))


def main() -> None:
    case, side, size, batch, *folder = sys.argv[1:]
    from src.process.threads import share_cores

    share_cores()
    if side == "torch":
        step = torch_step(case, int(size), int(batch))
    else:
        step = mindspore_step(case, side == "fast", int(size), int(batch))
    for number, _ in enumerate(sys.stdin):
        started = time.perf_counter()
        if number == 2 and folder and folder[0]:
            with profiled(side, folder[0]):
                step()
        else:
            step()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"seconds": time.perf_counter() - started, "peak": peak}), flush=True)


if __name__ == "__main__":
    main()
