import csv
from pathlib import Path

import pytest

from src.engine.profiling import COUNT, FIRST, profiled
from tests.engine.toy import batches, make_run

CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")


def test_every_operator_of_the_chosen_steps_is_counted_and_the_losses_stay_the_same(graph_mode, tmp_path):
    steps = FIRST + COUNT + 2
    runs = {name: make_run(tmp_path / name, CONFIG, "--epoch_size", "3") for name in ("plain", "profiled")}
    runs["plain"].loop(batches(0, steps), 0)
    watched = profiled(runs["profiled"].cfg, batches(0, steps), tmp_path / "profile")
    runs["profiled"].loop(watched, 0)
    watched.close()
    losses = [(tmp_path / name / "losses.csv").read_text() for name in runs]
    assert losses[0] == losses[1]
    (table,) = tmp_path.glob("profile/*/FRAMEWORK/cpu_op_type_info_0.csv")
    with open(table, newline="") as file:
        counts = {row["op_type"]: int(row["type_occurrences"]) for row in csv.DictReader(file)}
    assert counts["BatchNormGrad"] == COUNT
    assert list(tmp_path.glob("profile/*/*/trace_view.json"))


def test_a_run_that_ends_early_ends_as_it_would_without_profiling(graph_mode, tmp_path):
    run = make_run(tmp_path, CONFIG)
    with pytest.raises(RuntimeError, match="broken data"):

        def broken():
            yield from batches(0, 2)
            raise RuntimeError("broken data")

        run.loop(profiled(run.cfg, broken(), tmp_path / "profile"), 0)
