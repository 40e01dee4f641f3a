"""The page docs/adding_a_hook.md, followed word by word: its hook is in a run that is stopped and goes on."""

import json
from pathlib import Path

import pytest

from src.checkpoint import read_checkpoint
from src.config import EXTRA_KEYS, load_config
from src.engine import hooks
from src.engine.curves import CsvTable
from src.engine.trainer import loop
from src.errors import UserError
from tests.engine.toy import STEPS_PER_EPOCH, TOTAL, batches, broken_off_at, interrupted_at, make_run
from tests.page_blocks import add_module, blocks

CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")


@pytest.fixture(autouse=True)
def page(tmp_path, monkeypatch, added):
    """The page's code in its places."""
    hook, line, keys = blocks("adding_a_hook.md")
    module = add_module("src.engine.hooks.json_lines", hook, tmp_path, monkeypatch)
    for name, make in eval("{" + line.strip() + "}", vars(module)).items():
        monkeypatch.setitem(hooks.HOOKS, name, make)
    added(EXTRA_KEYS, add_module("src.config.json_lines_keys", keys, tmp_path, monkeypatch).JsonLinesKeys)


def run_in(folder: Path, *keys: str):
    """A run of the toy model that is evaluated after each epoch and fetches its losses after each step."""
    run = make_run(folder, CONFIG, "--jsonl", "1", "--run_eval", "1", "--log_every", "1", *keys)
    run.evaluate = lambda model: {"score": 0.5}
    return run


def numbers(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_its_key_switches_it_on():
    assert "json_lines" in hooks.make_hooks(load_config(CONFIG, ["--jsonl", "1"]))
    assert "json_lines" not in hooks.make_hooks(load_config(CONFIG, []))
    with pytest.raises(UserError, match="jsonl"):
        load_config(CONFIG, ["--jsonl", "perhaps"])


@pytest.mark.parametrize(
    "data,step,error,kept",
    [(interrupted_at, 5, SystemExit, 5), (broken_off_at, 6, MemoryError, 4), (broken_off_at, 8, MemoryError, 6)],
    ids=["signal", "kill", "kill after an epoch"],
)
def test_a_run_that_was_stopped_writes_the_file_of_one_that_was_not(pynative_mode, tmp_path, data, step, error, kept):
    whole = run_in(tmp_path / "whole")
    loop(whole, batches(0, TOTAL))
    lines = numbers(tmp_path / "whole" / "numbers.jsonl")
    assert [one for one in lines if "loss" in one] == CsvTable(tmp_path / "whole" / "losses.csv").read()
    assert [(one["epoch"], one["score"]) for one in lines if "score" in one] == [(1, 0.5), (2, 0.5)]

    first, file = run_in(tmp_path / "parts"), tmp_path / "parts" / "numbers.jsonl"
    with pytest.raises(error):
        loop(first, data(step))
    newest = read_checkpoint(first.experiment.checkpoints.newest_first()[0])
    (size,) = [int(value) for name, value in newest.items() if name.endswith("json_lines/size")]
    assert file.read_bytes()[:size].count(b"\n") == kept + kept // STEPS_PER_EPOCH  # a line a step and an evaluation
    assert (file.stat().st_size > size) == (error is MemoryError)

    second = run_in(tmp_path / "parts", "--resume", "1")
    assert second.done == kept
    loop(second, batches(kept, TOTAL))
    assert numbers(file) == lines
