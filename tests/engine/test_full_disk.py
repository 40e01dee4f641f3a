"""A full disk: one line, what was there stays, and a run goes on without what it can do without."""

import contextlib
import io
import logging
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor

from src.checkpoint import read_checkpoint
from src.engine.checkpoint_folders import BestFolder, CheckpointFolder
from src.engine.curves import CsvTable, plot_losses, plot_metrics
from src.errors import UserError
from src.process.logs import start_logging
from tests.test_checkpoint import Model

ROOT = Path(__file__).parents[2]
ROWS = [{"epoch": 1, "global_step": step, "lr": 0.1, "loss": 1 / step} for step in range(1, 50)]
FULL = 600  # bytes that a file may have: beyond them the kernel refuses to write, as it does on a full disk


@contextlib.contextmanager
def full_disk(size: int = FULL):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture()
def framework_lines():
    """What MindSpore logs."""
    lines, logger = [], logging.getLogger(f"ME.mindspore.log.{os.getpid()}")
    handler = logging.Handler()
    handler.emit = lines.append
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


@pytest.mark.parametrize("folder", [CheckpointFolder, BestFolder])
def test_a_checkpoint_that_cannot_be_written_is_one_line_and_leaves_the_old_ones(tmp_path, folder, framework_lines):
    def save(number: int) -> Path:
        place = folder(tmp_path, 1)
        if folder is BestFolder:
            return place.save(model, "score", number, number)
        return place.save(model, model, (1, number))

    model = Model()
    old = save(1)
    before = old.read_bytes()
    model.backbone.weight.set_data(Tensor(np.ones((4, 2), np.float32)))
    with full_disk(100), pytest.raises(UserError, match=r"\.ckpt cannot be written: File too large$"):
        save(2)
    assert [path.name for path in tmp_path.iterdir()] == [old.name] and old.read_bytes() == before
    assert not framework_lines
    assert read_checkpoint(save(2))["backbone.weight"].sum() == 8


def test_rows_that_cannot_be_written_are_one_line_and_leave_no_part_of_themselves(tmp_path):
    table = CsvTable(tmp_path / "losses.csv")
    table.append(ROWS[:3])
    before = table.path.read_bytes()
    with full_disk(), pytest.raises(UserError, match=r"losses\.csv: cannot be written \(File too large\)$"):
        table.append(ROWS[3:])
    assert table.path.read_bytes() == before
    table.append(ROWS[3:])
    assert table.read() == ROWS


def test_a_picture_that_cannot_be_written_is_a_warning_and_the_old_one_stays(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("src"), "propagate", True)
    monkeypatch.setattr(logging.getLogger("src"), "handlers", [])  # of other tests: their files are full too
    path = tmp_path / "losses.png"
    plot_losses(ROWS, path)
    before = path.read_bytes()
    with full_disk():
        plot_losses(ROWS, path)
        plot_metrics(ROWS, ["loss"], tmp_path / "metrics.png")
    assert [path.name for path in tmp_path.iterdir()] == ["losses.png"] and path.read_bytes() == before
    assert {(record.levelname, record.getMessage()) for record in caplog.records} == {
        ("WARNING", f"{tmp_path / name}.png: the picture cannot be written (File too large)")
        for name in ("losses", "metrics")
    }


def test_a_log_that_cannot_be_written_is_said_once_and_its_lines_are_printed_still(tmp_path, capsys):
    start_logging(tmp_path / "train.log")
    logger = logging.getLogger("src.test")
    with full_disk():
        for number in range(100):
            logger.info("line %d of many", number)
    printed = capsys.readouterr()
    assert "line 99 of many" in printed.out and printed.err.count("\n") == 1
    assert printed.err == f"warning: {tmp_path / 'train.log'} cannot be written (File too large)\n"
    with contextlib.redirect_stdout(io.StringIO()):
        start_logging()


@pytest.mark.parametrize("place,lines", [("| head -n 1", 1), ("> /dev/full", 0), (">&- 2>&-", 0)])
def test_what_cannot_be_printed_ends_no_run_and_is_in_its_log(tmp_path, place, lines):
    code = (
        "from src.process import signals; signals.watch()\n"
        "import logging, sys, time; from pathlib import Path\n"
        "from src.process.logs import outlive_the_terminal, start_logging\n"
        "outlive_the_terminal(); start_logging(Path(sys.argv[1]))\n"
        "for number in range(200):\n"
        "    logging.getLogger('src.run').info('line %d', number); print('ü' * 99); print('also', file=sys.stderr)\n"
        "    time.sleep(0.002)\n"
        "Path(sys.argv[2]).touch()\n"
    )
    ends = tmp_path / "ended"
    script = f'PYTHONIOENCODING=ascii "$@" {place}'
    command = ["bash", "-o", "pipefail", "-c", script, "bash", sys.executable, "-c", code, tmp_path / "train.log", ends]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and ends.exists() and "Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) == lines
    assert (tmp_path / "train.log").read_text().count("INFO: line") == 200
    assert (tmp_path / "train.log").read_text().count("is printed gets lost") == (place == "> /dev/full")
