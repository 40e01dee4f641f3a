"""The MindSpore originals' rates, as their own functions gave them (tests/data_files/mindspore_schedules.json)."""

import json
from pathlib import Path

import numpy as np
import pytest

from src.config import load_config
from src.engine.lr_schedule import LrPolicy, learning_rates
from src.engine.setup import make_train_step
from tests.engine.toy import fresh_model

CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")
COSINE = {"lr_type": "cosine_after_warmup", "warmup_ratio": 1 / 3, "warmup_first_step": 0, "min_lr": 0, "epoch_size": 3}
CASES = {  # original: keys beside those of its arguments, devices
    "HRNetW48_cls": ({"lr_type": "linear", "warmup_first_step": 0}, 1),
    "HRNetW48_seg": ({"lr_type": "cos", "warmup_step": 0}, 1),
    "pointrend_and_MaskRCNN_rank_size_1": (COSINE, 1),
    "pointrend_and_MaskRCNN_rank_size_8": (COSINE, 8),
}
OURS = {  # argument of the original's function: key
    "base_lr": "lr", "lr_max": "lr", "lr_min": "min_lr", "lr_end": "min_lr", "lr_init": "lr_init",
    "warmup_epochs": "warmup_epochs", "warmup_step": "warmup_step", "base_step": "lr_base_step",
}  # fmt: skip


def rates(keys: dict, steps_per_epoch: int, size: int = 1) -> np.ndarray:
    cfg = load_config(CONFIG, [f"--{name}={value}" for name, value in keys.items()])
    return make_train_step(cfg, fresh_model(), steps_per_epoch, size)[1].rates


@pytest.mark.parametrize("name", CASES)
def test_every_step_has_the_originals_rate(graph_mode, data_files, name):
    case = json.loads((data_files / "mindspore_schedules.json").read_text())[name]
    given, (own, size) = case["arguments"], CASES[name]
    epochs = given["total_epoch"]
    steps = given.get("steps_per_epoch") or len(case["rates"]) // epochs
    keys = {"epoch_size": epochs} | own | {OURS[key]: value for key, value in given.items() if key in OURS}
    ours = rates(keys, steps, size)
    assert ours.dtype == np.float32 and len(ours) == len(case["rates"])
    np.testing.assert_allclose(ours, case["rates"], rtol=1e-6)
    assert ours[0] == np.float32(case["rates"][0])  # a warm-up begins at its start


@pytest.mark.parametrize(
    ("base_step", "warmup", "images", "devices", "share"),
    [(29316, 10000, 4, 1, 0.02), (29316, 10000, 4, 8, 0.18), (58633, 500, 2, 8, 0.014)],
)
def test_twelve_of_thirteen_epochs_end_where_the_originals_do(graph_mode, base_step, warmup, images, devices, share):
    keys = COSINE | {"lr": 1, "warmup_step": warmup, "lr_base_step": base_step, "lr_epochs": 13, "epoch_size": 12}
    found = rates(keys, 118287 // images // devices, devices)
    assert found[warmup] == 1 and found[-1] == pytest.approx(share, abs=0.003)
    assert found.argmax() == warmup and (np.diff(found[:warmup]) > 0).all() and (np.diff(found[warmup:]) <= 0).all()


@pytest.mark.parametrize("kind", ["cosine", "linear", "poly", "cosine_after_warmup"])
def test_a_curve_falls_over_its_own_epochs_and_stays_where_it_ends(kind):
    policy = LrPolicy(kind, 1.0, curve_steps=20)
    np.testing.assert_array_equal(learning_rates(policy, 10, 5), learning_rates(policy, 30, 5)[:10])
    assert set(learning_rates(policy, 30, 5)[19:]) == {learning_rates(policy, 20, 5)[-1]}


def test_accumulated_updates_take_as_many_images_to_the_end_of_the_curve(graph_mode):
    keys = {"lr_type": "linear", "warmup_step": 0, "min_lr": 0, "lr_epochs": 4, "epoch_size": 4}
    one, two = rates(keys, 6), rates(keys | {"accumulate_step": 2}, 6)
    np.testing.assert_allclose(two, one[::2], rtol=1e-6)
