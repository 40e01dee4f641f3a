"""`log_style: original`: what training logs, held to the format strings of the originals' own code."""

import logging
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from src.config import load_config
from src.engine.curves import CsvTable
from src.engine.hooks import make_hooks
from src.engine.run import Epoch
from src.engine.trainer import loop, train
from src.process import runtime
from src.process.log_words import PLAIN
from src.process.logs import start_logging
from src.tasks import TASKS, Task
from tests.engine.toy import STEPS_PER_EPOCH, TOTAL, ToyTask, batches, broken_off_at, make_run

CONFIGS = Path(__file__).parents[3] / "configs"
DEMO = CONFIGS / "demo"
CLS, SEG = "hrnet_w48_cls.yaml", "hrnet_w48_seg_cityscapes_mindspore.yaml"
MASK_RCNN, POINTREND = "mask_rcnn_r50_fpn_mindspore.yaml", "pointrend_r50_fpn_mindspore.yaml"

# As the originals have them (src/callback.py, src/network_define.py, MindSpore's TimeMonitor).
CLS_EPOCH = (
    "epoch: [{:3d}/{:3d}], epoch time: {:5.3f}, steps: {:5d}, "
    "per step time: {:5.3f}, avg loss: {:5.3f}, lr:[{:5.3f}]"
)
SEG_EPOCH = (
    "epoch: [{:3d}/{:3d}], epoch time: {:5.3f}, steps: {:5d}, "
    "per step time: {:5.3f}, avg loss: {:5.3f}, lr:[{:8.6f}]"
)
CLS_EVALUATED = "==== epoch: {:3d}, device id: {:2d}, top1-acc: {:1.4f}, top5-acc: {:1.4f}"
SEG_EVALUATED = "=== epoch: {:4d}, device id: {:2d}, best miou: {:6.4f}, miou: {:6.4f}"
DETECTOR_EPOCH = "epoch time: {:5.3f} ms, per step time: {:5.3f} ms"
STEP = "%lu epoch: %s step: %s total_loss: %.5f"
DETECTION = TASKS["detection"]
SCORES = {
    CLS: {"Loss": 1.9, "Top_1_Acc": 0.79358, "Top_5_Acc": 0.9456},
    SEG: {"mIoU": 0.7921274, "pixel_acc": 0.9, "mean_acc": 0.8},
    POINTREND: {"bbox_mAP": 0.359, "seg_mAP": 0.332},
}


@pytest.fixture()
def logged():
    """The records of this project's loggers."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append
    root = logging.getLogger("src")
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield records
    root.removeHandler(handler)
    root.setLevel(level)


def plain(records) -> list[str]:
    return [record.getMessage() for record in records if getattr(record, "plain", False)]


def run_of(folder, config: str, done: int):
    """What the hooks ask of a run, with the configuration's own task."""
    keys = ["--log_style", "original", "--device_id", "3", "--epoch_size", "600", "--end_epoch", "0"]
    cfg = load_config(str(CONFIGS / config), keys)
    task = TASKS[cfg.task]
    schedule = SimpleNamespace(rate=lambda step: 1e-4, steps_per_epoch=743)
    own = {"experiment": SimpleNamespace(folder=folder), "process": runtime.SINGLE, "done": done}
    run = SimpleNamespace(cfg=cfg, task=task, schedule=schedule, **own)
    return run, make_hooks(cfg)["epoch_log"], make_hooks(cfg)["loss_log"]


def epoch(number: int, metrics: dict) -> Epoch:
    return Epoch(number, 743, 743 * number, 191.926929, 0.2274, dict(metrics))


@pytest.mark.parametrize(
    "config,line,evaluated",
    [
        (CLS, CLS_EPOCH.format(2, 600, 191926.929, 743, 191926.929 / 743, 0.2274, 1e-4),
         CLS_EVALUATED.format(2, 3, 0.79358, 0.9456)),
        (SEG, SEG_EPOCH.format(2, 600, 191926.929, 743, 191926.929 / 743, 0.2274, 1e-4),
         SEG_EVALUATED.format(2, 3, 0.7921274, 0.7921274)),
        (POINTREND, DETECTOR_EPOCH.format(191926.929, 191926.929 / 743), None),
    ],
    ids=["classification", "segmentation", "pointrend"],
)  # fmt: skip
def test_the_lines_of_an_epoch_and_its_evaluation_are_the_originals(tmp_path, logged, config, line, evaluated):
    run, hook, _ = run_of(tmp_path, config, 0)
    hook.on_start(run, {})
    run.done = 2 * 743
    hook.on_epoch(run, epoch(2, SCORES[config]))
    assert plain(logged) == ([line, evaluated] if evaluated else [line])


def test_the_best_miou_is_that_of_the_whole_run_when_it_goes_on(tmp_path, logged):
    CsvTable(tmp_path / "metrics.csv").append([epoch(1, {"mIoU": 0.8}).row, epoch(9, {"mIoU": 0.9}).row])
    run, hook, _ = run_of(tmp_path, SEG, 743)
    hook.on_start(run, {})
    hook.on_epoch(run, epoch(2, {"mIoU": 0.7}))
    hook.on_epoch(run, epoch(3, {"mIoU": 0.85}))
    lines = [one for one in plain(logged) if one.startswith("===")]
    assert lines == [SEG_EVALUATED.format(2, 3, 0.8, 0.7), SEG_EVALUATED.format(3, 3, 0.85, 0.85)]


def rows(first: int, last: int) -> list[dict]:
    return [{"epoch": 1, "step": step, "global_step": step, "loss": step / 8} for step in range(first, last)]


