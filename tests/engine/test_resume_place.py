"""`--resume PATH`: a run in a named folder, or from one of its states; what came after that is set aside, not lost."""

import shutil

import numpy as np
import pytest

from src.checkpoint import read_checkpoint, save_weights
from src.config import load_config
from src.engine.curves import CsvTable
from src.engine.resume_place import resume_place
from src.errors import UserError
from tests.engine.conftest import CONFIG
from tests.engine.toy import STEPS_PER_EPOCH, TOTAL, ToyTask, fresh_model


def steps_of(folder, name="losses.csv") -> list[int]:
    return [int(row["global_step"]) for row in CsvTable(folder / name).read()]


def states_of(folder) -> list[str]:
    return sorted(path.name for path in (folder / "ckpt").glob("*.ckpt"))


@pytest.fixture()
def scored(monkeypatch):
    """The toy is evaluated, each time with a better score."""
    scores = iter(np.arange(1, 100) / 100)
    monkeypatch.setattr(ToyTask, "make_evaluator", lambda *_: lambda model: {"score": next(scores)}, raising=False)
    return "--run_eval", 1


def test_a_run_goes_on_in_the_folder_that_is_named_whatever_name_is_looked_for(command, tmp_path):
    folder, _ = command("--max_steps", 7)
    moved = tmp_path / "elsewhere" / "210101_Toy_moved"
    moved.parent.mkdir()
    folder.rename(moved)
    found, _ = command("--resume", moved, "--brief", "another")
    assert found == moved and steps_of(moved) == list(range(1, TOTAL + 1)) and not folder.exists()
    kept = load_config(str(moved / "config.yaml"))
    assert (kept.resume, kept.brief, kept.train_outputs) == (True, "tiny", str(moved.parent))


def test_a_run_goes_on_from_the_state_that_is_named_and_equals_the_one_that_went_on(command, scored, tmp_path):
    keys = (*scored, "--save_every", 2, "--epoch_size", 3)
    folder, _ = command(*keys)
    whole = {name: read_checkpoint(folder / "ckpt" / name) for name in states_of(folder)}
    rows = (folder / "losses.csv").read_bytes()
    best = sorted(path.name for path in (folder / "best_ckpt").glob("*.ckpt"))
    pictures = [folder / "pictures" / f"epoch_000{epoch}" / "a.jpg" for epoch in (1, 3)]
    for path in (*pictures, folder / "tb" / "events.out.tfevents.1"):
        path.parent.mkdir(parents=True)
        path.write_bytes(path.name.encode())
    again, _ = command(*keys, "--resume", folder / "ckpt" / "epoch_0002_step_0000004.ckpt", "--max_steps", 11)
    aside = folder / "before_1"
    later = {path.name for path in aside.iterdir()}
    assert {"epoch_0002_step_0000006.ckpt", "epoch_0003_step_0000006.ckpt", "losses.csv", "metrics.csv"} <= later
    for path in (*pictures, folder / "tb" / "events.out.tfevents.1"):
        assert (aside / path.relative_to(folder)).read_bytes() == path.name.encode() and path.exists()
    assert (aside / "losses.csv").read_bytes() == rows and steps_of(aside, "metrics.csv") == [6, 12, 18]
    assert {name for name in best if not name.endswith("_0001.ckpt")} <= later and best[0] not in later
    assert again == folder and steps_of(folder) == list(range(1, 12)) and steps_of(folder, "metrics.csv") == [6, 11]
    command(*keys, "--resume", 1)  # what is written down of the first resume does not go back once more
    assert (folder / "losses.csv").read_bytes() == rows and not (folder / "before_2").exists()
    last = states_of(folder)[-1]
    state = read_checkpoint(folder / "ckpt" / last)
    assert state.keys() == whole[last].keys()
    for name, value in state.items():
        np.testing.assert_array_equal(value, whole[last][name], err_msg=name)


def test_the_newest_state_by_name_is_what_resume_1_takes(command, capsys):
    folder, _ = command("--max_steps", 7)
    command("--resume", folder / "ckpt" / states_of(folder)[-1])
    assert steps_of(folder) == list(range(1, TOTAL + 1)) and not (folder / "before_1").exists()
    assert "had gone on" not in capsys.readouterr().out


def test_a_damaged_state_is_an_error_and_changes_nothing(command):
    folder, _ = command("--save_every", 3)
    path = folder / "ckpt" / "epoch_0001_step_0000003.ckpt"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-3])
    before = states_of(folder), steps_of(folder)
    with pytest.raises(UserError, match="epoch_0001_step_0000003.ckpt cannot be read"):
        command("--resume", path)
    assert (states_of(folder), steps_of(folder)) == before and not (folder / "before_1").exists()


def test_a_path_that_is_no_run_and_no_state_of_one_is_one_line(command, tmp_path):
    folder, _ = command("--max_steps", 7)
    save_weights(fresh_model(), folder / "best_ckpt" / "score_0.5000_epoch_0001.ckpt")
    shutil.copy(folder / "ckpt" / "epoch_0001_step_0000006.ckpt", tmp_path / "copy.ckpt")
    (tmp_path / "empty").mkdir()
    for path, said in {
        tmp_path / "nowhere": "does not exist; give 1, a run's folder, or one of its states",
        tmp_path / "empty": "no run has begun in",
        folder / "ckpt": "no run has begun in",
        folder / "config.yaml": "is no training state in a run's folder",
        folder / "best_ckpt" / "score_0.5000_epoch_0001.ckpt": "a new run starts from its weights by --pre_trained",
        tmp_path / "copy.ckpt": "a new run starts from its weights by --pre_trained",
        "a\nb": "does not exist",
    }.items():
        with pytest.raises(UserError, match=said) as raised:
            resume_place(str(path))
        assert str(raised.value).startswith("resume: ")
    assert resume_place(str(folder)) == (folder, None)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("0", False), ("true", True), ("out/run", "out/run"), ("2026-01-02", "2026-01-02"), ("", "")],
)
def test_resume_is_a_switch_or_a_path(text, value):
    assert load_config(CONFIG, [f"--resume={text}"]).resume == value


ENDS = {"end_epoch": ("--epoch_size", 4, "--end_epoch", 2), "epoch_size": ("--epoch_size", 2)}


@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS)
def test_two_and_two_epochs_equal_four_bit_for_bit_in_a_multistep_schedule(command, scored, ends):
    keys = (*scored, "--lr_type", "multistep", "--lr_steps", "[1, 3]", "--warmup_step", 3, "--ema_decay", 0.9)
    whole, _ = command(*keys, "--epoch_size", 4, "--brief", "whole")
    parts, _ = command(*keys, *ends, "--brief", "parts")
    assert len(steps_of(parts)) == 2 * STEPS_PER_EPOCH
    command(*keys, "--epoch_size", 4, "--brief", "parts", "--resume", 1)
    assert (whole / "losses.csv").read_bytes() == (parts / "losses.csv").read_bytes()
    rates = [row["lr"] for row in CsvTable(whole / "losses.csv").read()]
    assert len(rates) == 24 and rates[-1] == pytest.approx(0.001) and rates[6] == pytest.approx(0.01)
    assert states_of(whole) == states_of(parts)
    one, other = (read_checkpoint(folder / "ckpt" / states_of(whole)[-1]) for folder in (whole, parts))
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)
