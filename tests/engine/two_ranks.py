"""What each of two ranks does for test_two_ranks.py: `mpirun -n 2 python -m tests.engine.two_ranks FOLDER`.

The whole batches are the same on both ranks, which work on a half each; rank 0 writes what came out as FOLDER/*.npz.
"""

import sys
from pathlib import Path

import numpy as np

ROWS, STEPS = 4, 6  # rows of a rank's batch
CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")
OPTIMIZERS = {"sgd": ("sgd", 0.0, 1), "clipped": ("momentum", 0.3, 1), "adam": ("adam", 0.0, 3)}  # clip, accumulation


def whole_batches() -> list[tuple[np.ndarray, np.ndarray]]:
    """STEPS pairs of input (8, 3) and target (8, 2)."""
    rng = np.random.RandomState(0)
    return [
        (rng.randn(2 * ROWS, 3).astype(np.float32), rng.randn(2 * ROWS, 2).astype(np.float32)) for _ in range(STEPS)
    ]


def first_weight() -> np.ndarray:
    return np.random.RandomState(1).randn(2, 3).astype(np.float32)


def norm_case(rois: bool = False) -> dict[str, np.ndarray]:
    """Input, its gradient's weights, and the parameters of a batch normalisation; of rois only `valid` rows count."""
    rng = np.random.RandomState(2)
    case = {
        "x": (rng.randn(2 * ROWS, 5, 3, 2) * rng.uniform(0.1, 3, (1, 5, 1, 1)) + 10).astype(np.float32),
        "upstream": rng.randn(2 * ROWS, 5, 3, 2).astype(np.float32),
        "gamma": rng.uniform(0.5, 2, 5).astype(np.float32),
        "beta": rng.randn(5).astype(np.float32),
        "mean": rng.uniform(8, 12, 5).astype(np.float32),
        "variance": rng.uniform(0.5, 2, 5).astype(np.float32),
        "valid": np.array([True, True, False, True, True, False, False, False]),
    }
    if rois:
        case["upstream"][~case["valid"]] = 0
    return case


def main() -> None:
    import mindspore as ms

    from src.config import load_config
    from src.process import runtime

    process = runtime.start(load_config(CONFIG, ["--run_distribute", "1", "--device_num", "2"]))
    folder = Path(sys.argv[1])
    results = {f"steps_{name}": train(process, *settings) for name, settings in OPTIMIZERS.items()}
    results["norm"] = normalise(process)
    results["roi_norm"] = normalise_rois(process)
    results["channel"] = exchange(process)
    results["stop"] = stop(process)
    results["overflow"] = overflow(process)
    ms.set_context(mode=ms.PYNATIVE_MODE)  # for the rest
    results |= {f"pynative_{name}": train(process, *settings) for name, settings in OPTIMIZERS.items()}
    results["pynative_norm"] = normalise(process)
    results["pynative_roi_norm"] = normalise_rois(process)
    results["pynative_stop"] = stop(process)
    if process.is_main:
        for name, arrays in results.items():
            np.savez(folder / f"{name}.npz", **arrays)


def mine(process, array: np.ndarray) -> np.ndarray:
    return array[process.rank * ROWS : (process.rank + 1) * ROWS]


def train(process, kind: str, clip: float, accumulate: int) -> dict[str, np.ndarray]:
    from mindspore import Tensor

    from src.engine.optimizer import OptimizerSettings, build_optimizer
    from src.engine.train_step import StepSettings, TrainStep
    from tests.engine.test_train_step import Linear

    model = Linear(first_weight())
    optimizer = build_optimizer(model, np.full(STEPS, 0.1), OptimizerSettings(kind, 0.9, 0.01))
    step = TrainStep(model, optimizer, StepSettings(64.0, clip, accumulate), process.size)
    step.set_train(True)
    losses = []
    for batch in whole_batches():
        (loss,) = step(*(Tensor(mine(process, array)) for array in batch))
        losses.append(float(loss.asnumpy()))
    weights = np.stack(process.gather(model.dense.weight.asnumpy()) or [[]])
    return {"weights": weights, "bias": model.dense.bias.asnumpy(), "losses": np.array(losses)}


def normalise(process) -> dict[str, np.ndarray]:
    """Output and gradients of a SyncBatchNorm on the rank's half, put together, and the running statistics."""
    from mindspore import nn

    from src.models.sync_norm import synchronise_batchnorm

    model = nn.SequentialCell([nn.BatchNorm2d(5, eps=1e-3, momentum=0.7)])
    fill(model[0])
    assert synchronise_batchnorm(model, process.size) == 1
    return run_norm(process, model, model[0], norm_case())


