"""A process that trains a small network by way of the compile cache: python -m tests.process.compile_job FOLDER JSON.

Prints as its last line what came out, as JSON: the losses, the sum of the weights, a score on images of each size, and
what the log says of each graph.
"""

import json
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mindspore import Tensor, nn

CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")
STEPS, LIBRARY = 4, Path(__file__).parents[2] / "src" / "ops" / "bin" / "custom_ops_cpu.so"


@dataclass(frozen=True)
class Settings:
    """Held by the network as one attribute."""

    threshold: float = 0.1


class Small(nn.Cell):
    """RoIAlign by the compiled operator, so its backward pass too; every kind of constant is in its losses."""

    loss_names = ("loss_a", "loss_b")

    def __init__(self, factor: float, threshold: float, anchor: float):
        super().__init__()
        from src.ops.roi_align import RoIAlign

        self.conv = nn.Conv2d(3, 4, 3, has_bias=True)
        self.norm = nn.BatchNorm2d(4)
        self.pool = RoIAlign(2, (1,), portable=not LIBRARY.is_file())
        self.factor = factor
        self.settings = Settings(threshold)
        self.anchors = Tensor(np.array([anchor, 1.0], np.float32))
        self.rois = Tensor(np.float32([[0, 1, 1, 5, 6]]))

    def construct(self, image):
        feature = self.norm(self.conv(image))
        pooled = self.pool((feature,), self.rois)
        high = (feature > self.settings.threshold).astype(feature.dtype)
        return (pooled * self.factor).mean() + (feature * high).mean(), (feature**2 * self.anchors[0]).mean()


def run(folder: str, case: dict) -> dict:
    from src.config import load_config
    from src.engine.optimizer import OptimizerSettings, build_optimizer
    from src.engine.train_step import StepSettings, TrainStep
    from src.process import runtime
    from src.process.compile_cache import compile_once

    cfg = load_config(CONFIG, ["--compile_cache", str(int(bool(folder))), "--compile_cache_path", folder])
    process = runtime.start(cfg)
    rng = np.random.RandomState(case.get("seed", 0))
    model = Small(case.get("factor", 1.0), case.get("threshold", 0.1), case.get("anchor", 0.5))
    for parameter in model.get_parameters():
        parameter.set_data(Tensor(rng.rand(*parameter.shape).astype(np.float32)))
    optimizer = build_optimizer(model, np.full(STEPS, 0.05), OptimizerSettings("adam"))
    step = TrainStep(model, optimizer, StepSettings(grad_clip=1.0, accumulate=2, ema_decay=0.9))
    step.set_train(True)
    compile_once(cfg, process, step, model)
    images = [Tensor(rng.rand(2, 3, 8, 8).astype(np.float32)) for _ in range(STEPS)]
    losses = [[float(loss.asnumpy()) for loss in step(image)] for image in images]
    weights = [float(parameter.asnumpy().astype(np.float64).sum()) for parameter in step.get_parameters()]
    model.set_train(False)
    sizes = [rng.rand(1, 3, side, side).astype(np.float32) for side in case.get("sides", (8,))]
    scores = [float(model(Tensor(image))[1].asnumpy()) for image in sizes]
    return {"losses": losses, "weights": weights, "scores": scores}


def main() -> None:
    os.environ.pop("MS_VISION_ZOO_COMPILE_CACHE", None)
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger("src").addHandler(handler)
    logging.getLogger("src").setLevel(logging.INFO)
    found = run(sys.argv[1], json.loads(sys.argv[2]))
    print(json.dumps(found | {"log": lines}))


if __name__ == "__main__":
    main()
