"""Inference on the CPU: networks with `fast_inference` 0 and 1, and PyTorch's same networks, seconds and memory.

    python benchmarks/inference.py [--case detector] [--rounds 5] [--memory 0] [--by_operator 1]

Fresh weights that keep a map's size of numbers, batch 1, normalisation folded. Each side is a process of its own, which
answers when it is asked; they take their turn, and the median counts. PyTorch's sides: timm's HRNet-W18 and ResNet-50,
the authors' segmenter and SpineNet as the tests have them; whole detectors have none here. `--memory 1` gives the most
that each process has held.
"""

import argparse
import contextlib
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("GLOG_v", "3")

import numpy as np  # noqa: E402

from benchmarks.asked import Asked  # noqa: E402
from benchmarks.figures import Figure, add_figures_option, show, versioned  # noqa: E402
from benchmarks.training_cases import profiled  # noqa: E402

SIDES = ("fast", "plain", "torch")
CASES = {  # configuration, part of it, (height, width), has a twin in PyTorch
    "detector": ("mask_rcnn_hrnetv2p_w18_1x_coco", "", (512, 512), False),
    "r50_detector": ("mask_rcnn_r50_fpn_1x_coco", "", (512, 512), False),
    "spinenet_detector": ("mask_rcnn_49_640", "", (640, 640), False),
    "hrnet": ("mask_rcnn_hrnetv2p_w18_1x_coco", "backbone", (512, 512), True),
    "resnet": ("mask_rcnn_r50_fpn_1x_coco", "backbone", (512, 512), True),
    "spinenet": ("mask_rcnn_49_640", "backbone", (640, 640), True),
    "segmenter": ("hrnet_w48_seg_cityscapes", "", (512, 1024), True),
}
OPERATORS = 12  # that a table shows


def torch_call(case: str, image: np.ndarray) -> Callable[[], object]:
    import torch

    from tests.models.timm_models import import_timm

    if case == "segmenter":
        from tests.models.torch_hrnet_seg import TorchHRNetSeg

        widths = (48, 96, 192, 384)
        stages = [(widths[:2], (4, 4), 1), (widths[:3], (4, 4, 4), 4), (widths, (4, 4, 4, 4), 3)]
        network = TorchHRNetSeg(19, (64, 4), stages)
    elif case == "spinenet":
        from tests.models.torch_originals import TorchSpineNet

        network = TorchSpineNet(256, 1.0, 1.0, 1)
    elif case == "hrnet":
        network = import_timm().create_model("hrnet_w18", features_only=True, feature_location="")
    else:
        network = import_timm().create_model("resnet50", features_only=True, out_indices=(1, 2, 3, 4))
    network.eval()
    x = torch.from_numpy(image)

    def call():
        with torch.no_grad():
            return network(x)

    return call


def our_call(case: str, image: np.ndarray, fast: bool) -> Callable[[], object]:
    import mindspore as ms
    from mindspore import Tensor

    from src.config import load_config
    from src.models.build_operators import set_resizing
    from src.models.fast_inference import use_fast_inference
    from src.models.fold import fold_batchnorm
    from src.ops.conv_gradient import why_not_fast
    from src.tasks import build_model

    config, part, (height, width), _ = CASES[case]
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    keys = ["--device_target", "CPU"]
    keys += [] if case == "segmenter" else ["--img_height", str(height), "--img_width", str(width)]
    cfg, rng = load_config(f"{ROOT}/configs/{config}.yaml", keys), np.random.RandomState(0)
    model = build_model(cfg)
    for weight in model.get_parameters():
        if weight.ndim == 4:
            scale = np.sqrt(2 / np.prod(weight.shape[1:]))
            weight.set_data(Tensor((scale * rng.randn(*weight.shape)).astype(np.float32)))
    fold_batchnorm(model)
    model.set_train(False)
    if fast:
        if reason := why_not_fast():
            raise SystemExit(f"error: {reason}")
        use_fast_inference(model)
    set_resizing(cfg, model)
    network = getattr(model, part) if part else model
    inputs = [Tensor(image)]
    if case.endswith("detector"):
        inputs.append(Tensor(np.array([[height, width]], np.int32)))

    def call():
        found = network(*inputs)
        return [one.asnumpy() for one in (found if isinstance(found, tuple) else (found,))]

    return call


def serve(case: str, side: str, folder: str) -> None:
    from src.process.threads import share_cores

    share_cores()
    image = np.random.RandomState(1).randn(1, 3, *CASES[case][2]).astype(np.float32)
    call = torch_call(case, image) if side == "torch" else our_call(case, image, side == "fast")
    for word in sys.stdin:
        started = time.perf_counter()
        with profiled(side, folder) if word.strip() == "profile" else contextlib.nullcontext():
            call()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"seconds": time.perf_counter() - started, "peak": peak}), flush=True)


def figures(case: str, rounds: int, with_memory: bool, by_operator: bool) -> Iterator[Figure]:
    config, part, (height, width), has_torch = CASES[case]
    what = f"inference, {config}{f', {part}' if part else ''}, {width}x{height}"
    names = {"plain": "fast_inference: 0", "torch": versioned("torch", "PyTorch")}
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, __file__, "--side", case]
        sides = {side: Asked([*words, side, folder]) for side in SIDES if has_torch or side != "torch"}
        times: dict[str, list[float]] = {side: [] for side in sides}
        peaks: dict[str, float] = {}
        for side in sides.values():
            side.ask("run")
        for _ in range(rounds):
            for name, side in sides.items():
                answer = side.ask("run")
                times[name].append(answer["seconds"])
                peaks[name] = answer["peak"]
        for name, side in sides.items():
            if by_operator:
                side.ask("profile")
                show_operators(name, json.loads(Path(folder, "table.json").read_text()))
            side.end()
    medians = {name: statistics.median(own) for name, own in times.items()}
    for name in list(sides)[1:]:
        goal = 0.9 if case == "detector" else None
        yield Figure(f"{what}, fast_inference: 1", medians["fast"], medians[name], "s", names[name], goal)
    if has_torch:
        yield Figure(f"{what}, fast_inference: 0", medians["plain"], medians["torch"], "s", names["torch"])
    if with_memory and has_torch:
        for name in ("fast", "plain"):
            text = f"{what}, memory, fast_inference: {int(name == 'fast')}"
            yield Figure(text, peaks[name], peaks["torch"], "GB", names["torch"], 1.3)


def show_operators(side: str, table: dict[str, float]) -> None:
    print(f"== {side}, milliseconds by operator")
    for name, milliseconds in sorted(table.items(), key=lambda item: -item[1])[:OPERATORS]:
        print(f"   {milliseconds:8.1f} {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", default="detector", choices=CASES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=int, choices=(0, 1), default=0)
    parser.add_argument("--by_operator", type=int, choices=(0, 1), default=0)
    parser.add_argument("--side", nargs=3, help=argparse.SUPPRESS)
    add_figures_option(parser)
    options = parser.parse_args()
    if options.side:
        serve(*options.side)
        return
    measured = figures(options.case, options.rounds, bool(options.memory), bool(options.by_operator))
    show(measured, options.figures)


if __name__ == "__main__":
    main()
