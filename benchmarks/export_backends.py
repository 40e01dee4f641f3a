"""Networks by what runs them. Every family in one table; or one detector, with how far its files agree with it.

    python benchmarks/export_backends.py [--full] [--family NAME ...] ...        is `benchmarks/export_families.py`
    python benchmarks/export_backends.py IMAGE_FOLDER [CONFIG.yaml [--key value ...]]

The second is a whole detector by its three backends: MindSpore, MINDIR, onnxruntime. Random
weights whose normalisation fits its input and whose scores spread. The first five images of the folder, one at
a time; seconds are the medians of each backend's, with the ratio to MindSpore in the same run.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # see `export_families.py`
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import mindspore as ms  # noqa: E402
import numpy as np  # noqa: E402
from pycocotools import mask as coco_mask  # noqa: E402

from src.commands.export import export  # noqa: E402
from src.config import load_config  # noqa: E402
from src.data.images import read_bgr  # noqa: E402
from src.data.network_input import ImageSettings, prepare_image  # noqa: E402
from src.export.parity import detection_difference, pair_detections, valid_detections  # noqa: E402
from src.inference.backends import run_model  # noqa: E402
from src.inference.paste import paste_masks  # noqa: E402
from src.inference.predictor import find_images  # noqa: E402
from src.tasks import TASKS  # noqa: E402
from tests.export.detector_weights import save_lively_detector  # noqa: E402

IMAGES, REPEATS = 5, 3
DEFAULT = [f"{ROOT}/configs/mask_rcnn_hrnetv2p_w18_1x_coco.yaml", "--img_width", "512", "--img_height", "512"]


def main() -> None:
    if len(sys.argv) == 1 or sys.argv[1].startswith("-"):
        from benchmarks.export_families import main as families

        families(sys.argv[1:])
        return
    folder, (config, *overrides) = sys.argv[1], sys.argv[2:] or DEFAULT
    overrides = ["--device_target", "CPU", "--val_dataset", "", *overrides]
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    images = [read_bgr(path) for path in find_images(folder)[:IMAGES]]
    with tempfile.TemporaryDirectory() as out:
        save_lively_detector(config, overrides, images, f"{out}/model.ckpt")
        files = {"mindspore": f"{out}/model.ckpt"}
        for file_format in ("ONNX", "MINDIR"):
            paths = ["--checkpoint_path", f"{out}/model.ckpt", "--file_name", f"{out}/model"]
            started = time.perf_counter()
            path = export(load_config(config, [*overrides, *paths, "--file_format", file_format]))
            print(f"export as {file_format} with its check: {time.perf_counter() - started:.0f} s", flush=True)
            files[file_format.lower()] = str(path)
        compare(config, overrides, files, images)


def compare(config: str, overrides: list[str], files: dict[str, str], images: list[np.ndarray]) -> None:
    models = {}
    for backend, path in files.items():
        cfg = load_config(config, [*overrides, "--checkpoint_path", path, "--backend", backend])
        models[backend] = TASKS[cfg.task].load(cfg)
    settings = ImageSettings.from_config(load_config(config, overrides))
    times: dict[str, list[float]] = {backend: [] for backend in models}
    for number, image in enumerate(images):
        prepared, shape, scale = prepare_image(image, settings)
        outputs = {}
        for backend, model in models.items():
            if number == 0:
                run_model(model, prepared[None], shape[None])  # compiles
            for _ in range(REPEATS):
                started = time.perf_counter()
                outputs[backend] = run_model(model, prepared[None], shape[None])
                times[backend].append(time.perf_counter() - started)
        for backend in ("mindir", "onnx"):
            difference = detection_difference(outputs["mindspore"], outputs[backend])
            masks = ""
            if difference.has_masks:
                masks = f"; {mask_agreement(outputs['mindspore'], outputs[backend], scale, image.shape[:2])}"
            print(f"image {number}, {backend}: {difference}{masks}", flush=True)
    reference = statistics.median(times["mindspore"])
    for backend, seconds in times.items():
        own = statistics.median(seconds)
        print(f"{backend}: {own:.3f} s per image, {reference / own:.2f}x MindSpore")


def mask_agreement(expected: tuple, found: tuple, scale: np.ndarray, size: tuple[int, int]) -> str:
    """Pasted masks of the pairs of detections: IoU over all pixels, of the worst mask, and its pixels that differ.

    One pixel of a mask of less than a thousand is already an IoU below 0.999.
    """
    left, right = valid_detections(expected), valid_detections(found)
    rows, partners = (list(side) for side in zip(*pair_detections(left, right)))
    pasted = [
        [coco_mask.decode(code) for code in paste_masks(masks[order], boxes[order] / np.tile(scale, 2), *size)]
        for (boxes, _, _, masks), order in ((left, rows), (right, partners))
    ]
    both, either = (np.array([f(a, b).sum() for a, b in zip(*pasted)]) for f in (np.logical_and, np.logical_or))
    ious = both / np.maximum(either, 1)
    worst = int(np.argmin(np.where(either > 0, ious, 1.0)))
    return (
        f"IoU of pasted masks {both.sum() / either.sum():.6f}, of the worst one {ious[worst]:.5f} "
        f"({either[worst] - both[worst]} of {either[worst]} pixels differ); most pixels that differ in one mask "
        f"{(either - both).max()}, {np.mean(ious[either > 0] >= 0.999):.0%} are above 0.999"
    )


if __name__ == "__main__":
    main()
