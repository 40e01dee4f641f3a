"""Every family of networks by MindSpore, as ONNX and, where it is there, as PyTorch's own: time an image, a table.

    python -m benchmarks.export_families [--full] [--family NAME ...] [--size PIXELS] [--batch N] [--int8] [--mindir]
                                         [--files DIR] [--figures FILE]

Narrow networks of the demos by default, --full takes the W18's, SpineNet-49S and ResNet-50. Detectors have lively
random weights, the others fresh ones. What runs a network takes turns with the others; times are each one's median.
PyTorch runs first, alone, in a process of its own: beside the others' threads, or with passively waiting ones, it takes
up to twice the time.
--files DIR: keeps the checkpoints and files there, and takes those that are there: a second call measures alone.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")
if "--torch_side" not in sys.argv:  # PyTorch's process; here threads of one that waits would take the cores of the next
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import mindspore as ms  # noqa: E402
import numpy as np  # noqa: E402

from benchmarks.asked import Asked  # noqa: E402
from benchmarks.figures import Figure, add_figures_option, show  # noqa: E402
from src.commands.export import export  # noqa: E402
from src.config import Config, load_config  # noqa: E402
from src.data.images import read_bgr  # noqa: E402
from src.inference.backends import run_model  # noqa: E402
from src.tasks import TASKS, build_model  # noqa: E402

PHOTOGRAPHS = ROOT / "tests" / "data_files" / "coco_real" / "data"
REPEATS = 7
WIDTHS = [18, 36, 72, 144]  # of W18
W18 = [f"--backbone.extra.stage{stage}.num_channels={WIDTHS[:stage]}" for stage in (2, 3, 4)]
NARROW_RESNET = ["--backbone.type", "resnet", "--backbone.depth", "18", "--backbone.base_channels", "16",
                 "--neck.fpn.in_channels", "[16,32,64,128]"]  # fmt: skip


@dataclass(frozen=True)
class Family:
    """narrow, full: (configuration, keys). torch: makes PyTorch's network of the configuration, and says what it is."""

    name: str
    narrow: tuple[str, list[str]]
    full: tuple[str, list[str]]
    torch: Callable[[Config], tuple[Callable, str]] | None = None


def main(arguments: list[str]) -> None:
    options = _options(arguments)
    if options.torch_side:
        serve_torch(next(family for family in FAMILIES if family.name == options.torch_side), options)
        return
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for family in FAMILIES:
            if not options.family or family.name in options.family:
                rows.append(_row(family, options, Path(options.files or temporary)))
    columns = ["family", "MindSpore", *["MINDIR"] * options.mindir, "ONNX", *["ONNX int8"] * options.int8, "PyTorch"]
    print("\n| " + " | ".join(columns) + " |\n|" + " --- |" * len(columns))
    for name, times in rows:
        print(f"| {name} | " + " | ".join(f"{times[c]:.1f} ms" if c in times else "-" for c in columns[1:]) + " |")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--family", nargs="+", default=[], choices=[family.name for family in FAMILIES])
    parser.add_argument("--size", type=int, default=0)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--mindir", action="store_true")
    parser.add_argument("--files", default="")
    parser.add_argument("--torch_side", default="", help=argparse.SUPPRESS)
    add_figures_option(parser)
    return parser.parse_args(arguments)


def _configured(family: Family, options: argparse.Namespace) -> tuple[str, str, list[str], Config]:
    """The configuration's name, file and keys, and what they say."""
    name, keys = family.full if options.full else family.narrow
    config, keys = f"{ROOT}/configs/{name}.yaml", ["--device_target", "CPU", "--val_dataset", "", *keys]
    if options.size:
        keys += [f"--{side}={options.size}" for side in _sides(load_config(config, keys))]
    return name, config, keys, load_config(config, keys)


