"""Outputs replace no input, whatever spelling leads to it; what cannot be written is said before anything is."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.errors import UserError
from src.files import sweep, temporary_folder, temporary_path, write_bytes, written_whole
from src.outputs import Inputs, check_output_file, check_output_files
from tests.inference.test_unfinished import limited


@pytest.fixture()
def place(tmp_path, monkeypatch):
    """A folder with an input and names that lead to it."""
    (tmp_path / "data" / "deep").mkdir(parents=True)
    for name in ("model.ckpt", "data/labels.json", "data/deep/a.png"):
        (tmp_path / name).write_text("precious")
    (tmp_path / "link").symlink_to("model.ckpt")
    (tmp_path / "link.to.link").symlink_to("link")
    os.link(tmp_path / "model.ckpt", tmp_path / "hard")
    (tmp_path / "folder").symlink_to("data")
    (tmp_path / "readonly").write_text("kept")
    (tmp_path / "readonly").chmod(0o444)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "nowhere").symlink_to("gone/away")
    (tmp_path / "round").symlink_to("round")
    monkeypatch.chdir(tmp_path)
    return tmp_path


INPUTS = Inputs((("checkpoint_path", Path("model.ckpt")),), (("val_dataset", Path("data")),))


@pytest.mark.parametrize(
    "output,reason",
    [
        ("model.ckpt", "would replace checkpoint_path: give another name"),
        ("./data/../model.ckpt", "would replace checkpoint_path"),
        ("link", "would replace checkpoint_path"),
        ("link.to.link", "would replace checkpoint_path"),
        ("hard", "would replace checkpoint_path"),
        ("data/labels.json", "would replace a file of val_dataset"),
        ("folder/labels.json", "would replace a file of val_dataset"),
        ("data/deep/a.png", "would replace a file of val_dataset"),
        ("data", "is a folder; give the name of a file"),
        ("new/", "is a folder; give the name of a file"),
        ("new/.", "is a folder; give the name of a file"),
        ("..", "is a folder; give the name of a file"),
        ("model.ckpt/out.json", r"its folder cannot be made \(.*model.ckpt is no folder\)"),
        ("nowhere/out.json", "its folder cannot be written"),
        ("round/out.json", "its folder cannot be written"),
        ("/proc/out.json", "its folder cannot be written"),
        ("pipe", "is a device or a pipe"),
        ("/dev/null", "is a device or a pipe"),
        ("readonly", "the file is read-only"),
        ("x" * 253, "longer than a file's may be"),  # with its ending
        ("x" * 300 + "/out.json", "longer than a file's may be"),
        ("out\0.json", "holds a NUL character"),
    ],
)
def test_an_output_that_would_replace_an_input_or_cannot_be_written_is_one_short_line(place, output, reason):
    with pytest.raises(UserError, match=reason) as caught:
        check_output_file("pred_output", output, INPUTS, beside=(".part",))
    assert str(caught.value).startswith("pred_output ") and len(str(caught.value)) < 500
    assert (place / "model.ckpt").read_text() == "precious"


def test_files_that_stand_beside_an_output_replace_no_input_either(place):
    with pytest.raises(UserError, match="would replace checkpoint_path"):
        check_output_file("pred_output", "model", INPUTS, beside=(".ckpt",))


@pytest.mark.parametrize("output", ["new.json", "deep/er/new.json", "data/new.json", "x" * 240])
def test_a_new_output_is_taken_and_nothing_is_written_yet(place, output):
    before = sorted(place.rglob("*"))
    check_output_file("pred_output", output, INPUTS, beside=(".part",))
    assert sorted(place.rglob("*")) == before
    write_bytes(Path(output), b"content")
    assert Path(output).read_bytes() == b"content"


def test_a_file_in_a_data_set_that_is_the_commands_own_may_be_replaced(place):
    check_output_file("pred_output", "data/labels.json", INPUTS, is_own=lambda path: path.name == "labels.json")


def test_of_many_outputs_none_replaces_an_input_and_those_of_a_former_run_may_be_replaced(place):
    paths = [Path(f"data/deep/{kind}.png") for kind in "abc"]
    with pytest.raises(UserError, match=r"out_dir .*a.png would replace a file of val_dataset"):
        check_output_files("out_dir", Path("data/deep"), paths, INPUTS, per_set=3)
    for path in paths:
        path.touch()
    check_output_files("out_dir", Path("data/deep"), paths, INPUTS, per_set=3)
    image = Inputs((("an image", Path("folder/deep/c.png")),))
    with pytest.raises(UserError, match=r"out_dir .*c.png would replace an image"):
        check_output_files("out_dir", Path("data/deep"), paths, image, per_set=3)


def test_a_disk_without_room_is_said_first(place):
    with limited(1000), pytest.raises(UserError, match=r"its folder cannot be written \(File too large\)"):
        check_output_file("pred_output", "new.json", INPUTS)
    with limited(1000), pytest.raises(UserError, match=r"new.json: cannot be written \(File too large\)"):
        write_bytes(Path("new.json"), bytes(2000))
    assert not [path for path in place.iterdir() if "new" in path.name]


def test_an_interrupt_in_the_midst_of_writing_leaves_the_old_file(place):
    with pytest.raises(KeyboardInterrupt), written_whole(place / "link") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert (place / "link").read_text() == "precious" and not list(place.glob(".*.tmp"))


def left_over(path: Path) -> Path:
    """What a process that was killed leaves of a file."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    temporary = temporary_path(path)
    temporary = temporary.with_name(temporary.name.replace(f".{os.getpid()}.", f".{process.pid}."))
    temporary.write_text("half")
    return temporary


def test_what_killed_processes_left_of_an_output_is_swept_and_nothing_else(place):
    swept = left_over(place / "new.json")
    kept = [left_over(place / "other.json"), temporary_path(place / "new.json"), place / ".new.json.x.tmp"]
    held = left_over(place / "new.json")
    for path in kept:
        path.write_text("kept")
    with open(held) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # by a process of another container
        check_output_file("pred_output", "new.json", INPUTS)
    assert not swept.exists() and held.exists() and all(path.exists() for path in kept)
    with temporary_folder(place / "new.mindir") as folder:
        (folder / "half").touch()
        sweep(place)
        assert (folder / "half").exists() and not held.exists() and not kept[0].exists()
    assert not folder.exists()
