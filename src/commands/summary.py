"""What a configuration builds: `python -m src.models.summary --config_path C [--key value ...]`.

Prints parameters, multiply-accumulates and output shapes of every part for one image of the configured size, then what
a training step costs. The network runs twice, on the CPU and in PyNative mode, so that every layer can be watched;
convolutions and dense layers are not computed (`shapes_only`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from ..config import Config, parse_cli
from ..models.cost import STATES, Walk, Weights, multiply_accumulates, shapes_only, walk, weights
from ..models.freeze import freeze_parts
from ..process import runtime
from ..process.command import entry_point
from ..tasks import TASKS


@dataclass
class Part:
    """One direct child of the network; `macs` are multiply-accumulates of convolutions and linear layers."""

    name: str
    parameters: int
    learning: int
    macs: int
    shapes: list[tuple[int, ...]]


@entry_point
def main() -> None:
    given = parse_cli(__doc__.splitlines()[0], command="summary")
    cfg = replace(given, mode="pynative", device_target="CPU")
    runtime.start(cfg, may_be_single=True)
    model = build(cfg)
    for line in table(cfg, summarize(cfg, model)):
        print(line)
    for line in step_lines(cfg, model, given.device_target):
        print(line)


def build(cfg: Config) -> nn.Cell:
    """The network, of which what does not learn is frozen."""
    model = TASKS[cfg.task].build_model(cfg)
    freeze_parts(model, cfg.frozen_parts)
    return model


def summarize(cfg: Config, model: nn.Cell | None = None) -> list[Part]:
    """Every part that has parameters or gives feature maps, in the order of the network; of `model` if it is built."""
    model = build(cfg) if model is None else model
    model.set_train(False)
    counter = _Counter(model)
    with shapes_only(model):
        model(*(Tensor(array) for array in TASKS[cfg.task].blank_inputs(cfg)))
    return [
        Part(
            name,
            sum(_size(parameter) for parameter in _weights(cell)),
            sum(_size(parameter) for parameter in cell.trainable_params()),
            counter.macs.get(name, 0),
            counter.shapes.get(name, []),
        )
        for name, cell in model.name_cells().items()
        if counter.macs.get(name, 0) or list(cell.get_parameters())
    ]


def table(cfg: Config, parts: list[Part]) -> Iterator[str]:
    """The summary as text, a line each."""
    yield f"{TASKS[cfg.task].system(cfg)} on {cfg.backbone.type}, one image of {cfg.img_width}x{cfg.img_height}"
    yield f"{'part':<16} {'parameters':>12} {'learning':>12} {'GMACs':>9}  output"
    for part in parts:
        shapes = " ".join("x".join(map(str, shape)) for shape in part.shapes)
        yield f"{part.name:<16} {part.parameters:>12,} {part.learning:>12,} {part.macs / 1e9:>9.3f}  {shapes}"
    sums = [sum(getattr(part, name) for part in parts) for name in ("parameters", "learning", "macs")]
    yield f"{'total':<16} {sums[0]:>12,} {sums[1]:>12,} {sums[2] / 1e9:>9.3f}"


def step_lines(cfg: Config, model: nn.Cell, device: str) -> Iterator[str]:
    """What a training step of the configured batch costs on a device, calculated, as text, a line each.

    No line where the task has no `blank_columns`, or the optimizer is another one than those here.

    device: the name that decides whether the operators of `fast_gradients` are there.
    """
    if not TASKS[cfg.task].blank_columns(cfg) or cfg.opt_type not in STATES:
        return
    walked, fixed = step_cost(cfg, model, device)
    batch, fast = cfg.batch_size, _has_fast_gradients(cfg, device)
    forward = 2 * walked.macs / 1e9
    backward, again = 2 * walked.backward_macs / 1e9, 2 * walked.block_macs / 1e9
    gradients = "with fast_gradients" if fast else "without fast_gradients"
    yield ""
    yield f"a training step, batch {batch}, calculated ({device}, {gradients}; without losses, inputs and workspaces)"
    step = f"a step {(forward + backward) * batch:,.1f}"
    yield f"GFLOPs an image: forward {forward:,.1f}, backward {backward:,.1f}; {step}"
    yield f"recompute (no key does it): residual blocks once more, {again * batch:,.1f} GFLOPs a step"
    kinds = [(half, recompute) for recompute in (False, True) for half in (False, True)]
    titles = [f"O{2 * half}{' recompute' if recompute else ''}" for half, recompute in kinds]
    yield f"{'GB by amp_level':<22}" + "".join(f"{title:>14}" for title in titles)
    rows = {
        "weights, statistics": [fixed.parameters] * 4,
        "half copies of weights": [fixed.half_copies * half for half, _ in kinds],
        "gradients": [fixed.gradients] * 4,
        f"optimizer ({cfg.opt_type})": [fixed.optimizer] * 4,
        "moving average": [fixed.average] * 4,
        "activations": [batch * walked.activations(*kind) for kind in kinds],
    }
    for name, sizes in [*rows.items(), ("together", [sum(column) for column in zip(*rows.values(), strict=True)])]:
        yield f"{name:<22}" + "".join(f"{size / 1e9:>14.3f}" for size in sizes)


def step_cost(cfg: Config, model: nn.Cell, device: str) -> tuple[Walk, Weights]:
    """One image's training step on a device, and what does not go with the batch; for a task with `blank_columns`."""
    columns = TASKS[cfg.task].blank_columns(cfg)
    walked = walk(model, [Tensor(columns[name]) for name in model.train_columns], _has_fast_gradients(cfg, device))
    return walked, weights(model, cfg.opt_type, cfg.ema_decay > 0, cfg.accumulate_step > 1)


def _has_fast_gradients(cfg: Config, device: str) -> bool:
    return device == "CPU" and cfg.fast_gradients and not cfg.portable


class _Counter:
    """Watches a network's layers: multiply-accumulates and output shapes by direct child."""

    def __init__(self, model: nn.Cell):
        self.macs: dict[str, int] = {}
        self.shapes: dict[str, list[tuple[int, ...]]] = {}
        for name, part in model.name_cells().items():
            part.register_forward_hook(self._shape_hook(name))
            for _, cell in part.cells_and_names():
                if isinstance(cell, nn.Conv2d | nn.Conv2dTranspose | nn.Dense):
                    cell.register_forward_hook(self._mac_hook(name))

    def _shape_hook(self, part: str):
        def hook(cell, inputs, output):
            outputs = output if isinstance(output, tuple) else (output,)
            self.shapes[part] = [tuple(x.shape) for x in outputs]

        return hook

    def _mac_hook(self, part: str):
        def hook(cell, inputs, output):
            self.macs[part] = self.macs.get(part, 0) + multiply_accumulates(cell, inputs, output)

        return hook


def _weights(cell: nn.Cell) -> list[ms.Parameter]:
    """Parameters without the running statistics."""
    return [p for p in cell.get_parameters() if not p.name.endswith(("moving_mean", "moving_variance"))]


def _size(parameter: ms.Parameter) -> int:
    return int(np.prod(parameter.shape))


if __name__ == "__main__":
    main()
