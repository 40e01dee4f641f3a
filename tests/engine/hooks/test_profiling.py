import csv
from pathlib import Path

import pytest

from src.engine.hooks.profiling import COUNT, FIRST
from src.engine.trainer import loop
from tests.engine.toy import batches, make_run

CONFIG = str(Path(__file__).parents[3] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")


@pytest.mark.slow
def test_every_operator_of_the_chosen_steps_is_counted_and_the_losses_stay_the_same(graph_mode, tmp_path):
    steps = FIRST + COUNT + 2
    keys = ("--epoch_size", "3", "--max_steps", str(steps))
    for name, profiling in (("plain", "0"), ("profiled", "1")):
        run = make_run(tmp_path / name, CONFIG, *keys, "--enable_profiling", profiling)
        loop(run, batches(0, steps))
    losses = [(tmp_path / name / "losses.csv").read_text() for name in ("plain", "profiled")]
    assert losses[0] == losses[1]
    (table,) = tmp_path.glob("profiled/profile/*/FRAMEWORK/cpu_op_type_info_0.csv")
    with open(table, newline="") as file:
        counts = {row["op_type"]: int(row["type_occurrences"]) for row in csv.DictReader(file)}
    assert counts["BatchNormGrad"] == COUNT
    assert list(tmp_path.glob("profiled/profile/*/*/trace_view.json"))


def test_a_run_that_ends_early_ends_as_it_would_without_profiling(graph_mode, tmp_path):
    def broken():
        yield from batches(0, 2)
        raise RuntimeError("broken data")

    run = make_run(tmp_path, CONFIG, "--enable_profiling", "1")
    with pytest.raises(RuntimeError, match="broken data"):
        loop(run, broken())
