"""infer.py --draw: the pictures that draw_predictions.py makes of its file, in one go, and without that file."""

import logging
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from mindspore import Tensor

from src.commands.draw import main
from src.commands.infer import infer
from src.config import default_config, load_config
from src.errors import UserError
from src.inference.segment_files import segment_files
from src.inference.unfinished import part_path
from src.tasks import TASKS
from tests.data.videos import write_video

ROOT = Path(__file__).parents[2]
SEGMENTER = ROOT / "configs/demo/hrnet_seg_cityscapes_shapes.yaml"
KEYS = {
    "detection": ["--img_width", "64", "--img_height", "64", "--num_classes", "3", "--coco_classes",
                  "[background, disc, star]"],
    "classification": ["--num_classes", "3", "--img_width", "32", "--img_height", "32", "--class_names",
                       "[a, b, c]"],
}  # fmt: skip


def detector(image, image_shape):
    """Two objects an image, of different classes and scores."""
    count, sides = len(image.asnumpy()), image_shape.asnumpy()
    boxes = np.zeros((count, 2, 4), np.float32)
    boxes[:, 0, 2:] = sides[:, ::-1] / 2
    boxes[:, 1] = np.concatenate([sides[:, ::-1] / 4, sides[:, ::-1]], axis=1)
    scores, labels = np.float32([[0.9, 0.35]] * count), np.int32([[1, 0]] * count)
    masks = np.ones((count, 2, 28, 28), np.float32)
    return tuple(map(Tensor, (boxes, scores, labels, np.ones((count, 2), bool), masks)))


def classifier(image):
    return Tensor(image.asnumpy().mean(axis=(2, 3)))


MODELS = {"detection": detector, "classification": classifier}