def normalise_rois(process) -> dict[str, np.ndarray]:
    """The same of a RoIConv that only normalises (its convolution is the identity), of which some rows are unused."""
    from mindspore import Tensor

    from src.models.detection.roi_conv import RoIConv
    from src.models.layers import NormSettings
    from src.models.sync_norm import synchronise_batchnorm

    model = RoIConv(5, 5, NormSettings(momentum=0.3, eps=1e-3))
    kernel = np.zeros((5, 5, 3, 3), np.float32)
    kernel[range(5), range(5), 1, 1] = 1
    model.conv.weight.set_data(Tensor(kernel))
    fill(model.bn)
    assert synchronise_batchnorm(model, process.size) == 1
    case = norm_case(rois=True)
    return run_norm(process, model, model.bn, case, Tensor(mine(process, case["valid"])))


def fill(norm) -> None:
    from mindspore import Tensor

    case = norm_case()
    for parameter, name in (
        (norm.gamma, "gamma"),
        (norm.beta, "beta"),
        (norm.moving_mean, "mean"),
        (norm.moving_variance, "variance"),
    ):
        parameter.set_data(Tensor(case[name]))


def run_norm(process, model, norm, case, *more) -> dict[str, np.ndarray]:
    import mindspore as ms
    from mindspore import Tensor

    model.set_train(True)
    upstream = Tensor(mine(process, case["upstream"]))

    def forward(x):
        y = model(x, *more)
        return (y * upstream).sum(), y

    weights = ms.ParameterTuple([norm.gamma, norm.beta])
    gradient = ms.value_and_grad(forward, 0, weights, has_aux=True)

    @ms.jit
    def run(x):
        return gradient(x)

    (_, y), (dx, (dgamma, dbeta)) = run(Tensor(mine(process, case["x"])))
    return {
        "y": np.concatenate(process.gather(y.asnumpy()) or [y.asnumpy()]),
        "dx": np.concatenate(process.gather(dx.asnumpy()) or [dx.asnumpy()]),
        "dgamma": process.sum_arrays(dgamma.asnumpy()),
        "dbeta": process.sum_arrays(dbeta.asnumpy()),
        "mean": norm.moving_mean.asnumpy(),
        "variance": norm.moving_variance.asnumpy(),
    }


def exchange(process) -> dict[str, np.ndarray]:
    gathered = process.gather({"rank": process.rank})
    shared = process.from_main("from 0" if process.is_main else None)
    total = process.sum_arrays(np.full((2, 2), 2**40 + process.rank))
    assert shared == "from 0" and (gathered == []) == (process.rank == 1)
    everywhere = process.gather(total)
    return {"ranks": np.array([item["rank"] for item in gathered]), "totals": np.array(everywhere)}


def overflow(process) -> dict[str, np.ndarray]:
    """Each rank's scale after every step, the weights and the overflows; batch 2 is not finite on rank 1 alone."""
    from mindspore import Tensor

    from src.engine.loss_scale import ScaleSettings
    from src.engine.optimizer import OptimizerSettings, build_optimizer
    from src.engine.train_step import StepSettings, TrainStep
    from tests.engine.test_train_step import Linear

    model = Linear(first_weight())
    optimizer = build_optimizer(model, np.full(STEPS, 0.1), OptimizerSettings("sgd", momentum=0.0))
    step = TrainStep(model, optimizer, StepSettings(dynamic=ScaleSettings(64.0, window=3)), process.size)
    step.set_train(True)
    scales, overflows = [], []
    for number, (x, target) in enumerate(whole_batches()):
        if number == 1:
            x[-1, 0] = np.inf
        _, _, has_overflown = step(Tensor(mine(process, x)), Tensor(mine(process, target)))
        scales.append(step.scaler.scale.asnumpy().item())
        overflows.append(has_overflown.asnumpy().item())
    found = {"scales": scales, "overflows": overflows, "weights": model.dense.weight.asnumpy()}
    return {name: np.stack(process.gather(np.array(value)) or [[]]) for name, value in found.items()}


def stop(process) -> dict[str, np.ndarray]:
    """After which of four steps each rank hears that rank 1 asked to stop before the third."""
    from mindspore import Tensor

    from src.engine.optimizer import OptimizerSettings, build_optimizer
    from src.engine.train_step import TrainStep
    from tests.engine.test_train_step import Linear

    model = Linear(first_weight())
    step = TrainStep(model, build_optimizer(model, np.full(STEPS, 0.1), OptimizerSettings("sgd")), size=process.size)
    heard = []
    for number, batch in enumerate(whole_batches()[:4]):
        if number == 2 and process.rank == 1:
            step.ask_to_stop()
        step(*(Tensor(mine(process, array)) for array in batch))
        heard.append(step.stop_is_asked())
    return {"heard": np.array(process.gather(heard))}


if __name__ == "__main__":
    main()
