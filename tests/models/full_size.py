"""Full-size models by the names and shapes of their parameters: built without values, in tenths of a second."""

from collections.abc import Mapping
from functools import cache
from math import prod
from pathlib import Path

from mindspore.nn.utils import no_init_parameters

from src.config import load_config
from src.tasks import build_model

CONFIGS = Path(__file__).parents[2] / "configs"
STATISTICS = ("moving_mean", "moving_variance", "running_mean", "running_var", "num_batches_tracked")


@cache
def shapes_of(config: str, *more: str) -> dict[str, tuple[int, ...]]:
    """Every parameter's shape by its name, in the model of a file in `configs/` with `more` keys."""
    keys = ["--device_target", "CPU", "--cls_head.conv_init", "HeNormal", *more]  # the other init is computed at once
    with no_init_parameters():
        model = build_model(load_config(str(CONFIGS / config), keys))
    return {parameter.name: tuple(parameter.shape) for parameter in model.get_parameters()}


def count_of(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """How many numbers could learn: all but the running statistics of normalisations."""
    return sum(prod(shape) for name, shape in shapes.items() if name.rpartition(".")[2] not in STATISTICS)
