"""What scripts/same_numbers.sh takes for a difference; the numbers themselves are its own run."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "scripts" / "same_numbers"


@pytest.fixture(scope="module")
def tools():
    """(differences, normalise) of the scripts."""
    sys.path.insert(0, str(FOLDER))
    try:
        from compare import differences
        from normalise import normalise
    finally:
        sys.path.remove(str(FOLDER))
    return differences, normalise


CONFIG = "config/configs/a.yaml"
OLD = {
    f"{CONFIG}/lr": 0.1,
    f"{CONFIG}/rank_id": 0,
    f"{CONFIG}/backbone.type": "hrnet",
    f"{CONFIG}/backbone.depth": 50,
    f"{CONFIG}/backbone.extra.stage1": 1,
    f"{CONFIG}/hash": "0123456789ab",
    "config/help train.py/order of keys": "lr\nrank_id\nseed",
    "losses/demo/log": "first\nloss 1.5, config 0123456789ab\nlast",
}


def test_equal_numbers_are_the_same(tools):
    assert tools[0](OLD, dict(OLD), ()) == ([], [])


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        (f"{CONFIG}/lr", 0.1000001, "0.1 -> 0.1000001"),
        ("losses/demo/log", "first\nloss 1.6, config 0123456789ab\nlast", "line 2 of 3 and 3"),
        ("losses/demo/log", "first\nloss 1.5, config 0123456789ab", "line 3 of 3 and 2"),
        ("config/help train.py/order of keys", "seed\nlr", "line 1"),
        ("losses/demo/new", 1, "is new"),
    ],
)
def test_a_changed_or_new_number_is_shown(tools, name, value, shown):
    (found,), remarks = tools[0](OLD, OLD | {name: value}, ())
    assert found.startswith(name) and shown in found and not remarks


@pytest.mark.parametrize("name", ["lr", "backbone.extra.stage1", "hash"])
def test_a_missing_number_is_a_difference(tools, name):
    new = {key: value for key, value in OLD.items() if key != f"{CONFIG}/{name}"}
    assert len(tools[0](OLD, new, ())[0]) == 1


def test_keys_that_leave_or_come_are_no_difference(tools):
    left = (f"{CONFIG}/rank_id", f"{CONFIG}/backbone.depth")  # of no use, and of another backbone
    new = {name: value for name, value in OLD.items() if name not in left} | {f"{CONFIG}/fresh": 1}
    new["config/help train.py/order of keys"] = "lr\nfresh\nseed"
    found, remarks = tools[0](OLD, new, ())
    assert not found and len(remarks) == 3


@pytest.mark.parametrize("place", ["checkpoint", "best checkpoint"])
def test_of_a_checkpoint_only_the_format_may_be_new(tools, place):
    assert not tools[0](OLD, OLD | {f"losses/demo/{place}/state/format": "1"}, ())[0]
    assert tools[0](OLD, OLD | {f"losses/demo/{place}/state/formula": "1"}, ())[0]


def test_without_hash_only_hashes_may_differ(tools):
    new = OLD | {f"{CONFIG}/hash": "ba9876543210", "losses/demo/log": "first\nloss 1.5, config ba9876543210\nlast"}
    assert len(tools[0](OLD, new, ())[0]) == 2
    assert tools[0](OLD, new, ("hash",)) == ([], [])
    assert len(tools[0](OLD, new | {f"{CONFIG}/lr": 1}, ("hash",))[0]) == 1


def test_times_and_places_are_left_out_of_texts_and_numbers_stay(tools):
    line = "[2026-01-02T03:04:05.678] INFO: {}/runs/a: epoch: 1, loss: 1.234567, per step time: {} ms, {} s per image"
    texts = [line.format(*values) for values in (("/tmp/x", "1.25", "0.3"), ("/tmp/other", "17.5", "12"))]
    old, new = (tools[1](text, {"out": Path(place)}) for text, place in zip(texts, ("/tmp/x", "/tmp/other")))
    assert old == new and "<out>/runs/a" in old and "loss: 1.234567" in old