def _row(family: Family, options: argparse.Namespace, folder: Path) -> tuple[str, dict[str, float]]:
    """The family's name with size, and each one's median milliseconds an image."""
    by_torch, against = _by_torch(family, options) if family.torch is not None else ({}, "")
    name, config, keys, cfg = _configured(family, options)
    task = TASKS[cfg.task]
    height, width = task.input_size(cfg)
    folder = folder / f"{name.rpartition('/')[2]}_{width}x{height}_{options.batch}"
    folder.mkdir(parents=True, exist_ok=True)
    _save(cfg, config, keys, folder / "model.ckpt")
    networks = {"MindSpore": task.load(load_config(config, [*keys, "--checkpoint_path", f"{folder}/model.ckpt"]))}
    for title, more in _files(options).items():
        path = folder / f"{title.replace(' ', '_')}.{'mindir' if title == 'MINDIR' else 'onnx'}"
        batch = ["--checkpoint_path", f"{folder}/model.ckpt", "--export_batch", str(options.batch)]
        if not path.exists():
            export(load_config(config, [*keys, *batch, "--file_name", str(path), *more]))
        backend = ["--checkpoint_path", str(path), "--backend", path.suffix[1:]]
        networks[title] = task.load(load_config(config, [*keys, *backend]))
    cases = task.example_inputs(load_config(config, [*keys, "--val_dataset", str(PHOTOGRAPHS)]))
    one = next(iter(cases.values()))
    inputs = [np.concatenate([array] * options.batch) for array in one.values()]
    calls = {title: lambda network=network: run_model(network, *inputs) for title, network in networks.items()}
    times = {title: ms_ / options.batch for title, ms_ in in_turns(calls).items()} | by_torch
    what = f"{family.name}, {width}x{height}" + (f", batches of {options.batch}" if options.batch > 1 else "")
    figures = [Figure(f"{what}: ONNX", times["ONNX"], times["MindSpore"], "ms", "MindSpore")]
    if "ONNX int8" in times:
        figures.append(Figure(f"{what}: ONNX int8", times["ONNX int8"], times["ONNX"], "ms", "ONNX float", goal=1.0))
    if "PyTorch" in times:
        ours = [own for own in ("ONNX", "ONNX int8", "MindSpore") if own in times]
        figures += [Figure(f"{what}: {own}", times[own], times["PyTorch"], "ms", against) for own in ours]
    show(figures, options.figures)
    return what, times


def in_turns(calls: dict[str, Callable], repeats: int = REPEATS) -> dict[str, float]:
    """Median milliseconds of each call, one after the other in turn.

    Each is called twice and the second one counts: threads of the one before may still wait actively in the first. The
    first round does not count.
    """
    times: dict[str, list[float]] = {title: [] for title in calls}
    for number in range(repeats + 1):
        for title, call in calls.items():
            call()
            started = time.perf_counter()
            call()
            if number:
                times[title].append(1000 * (time.perf_counter() - started))
    return {title: statistics.median(own) for title, own in times.items()}


def _files(options: argparse.Namespace) -> dict[str, list[str]]:
    """Keys of each exported file."""
    files = {"MINDIR": ["--file_format", "MINDIR"]} if options.mindir else {}
    files["ONNX"] = ["--file_format", "ONNX"]
    if options.int8:
        data = ["--quantize", "int8", "--calibration_data", str(PHOTOGRAPHS), "--calibration_images", "4"]
        files["ONNX int8"] = ["--file_format", "ONNX", *data]
    return files


def _sides(cfg: Config) -> tuple[str, ...]:
    return ("img_width", "img_height", *(("eval_width", "eval_height") if cfg.task == "segmentation" else ()))


def _save(cfg: Config, config: str, keys: list[str], path: Path) -> None:
    """A checkpoint where none is there: lively weights of a detector, fresh ones of others."""
    from src.checkpoint import save_weights
    from tests.export.detector_weights import save_lively_detector

    if path.exists():
        return
    if cfg.task == "detection":
        images = [read_bgr(one) for one in sorted(PHOTOGRAPHS.iterdir())[:4]]
        save_lively_detector(config, keys, images, path)
    else:
        ms.set_seed(1)
        save_weights(build_model(cfg), path)


# ------------------------------------------------------------------------------------------------ PyTorch's networks


def _by_torch(family: Family, options: argparse.Namespace) -> tuple[dict[str, float], str]:
    """Milliseconds an image of PyTorch's network, and its name; nothing where the package cannot be used."""
    words = [sys.executable, "-m", "benchmarks.export_families", "--torch_side", family.name]
    words += ["--size", str(options.size), "--batch", str(options.batch), *["--full"] * options.full]
    side = Asked(["env", "-u", "OMP_WAIT_POLICY", *words])
    answer = side.ask("name")
    if "error" in answer:
        print(f"{family.name}: no PyTorch network here ({answer['error']})", flush=True)
        side.end()
        return {}, ""
    milliseconds = in_turns({"PyTorch": lambda: side.ask("run")})["PyTorch"]
    side.end()
    return {"PyTorch": milliseconds / options.batch}, answer["name"]


