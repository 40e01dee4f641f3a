import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from src.commands.draw import main
from src.errors import UserError
from src.inference.detection_pictures import _inside
from src.inference.overlay import MASK_OPACITY
from src.inference.visualize import (
    draw_class,
    draw_overlay,
    draw_prediction_file,
    instance_colour,
    load_inference_json,
    overlay_names,
)

ROOT = Path(__file__).parents[2]


def prediction(height: int, width: int, box, score: float, name: str = "square") -> dict:
    x, y, w, h = box
    mask = np.zeros((height, width), np.uint8, order="F")
    mask[y : y + h, x : x + w] = 1
    return {
        "bbox": {"x_min": float(x), "y_min": float(y), "width": float(w), "height": float(h)},
        "class": {"label": 0, "category_id": "unknown", "name": name},
        "mask": {"size": [height, width], "counts": coco_mask.encode(mask)["counts"].decode()},
        "score": score,
    }


def write_case(folder: Path, names: list[str], height: int = 40, width: int = 60) -> Path:
    entries = {}
    for value, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((height, width, 3), 40 * value, np.uint8))
        found = [prediction(height, width, (5, 5, 20, 20), 0.9)]
        entries[str(path)] = {"height": height, "width": width, "predictions": found}
    (folder / "out.json").write_text(json.dumps(entries))
    return folder / "out.json"