@pytest.fixture()
def images(tmp_path, monkeypatch) -> Path:
    """Pictures of several formats, one that is none, two of one name."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("in/a.png", "in/b.jpg", "in/x/a.webp"):
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(path.suffix, rng.integers(0, 256, (60, 90, 3), np.uint8))[1].tobytes())
    Path("in/x/c.png").write_text("no image")
    return Path("in")


@pytest.fixture()
def run(images, monkeypatch):
    """run(task, *words): what infer.py does, with a made network."""

    def run(task: str, *words: str) -> None:
        monkeypatch.setattr(type(TASKS[task]), "load", lambda self, cfg: MODELS[task])
        monkeypatch.setattr("src.commands.infer.compile_once", lambda *_: None)
        monkeypatch.setattr("src.commands.infer.reordered", lambda model, order: model)
        usual = ["--task", task, "--device_target", "CPU", "--pred_input", str(images), "--recursive", "1"]
        infer(default_config([*usual, *KEYS[task], *words]))

    yield run
    logging.getLogger("src").propagate = True


def pictures(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


@pytest.mark.parametrize("task", MODELS)
def test_the_pictures_are_those_of_draw_predictions(run, task):
    run(task, "--pred_output", "plain.json")
    run(task, "--pred_output", "out.json", "--draw", "drawn")
    assert Path("out.json").read_bytes() == Path("plain.json").read_bytes()
    main(["--pred_file", "out.json", "--out_dir", "other"])
    assert list(pictures("drawn")) == ["a_pred.png", "a_pred_2.png", "b_pred.jpg"]
    assert pictures("drawn") == pictures("other")
    run(task, "--draw", "alone")
    assert pictures("alone") == pictures("other")
    assert sorted(path.name for path in Path().iterdir()) == ["alone", "drawn", "in", "other", "out.json", "plain.json"]


@pytest.mark.parametrize(
    "task,infers,draws",
    [
        ("detection", ["--draw_score_thr", "0.5"], ["--score_thr", "0.5"]),
        ("detection", ["--draw_score_thr", "t.yaml"], ["--score_thr", "t.yaml"]),
        ("detection", ["--draw_colours", "class"], ["--colours", "class"]),
        ("classification", ["--draw_colours", "class"], ["--colours", "class"]),
        ("detection", ["--exif", "stored", "--draw_score_thr", "0"], ["--exif", "stored", "--score_thr", "0"]),
    ],
)
def test_both_have_the_same_options(run, task, infers, draws):
    Path("t.yaml").write_text("disc: 0.2\nstar: 0.95\n")
    run(task, "--pred_output", "out.json", "--draw", "drawn", *infers)
    main(["--pred_file", "out.json", "--out_dir", "other", *draws])
    assert pictures("drawn") == pictures("other") and len(pictures("drawn")) == 3


@pytest.mark.parametrize("output", [["--pred_output", "out.json"], []])
def test_a_run_that_goes_on_draws_what_was_before_anew(run, monkeypatch, output):
    run("detection", "--draw", "whole")
    seen = []

    def stopped(*arguments):
        seen.append(1)
        if len(seen) == 4:  # a result waits for those of two more images
            raise KeyboardInterrupt
        return detector(*arguments)

    monkeypatch.setitem(MODELS, "detection", stopped)
    with pytest.raises(KeyboardInterrupt):
        run("detection", "--draw", "drawn", *output)
    for path in Path("drawn").iterdir():
        path.unlink()
    part = part_path(Path(output[-1] if output else "drawn"))
    assert part.is_file()
    run("detection", "--draw", "drawn", *output)
    assert pictures("drawn") == pictures("whole") and len(seen) == 7 and not part.exists()


def test_label_files_and_pictures_go_together_but_labels_need_a_place(run):
    run("detection", "--pred_output", "labels", "--infer_format", "coco", "--draw", "drawn")
    assert len(pictures("drawn")) == 3 and len(pictures("labels")) == 2
    with pytest.raises(UserError, match="pred_output is empty: infer_format coco writes label files into this folder"):
        run("detection", "--draw", "other", "--infer_format", "coco")


@pytest.mark.parametrize("given", [["in/x/a.webp"], ["in/b.jpg", "in/x/a.webp"], ["in/list.txt"], ["link/a.webp"]])
def test_the_pictures_do_not_go_where_an_image_lies(run, given):
    """The next run on that folder would take them for images."""
    Path("in/list.txt").write_text("x/a.webp\n")
    Path("link").symlink_to("in/x")
    with pytest.raises(UserError, match=r"draw in/x is the folder of .*/a.webp, an image of pred_input: give draw"):
        run("detection", "--draw", "in/x/.", "--recursive", "0", "--pred_input", *given)
    assert sorted(path.name for path in Path("in/x").iterdir()) == ["a.webp", "c.png"]


def test_pictures_within_the_tree_are_no_images_of_the_next_run(run, capsys):
    for _ in range(2):
        run("detection", "--pred_output", "out.json", "--draw", "in/drawn")
        assert len(pictures("in/drawn")) == 3
        assert "are no input" not in capsys.readouterr().out
        for path in Path("in/drawn").iterdir():
            path.unlink()
    Path("in/drawn/mine.png").write_bytes(Path("in/a.png").read_bytes())
    run("detection", "--pred_output", "out.json", "--draw", "in/drawn")
    assert len(pictures("in/drawn")) == 4
    assert "in: 1 images in in/drawn are no input: pictures are written there" in capsys.readouterr().out


def test_keys_of_videos_are_said_to_do_nothing_with_images(run, caplog, capsys):
    run("detection", "--pred_output", "out.json", "--frame_step", "3")
    assert "keys without effect: frame_step (pred_input is no video)" in capsys.readouterr().out + caplog.text


@pytest.mark.parametrize("thresholds", ["0.95", "t.yaml"])
@pytest.mark.parametrize("given", ["in", "in.avi"])
def test_that_nothing_reaches_what_is_drawn_is_said(run, capsys, given, thresholds):
    Path("t.yaml").write_text("disc: 0.95\nstar: 0.95\n")
    write_video(Path("in.avi"), 3)
    said = "no prediction reaches its draw_score_thr, the highest score is 0.900: nothing is drawn"
    run("detection", "--pred_input", given, "--draw", "drawn", "--draw_score_thr", thresholds)
    assert said in capsys.readouterr().out
    run("detection", "--pred_input", given, "--draw", "drawn", "--draw_score_thr", "0.5")
    assert said not in capsys.readouterr().out


@pytest.mark.parametrize(
    "given,output,said",
    [
        ("in", "o.jsonl", "pred_output o.jsonl gets one JSON object of all images, as .json says; lines are of videos"),
        ("in.avi", "o.json", "pred_output o.json gets a line of JSON for each frame, as .jsonl says"),
        ("in", "o.json", ""),
        ("in.avi", "o.jsonl", ""),
        ("in", "o.txt", ""),
    ],
)
def test_a_name_of_another_form_is_said(run, capsys, given, output, said):
    write_video(Path("in.avi"), 1)
    run("detection", "--pred_input", given, "--pred_output", output)
    printed = capsys.readouterr().out
    assert said in printed and ("gets" in printed) == bool(said) and Path(output).is_file()


def test_a_wrong_file_of_thresholds_is_named_before_anything_is_drawn(run):
    Path("t.yaml").write_text("disc: 0.2\n")
    with pytest.raises(UserError, match="draw_score_thr: t.yaml has no threshold for star"):
        run("detection", "--draw", "drawn", "--draw_score_thr", "t.yaml")
    assert not os.path.exists("drawn")


def test_of_a_segmenter_the_colours_over_the_image_are_drawn(images):
    def blank(batch):
        return Tensor(np.zeros((len(batch.asnumpy()), 19, 16, 16), np.float32))

    paths = [images / "a.png", images / "b.jpg", images / "x/a.webp"]

    def segment(*words: str) -> dict:
        cfg = load_config(SEGMENTER, ["--pred_input", str(images), *words])
        return segment_files(cfg, blank, paths, Path(cfg.pred_output or cfg.draw))[0]

    plain, both = segment("--pred_output", "out"), segment("--pred_output", "two", "--draw", "drawn")
    assert all(len(written) == 3 for written in plain.values()) and all(len(written) == 4 for written in both.values())
    assert segment("--draw", "alone") == {path: [Path("alone", both[path][3].name)] for path in paths}
    assert pictures("alone") == pictures("drawn") and pictures("two") == pictures("out")
    assert list(pictures("drawn")) == ["a_pred.png", "a_pred_2.png", "b_pred.jpg"]
    assert pictures("drawn")["a_pred.png"] == pictures("out")["a_overlay.png"]


def test_names_of_all_kinds_give_a_picture_each(run):
    """Long ones are cut where the picture's name would be longer than a file system takes."""
    content = Path("in/a.png").read_bytes()
    names = [b"caf\xe9.png", b"%d<b>&\"'#\n.png", b"-.png", b"x" * 251 + b".png", b"y" * 241 + b".png"]
    names += [b"x" * 250 + b".png"]
    Path("odd").mkdir()
    for name in names:
        Path("odd", os.fsdecode(name)).write_bytes(content)
    run("detection", "--pred_input", "odd", "--pred_output", "out.json", "--draw", "drawn")
    main(["--pred_file", "out.json", "--out_dir", "other"])
    found = set(map(os.fsencode, pictures("drawn")))
    usual = {name[:-4] + b"_pred.png" for name in names[:3] + names[4:5]}
    assert found == usual | {b"x" * 200 + b"_pred.png", b"x" * 200 + b"_pred_2.png"}
    assert pictures("drawn") == pictures("other")


def test_an_image_that_is_another_one_by_then_is_said(run, images, monkeypatch, capsys):
    def changed(*arguments):
        Path("in/a.png").write_bytes(cv2.imencode(".png", np.zeros((30, 30, 3), np.uint8))[1].tobytes())
        return detector(*arguments)

    monkeypatch.setitem(MODELS, "detection", changed)
    run("detection", "--draw", "drawn", "--pred_input", "in/a.png")
    assert "not drawn: in/a.png: is 30x30, predicted was 90x60" in capsys.readouterr().out
    assert not pictures("drawn")