def serve_torch(family: Family, options: argparse.Namespace) -> None:
    """That process: it answers each line of its standard input, "name" or "run"."""
    *_, cfg = _configured(family, options)
    height, width = TASKS[cfg.task].input_size(cfg)
    try:
        import torch

        network, name = family.torch(cfg)
    except (ImportError, RuntimeError) as error:  # torchvision of another torch
        print(json.dumps({"error": str(error).splitlines()[0]}), flush=True)
        return
    network.eval()
    image = torch.from_numpy(np.random.RandomState(0).randn(options.batch, 3, height, width).astype(np.float32))
    for word in sys.stdin:
        if word.strip() == "run":
            with torch.no_grad():
                network(image)
        print(json.dumps({"name": f"{name}, PyTorch {torch.__version__.partition('+')[0]}"}), flush=True)


def _stages(cfg: Config) -> tuple[tuple, list[tuple]]:
    """Stage 1 and the others, as the tests' HRNets in PyTorch take them."""
    first, *others = (getattr(cfg.backbone.extra, f"stage{number}") for number in (1, 2, 3, 4))
    return (first.num_channels[0], first.num_blocks[0]), [
        (list(stage.num_channels), list(stage.num_blocks), stage.num_modules) for stage in others
    ]


def _torch_segmenter(cfg: Config):
    from tests.models.torch_hrnet_seg import TorchHRNetSeg

    return TorchHRNetSeg(cfg.num_classes, *_stages(cfg), cfg.seg_head.final_conv_kernel), "the authors' HRNet"


def _torch_ocr(cfg: Config):
    from tests.models.torch_hrnet_ocr import AuthorsOCR

    ocr = cfg.seg_head.ocr
    return AuthorsOCR(cfg.num_classes, *_stages(cfg), ocr.mid_channels, ocr.key_channels), "the authors' HRNet + OCR"


def _torch_classifier(cfg: Config):
    from tests.models.timm_models import import_timm

    if list(cfg.backbone.extra.stage4.num_channels) != WIDTHS:
        raise ImportError("timm has no HRNet as narrow")
    return import_timm().create_model("hrnet_w18"), "timm's hrnet_w18"


def _torch_mask_rcnn(cfg: Config):
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    if cfg.backbone.depth != 50:
        raise ImportError("torchvision has no ResNet as narrow")
    size = {"min_size": cfg.img_height, "max_size": cfg.img_width, "box_score_thresh": 0.0}
    return maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, **size), "torchvision's maskrcnn_resnet50_fpn"


SIDE = ["--img_width", "256", "--img_height", "256"]
SEGMENT = [*SIDE, "--eval_width", "256", "--eval_height", "256", "--keep_ratio", "0"]
FAMILIES = [
    Family("Mask R-CNN HRNet", ("demo/mask_rcnn_hrnet_shapes", []), ("mask_rcnn_hrnetv2p_w18_1x_coco", SIDE)),
    Family("Mask R-CNN SpineNet", ("demo/mask_rcnn_spinenet_shapes", []), ("mask_rcnn_49S_640", SIDE)),
    Family("Mask R-CNN ResNet-FPN", ("mask_rcnn_r50_fpn_1x_coco", [*SIDE, *NARROW_RESNET]),
           ("mask_rcnn_r50_fpn_1x_coco", SIDE), _torch_mask_rcnn),
    Family("Cascade Mask R-CNN", ("demo/cascade_mask_rcnn_hrnet_shapes", []),
           ("cascade_mask_rcnn_hrnetv2p_w18_20e_coco", SIDE)),
    Family("PointRend", ("demo/pointrend_hrnet_shapes", []), ("pointrend_r50_fpn_1x_coco", SIDE)),
    Family("HRNet classification", ("demo/hrnet_cls_shapes", []), ("hrnet_w18_cls", []), _torch_classifier),
    Family("HRNet segmentation", ("demo/hrnet_seg_cityscapes_shapes", SEGMENT), ("hrnet_w18_seg_cityscapes", SEGMENT),
           _torch_segmenter),
    Family("HRNet + OCR", ("demo/hrnet_ocr_cityscapes_shapes", SEGMENT),
           ("hrnet_w48_ocr_cityscapes", [*SEGMENT, *W18]), _torch_ocr),
]  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
