"""benchmarks/trained_parity.py in small: a few steps of each of its networks by each of its recipes."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.parity.cases import CASES, RECIPES, batches, configuration, draw
from benchmarks.parity.training import train_torch
from benchmarks.trained_parity import gap, three_courses

STEPS = 4
EACH = [
    pytest.param(case, recipe, marks=() if case == "detector" and recipe == "sgd" else pytest.mark.slow)
    for case in CASES
    for recipe in RECIPES
]


@pytest.mark.parametrize("name,recipe", EACH)
def test_a_training_from_the_same_weights_on_the_same_batches_goes_as_in_pytorch(graph_mode, tmp_path, name, recipe):
    case = CASES[name]
    draw(case, tmp_path / "data", STEPS)
    cfg = configuration(case, recipe, tmp_path / "data")
    courses, twin = three_courses(case, cfg, batches(cfg, STEPS), STEPS)
    ours, theirs, _ = courses
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-4)
    assert gap(courses, 0, STEPS) < 2e-3  # of the way that the moving average has come