def test_pointrend_logs_each_twentieth_step_of_an_epoch(tmp_path, logged):
    run, _, hook = run_of(tmp_path, POINTREND, 0)
    hook.on_start(run, {})
    hook.on_rows(run, rows(1, 45))
    expected = [re.escape(STEP % (0, 1, step, step / 8)).replace("0\\ epoch", r"\d+\ epoch", 1) for step in (20, 40)]
    lines = plain(logged)
    assert len(lines) == 2 and all(re.fullmatch(one, line) for one, line in zip(expected, lines))
    assert not list(tmp_path.iterdir()) and not hook.state()


def test_mask_rcnn_writes_each_step_to_its_own_file_and_a_resumed_run_cuts_what_it_does_again(tmp_path, logged):
    run, _, hook = run_of(tmp_path, MASK_RCNN, 0)
    hook.on_start(run, {})
    hook.on_rows(run, rows(1, 4))
    kept = hook.state()
    hook.on_rows(run, rows(4, 6))
    again = make_hooks(run.cfg)["loss_log"]
    again.on_start(run, kept)
    again.on_rows(run, rows(4, 5))
    lines = (tmp_path / "loss_0.log").read_text().splitlines()
    assert [re.sub(r"^\d+", "0", line) for line in lines] == [STEP % (0, 1, step, step / 8) for step in range(1, 5)]
    assert not plain(logged)


def test_a_file_of_losses_that_cannot_be_written_ends_nothing(tmp_path, logged):
    run, _, hook = run_of(tmp_path, MASK_RCNN, 0)
    (tmp_path / "loss_0.log").mkdir()
    hook.on_start(run, {})
    hook.on_rows(run, rows(1, 3))
    assert [record.getMessage() for record in logged] == [f"{tmp_path}/loss_0.log cannot be written (Is a directory)"]
    assert not hook.state()


def test_a_whole_run_of_a_task_without_an_original_has_its_own_lines(pynative_mode, tmp_path, logged):
    run = make_run(tmp_path, str(DEMO / "mask_rcnn_hrnet_tiny.yaml"), "--log_style", "original")
    loop(run, batches(0, TOTAL))
    lines = [record.getMessage() for record in logged]
    assert len([line for line in lines if line.startswith("Train epoch time: ")]) == 2
    assert not [line for line in lines if line.startswith("epoch: ")] and not plain(logged)


def test_a_killed_run_goes_on_to_the_file_of_losses_of_one_that_was_not(pynative_mode, tmp_path):
    def run_in(name: str, *keys: str):
        run = make_run(tmp_path / name, str(DEMO / "mask_rcnn_hrnet_tiny.yaml"), "--log_style", "original", *keys)
        run.task.words = DETECTION.words
        return run

    loop(run_in("whole"), batches(0, TOTAL))
    with pytest.raises(MemoryError):
        loop(run_in("parts"), broken_off_at(6))
    second = run_in("parts", "--resume", "1")
    assert 0 < second.done < 5
    loop(second, batches(second.done, TOTAL))
    files = [(tmp_path / name / "loss_0.log").read_text() for name in ("whole", "parts")]
    whole, parts = ([line.partition(" ")[2] for line in text.splitlines()] for text in files)
    assert whole == parts and len(whole) == TOTAL and whole[-1].startswith(f"epoch: 2 step: {STEPS_PER_EPOCH} ")


class PointRendToy(ToyTask):
    def words(self, cfg):
        return DETECTION.words(load_config(str(CONFIGS / POINTREND), ["--log_style", cfg.log_style]))


class ClassificationToy(ToyTask):
    def words(self, cfg):
        return TASKS["classification"].words(load_config(str(CONFIGS / CLS), ["--log_style", cfg.log_style]))


@pytest.mark.parametrize(
    "task,style,expected",
    [
        (PointRendToy, "original", [
            "Start training for pointrend!", "Start create dataset!", f"total images num:  {STEPS_PER_EPOCH}",
            "Create dataset done!", "load_path: ",
        ]),
        (PointRendToy, "default", []),
        (ClassificationToy, "original", ["Generating cls_hrnet_w48..."]),
    ],
    ids=["pointrend", "default", "classification"],
)  # fmt: skip
def test_a_training_begins_as_the_originals(pynative_mode, tmp_path, monkeypatch, capsys, task, style, expected):
    monkeypatch.setattr(runtime, "start", lambda cfg: runtime.SINGLE)
    monkeypatch.setitem(TASKS, "detection", task())
    keys = ("--train_outputs", tmp_path, "--run_eval", 0, "--max_steps", 1, "--compile_cache", 0, "--log_style", style)
    folder = train(load_config(str(DEMO / "mask_rcnn_hrnet_tiny.yaml"), [str(word) for word in keys]))
    start_logging()  # closes the run's log
    words = ("Start ", "Create ", "total images", "load_path", "Generating")
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith(words)]
    assert printed == expected
    in_log = [line for line in (folder / "train.log").read_text().splitlines() if not line.startswith("[")]
    assert bool(in_log) == (style == "original")


def test_plain_lines_have_no_date_in_front(tmp_path):
    start_logging(tmp_path / "x.log")
    logging.getLogger("src.some").info("epoch: [  1/600]", extra=PLAIN)
    logging.getLogger("src.some").info("another")
    start_logging()
    first, second = (tmp_path / "x.log").read_text().splitlines()
    assert first == "epoch: [  1/600]" and re.fullmatch(r"\[.*\] INFO: another", second)


def test_every_task_has_words_in_either_style():
    for style in ("default", "original"):
        cfg = load_config(str(CONFIGS / CLS), ["--log_style", style])
        assert Task.words(TASKS["classification"], cfg).line("epoch") == ""
        assert TASKS["classification"].words(cfg).has("epoch") == (style == "original")
