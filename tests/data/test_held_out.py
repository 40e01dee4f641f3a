"""The share that is held out: the same names in every run, whatever else is there."""

import subprocess
import sys
from pathlib import Path

import pytest

from src.data.held_out import is_held_out, split_part
from src.errors import UserError

NAMES = [f"photo {number}.jpg" for number in range(4000)]
WRITTEN_DOWN = [26, 34, 36, 38]


def test_about_the_share_is_held_out_and_each_file_is_on_one_side():
    train, val = (split_part(NAMES, split, 0.15, "set") for split in ("train", "val"))
    assert sorted(train + val) == list(range(4000)) and 0.13 < len(val) / 4000 < 0.17
    assert {NAMES[k] for k in val} == {name for name in NAMES if is_held_out(name, 0.15)}


def test_a_file_stays_on_its_side_when_others_come_or_go_and_with_a_larger_share():
    held = {name for name in NAMES if is_held_out(name, 0.15)}
    fewer = NAMES[::-3]
    assert {fewer[k] for k in split_part(fewer, "val", 0.15, "set")} == held & set(fewer)
    assert held < {name for name in NAMES if is_held_out(name, 0.3)}


def test_the_sides_are_those_of_every_version_and_process():
    """Written down: a run that is resumed or evaluated years later has the same held-out images."""
    assert [k for k in range(40) if is_held_out(f"{k}.jpg", 0.15)] == WRITTEN_DOWN
    code = "from src.data.held_out import is_held_out as f; print([k for k in range(40) if f(f'{k}.jpg', 0.15)])"
    line = [sys.executable, "-c", code]
    done = subprocess.run(
        line, cwd=Path(__file__).parents[2], capture_output=True, text=True, env={"PYTHONHASHSEED": "7"}
    )
    assert done.stdout.strip() == str(WRITTEN_DOWN), done.stderr


@pytest.mark.parametrize("share", [1e-9, 0.9])
def test_of_few_files_one_at_least_is_on_either_side(share):
    for count in (2, 3):
        train, val = (split_part(NAMES[:count], split, share, "set") for split in ("train", "val"))
        assert train and val and len(train) + len(val) == count


def test_files_of_one_name_stay_together_and_one_name_cannot_be_parted():
    names = ["a/1.png", "b/2.png", "a/1.png", "c/3.png"]
    sides = [split_part(names, split, 0.5, "set") for split in ("train", "val")]
    assert all((0 in side) == (2 in side) for side in sides)
    with pytest.raises(UserError, match="val_split: set has 1 image names"):
        split_part(["a", "a"], "val", 0.5, "set")
