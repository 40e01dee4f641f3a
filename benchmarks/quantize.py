"""int8 files beside the float ones they come from: time, size, and the scores of a trained network.

    python benchmarks/quantize.py [--config NAME ...] [--size PIXELS] [--files DIR] [--figures FILE]
    python benchmarks/quantize.py --trained CHECKPOINT CALIBRATION_DATA VAL_DATA [--images N] [--figures FILE]

The first takes full-size networks with random weights (W18 and W48 segmentation by default) and both files in turn, in
onnxruntime, on one image. --files DIR keeps the files there, and takes those that are there: a second call measures
alone. The second runs export.py --quantize int8 on a trained network and takes the scores that it prints.
Integer products need AVX-512 VNNI (or AVX-VNNI) to be fast; whether this processor has it is printed.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

os.environ.setdefault("GLOG_v", "3")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.figures import Figure, add_figures_option, show  # noqa: E402

CONFIGS = ("hrnet_w18_seg_cityscapes", "hrnet_w48_seg_cityscapes")
LOST = 0.01  # of AP, mIoU or top-1 that may be lost
PHOTOGRAPHS = ROOT / "tests" / "data_files" / "coco_real" / "data"
SCORES = re.compile(r"^(\w+): float ([\d.]+), int8 ([\d.]+) ", re.MULTILINE)
RANKING = ("bbox_mAP", "seg_mAP", "mIoU", "Top_1_Acc")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", nargs="+", default=CONFIGS)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--files", default="")
    parser.add_argument("--trained", nargs=3, metavar=("CHECKPOINT", "CALIBRATION_DATA", "VAL_DATA"))
    parser.add_argument("--images", type=int, default=100)
    add_figures_option(parser)
    options = parser.parse_args()
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    found = [flag for flag in ("avx512_vnni", "avx_vnni", "amx_int8") if flag in flags]
    print(f"integer products in one instruction: {', '.join(found) or 'none'}", flush=True)
    if options.trained:
        score(options)
        return
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.config:
            measure(name, options, Path(options.files or temporary))


def score(options: argparse.Namespace) -> None:
    """The scores of both files of a trained network."""
    checkpoint, calibration, val = options.trained
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "export.py", "--checkpoint_path", checkpoint, "--file_name", f"{folder}/model",
                   "--file_format", "ONNX", "--device_target", "CPU", "--quantize", "int8", "--calibration_data",
                   calibration, "--calibration_images", str(options.images), "--val_dataset", val]  # fmt: skip
        printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    for name, floating, quantised in SCORES.findall(printed):
        if name in RANKING:
            lost = max(float(floating) - float(quantised), 0.0)
            what = f"{Path(checkpoint).parents[1].name}: {name} lost by int8 ({floating} to {quantised})"
            show([Figure(what, lost, LOST, name, "what may be lost", goal=1.0)], options.figures)


def measure(name: str, options: argparse.Namespace, folder: Path) -> None:
    """Times and sizes of both files of a full-size network."""
    import mindspore as ms
    import onnxruntime

    from benchmarks.export_families import in_turns
    from src.commands.export import export
    from src.config import load_config
    from src.inference.backends import open_model, run_model
    from src.tasks import TASKS

    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    side = str(options.size)
    keys = ["--device_target", "CPU", "--val_dataset", "", "--img_width", side, "--img_height", side]
    config = f"{ROOT}/configs/{name}.yaml"
    if load_config(config, keys).task == "segmentation":
        keys += ["--eval_width", side, "--eval_height", side, "--keep_ratio", "0"]
    folder.mkdir(parents=True, exist_ok=True)
    paths = {kind: folder / f"{name}_{side}_{kind}.onnx" for kind in ("float", "int8")}
    checkpoint = folder / f"{name}_{side}.ckpt"
    data = ["--quantize", "int8", "--calibration_data", str(PHOTOGRAPHS), "--calibration_images", "3"]
    for kind, more in (("float", []), ("int8", data)):
        if not paths[kind].exists():
            _save(config, keys, checkpoint)
            files = ["--checkpoint_path", str(checkpoint), "--file_name", str(paths[kind]), "--file_format", "ONNX"]
            export(load_config(config, [*keys, *files, *more]))
    models = {kind: open_model(path, "onnx") for kind, path in paths.items()}
    cfg = load_config(config, [*keys, "--val_dataset", str(PHOTOGRAPHS)])
    inputs = next(iter(TASKS[cfg.task].example_inputs(cfg).values())).values()
    calls = {kind: lambda model=model: run_model(model, *inputs) for kind, model in models.items()}
    times, sizes = in_turns(calls, 5), {kind: path.stat().st_size / 2**20 for kind, path in paths.items()}
    share, against = models["int8"].metadata["quantized"]["share"], f"onnxruntime {onnxruntime.__version__}, float32"
    what = f"{name}, {side}x{side}, {share:.1%} of multiply-accumulates in int8"
    show([Figure(f"{what}: time", times["int8"], times["float"], "ms", against, goal=1.0),
          Figure(f"{what}: file", sizes["int8"], sizes["float"], "MB", against)], options.figures)  # fmt: skip


def _save(config: str, keys: list[str], path: Path) -> None:
    """Weights whose features are as large as those of a trained network, where there are none yet."""
    import mindspore as ms
    from mindspore import Tensor

    from src.checkpoint import save_weights
    from src.config import load_config
    from src.data.images import read_bgr
    from src.data.network_input import ImageSettings, prepare_image
    from src.tasks import build_model
    from tests.export.detector_weights import save_lively_detector

    if path.exists():
        return
    images = [read_bgr(one) for one in sorted(PHOTOGRAPHS.iterdir())[:2]]
    cfg = load_config(config, [*keys, "--backbone.norm_cfg.momentum", "1"])
    if cfg.task == "detection":
        save_lively_detector(config, keys, images, path)
        return
    ms.set_context(mode=ms.PYNATIVE_MODE)
    ms.set_seed(1)
    model, settings = build_model(cfg), ImageSettings.from_config(cfg)
    model.set_train(True)
    model.backbone(Tensor(np.stack([prepare_image(image, settings)[0] for image in images])))
    save_weights(model, path)
    ms.set_context(mode=ms.GRAPH_MODE)


if __name__ == "__main__":
    main()
