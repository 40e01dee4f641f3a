"""Nothing of a run is lost in its folder: names, a lock, what failed starts and killed runs leave."""

import datetime
import os
import signal
import time
from pathlib import Path

import pytest

from src.checkpoint import save_training_state
from src.config import load_config, to_dict
from src.engine import run_folder
from src.engine.checkpoint_folders import CheckpointFolder
from src.engine.curves import CsvTable
from src.engine.experiment import open_experiment
from src.engine.run_folder import FolderLock, has_begun, sweep
from src.errors import UserError
from tests.engine.test_experiment import CONFIG, do_steps, open_run
from tests.test_checkpoint import Model


class Today(datetime.date):
    """A day that does not end while the tests run."""

    @classmethod
    def today(cls) -> "Today":
        return cls(2026, 1, 2)


TODAY = "260102"


@pytest.fixture(autouse=True)
def _that_day(monkeypatch):
    monkeypatch.setattr(datetime, "date", Today)


def in_child(action) -> int:
    """Exit status of a forked process: 2 where a UserError was raised."""
    child = os.fork()
    if not child:
        try:
            action()
        except UserError:
            os._exit(2)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# ------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("brief", ["a[1]", "*", "..", ".hidden", "ü b", "-x", "'\"", "$HOME", "a\\b"])
def test_an_odd_brief_is_a_folder_beside_the_others_and_is_found_again(tmp_path, brief):
    folder = open_run(tmp_path / "out", "--brief", brief).folder
    assert folder.parent == tmp_path / "out" and folder.name == f"{TODAY}_MaskRCNN_{brief}"
    assert open_run(tmp_path / "out", "--resume", "1", "--brief", brief).folder == folder
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    "brief", ["a/b", "../up", "/tmp/x", "two\nlines", "nul\0", "\x1b[2J", "x" * 240, "ü" * 120, "\udc80"]
)
@pytest.mark.parametrize("resume", ["0", "1"])
def test_a_brief_that_is_no_name_of_a_folder_is_one_line_and_makes_nothing(tmp_path, brief, resume):
    cfg = load_config(CONFIG, ["--train_outputs", str(tmp_path / "out"), "--resume", resume])
    object.__setattr__(cfg, "brief", brief)
    with pytest.raises(UserError, match="^brief: ") as refused:
        open_experiment(cfg, ("MaskRCNN",), True)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 200 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["x" * 300, "x/" * 3000, "nul\0", "file", "file/below", "loop"])
@pytest.mark.parametrize("resume", ["0", "1"])
def test_outputs_that_cannot_be_made_are_one_line(tmp_path, place, resume):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    cfg = load_config(CONFIG, ["--resume", resume])
    object.__setattr__(cfg, "train_outputs", str(tmp_path / place))
    with pytest.raises(UserError, match="^train_outputs: cannot make ") as refused:
        open_experiment(cfg, ("MaskRCNN",), True)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 300


def test_a_later_folder_in_which_no_run_has_begun_hides_no_run(tmp_path):
    older = open_run(tmp_path).folder.rename(tmp_path / "200101_MaskRCNN_b")
    (tmp_path / "200102_MaskRCNN_b").mkdir()
    (tmp_path / "200103_MaskRCNN_b").write_text("a file")
    later = tmp_path / "200104_MaskRCNN_b"
    open_run(tmp_path, steps=0).folder.rename(later)
    assert open_run(tmp_path, "--resume", "1").folder == older
    do_steps(later, 1)
    assert open_run(tmp_path, "--resume", "1").folder == later


def test_a_brief_that_is_not_there_names_those_that_are(tmp_path, capsys):
    open_run(tmp_path)
    assert open_run(tmp_path, "--resume", "1", "--brief", "typo").folder.name == f"{TODAY}_MaskRCNN_typo"
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "starting afresh" in line]
    assert "WARNING" in line and "no run of brief 'typo'" in line and "there are runs of brief 'b'" in line


# -------------------------------------------------------------------------------------------------------- one process


def test_a_folder_has_one_process_and_a_second_one_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder, "LOCK_WAIT", 0.0)
    for steps, resume in ((0, "0"), (0, "1"), (1, "1")):  # two starts at once, and two resumes
        experiment = open_run(tmp_path / f"{steps}{resume}", "--resume", resume, steps=steps)
        again = lambda path=experiment.folder.parent, value=resume: open_run(path, "--resume", value)  # noqa: E731
        before = {path: path.stat().st_mtime_ns for path in experiment.folder.rglob("*")}
        assert in_child(again) == 2
        assert {path: path.stat().st_mtime_ns for path in experiment.folder.rglob("*")} == before


def test_a_killed_run_lets_go_of_its_folder_although_its_data_workers_live(tmp_path):
    ready = tmp_path / "ready"

    def hold():
        lock = FolderLock(tmp_path)
        worker = os.fork()
        if not worker:
            time.sleep(30)
            os._exit(0)
        ready.write_text(str(worker))
        time.sleep(30)
        del lock

    holder = os.fork()
    if not holder:
        hold()
    while not ready.exists() or not ready.read_text():
        time.sleep(0.01)
    worker = int(ready.read_text())
    try:
        assert in_child(lambda: setattr(run_folder, "LOCK_WAIT", 0.0) or FolderLock(tmp_path)) == 2
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
        os.kill(worker, 0)  # lives
        assert in_child(lambda: FolderLock(tmp_path)) == 0
    finally:
        os.kill(worker, signal.SIGKILL)


