"""Do the published configurations run? One forward at their own image size, one training step at a reduced one.

    python benchmarks/full_size_configs.py [CONFIG ...]

Fresh weights, a random image, the CPU. Every model is saved, loaded back and then run, in a process of its own. Prints
parameters, seconds (the first call holds the compilation) and whether everything that came out is finite.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import mindspore as ms  # noqa: E402
import numpy as np  # noqa: E402
from mindspore import Tensor  # noqa: E402

from src.checkpoint import load_model_weights, save_weights  # noqa: E402
from src.config import load_config  # noqa: E402
from src.engine.setup import make_train_step  # noqa: E402
from src.tasks import build_model  # noqa: E402

TRAIN_SIZE = 256
OBJECTS = 3


def check(config: str) -> str:
    """One line about one configuration."""
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    cfg = load_config(config, ["--device_target", "CPU"])
    model = build_model(cfg)
    count = sum(int(np.prod(parameter.shape)) for parameter in model.trainable_params())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fresh.ckpt"
        save_weights(model, path)
        load_model_weights(model, str(path))
    model.set_train(False)
    size = (cfg.img_height, cfg.img_width)
    inputs = [Tensor(np.random.RandomState(0).randn(1, 3, *size).astype(np.float32))]
    inputs += [Tensor(np.int32([size]))] if cfg.task == "detection" else []
    first, outputs = timed(lambda: model(*inputs))
    again, outputs = timed(lambda: model(*inputs))
    finite = all(np.isfinite(x).all() for x in outputs)

    keys = {"img_width": TRAIN_SIZE, "img_height": TRAIN_SIZE, "num_gts": OBJECTS, "batch_size": 1}
    words = [word for name, value in keys.items() for word in (f"--{name}", str(value))]
    cfg = load_config(config, ["--device_target", "CPU", "--backbone.norm_eval", "0", *words])
    model = build_model(cfg)
    step, _ = make_train_step(cfg, model, steps_per_epoch=2)
    batch = BATCHES[cfg.task]()
    columns = [Tensor(batch[name]) for name in model.train_columns]
    compiling, losses = timed(lambda: step(*columns))
    stepping, losses = timed(lambda: step(*columns))
    finite = finite and np.isfinite(losses).all() and int(step.bad_step.asnumpy()) == 0
    return (
        f"{Path(config).stem}: {count:,} learning parameters; forward at {size[1]}x{size[0]} {again:.2f} s "
        f"(first {first:.1f}); training step at {TRAIN_SIZE}x{TRAIN_SIZE} {stepping:.2f} s (first {compiling:.1f}); "
        f"{'finite' if finite else 'NOT FINITE'}"
    )


def timed(call) -> tuple[float, list[np.ndarray]]:
    """Seconds until every output is on the host, and the outputs."""
    started = time.perf_counter()
    outputs = call()
    outputs = [x.asnumpy() for x in (outputs if isinstance(outputs, tuple) else (outputs,))]
    return time.perf_counter() - started, outputs


def detection_batch() -> dict[str, np.ndarray]:
    """One image with a few rectangles, by the names of the models' `train_columns`."""
    rng = np.random.RandomState(0)
    corners = rng.randint(0, TRAIN_SIZE // 2, (OBJECTS, 2))
    boxes = np.concatenate([corners, corners + rng.randint(40, TRAIN_SIZE // 2, (OBJECTS, 2))], 1)
    masks = np.zeros((1, OBJECTS, TRAIN_SIZE, TRAIN_SIZE), np.uint8)
    for number, (x1, y1, x2, y2) in enumerate(boxes):
        masks[0, number, y1:y2, x1:x2] = 1
    return {
        "image": rng.randn(1, 3, TRAIN_SIZE, TRAIN_SIZE).astype(np.float32),
        "image_shape": np.int32([[TRAIN_SIZE, TRAIN_SIZE]]),
        "gt_boxes": boxes[None].astype(np.float32),
        "gt_labels": np.int32([[1, 2, 3]]),
        "gt_valid": np.ones((1, OBJECTS), bool),
        "gt_masks": np.packbits(masks, axis=-1),
        "sample_seed": np.int32([0]),
    }


def segmentation_batch() -> dict[str, np.ndarray]:
    """Two images with random labels, and seeds for those that draw."""
    rng = np.random.RandomState(0)
    image = rng.randn(2, 3, TRAIN_SIZE, TRAIN_SIZE).astype(np.float32)
    label = rng.randint(0, 19, (2, TRAIN_SIZE, TRAIN_SIZE)).astype(np.int32)
    return {"image": image, "label": label, "sample_seed": np.int32([0, 1])}


BATCHES = {"detection": detection_batch, "segmentation": segmentation_batch}


def main() -> None:
    if len(sys.argv) == 2:
        print(check(sys.argv[1]), flush=True)
        return
    configs = sys.argv[1:] or sorted(str(path) for path in (ROOT / "configs").glob("*.yaml") if "_cls" not in path.name)
    failed = [config for config in configs if subprocess.run([sys.executable, __file__, config]).returncode]
    if failed:
        sys.exit(f"error: failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