def run_command(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "draw_predictions.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_the_mask_is_tinted_in_its_colour_and_the_rest_untouched():
    image = np.full((400, 600, 3), 100, np.uint8)
    overlay = draw_overlay(image, [prediction(400, 600, (200, 150, 100, 80), 0.9)])
    assert overlay.shape == image.shape
    expected = 100 * 0.55 + np.asarray(instance_colour(0)) * 0.45
    assert np.abs(overlay[190, 250] - expected).max() <= 1
    assert (overlay[300:, :] == 100).all() and (overlay[:, 400:] == 100).all()
    assert not (overlay[130:150, 200:260] == 100).all()  # the label above the box


def test_predictions_below_the_threshold_are_left_out():
    image = np.zeros((400, 400, 3), np.uint8)
    assert not draw_overlay(image, [prediction(400, 400, (9, 9, 99, 99), 0.29)], 0.3).any()
    assert draw_overlay(image, [prediction(400, 400, (9, 9, 99, 99), 0.29)], 0.2).any()
    assert not draw_overlay(image, []).any()


def test_a_white_frame_is_about_a_box_and_over_no_label():
    image, one = np.full((400, 400, 3), 90, np.uint8), prediction(400, 400, (100, 60, 200, 80), 0.9)
    plain, framed = draw_overlay(image, [one]), draw_overlay(image, [one], framed=[(100, 60, 200, 80)])
    assert (framed[55, 250] == 255).all() and (framed[145, 120:290] == 255).all() and (framed[100, 305] == 255).all()
    label = np.zeros((400, 400), bool)
    label[45:59, 103:160] = True  # above the box, where the frame is
    assert (plain[label] != 90).any() and (framed[label] == plain[label]).all()
    assert (draw_overlay(image, [one], framed=[]) == plain).all()


def test_a_tiny_image_is_enlarged_by_a_whole_factor_so_that_labels_fit():
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    overlay = draw_overlay(image, [prediction(48, 64, (40, 30, 10, 10), 0.9)])
    assert overlay.shape == (288, 384, 3)
    assert np.array_equal(overlay[3 : 6 * 20 : 6, 3 : 6 * 20 : 6], image[:20, :20])


def test_predictions_without_a_mask_are_boxes_with_their_label(tmp_path):
    boxes = [prediction(400, 600, box, 0.9 - k / 10) for k, box in enumerate([(200, 150, 100, 80), (20, 300, 60, 60)])]
    masked = draw_overlay(np.full((400, 600, 3), 100, np.uint8), boxes)
    for one in boxes:
        del one["mask"]
    pred_file = write_case(tmp_path, ["a.png"], 400, 600)
    entries = json.loads(pred_file.read_text())
    next(iter(entries.values()))["predictions"] = boxes
    pred_file.write_text(json.dumps(entries))
    cv2.imwrite(str(tmp_path / "a.png"), np.full((400, 600, 3), 100, np.uint8))
    ((path,), problems) = draw_prediction_file(pred_file, tmp_path / "out", 0.3, allow_outside=True)
    overlay = cv2.imread(str(path))
    assert not problems and (overlay[170:220, 210:290] == 100).all() and (masked[170:220, 210:290] != 100).any()
    for k, (x, y) in enumerate([(200, 190), (20, 330)]):  # a side of each box, in its colour
        assert np.abs(overlay[y, x].astype(int) - instance_colour(k)).max() < 20  # but for smoothing
    np.testing.assert_array_equal(overlay[135:149, 200:260], masked[135:149, 200:260])  # the label above the first


@pytest.mark.parametrize("box", [(0, 0, 400, 400), (0, 0, 1, 1), (399, 399, 1, 1), (100, 0, 30, 400)])
def test_boxes_at_the_border_and_masks_without_pixels_are_drawn(box):
    one = prediction(400, 400, box, 0.9, name="a class with a rather long name")
    draw_overlay(np.zeros((400, 400, 3), np.uint8), [one])
    one["mask"]["counts"] = coco_mask.encode(np.zeros((400, 400), np.uint8, order="F"))["counts"].decode()
    assert draw_overlay(np.zeros((400, 400, 3), np.uint8), [one]).any()


def test_colours_of_neighbouring_instances_differ_clearly():
    hues = [cv2.cvtColor(np.uint8([[instance_colour(i)]]), cv2.COLOR_BGR2HSV)[0, 0, 0] * 2.0 for i in range(40)]
    for i, hue in enumerate(hues):
        for other in hues[i + 1 : i + 5]:
            assert min(abs(hue - other), 360 - abs(hue - other)) > 30


def test_names_are_unique_whatever_the_folders():
    names = overlay_names(["a/x.jpg", "b/x.jpg", "a/x.png", "a/x_pred_2.JPEG", "a/X.jpg", "y.bmp"])
    assert names[0] == "x_pred.jpg" and names[-1] == "y_pred.png"
    assert len({name.lower() for name in names}) == 6 and len({Path(name).stem.lower() for name in names}) == 6


def test_the_command_draws_every_image_without_mindspore(tmp_path):
    pred_file = write_case(tmp_path, ["a/x.png", "b/x.png", "c.jpg"])
    code = (
        "import runpy, sys; sys.argv[0] = 'draw_predictions.py'; "
        "runpy.run_path('draw_predictions.py', run_name='__main__'); assert 'mindspore' not in sys.modules"
    )
    command = [sys.executable, "-c", code, "--pred_file", pred_file, "--out_dir", tmp_path / "new" / "out"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    written = sorted((tmp_path / "new" / "out").iterdir())
    assert [path.name for path in written] == ["c_pred.jpg", "x_pred.png", "x_pred_2.png"]
    assert all(str(path) in done.stdout for path in written)
    assert (cv2.imread(str(written[1]))[-1, -1] == 0).all() and (cv2.imread(str(written[2]))[-1, -1] == 40).all()


def test_a_classifiers_first_class_and_score_are_drawn(tmp_path):
    pred_file = write_case(tmp_path, ["a.png", "b.png"])
    found = [{"label": 1, "name": "star", "score": 0.75}, {"label": 0, "name": "unknown", "score": 0.2}]
    entries = {path: {"predictions": found[k:]} for k, path in enumerate(json.loads(pred_file.read_text()))}
    pred_file.write_text(json.dumps(entries))
    done = run_command("--pred_file", pred_file, "--out_dir", tmp_path / "out")
    assert done.returncode == 0 and "2 overlays" in done.stdout, done.stderr
    first, second = (cv2.imread(str(tmp_path / "out" / f"{name}_pred.png")) for name in "ab")
    assert first.shape == (40 * 7, 60 * 7, 3)
    assert (first[:20, :60] != 0).any() and not first[100:].any() and (second[100:] == 40).all()
    blank = np.zeros((400, 400, 3), np.uint8)
    assert not draw_class(blank, []).any() and not blank.any()
    for one, text in zip(found, ("star", "class 0")):
        named = [one | {"name": text}]
        np.testing.assert_array_equal(draw_class(blank, [one]), draw_class(blank, named))
    entries[next(iter(entries))]["predictions"] = [{"label": 1, "score": 0.75}]
    pred_file.write_text(json.dumps(entries))
    done = run_command("--pred_file", pred_file, "--out_dir", tmp_path / "out")
    said = "a.png: not the structure infer.py writes (predictions[0] has name None, not a text)"
    assert done.returncode == 2 and said in done.stderr


def test_missing_images_are_counted_and_the_others_drawn(tmp_path):
    pred_file = write_case(tmp_path, ["a.png", "b.png"])
    (tmp_path / "b.png").unlink()
    done = run_command("--pred_file", pred_file, "--out_dir", tmp_path / "out")
    assert done.returncode == 0
    assert "b.png is missing" in done.stderr and "1 images not drawn" in done.stdout
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a_pred.png"]


def test_from_another_folder_than_infers_it_is_said_what_names_are_relative_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["--pred_file", str(tmp_path / write_case(Path(), ["a.png", "b.png"])), "--out_dir", str(tmp_path / "o")]
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    with pytest.raises(UserError, match="none of its 2 images could be drawn: their names are as infer.py was given"):
        main(command)
    for name in "ab":
        cv2.imwrite(f"{name}.png", np.zeros((10, 20, 3), np.uint8))  # of another size
    with pytest.raises(UserError, match="none of its 2 images could be drawn$"):
        main(command)


def test_an_image_of_another_size_than_predicted_is_not_drawn(tmp_path):
    pred_file = write_case(tmp_path, ["a.png", "b.png"])
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((10, 20, 3), np.uint8))
    done = run_command("--pred_file", pred_file, "--out_dir", tmp_path / "out")
    assert "b.png: is 20x10, predicted was 60x40" in done.stderr


@pytest.mark.parametrize(
    "change",
    [
        {"score": None}, {"score": float("nan")}, {"score": "0.5"}, {"bbox": {"x_min": 1}}, {"bbox": [1, 2, 3, 4]},
        {"class": {"name": 3}}, {"mask": {"size": [9]}}, {"mask": {"size": [40, 60], "counts": "0"}},
        {"mask": {"size": [40, 60], "counts": [2400]}}, {"mask": {"size": [40, 60], "counts": "\u00e9"}},
        {"mask": None},
    ],
)  # fmt: skip
def test_an_entry_that_is_not_what_inference_writes_is_refused_by_image_and_key(tmp_path, change):
    path = write_case(tmp_path, ["a.png"])
    entries = json.loads(path.read_text())
    next(iter(entries.values()))["predictions"][0] |= change
    path.write_text(json.dumps(entries))
    said = rf"out.json.*a.png: not the structure infer.py writes \(predictions\[0\] has .*{next(iter(change))}"
    with pytest.raises(UserError, match=said) as caught:
        load_inference_json(path)
    assert "Error(" not in str(caught.value)


@pytest.mark.parametrize("side", ["x_min", "y_min", "width", "height"])
@pytest.mark.parametrize("far", [1e12, -1e12, 1e300, 10**30])
def test_a_box_that_ends_anywhere_is_drawn_as_far_as_it_lies_in_the_image(side, far):
    one = prediction(400, 400, (9, 9, 99, 99), 0.9, name="a long name " * 1000)
    one["bbox"][side] = far
    drawn = draw_overlay(np.zeros((400, 400, 3), np.uint8), [one])
    assert drawn.any() and not drawn[200:370, 200:].any()


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), float("-inf")])
def test_a_threshold_that_is_no_number_is_refused_before_anything_is_made(tmp_path, threshold):
    with pytest.raises(UserError, match="score_thr is -?(nan|inf); it must be a finite number"):
        draw_prediction_file(write_case(tmp_path, ["a.png"]), tmp_path / "out", threshold)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [None, "{", "[]", '{"a.png": 3}', '{"a.png": {"height": 1, "width": 1}}'])
