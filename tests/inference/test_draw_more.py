"""Predictions drawn in more ways: truth beside them, a colour a class, on the frames of a video."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.commands.draw import main
from src.data.video import open_video
from src.errors import UserError
from src.inference.drawing import Drawing
from src.inference.frame_lines import as_line, read_frame_lines, write_frame_lines
from src.inference.overlay import class_colour, draw_class, draw_classes, draw_overlay, instance_colour
from src.inference.truth import matched
from tests.data.videos import write_video
from tests.inference.test_visualize import prediction, write_case


def of_class(label: int, name: str, box=(50, 50, 100, 100), score: float = 0.9) -> dict:
    return prediction(400, 400, box, score, name) | {"class": {"label": label, "category_id": 1, "name": name}}


# ----------------------------------------------------------------------------------------------------------- colours


def test_a_class_has_one_colour_in_every_picture():
    image = np.full((400, 400, 3), 100, np.uint8)
    first, second = of_class(4, "disc"), of_class(4, "disc", (250, 250, 100, 100), 0.5)
    alone = draw_overlay(image, [second], colours="class")
    both = draw_overlay(image, [of_class(0, "star"), first, second], colours="class")
    colour = np.rint(100 * 0.55 + np.asarray(instance_colour(4)) * 0.45)
    assert np.abs(alone[300, 300] - colour).max() <= 1 and (alone[300, 300] == both[300, 300]).all()
    assert (draw_overlay(image, [second], colours="object")[300, 300] == draw_overlay(image, [second])[300, 300]).all()
    assert (draw_overlay(image, [second])[300, 300] != alone[300, 300]).any()


def test_a_class_without_a_usable_number_has_the_colour_of_its_name():
    assert class_colour({"name": "a", "label": 3}) == instance_colour(3)
    assert class_colour({"name": "a", "label": None}) == class_colour({"name": "a"}) != class_colour({"name": "b"})
    assert class_colour({"name": "\udce9", "label": 10**400}) and class_colour({"name": "\udce9"})


def test_a_classifiers_plate_has_the_colour_of_its_class():
    image, best = np.full((400, 400, 3), 100, np.uint8), [{"name": "disc", "label": 5, "score": 0.5}]
    assert (draw_class(image, best, colours="class")[2, 2] == instance_colour(5)).all()
    assert (draw_class(image, best)[2, 2] == instance_colour(0)).all()


def test_classes_of_pixels_lie_over_the_image():
    image = np.full((40, 60, 3), 100, np.uint8)
    part = [{"label": 1, "name": "b"} | {"mask": prediction(40, 60, (0, 0, 30, 40), 1)["mask"]}]
    drawn = draw_classes(image, part, np.array([[0, 0, 0], [200, 100, 50]]))
    assert drawn[5, 5].tolist() == [75, 100, 150] and drawn[5, 50].tolist() == [100, 100, 100]
    assert (draw_classes(image, part)[5, 5] != 100).any()
    entry = {"height": 40, "width": 60, "classes": part}
    assert (Drawing(palette=np.array([[0, 0, 0], [200, 100, 50]]))(image, entry) == drawn).all()


# ------------------------------------------------------------------------------------------------------------- truth


@pytest.mark.parametrize(
    "names,others,found,unclear",
    [
        (["x/a.jpg"], ["x/a.jpg", "y/a.jpg", "b.jpg"], {"x/a.jpg": 0}, []),
        (["/z/a.jpg"], ["x/a.jpg", "y/a.jpg"], {}, ["/z/a.jpg"]),
        (["p/a.jpg", "q/a.jpg"], ["/set/q/a.jpg"], {"q/a.jpg": 0}, []),
        (["/p/a.jpg", "/q/a.jpg"], ["/set/a.jpg"], {}, ["/p/a.jpg", "/q/a.jpg"]),
        (["a.jpg", "b.jpg"], ["c.jpg", "b.jpg"], {"b.jpg": 1}, []),
        (["a.jpg"], ["A.jpg", "a.png"], {}, []),
        ([], ["a.jpg"], {}, []),
    ],
)
def test_truth_is_found_by_the_ends_of_the_names(names, others, found, unclear):
    assert matched(names, others) == (found, unclear)


def write_truth(folder: Path, names: list[str], size: tuple[int, int] = (40, 60)) -> Path:
    """A COCO file that has one square on each image, elsewhere than it is predicted."""
    images = [{"id": k, "file_name": name, "height": size[0], "width": size[1]} for k, name in enumerate(names)]
    objects = [
        {"id": k, "image_id": k, "category_id": 7, "bbox": [40, 20, 10, 10], "area": 100, "iscrowd": 0,
         "segmentation": [[40, 20, 50, 20, 50, 30, 40, 30]]}
        for k in range(len(names))
    ]  # fmt: skip
    content = {"images": images, "annotations": objects, "categories": [{"id": 7, "name": "square"}]}
    (folder / "labels.json").write_text(json.dumps(content))
    return folder / "labels.json"


def test_truth_is_drawn_beside_and_what_does_not_fit_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    pred_file = write_case(Path(), ["a.png", "b.png", "c.png"])
    labels = write_truth(Path(), ["a.png", "b.png", "d.png"])
    content = json.loads(labels.read_text())
    content["images"][1] |= {"height": 30}
    labels.write_text(json.dumps(content))
    main(["--pred_file", str(pred_file), "--out_dir", "plain"])
    main(["--pred_file", str(pred_file), "--out_dir", "truth", "--labels", str(labels)])
    for name in "abc":
        alone, both = (cv2.imread(f"{folder}/{name}_pred.png") for folder in ("plain", "truth"))
        width = alone.shape[1]
        assert both.shape[1] == 2 * width + 6 and (both[26:, width + 6 :] == alone).all()
        left = both[26:, :width].astype(int)
        zoom = width // 60
        inside, predicted = left[25 * zoom, 45 * zoom], left[15 * zoom, 15 * zoom]
        assert (predicted == predicted[0]).all()  # grey: nothing is predicted on this side
        assert (inside != inside[0]).any() == (name == "a")
    assert "labels.json lacks 1 image of pred_file, drawn without truth: c.png" in caplog.text
    assert "labels.json has another size of 1 image of pred_file, drawn without truth: b.png" in caplog.text
    assert "labels.json has 1 image without predictions here: d.png" in caplog.text


def test_truth_has_the_colour_of_the_class_that_is_predicted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pred_file, labels = write_case(Path(), ["a.png"], 400, 600), write_truth(Path(), ["a.png"], (400, 600))
    content = json.loads(pred_file.read_text())
    content["a.png"]["predictions"][0]["class"]["label"] = 3
    pred_file.write_text(json.dumps(content))
    main(["--pred_file", "out.json", "--out_dir", "out", "--labels", str(labels), "--colours", "class"])
    colour = np.rint(np.asarray(instance_colour(3)) * 0.45)
    assert np.abs(cv2.imread("out/a_pred.png")[26 + 25, 45] - colour).max() <= 1


# ------------------------------------------------------------------------------------------------------------- video


def write_lines(path: Path, numbers=range(20), size: tuple[int, int] = (64, 96)) -> Path:
    found = {"predictions": [prediction(*size, (5, 5, 20, 20), 0.9)]}
    write_frame_lines((as_line(k, k / 10, size, found) for k in numbers), path)
    return path


def test_lines_are_read_back(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", (0, 5))
    first, second = read_frame_lines(path)
    assert (second.number, second.seconds, second.size) == (5, 0.5, (64, 96))
    assert first.entry == {"height": 64, "width": 96, "predictions": [prediction(64, 96, (5, 5, 20, 20), 0.9)]}
    best = [{"label": 0, "name": "a", "score": 0.5}]
    write_frame_lines([as_line(0, 0.0, (64, 96), {"predictions": best})], path)
    (only,) = read_frame_lines(path)
    assert only.entry == {"predictions": best} and only.size == (64, 96)


@pytest.mark.parametrize(
    "line,problem",
    [
        ("{", "line 2: not the JSON that infer.py writes of a video"),
        ("[]", "line 2: not a frame of a video"),
        ('{"frame": true}', "line 2: not a frame of a video"),
        ('{"frame": 0, "time": 0, "height": 4, "width": 4, "predictions": []}', "frame 0 at time 0 after frame 0"),
        ('{"frame": 1, "time": "1", "height": 4, "width": 4, "predictions": []}', "frame 1 at time '1' after frame 0"),
        ('{"frame": 1, "time": 1, "width": 4, "predictions": []}', "height None, not a number of pixels"),
        ('{"frame": 1, "time": 1, "height": 4, "width": 4}', "no list 'predictions'"),
        ('{"frame": 1, "time": 1, "height": 4, "width": 4, "classes": [1]}', r"classes\[0\] is 1, not an object"),
        ('{"frame": 1, "time": 1, "height": 4, "width": 4, "classes": [{"label": -1, "name": "a"}]}', "label -1"),
        ('{"frame": 1, "time": 1, "height": 4, "width": 4, "classes": [{"label": 0, "name": "a"}]}', "mask None"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path, line, problem):
    path = write_lines(tmp_path / "a.jsonl", [0])
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(UserError, match=problem) as raised:
        list(read_frame_lines(path))
    assert str(raised.value).startswith(f"{path}, line 2: ")


@pytest.mark.parametrize("numbers,rate", [(range(20), 10), (range(0, 20, 5), 2)])
def test_a_video_is_drawn_at_its_rate(tmp_path, numbers, rate, capsys):
    source, lines = write_video(tmp_path / "in.mp4"), write_lines(tmp_path / "a.jsonl", numbers)
    out = tmp_path / "out.mp4"
    main(["--pred_file", str(lines), "--video", str(source), "--video_out", str(out)])
    assert f"{len(numbers)} frames in {out}" in capsys.readouterr().out
    drawing = Drawing()
    with open_video(out) as drawn, open_video(source) as video:
        assert drawn.rate == rate
        pairs = list(zip(drawn.frames(), (one for one in video.frames() if one.number in numbers)))
        assert len(pairs) == len(numbers)
        for one, other in pairs:
            expected = drawing(other.bgr, next(read_frame_lines(lines)).entry)
            assert np.abs(one.bgr.astype(int) - expected).mean() < 6  # the codec loses a little


@pytest.mark.parametrize("labels", ["none.json", "none"])
def test_labels_that_are_not_there_are_named_by_their_option(tmp_path, monkeypatch, labels):
    monkeypatch.chdir(tmp_path)
    write_case(Path(), ["a.png"], 40, 60)
    with pytest.raises(UserError, match=f"^labels: {labels} does not exist$"):
        main(["--pred_file", "out.json", "--out_dir", "out", "--labels", labels])
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "more,problem",
    [
        (["--video", "in.mp4"], "--video_out is missing"),
        (["--video_out", "out.mp4"], "--video is missing"),
        (["--video", "in.mp4", "--video_out", "out.avi"], "give a name that ends in .mp4"),
        (["--video", "in.mp4", "--video_out", "in.mp4"], "video_out in.mp4 would replace video"),
        (["--video", "in.mp4", "--out_dir", "out"], "--out_dir is for images, --video for a video"),
        (["--video", "in.mp4", "--video_out", "out.mp4", "--labels", "x"], "--labels is for images"),
        (["--video", "a.jsonl", "--video_out", "out.mp4"], "a.jsonl is no video"),
        (["--video", "http://h/a.mp4", "--video_out", "out.mp4"], "cannot be read"),
        (["--video", "short.mp4", "--video_out", "out.mp4"], "it has frame 3, which short.mp4 does not have"),
        (["--video", "small.mp4", "--video_out", "out.mp4"], "frame 0 has 96 x 64 and 48 x 32 pixels"),
        (["--out_dir", "out"], "a.jsonl is of a video: give it as --video, and --video_out"),
        ([], "--out_dir is missing"),
    ],
)
def test_what_does_not_go_together_is_refused_in_a_line_and_nothing_is_left(tmp_path, monkeypatch, more, problem):
    monkeypatch.chdir(tmp_path)
    for name, count, size in (("in", 20, (64, 96)), ("short", 3, (64, 96)), ("small", 20, (32, 48))):
        write_video(Path(f"{name}.mp4"), count, size)
    write_lines(Path("a.jsonl"))
    before = sorted(Path().iterdir())
    with pytest.raises(UserError, match=problem):
        main(["--pred_file", "a.jsonl", *more])
    assert sorted(Path().iterdir()) == before
