"""benchmarks/scaling.py: the formulas by numbers worked by hand, and that docs/scaling.md is what it gives."""

import json
import sys
from dataclasses import replace

import pytest

from benchmarks import scaling
from benchmarks.scaling import Counts, Device, Link

SLOW = Link("slow", bandwidth=1e9, latency=1e-3)
# 3 M numbers in three gradients: 12 MB; 6 x 50 GMACs x 2 = 0.6 TFLOP a step
MODEL = Counts("hrnet_w48_seg_cityscapes", 8, 8, 2, (10**6,) * 3, 3_500_000, 5, 0, 50 * 10**9, "adam", 100)


def test_a_ring_sends_each_part_around_twice():
    # 4 devices: 6 turns of 1 MB and a message each: 6 x (1 ms + 1 ms)
    assert scaling.ring_seconds(4e6, 4, SLOW) == pytest.approx(12e-3)
    # three operators: the same bytes, 18 messages
    assert scaling.ring_seconds(4e6, 4, SLOW, 3) == pytest.approx(24e-3)
    # two devices: half the bytes there, half back
    assert scaling.ring_seconds(4e6, 2, SLOW) == pytest.approx(6e-3)
    assert scaling.ring_seconds(4e6, 1, SLOW) == 0


def test_a_tree_is_as_deep_as_the_logarithm():
    assert scaling.tree_seconds(8, SLOW) == pytest.approx(6e-3)
    assert scaling.tree_seconds(9, SLOW) == pytest.approx(8e-3)


def test_buckets_hold_what_fits_and_one_gradient_at_least():
    tensors = [3, 2, 5, 9, 1, 1]
    assert scaling.buckets(tensors, 20) == [[0, 1], [2], [3], [4, 5]]
    assert scaling.split_indices(tensors, 20) == [1, 2, 3]
    assert scaling.split_indices(tensors, 1000) == []


def test_mindspore_cuts_behind_the_gradients_of_those_indices():
    from mindspore.nn.wrap.grad_reducer import _init_allreduce_operators

    numbers = [op.fusion for op in _init_allreduce_operators(6, scaling.split_indices([3, 2, 5, 9, 1, 1], 20))]
    assert [number - numbers[0] for number in numbers] == [0, 0, 1, 2, 3, 3]


def test_a_step_by_a_devices_peak_and_its_efficiency():
    device = Device("any", 4e12, ())  # a quarter of it is used: 1 TFLOP/s
    compute = MODEL.compute_seconds(device)
    assert compute == pytest.approx(0.6)
    # 2 devices: 12 MB / (1 GB/s) + 2 ms = 14 ms
    ring = scaling.ring_seconds(MODEL.gradient_bytes, 2, SLOW)
    assert scaling.efficiency(compute, ring) == pytest.approx(0.6 / 0.614)


@pytest.mark.parametrize(
    "compute,waited",
    [
        (0.6, 0.006),  # hidden but for the bucket of the first layers: 4 MB / (1 GB/s) + 2 ms
        (0.009, 0.012),  # 18 ms in all, of which 6 ms fit into the backward pass
    ],
)
def test_buckets_hide_behind_the_backward_pass(monkeypatch, compute, waited):
    monkeypatch.setattr(scaling, "BUCKET", 4 * 10**6)
    assert scaling.hidden_efficiency(MODEL, compute, 2, SLOW) == pytest.approx(compute / (compute + waited))


def test_a_checkpoint_holds_statistics_and_the_optimizers_copies():
    assert MODEL.checkpoint_bytes == 4 * (3_500_000 + 2 * 3_000_000)
    assert replace(MODEL, optimizer="sgd").checkpoint_bytes == 4 * 6_500_000


def test_a_link_is_found_from_a_small_and_a_large_sum():
    # 2 turns of 1 ms; 4 MiB over 2 ranks take 4 MiB / bandwidth more
    link = scaling.measured_link({"sum_4_ms": 2.0, "sum_4194304_ms": 10.388608})
    assert (link.latency, link.bandwidth) == (pytest.approx(1e-3), pytest.approx(0.5e9))
    assert scaling.ring_seconds(2**22, 2, link) == pytest.approx(10.388608e-3)


@pytest.mark.parametrize(
    "value,text", [(1.234, "1.23 s"), (0.01234, "12.3 ms"), (0.00001, "0.01 ms"), (0.9994, "999 ms")]
)
def test_times_have_three_digits(value, text):
    assert scaling.seconds(value) == text


def test_the_page_is_what_the_script_gives():
    facts = json.loads(scaling.FACTS.read_text(encoding="utf-8"))
    page = scaling.PAGE.read_text(encoding="utf-8")
    assert scaling.with_tables(page, scaling.tables(facts)) == page


@pytest.mark.parametrize("text", [None, "x", "{}", "[]", '{"sum_4_ms": 1, "sum_4194304_ms": 1}'])
def test_measurements_that_are_none_change_nothing(text, tmp_path, monkeypatch, capsys):
    for name in ("FACTS", "PAGE"):
        (tmp_path / name).write_bytes(getattr(scaling, name).read_bytes())
        monkeypatch.setattr(scaling, name, tmp_path / name)
    kept = [path.read_bytes() for path in (scaling.FACTS, scaling.PAGE)]
    file = tmp_path / "measured.json"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(sys, "argv", ["scaling", "--measured", str(file), str(file)])
    assert scaling.main() == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and str(file) in said and len(said.splitlines()) == 1
    assert [path.read_bytes() for path in (scaling.FACTS, scaling.PAGE)] == kept


@pytest.mark.slow
def test_the_counts_are_the_configurations_own():
    from src.config import load_config
    from src.tasks import build_model

    entry = json.loads(scaling.FACTS.read_text(encoding="utf-8"))["counts"][0]
    cfg = load_config(str(scaling.ROOT / "configs" / f"{entry['config']}.yaml"), [])
    model = build_model(cfg)
    assert [parameter.size for parameter in model.trainable_params()] == entry["tensors"]
    assert sum(parameter.size for parameter in model.get_parameters()) == entry["state"]
    assert (cfg.img_width, cfg.img_height, cfg.batch_size) == (entry["width"], entry["height"], entry["batch"])