def test_a_missing_or_invalid_file_ends_with_status_2(tmp_path, content):
    path = tmp_path / "out.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match="out.json"):
        load_inference_json(path)
    if content in (None, "{"):
        done = run_command("--pred_file", path, "--out_dir", tmp_path / "out")
        assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["{0}/elsewhere/a.png", "../elsewhere/a.png", "x/../../elsewhere/a.png"])
def test_a_prediction_file_reaches_no_image_outside_of_the_working_folder_and_its_own(tmp_path, name, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    written = json.loads(write_case(tmp_path / "elsewhere", ["a.png"]).read_text())
    (entry,) = written.values()
    Path("p.json").write_text(json.dumps({name.format(tmp_path): entry}))
    with pytest.raises(UserError, match=r"p.json: it names .*neither below .*; --allow_outside 1 reads it"):
        draw_prediction_file("p.json", "out", 0.3)
    assert not Path("out").exists()
    assert len(draw_prediction_file("p.json", "out", 0.3, allow_outside=True)[0]) == (not name.startswith("x"))
    assert len(draw_prediction_file(tmp_path / "elsewhere" / "out.json", "out", 0.3)[0]) == 1


def test_the_thresholds_of_a_report_decide_what_is_drawn(tmp_path, caplog):
    entry = {"height": 40, "width": 60}
    entry["predictions"] = [prediction(40, 60, (5, 5, 20, 20), 0.5, name) for name in ("square", "disc")]
    cv2.imwrite(str(tmp_path / "a.png"), np.full((40, 60, 3), 90, np.uint8))
    pictures = []
    for kept in ([0], [1], [0, 1]):
        part = entry | {"predictions": [entry["predictions"][k] for k in kept]}
        (tmp_path / "found.json").write_text(json.dumps({str(tmp_path / "a.png"): part}))
        drawn, _ = draw_prediction_file(tmp_path / "found.json", tmp_path / "out", 0.3, allow_outside=True)
        pictures.append(drawn[0].read_bytes())
    (tmp_path / "t.yaml").write_text("square: 0.6\ndisc: 0.5\nbar: 0.1\n")
    arguments = ("--pred_file", tmp_path / "found.json", "--out_dir", tmp_path / "out", "--allow_outside", 1)
    done = run_command(*arguments, "--score_thr", tmp_path / "t.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"score_thr: no prediction in {tmp_path / 'found.json'} is of bar\n"
    assert (tmp_path / "out" / "a_pred.png").read_bytes() == pictures[1] != pictures[2]
    for least in ({"square": 0.6, "disc": 0.7}, 1.7):
        draw_prediction_file(tmp_path / "found.json", tmp_path / "out", least, allow_outside=True)
    said = "no prediction reaches its score_thr, the highest score is 0.500: nothing is drawn"
    assert [record.getMessage() for record in caplog.records] == [said, said]
    (tmp_path / "t.yaml").write_text("square: 0.6\n")
    done = run_command(*arguments, "--score_thr", tmp_path / "t.yaml")
    assert done.returncode == 2 and "score_thr has no threshold for disc" in done.stderr


def test_of_a_large_image_no_mask_is_decoded_whole(monkeypatch):
    decoded, decode = [], coco_mask.decode
    monkeypatch.setattr(coco_mask, "decode", lambda mask: decoded.append(mask["size"]) or decode(mask))
    one = prediction(1200, 1000, (900, 400, 30, 20), 0.9)
    drawn = draw_overlay(np.zeros((1200, 1000, 3), np.uint8), [one])
    assert decoded == [[20, 30]]
    colour = np.round(np.array(instance_colour(0)) * MASK_OPACITY)
    assert drawn[410, 915].tolist() == colour.tolist() and not drawn[440:].any()
    (part,) = _inside([one], (910, 390, 990, 415))
    assert part["mask"]["size"] == [25, 80] and coco_mask.toBbox(part["mask"]).tolist() == [0, 10, 20, 15]
    assert decoded == [[20, 30]]
