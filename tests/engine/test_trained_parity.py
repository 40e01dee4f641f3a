"""benchmarks/trained_parity.py in small: a few steps of each of its networks by each of its recipes."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.parity.cases import CASES, RECIPES, batches, configuration, draw
from benchmarks.parity.training import gap, same_start, train_ours, train_torch

STEPS = 4
STRONG = {  # so that four steps show them
    "sgd": {"weight_decay": 0.5, "grad_clip": 0.5},
    "adamw": {"weight_decay": 5.0},
}
# Of the way that the moving average has come. Adam's first steps follow the sign of each gradient, also of tiny ones.
NEAR = {"sgd": 3e-3, "adamw": 5e-2}
WITHOUT = {  # what a recipe has, and the same without it
    "sgd": [{"weight_decay": 0.0}, {"grad_clip": 1e9}, {"warmup_step": 1}, {"ema_decay": 0.15}],
    "adamw": [{"weight_decay": 0.0}, {"accumulate_step": 1}, {"warmup_step": 1}],
}


@pytest.mark.slow
@pytest.mark.parametrize("name,recipe", [(case, recipe) for case in CASES for recipe in RECIPES])
def test_a_training_goes_as_in_pytorch_and_not_as_one_without_a_part_of_its_recipe(graph_mode, tmp_path, name, recipe):
    case, marks = CASES[name], {STEPS}
    draw(case, tmp_path / "data", STEPS)
    cfg = configuration(case, recipe, tmp_path / "data", **STRONG[recipe])
    data = batches(cfg, STEPS)
    model, twin = same_start(case, cfg, data)
    others = [(replace(cfg, **change), copy.deepcopy(twin)) for change in WITHOUT[recipe]]
    theirs = train_torch(case, cfg, twin, data, STEPS, marks)
    ours = train_ours(case, cfg, model, data, STEPS, marks)
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=5e-4)  # where a mask's target is 0.5, rounding decides
    near = gap(ours, theirs, STEPS)
    assert near < NEAR[recipe]
    for changed, (lacking, module) in zip(WITHOUT[recipe], others):
        other = train_torch(case, lacking, module, data, STEPS, marks)
        assert gap(other, theirs, STEPS) > 5 * near, changed
