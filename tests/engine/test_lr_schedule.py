from pathlib import Path

import numpy as np
import pytest

from src.config import load_config
from src.engine.lr_schedule import LrPolicy, learning_rates
from src.engine.setup import make_train_step
from tests.engine.toy import fresh_model

CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")


def test_warm_up_and_steps_give_the_originals_logged_rates():
    rates = learning_rates(LrPolicy("multistep", 0.14, [320, 340], 4000, 0.1), 350 * 19700, 19700)
    logged = {100: 0.017150, 200: 0.020300, 300: 0.023450, 19300: 0.14}
    for step, rate in logged.items():
        assert rates[step - 1] == pytest.approx(rate, abs=5e-7)
    assert rates[320 * 19700 - 1] == pytest.approx(0.14) and rates[320 * 19700] == pytest.approx(0.014)
    assert rates[-1] == pytest.approx(0.0014)


def test_cosine_falls_from_the_base_to_the_minimum():
    rates = learning_rates(LrPolicy("cosine", 1.0, minimum=0.2), 101, 10)
    assert rates[0] == 1.0 and rates[-1] == pytest.approx(0.2, abs=1e-3)
    np.testing.assert_allclose(rates[50], 0.6, atol=0.02)
    assert (np.diff(rates) < 0).all()


def test_without_warm_up_the_first_rate_is_the_base():
    policy = LrPolicy("multistep", 0.5, lr_steps=[2], warmup_steps=0, warmup_ratio=0.1)
    assert learning_rates(policy, 3, 1).tolist() == pytest.approx([0.5, 0.5, 0.05])


def test_linear_rises_to_the_base_and_falls_to_the_minimum():
    rates = learning_rates(LrPolicy("linear", 0.01, warmup_steps=20, warmup_ratio=0.01, minimum=0.00001), 120 * 10, 10)
    assert rates[9] == pytest.approx(0.00505, abs=1e-5)  # 0.005 in the original's log after the first of two epochs
    assert rates[19:21].tolist() == pytest.approx([0.01, 0.01])
    assert rates[610] == pytest.approx(0.005, abs=1e-4) and rates[-1] == pytest.approx(0.00002, abs=1e-5)


def test_rates_follow_the_images_of_an_update_over_all_ranks_where_asked_for(graph_mode):
    keys = ["--batch_size", "2", "--accumulate_step", "3", "--base_batch_size", "16", "--epoch_size", "2"]
    rates = [
        make_train_step(load_config(CONFIG, [*keys, "--scale_lr", str(scale)]), fresh_model(), 6, size=size)[1].rates
        for scale, size in ((0, 1), (1, 1), (1, 4))
    ]
    np.testing.assert_allclose(rates[1], rates[0] * (2 * 3 / 16), rtol=1e-6)
    np.testing.assert_allclose(rates[2], rates[0] * (2 * 3 * 4 / 16), rtol=1e-6)


def test_poly_is_the_authors_power_of_what_is_left():
    rates = learning_rates(LrPolicy("poly", 0.01, power=0.9, minimum=1e-6), 1000, 10)
    assert rates[0] == pytest.approx(0.01)
    assert rates[500] == pytest.approx(0.01 * 0.5**0.9, rel=1e-6) and rates[999] == pytest.approx(0.01 * 0.001**0.9)
    assert learning_rates(LrPolicy("poly", 0.01, power=2, minimum=1e-3), 1000, 10)[999] == pytest.approx(1e-3)
