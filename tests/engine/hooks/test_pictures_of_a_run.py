"""Sample pictures beside a training: its numbers, graphs and weights are those of a run without them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mindspore import Tensor

from src.checkpoint import read_checkpoint
from src.config import load_config
from src.engine.hooks import make_hooks
from src.engine.trainer import loop
from src.errors import UserError
from src.process.runtime import Runtime
from src.tasks import Task
from tests.engine.toy import TOTAL, batches, make_run

CONFIG = str(Path(__file__).parents[3] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")
INPUTS = next(iter(batches(0, 1)))


def say(model) -> list[np.ndarray]:
    return [loss.asnumpy() for loss in model(*INPUTS)]


class Sampler:
    """What stands in for a task's drawing: a picture of one grey value, and what the network said each time."""

    def __init__(self):
        self.said, self.graphs = [], []

    def __call__(self, cfg, count: int):
        def draw(model) -> dict[str, np.ndarray]:
            before = set(model.compile_cache)
            self.said.append(say(model))
            self.graphs.append((before, set(model.compile_cache)))
            return {"one": np.full((16, 16, 3), 50 * len(self.said), np.uint8)}

        assert count == 2
        return draw


def make(folder: Path, pictures: bool, *keys: str):
    """A run whose evaluation notes what the network said too."""
    said = []

    def evaluate(model) -> dict[str, float]:
        said.append(say(model))
        return {"score": 0.5}

    keys = ("--run_eval", "1", *(("--sample_pictures", "2") if pictures else ()), *keys)
    run = make_run(folder, CONFIG, *keys, evaluate=evaluate)
    run.task.sample_pictures = Sampler()
    return run, said


@pytest.mark.parametrize("ema", ["0", "0.9"])
def test_they_show_the_evaluated_weights_and_change_no_bit_of_the_training(graph_mode, tmp_path, ema):
    folders = tmp_path / "without", tmp_path / "with"
    runs = [make(folder, is_on, "--ema_decay", ema) for folder, is_on in zip(folders, (False, True))]
    for run, _ in runs:
        loop(run, batches(0, TOTAL))
    (_, _), (run, said) = runs
    sampler = run.task.sample_pictures
    np.testing.assert_array_equal(sampler.said, said)
    assert all(before == after and before for before, after in sampler.graphs)  # the evaluation's graph is theirs
    tables = [(folder / "losses.csv").read_text() + (folder / "metrics.csv").read_text() for folder in folders]
    assert tables[0] == tables[1]
    for name in sorted(path.name for path in (folders[0] / "ckpt").iterdir()):
        states = [read_checkpoint(folder / "ckpt" / name) for folder in folders]
        assert states[0].keys() == states[1].keys()
        assert all(np.array_equal(states[0][key], states[1][key]) for key in states[0]), name
    pictures = sorted(path.relative_to(folders[1]) for path in (folders[1] / "pictures").rglob("*.jpg"))
    assert [str(path) for path in pictures] == ["pictures/epoch_0001/one.jpg", "pictures/epoch_0002/one.jpg"]
    assert [int(cv2.imread(str(folders[1] / path))[8, 8, 0]) for path in pictures] == [50, 100]


def test_only_the_first_rank_draws_and_only_after_an_evaluation(pynative_mode, tmp_path):
    run, _ = make(tmp_path, True, "--eval_every", "2")
    loop(run, batches(0, TOTAL))
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["epoch_0002"]
    other, _ = make(tmp_path / "other", True)
    other.process = Runtime(rank=1)
    other.hooks["sample_pictures"].on_start(other, {})
    assert other.hooks["sample_pictures"].draw is None


def test_pictures_that_cannot_be_written_end_nothing(pynative_mode, tmp_path, caplog):
    (tmp_path / "pictures").write_text("a file where the folder should be")
    run, _ = make(tmp_path, True)
    loop(run, batches(0, TOTAL))
    assert run.finished and sum("cannot be written" in line for line in caplog.messages) == 2


def test_no_pictures_without_the_key_or_an_evaluation_and_a_task_without_them_says_so():
    for keys in ([], ["--sample_pictures", "2", "--run_eval", "0"]):
        assert "sample_pictures" not in make_hooks(load_config(CONFIG, keys))
    with pytest.raises(UserError, match="sample_pictures is 8, but task counting draws none"):
        Task.sample_pictures(type("Counting", (), {"name": "counting"})(), load_config(CONFIG), 8)
    assert isinstance(INPUTS[0], Tensor)
