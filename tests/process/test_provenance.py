"""What train.log and the check say of where a run comes from."""

import subprocess
import sys
from pathlib import Path

import pytest

from src.commands.check import environment
from src.config import load_config
from src.engine.curves import CsvTable
from src.engine.experiment import open_experiment
from src.process import provenance as module
from src.process.provenance import commit, provenance

CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")


@pytest.fixture()
def checkout(tmp_path):
    """A git checkout with one commit; git(...) works in it."""

    def git(*arguments: str) -> str:
        own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", "-C", str(tmp_path), *own, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("x = 1")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "first")
    return tmp_path, git("rev-parse", "HEAD")


def test_a_commit_is_named_with_whether_its_files_were_changed(checkout):
    folder, head = checkout
    (folder / "outputs").mkdir()
    (folder / "outputs" / "losses.csv").write_text("1")
    assert commit(folder) == f"{head}, unchanged"
    (folder / "src" / "a.py").write_text("x = 2")
    assert commit(folder) == f"{head}, changed since (1 files: src/a.py)"
    (folder / "src" / "b.py").write_text("y = 2")
    assert commit(folder) == f"{head}, changed since (2 files: src/a.py, src/b.py)"


def test_sources_that_only_lie_inside_another_checkout_have_no_commit(checkout, monkeypatch):
    folder, _ = checkout
    assert commit(folder / "src").startswith("unknown")
    monkeypatch.setattr(module, "_git", lambda *_: None)
    assert commit(folder).startswith("unknown")


def test_the_log_of_a_run_begins_with_the_lines_that_the_check_prints(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python", "train.py", "--brief", "two words"])
    cfg = load_config(CONFIG, ["--train_outputs", str(tmp_path), "--seed", "7"])
    lines = list(provenance(cfg))
    for resume in (False, True):
        cfg = load_config(CONFIG, ["--train_outputs", str(tmp_path), "--seed", "7", "--resume", str(int(resume))])
        folder = open_experiment(cfg, ("Toy",), True).folder
        CsvTable(folder / "losses.csv").append([{"global_step": 1}])  # a run has begun, which is resumed
        logged = [line.split("INFO: ")[1] for line in (folder / "train.log").read_text().splitlines()]
        assert logged[-len(lines) :] == lines and len(logged) == len(lines) * (1 + resume)
    assert list(environment(cfg))[: len(lines)] == lines
    text = "\n".join(lines)
    assert "command line: python train.py --brief 'two words'" in text and "commit: " in text
    assert "mindspore 2." in text and "numpy 1." in text and f"Python {sys.version.split()[0]}" in text
    assert "device: CPU, one rank" in text and "seed 7" in text
