"""The first run on a device: what it compares and how it judges, and that it goes up to the driver here."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scripts import first_run
from scripts.first_run import Case, Step, cases, command, difference, gradient_difference, row

ROOT = Path(__file__).parents[2]


def step(loss: float, mask: float, *gradient: float) -> Step:
    return Step({"loss": loss, "loss_mask": mask}, {"state/moments.w": np.float32(gradient)}, 5.0)


def test_every_demo_of_drawn_shapes_is_run():
    assert sorted(first_run.DEMOS) == sorted(path.stem for path in (ROOT / "configs/demo").glob("*_shapes.yaml"))


def test_two_ranks_are_tried_where_there_are_two_devices():
    assert [case.title for case in cases(2) if case not in cases(1)] == [f"{demo} 2 ranks" for demo in first_run.THREE]


def test_losses_are_compared_each_beside_itself_or_one():
    """Of 4.0 a thousandth is 0.004, of 0.5 it is 0.001."""
    assert difference(step(4.002, 0.5), step(4.0, 0.5)) == pytest.approx(0.0005)
    assert difference(step(4.0, 0.502), step(4.0, 0.5)) == pytest.approx(0.002)
    assert difference(step(float("nan"), 0.5), step(4.0, 0.5)) == float("inf")
    assert difference(Step({"loss": 4.0}), step(4.0, 0.5)) == float("inf")


def test_gradients_are_compared_as_one_vector():
    """(3, 4) beside (3, 4.5): 0.5 of 5."""
    assert gradient_difference(step(1, 1, 3, 4.5), step(1, 1, 3, 4)) == pytest.approx(0.1)
    assert gradient_difference(step(1, 1, 3, float("nan")), step(1, 1, 3, 4)) == float("inf")
    assert gradient_difference(step(1, 1, 0, 0), step(1, 1, 0, 0)) == float("inf")  # a step without gradients


@pytest.mark.parametrize(
    "case,ours,verdict",
    [
        (Case("a"), step(4.003, 0.5, 3, 4), "ok"),
        (Case("a"), step(4.005, 0.5, 3, 4), "DIFFERS (limits 0.001, 0.05)"),
        (Case("a"), step(4.0, 0.5, 3, 4.3), "DIFFERS (limits 0.001, 0.05)"),
        (Case("a", "amp O1", close=0.03), step(4.1, 0.5, 3, 4.3), "ok"),
        (Case("a", "amp O1", close=0.03), step(4.2, 0.5, 3, 4.3), "DIFFERS (limits 0.03)"),
        (Case("a"), Step(failure="exit status 2: error: a | b"), "FAILED device: exit status 2: error: a / b"),
    ],
)
def test_the_last_column_is_the_verdict(case, ours, verdict):
    cells = row(case, ours, step(4.0, 0.5, 3, 4))
    assert cells[-1] == verdict and len(cells) == len(first_run.HEAD)


def test_a_run_that_fails_is_a_line_with_its_last_words(tmp_path):
    done = first_run.take_step([sys.executable, "-c", "print('one'); raise SystemExit('error: two')"], tmp_path / "run")
    assert done.failure == f"exit status 1: error: two ({tmp_path / 'run' / 'log'})" and not done.losses


def test_a_run_that_is_stopped_leaves_an_earlier_ones_table(tmp_path, monkeypatch, capsys):
    words = ["first_run", "--device", "CPU", "--out", str(tmp_path), "--only", "hrnet_cls_shapes"]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(first_run, "draw", lambda data, wanted: None)
    monkeypatch.setattr(first_run, "heading", lambda *asked: ["heading", ""])
    monkeypatch.setattr(first_run, "take_step", lambda words, out: out.mkdir(parents=True) or step(1, 1, 3, 4))
    assert first_run.main() == 0
    table = (tmp_path / "summary.md").read_text()
    assert [path.read_text() for path in tmp_path.glob("*/summary.md")] == [table] and "| ok |" in table

    def stopped(words, out):
        raise KeyboardInterrupt

    monkeypatch.setattr(first_run, "take_step", stopped)
    assert first_run.main() == 130
    assert (tmp_path / "summary.md").read_text() == table


def test_images_that_cannot_be_drawn_are_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "data").write_text("a file")
    monkeypatch.setattr(sys, "argv", ["first_run", "--device", "CPU", "--out", str(tmp_path), "--only", "hrnet_cls*"])
    assert first_run.main() == 1
    said = capsys.readouterr().err
    assert said.startswith("error: the images cannot be drawn: ") and len(said.splitlines()) == 1


def test_device_and_cpu_get_the_same_keys_but_for_what_is_tried(tmp_path):
    case = Case("mask_rcnn_hrnet_shapes", "amp O1", ("--amp_level", "O1"))
    here = command(case, "CPU", (), tmp_path, tmp_path)
    there = command(case, "Ascend", case.keys, tmp_path, tmp_path)
    assert [word for word in there if word not in here] == ["Ascend", "--amp_level", "O1"]
    ranks = command(Case("hrnet_cls_shapes", "2 ranks", (), 2), "GPU", (), tmp_path, tmp_path)
    assert ranks[:4] == ["bash", "scripts/run_distribute_train_gpu.sh", "configs/demo/hrnet_cls_shapes.yaml", "2"]


def test_the_first_ascend_run_goes_up_to_the_driver_here(tmp_path):
    if list(Path("/dev").glob("davinci[0-9]*")):
        pytest.skip("there is an Ascend here: bash scripts/first_ascend_run.sh")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ASCEND", "DEVICE"))}
    done = subprocess.run(
        ["bash", str(ROOT / "scripts/first_ascend_run.sh"), str(tmp_path / "out")],
        env=environment | {"PYTHON": sys.executable}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2 and "libascend_hal.so" in done.stdout and "ASCEND_HOME_PATH" in done.stdout
    assert done.stderr.startswith("error: no Ascend NPU found on this machine (/dev/davinci*); besides: CANN is ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("version,is_known", [("8.3.RC1", True), ("7.0.0", False)])
def test_cann_of_a_version_that_mindspore_does_not_know_is_named(tmp_path, version, is_known):
    (tmp_path / "compiler").mkdir()
    (tmp_path / "compiler" / "version.info").write_text(f"Version={version}\nversion_dir=any\n")
    done = subprocess.run(
        ["bash", str(ROOT / "scripts/check_ascend.sh")], capture_output=True, text=True, timeout=60,
        env=os.environ | {"PYTHON": sys.executable, "ASCEND_HOME_PATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1 and "MindSpore knows: 8.2 8.3 8.5" in done.stdout
    assert ("MindSpore does not know it" in done.stdout) != is_known
    assert done.stderr.startswith("error: CANN is not whole")


@pytest.mark.slow
def test_a_demos_step_by_the_operators_of_an_ascend_is_ours_on_this_cpu(tmp_path):
    done = subprocess.run(
        ["bash", str(ROOT / "scripts/first_ascend_run.sh"), str(tmp_path / "out")], cwd=tmp_path,
        env=os.environ | {"PYTHON": sys.executable, "DEVICE": "cpu", "ONLY": "hrnet_cls_shapes"},
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    summary = (tmp_path / "out" / "summary.md").read_text()
    (line,) = [line for line in summary.splitlines() if line.startswith("| hrnet_cls_shapes ")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert float(cells[3]) < 1e-5 and float(cells[4]) < 1e-3 and cells[-1] == "ok"
    assert "1 of 1 runs agree" in summary and summary.splitlines()[0].endswith(tuple("0123456789abcdef-"))
