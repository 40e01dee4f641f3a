"""Time of a training step on one rank and on several, and what share of it the ranks spend on each other.

    python benchmarks/distributed_step.py                                # one rank
    mpirun -n 2 --oversubscribe python benchmarks/distributed_step.py    # two; root needs --allow-run-as-root

Each rank has its own batch of random images. Communication is measured by itself: the same gradients averaged by the
same operators, without a network. On one machine the ranks also compete for its cores, which is in the step's time.
`--json FILE` keeps the figures, with the time of sums of one number to 16 MB, for benchmarks/scaling.py.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.timing import median_ms  # noqa: E402
from src.config import load_config  # noqa: E402
from src.process import runtime  # noqa: E402

ROOT = Path(__file__).parents[1]
SUMS = (4, 2**16, 2**18, 2**20, 2**22, 2**24)  # bytes of the sums by which the link is measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config_path", default=str(ROOT / "configs" / "demo" / "hrnet_cls_shapes.yaml"))
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to it")
    options = parser.parse_args()
    size = int(os.environ.get("OMPI_COMM_WORLD_SIZE", "1"))
    keys = ["--run_distribute", str(int(size > 1)), "--device_num", str(size), "--batch_size", str(options.batch_size)]
    cfg = load_config(options.config_path, keys)
    process = runtime.start(cfg)
    figures = measure(cfg, process)
    if options.json and process.is_main:
        options.json.write_text(json.dumps(figures), encoding="utf-8")


def measure(cfg, process) -> dict[str, float]:
    from mindspore import Tensor, nn, ops

    from src.engine.setup import make_train_step
    from src.tasks import build_model

    model = build_model(cfg)
    step, _ = make_train_step(cfg, model, steps_per_epoch=100, size=process.size)
    rng = np.random.RandomState(process.rank)
    labels = Tensor(rng.randint(0, cfg.num_classes, cfg.batch_size).astype(np.int32))
    image = Tensor(rng.rand(cfg.batch_size, 3, cfg.img_height, cfg.img_width).astype(np.float32))
    batch = (image, labels, labels, Tensor(np.ones(cfg.batch_size, np.float32)))
    step.compile(*batch)
    process.barrier()
    step_ms = median_ms(lambda: [loss.asnumpy() for loss in step(*batch)], repeats=9)
    weights = list(model.trainable_params())
    count = sum(int(np.prod(weight.shape)) for weight in weights)
    figures = {"step_ms": step_ms, "tensors": len(weights), "numbers": count}
    shared_ms = 0.0
    if process.size > 1:

        class Averaging(nn.Cell):
            def __init__(self):
                super().__init__()
                self.reducer = nn.DistributedGradReducer(step.weights, mean=True, degree=process.size)
                self.all_reduce = ops.AllReduce()

            def construct(self, gradients, losses):
                return self.reducer(gradients), self.all_reduce(losses)

        averaging = Averaging()
        # zeros would be summed three times as fast
        gradients = tuple(Tensor(rng.rand(*weight.shape).astype(np.float32)) for weight in weights)
        losses = Tensor(np.zeros(3, np.float32))
        averaging.compile(gradients, losses)
        process.barrier()
        shared_ms = median_ms(lambda: averaging(gradients, losses)[1].asnumpy(), repeats=9)
        figures["averaging_ms"] = shared_ms
        process.barrier()
        figures["joined_ms"] = sum_ms(count, times=4)
        for size in SUMS:
            process.barrier()
            figures[f"sum_{size}_ms"] = sum_ms(size // 4, times=max(4, min(100, 2**22 // size)))
    if process.is_main:
        images = cfg.batch_size * process.size * 1000 / step_ms
        print(f"{process.size} rank(s) of {cfg.batch_size} images, {len(weights)} gradients of {count:,} numbers")
        print(f"step {step_ms:.1f} ms, {images:.1f} images a second; averaging alone {shared_ms:.1f} ms", end="")
        print(f" ({shared_ms / step_ms:.0%} of the step)")
    return figures


def sum_ms(numbers: int, times: int) -> float:
    """Time of one sum over the ranks, of so many that follow each other in one graph."""
    from mindspore import Tensor, nn, ops

    class Sums(nn.Cell):
        def __init__(self):
            super().__init__()
            self.all_reduce = ops.AllReduce()

        def construct(self, x):
            for _ in range(times):
                x = self.all_reduce(x)
            return x

    sums, x = Sums(), Tensor(np.random.RandomState(0).rand(numbers).astype(np.float32))
    return median_ms(lambda: sums(x).asnumpy(), repeats=9) / times


if __name__ == "__main__":
    main()