# -------------------------------------------------------------------------------------------- failed and killed runs


def test_the_next_command_takes_a_folder_in_which_no_run_has_begun(tmp_path):
    folder = open_run(tmp_path, steps=0).folder  # killed while it compiled
    assert open_run(tmp_path, "--lr", "0.5", "--batch_size", "3", steps=0).folder == folder
    assert open_run(tmp_path, "--lr", "0.25", "--resume", "1").folder == folder
    assert load_config(str(folder / "config.yaml")).lr == 0.25
    with pytest.raises(UserError, match="holds a run already"):
        open_run(tmp_path)


@pytest.mark.parametrize("of_others", [False, True])
def test_a_start_that_is_refused_leaves_no_folder_but_what_others_have_put_there(tmp_path, of_others):
    cfg = load_config(CONFIG, ["--train_outputs", str(tmp_path), "--brief", "b"])
    experiment = open_experiment(cfg, ("MaskRCNN",), True)
    if of_others:
        (experiment.folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="no weights"), experiment.in_use():
        raise UserError("no weights")
    assert experiment.folder.exists() == of_others and in_child(lambda: open_run(tmp_path, "--lr", "0.5")) == 0


def leave(folder: Path, name: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    return path


def test_a_start_sweeps_what_killed_runs_have_left_and_nothing_else(tmp_path):
    gone = [
        "ckpt/.epoch_0001_step_0000005.99.ckpt", "ckpt/.epoch_0001_step_0000005.99.tmp",
        "best_ckpt/.bbox_mAP_0.1000_epoch_0002.7.tmp", "best_ckpt/.Top_1_Acc_-0.5000_epoch_0002.7.ckpt",
        ".config.yaml.12.tmp", ".losses.csv.12.tmp", ".metrics.png.12.tmp", ".mlflow.json.12.tmp",
    ]  # fmt: skip
    kept = [
        "ckpt/.mine.ckpt", "ckpt/epoch_0001_step_0000005.tmp", "best_ckpt/mine.5.ckpt", ".hidden", ".out.json.12.tmp",
    ]  # fmt: skip
    for name in (*gone, *kept):
        leave(tmp_path, name)
    sweep(tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


# ------------------------------------------------------------------------------------------------ configuration files


def save_state(folder: Path, facts: dict) -> None:
    path = folder / "ckpt" / "epoch_0001_step_0000001.ckpt"
    save_training_state(Model(), Model(), path, facts=facts)


@pytest.mark.parametrize("damage", ["empty", "cut off", "zeros", "text", "missing", "binary"])
@pytest.mark.parametrize("knows", [True, False], ids=["a checkpoint says it", "nothing says it"])
def test_a_run_whose_configuration_file_is_damaged_can_be_resumed(tmp_path, capsys, damage, knows):
    experiment = open_run(tmp_path, "--lr", "0.5")
    save_state(experiment.folder, {"config": to_dict(experiment.cfg)} if knows else {"task": "detection"})
    saved = experiment.folder / "config.yaml"
    content = saved.read_bytes()
    saved.write_bytes({
        "empty": b"", "cut off": content[: len(content) // 2 - 3], "zeros": bytes(100), "text": b"half\n",
        "binary": b"\xff\xfe\x80", "missing": b"",
    }[damage])  # fmt: skip
    if damage == "missing":
        saved.unlink()
    capsys.readouterr()
    if knows:
        with pytest.raises(UserError, match="another batch_size"):
            open_run(tmp_path, "--resume", "1", "--batch_size", "3")
        assert saved.read_bytes() == content
    assert open_run(tmp_path, "--resume", "1", "--lr", "0.5").folder == experiment.folder
    lines = [line for line in capsys.readouterr().out.splitlines() if "WARNING" in line]
    said = "written again from what epoch_0001_step_0000001.ckpt says" if knows else "is not checked"
    assert len(lines) == 1 and str(saved) in lines[0] and said in lines[0]
    assert load_config(str(saved)).lr == 0.5


# -------------------------------------------------------------------------------------------------------------- tables


def test_rows_that_are_not_whole_are_passed_over_and_the_others_stay(tmp_path):
    path = tmp_path / "losses.csv"
    path.write_bytes(b"epoch,global_step,loss\n1,1,0.5\n\0\0\0\0\n1,\xff,2\n1,2,0.25\n1,3,0.125,9\n1,4\n1,5,0.0625")
    assert [row["global_step"] for row in CsvTable(path).read()] == [1, 2]
    CsvTable(path).cut(1)
    assert path.read_text() == "epoch,global_step,loss\n1,1,0.5\n"
    assert (tmp_path / "losses.csv.damaged").read_bytes().startswith(b"epoch,global_step,loss\n1,1,0.5\n\0")
    path.write_bytes(b"\x89PNG\r\n" + bytes(range(256)) * 999)
    assert CsvTable(path).read() == [] and not has_begun(tmp_path)


def test_a_checkpoint_that_cannot_be_opened_is_no_damaged_one(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path, keep=2)
    path = folder.save(Model(), Model(), (1, 1))
    monkeypatch.setattr(Path, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(UserError, match="cannot be opened: Permission denied"):
        folder.load_newest(Model(), Model())
    assert path.exists()
