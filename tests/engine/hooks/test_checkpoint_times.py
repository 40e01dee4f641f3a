"""When checkpoints are written by `save_every_epochs`, and that a run goes on from them exactly."""

from pathlib import Path

import numpy as np
import pytest

from src.engine.trainer import loop
from tests.engine.toy import TOTAL, batches, broken_off_at, make_run

CONFIG = str(Path(__file__).parents[3] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")


def saved(folder) -> list[int]:
    """Global steps of the checkpoints; epochs have six steps."""
    names = sorted(path.stem for path in (folder / "ckpt").iterdir())
    return [6 * (int(name[6:10]) - 1) + int(name[-7:]) for name in names]


@pytest.mark.parametrize(
    ("epochs", "steps"), [("0.5", [3, 6, 9, 12]), ("0.7", [4, 8, 12]), ("1.5", [9, 12]), ("5", [12])]
)
def test_checkpoints_are_written_every_so_many_epochs_and_at_the_end(pynative_mode, tmp_path, epochs, steps):
    run = make_run(tmp_path, CONFIG, "--save_every_epochs", epochs)
    loop(run, batches(0, TOTAL))
    assert saved(tmp_path) == steps


def test_a_run_goes_on_from_a_checkpoint_between_two_epochs_ends(pynative_mode, tmp_path):
    keys = ("--save_every_epochs", "1.5")
    whole = make_run(tmp_path / "whole", CONFIG, *keys)
    loop(whole, batches(0, TOTAL))
    with pytest.raises(MemoryError):
        loop(make_run(tmp_path / "broken", CONFIG, *keys), broken_off_at(11))
    assert saved(tmp_path / "broken") == [9]
    again = make_run(tmp_path / "broken", CONFIG, *keys, "--resume", "1")
    loop(again, batches(again.done, TOTAL))
    for ours, theirs in zip(again.model.get_parameters(), whole.model.get_parameters()):
        np.testing.assert_array_equal(ours.asnumpy(), theirs.asnumpy())
