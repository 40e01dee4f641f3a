"""infer.py on a video: a line a frame and an MP4 of the drawn frames, whatever ends a run."""

import json
import logging
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
from mindspore import Tensor

from src.commands.draw import main
from src.commands.infer import infer
from src.config import default_config, load_config
from src.data.video import open_video
from src.errors import UserError
from src.tasks import TASKS
from tests.data.test_video import Camera
from tests.data.videos import write_video
from tests.inference.test_infer_draw import KEYS, MODELS, SEGMENTER, detector


def segmenter(batch):
    """The left half is of class 3, the right of class 5."""
    count, _, height, width = batch.shape
    logits = np.zeros((count, 19, height // 4, width // 4), np.float32)
    logits[:, 3, :, : width // 8] = logits[:, 5, :, width // 8 :] = 1
    return Tensor(logits)


@pytest.fixture()
def run(tmp_path, monkeypatch):
    """run(task, *words): what infer.py does, with a made network."""
    monkeypatch.chdir(tmp_path)
    models = MODELS | {"segmentation": segmenter}
    write_video(Path("in.avi"), 20)

    def run(task: str, *words: str) -> None:
        monkeypatch.setattr(type(TASKS[task]), "load", lambda self, cfg: models[task])
        monkeypatch.setattr("src.commands.infer.compile_once", lambda *_: None)
        monkeypatch.setattr("src.commands.infer.reordered", lambda model, order: model)
        usual = ["--device_target", "CPU", "--pred_input", "in.avi"]
        if task == "segmentation":
            infer(load_config(SEGMENTER, [*usual, *words]))
        else:
            infer(default_config(["--task", task, *usual, *KEYS[task], *words]))

    run.models = models
    yield run
    logging.getLogger("src").propagate = True


def lines(path: str = "out.jsonl") -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def frames(path: str) -> list[np.ndarray]:
    with open_video(Path(path)) as video:
        return [one.bgr for one in video.frames()]


def files() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def test_a_detectors_lines_are_those_of_the_frames_as_images(run):
    run("detection", "--pred_output", "out.jsonl")
    found = lines()
    assert [(one["frame"], one["time"]) for one in found] == [(k, k / 10) for k in range(20)]
    Path("images").mkdir()
    for number, frame in enumerate(frames("in.avi")):
        cv2.imwrite(f"images/{number:02d}.png", frame)
    run("detection", "--pred_input", "images", "--pred_output", "out.json")
    for one, entry in zip(found, json.loads(Path("out.json").read_text()).values(), strict=True):
        assert {key: value for key, value in one.items() if key not in ("frame", "time")} == entry


@pytest.mark.parametrize("task", ["detection", "classification", "segmentation"])
@pytest.mark.parametrize("draw", ["drawn", "drawn/mine.MP4"])
def test_every_task_writes_lines_and_draws(run, task, draw):
    run(task, "--pred_output", "out.jsonl", "--draw", draw, "--frame_step", "5", "--max_frames", "3")
    assert [(one["frame"], one["height"], one["width"]) for one in lines()] == [(k, 64, 96) for k in (0, 5, 10)]
    drawn = draw if draw.endswith("MP4") else "drawn/in_pred.mp4"
    with open_video(Path(drawn)) as video:
        assert video.rate == 2 and video.count == 3
    assert files() == ["drawn", "in.avi", "out.jsonl"] and len(os.listdir("drawn")) == 1
    if task == "segmentation":
        assert [one["label"] for one in lines()[0]["classes"]] == [3, 5]
    else:
        main(["--pred_file", "out.jsonl", "--video", "in.avi", "--video_out", "again.mp4"])
        assert all((one == other).all() for one, other in zip(frames(drawn), frames("again.mp4"), strict=True))


def test_pictures_alone(run):
    run("detection", "--draw", "drawn.mp4")
    assert files() == ["drawn.mp4", "in.avi"] and len(frames("drawn.mp4")) == 20


@pytest.mark.parametrize("output", [["--pred_output", "out.jsonl"], []])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_run_that_was_ended_goes_on_after_its_lines(run, output, batch):
    keys = ["--test_batch_size", str(batch)]
    run("detection", *keys, "--pred_output", "whole.jsonl", "--draw", "whole.mp4")
    seen, last = [], 9 // batch + 2

    def stopped(*arguments):
        seen.append(1)
        if len(seen) == last:
            raise KeyboardInterrupt
        return detector(*arguments)

    run.models["detection"] = stopped
    with pytest.raises(KeyboardInterrupt):
        run("detection", *keys, "--draw", "drawn.mp4", *output)
    part = f"{output[-1] if output else 'drawn.mp4'}.part"
    assert files() == sorted(["in.avi", part, "whole.jsonl", "whole.mp4"])
    kept = len(Path(part).read_text().splitlines()) - 1
    assert 3 <= kept < 12
    run("detection", *keys, "--draw", "drawn.mp4", *output)
    assert len(seen) == last + -(-(20 - kept // batch * batch) // batch)
    assert Path(part).exists() is False
    assert all((one == other).all() for one, other in zip(frames("drawn.mp4"), frames("whole.mp4"), strict=True))
    assert not output or Path("out.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()


def test_a_run_that_goes_on_otherwise_is_refused_and_keeps_what_there_is(run):
    calls = []

    def stopped(*arguments):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return detector(*arguments)

    run.models["detection"] = stopped
    with pytest.raises(KeyboardInterrupt):
        run("detection", "--pred_output", "out.jsonl")
    content = Path("out.jsonl.part").read_bytes()
    for words in (["--frame_step", "2"], ["--max_frames", "9"], ["--infer_score_thr", "0.5"]):
        with pytest.raises(UserError, match=f"beginning of other results, with another {words[0][2:]}"):
            run("detection", "--pred_output", "out.jsonl", *words)
    assert Path("out.jsonl.part").read_bytes() == content
    Path("out.jsonl.part").write_text('{"frame": 0}\n')
    with pytest.raises(UserError, match="out.jsonl.part is no file of this command's, and in its way"):
        run("detection", "--pred_output", "out.jsonl")


def test_a_video_that_is_cut_off_gives_what_there_is_and_says_so(run, capsys):
    content = Path("in.avi").read_bytes()
    Path("in.avi").write_bytes(content[: len(content) * 4 // 5])
    run("detection", "--pred_output", "out.jsonl", "--draw", "drawn.mp4")
    count = len(lines())
    assert 4 <= count < 19 and len(frames("drawn.mp4")) == count
    assert f"in.avi ends after {count} of 20 frames: it is cut off or damaged" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words,problem",
    [
        (["--pred_output", "in.avi"], "pred_output in.avi would replace pred_input"),
        (["--pred_output", "out.mp4"], "out.mp4: predictions are lines of JSON; draw names the drawn video"),
        (["--draw", "in.avi/x"], "draw in.avi/x/in_pred.mp4: its folder cannot be made"),
        (["--pred_output", "folder"], "pred_output folder is a folder; give the name of a file"),
        (["--pred_output", "out.jsonl", "--infer_format", "coco"], "infer_format coco is for images"),
        (["--pred_output", "out.jsonl", "--max_image_pixels", "1000"], "96 x 64 pixels, and max_image_pixels is 1000"),
        (["--pred_output", "/proc/out.jsonl"], "its folder cannot be written"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_computed(run, words, problem):
    Path("folder").mkdir()
    run.models["detection"] = lambda *_: pytest.fail("computed")
    before = Path("in.avi").read_bytes()
    with pytest.raises(UserError, match=problem):
        run("detection", *words)
    assert files() == ["folder", "in.avi"] and Path("in.avi").read_bytes() == before


class Endless(Camera):
    """A camera at which somebody presses Ctrl-C."""

    def __init__(self, number, *_):
        super().__init__(number)
        self.left = 1000

    def grab(self):
        if self.left == 995:
            os.kill(os.getpid(), signal.SIGINT)
        return super().grab()


def test_a_camera_is_watched_until_so_many_frames_are_there(run, monkeypatch):
    capture = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda source, *more: (Camera if source == 0 else capture)(source, *more))
    run("detection", "--pred_input", "0", "--pred_output", "out.jsonl", "--draw", "drawn", "--max_frames", "2")
    assert [one["frame"] for one in lines()] == [0, 1] and len(frames("drawn/camera0_pred.mp4")) == 2


def test_a_signal_ends_the_watching_and_all_is_written(run, monkeypatch):
    capture = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda source, *more: (Endless if source == 0 else capture)(source, *more))
    with pytest.raises(KeyboardInterrupt):
        run("detection", "--pred_input", "0", "--pred_output", "out.jsonl", "--draw", "drawn")
    assert [one["frame"] for one in lines()] == list(range(len(lines()))) and 4 <= len(lines()) < 10
    assert len(frames("drawn/camera0_pred.mp4")) == len(lines()) and files() == ["drawn", "in.avi", "out.jsonl"]
