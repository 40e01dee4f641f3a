import json
import os
from pathlib import Path

import pytest

from src.checkpoint import checkpoint_hash
from src.errors import UserError
from src.evaluation.coco_eval import evaluate_predictions
from src.inference import prediction_file
from src.inference.prediction_file import load_predictions, load_protocol, require_same_origin, save_predictions
from tests.evaluation.tiny import detection


def one_detection() -> dict:
    return detection(11, 7, (10, 10, 40, 40), 0.9)


def test_predictions_come_back_as_saved(tmp_path, tiny_dataset):
    path = tmp_path / "new" / "preds.json"
    save_predictions(path, [one_detection()], {"size": "64x64", "checkpoint": "34cd"})
    assert load_predictions(path, tiny_dataset) == [one_detection()]
    protocol = load_protocol(path)
    assert (protocol["size"], protocol["checkpoint"], len(protocol["predictions"])) == ("64x64", "34cd", 12)


def test_no_predictions_are_a_valid_file(tmp_path, tiny_dataset):
    save_predictions(tmp_path / "preds.json", [])
    assert load_predictions(tmp_path / "preds.json", tiny_dataset) == []


def test_protocol_of_replaced_predictions_is_unknown(tmp_path):
    path = tmp_path / "preds.json"
    save_predictions(path, [one_detection()], {"size": "64x64", "checkpoint": "34cd"})
    path.write_text("[]")
    assert load_protocol(path)["checkpoint"] == "unknown"


SETTINGS = {"img_width": 64, "test_cfg.rcnn.score_thr": 0.05}


@pytest.mark.parametrize(
    "digest,settings,message",
    [
        ("34cd", SETTINGS, ""),
        ("34cd", SETTINGS | {"a_later_key": 1}, ""),
        ("56ef", SETTINGS, r"with another checkpoint \(34cd then, 56ef is new.ckpt\): give another prediction_path"),
        ("34cd", SETTINGS | {"img_width": 96}, r"another img_width \(64 then, 96 now\): "),
        ("34cd", SETTINGS | {"test_cfg.rcnn.score_thr": 0.1}, r"test_cfg.rcnn.score_thr \(0.05 then, 0.1 now\)"),
    ],
)
def test_predictions_of_another_checkpoint_or_other_settings_are_refused_by_value(tmp_path, digest, settings, message):
    path = tmp_path / "preds.json"
    save_predictions(path, [one_detection()], {"size": "64x64", "checkpoint": "34cd"}, SETTINGS)
    assert "settings" not in load_protocol(path)
    if not message:
        assert require_same_origin(path, "new.ckpt", digest, settings) is None
        return
    with pytest.raises(UserError, match=message):
        require_same_origin(path, "new.ckpt", digest, settings)


def test_predictions_that_do_not_say_their_settings_are_evaluated_and_that_is_said(tmp_path, capsys):
    path = tmp_path / "preds.json"
    save_predictions(path, [one_detection()], {"size": "64x64", "checkpoint": "34cd"})  # as files of before
    require_same_origin(path, "new.ckpt", "34cd", SETTINGS)
    assert capsys.readouterr().out.endswith("does not say by which settings it was made; it is evaluated as it is.\n")
    require_same_origin(path, "new.ckpt", "56ef", SETTINGS)
    assert "its checkpoint was another one than new.ckpt; it is evaluated as it is" in capsys.readouterr().out


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, tiny_dataset):
    path = tmp_path / "preds.json"
    save_predictions(path, [one_detection()])

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(UserError, match="No space left"):
        save_predictions(path, [])
    assert load_predictions(path, tiny_dataset) == [one_detection()]
    assert [file.name for file in tmp_path.iterdir()] == ["preds.json"]


@pytest.mark.parametrize(
    "content,message",
    [
        ("{", "is not JSON"),
        ("{}", "list of detections"),
        ("[3]", "detection 0 is 3, not an object"),
        (json.dumps([{"image_id": 11}]), "has no category_id, bbox, score, segmentation"),
        (json.dumps([one_detection() | {"image_id": 99}]), "image 99, which is not in the data set"),
        (json.dumps([one_detection() | {"category_id": 1}]), "category 1; the data set has"),
        (json.dumps([one_detection() | {"bbox": [1, 2]}]), "not \\[x, y, width, height\\]"),
        (json.dumps([one_detection() | {"score": None}]), "score None"),
        (json.dumps([one_detection() | {"segmentation": [[1, 2, 3]]}]), "no compressed RLE"),
        (json.dumps([one_detection() | {"segmentation": {"size": [9, 9], "counts": "0"}}]), "mask of size \\[9, 9\\]"),
        (json.dumps([one_detection() | {"segmentation": {"size": [100, 100], "counts": "0"}}]), "whose counts are not"),
        (json.dumps([one_detection() | {"segmentation": None, "bbox": None}]), "neither a bbox nor a segmentation"),
        (json.dumps([one_detection() | {"score": float("nan")}]), "score nan, not a number"),
        (json.dumps([one_detection() | {"image_id": [11]}]), "image \\[11\\], which is not in the data set"),
    ],
)
def test_a_file_that_is_no_predictions_of_this_data_set_is_refused_by_name(tmp_path, tiny_dataset, content, message):
    path = tmp_path / "preds.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as error:
        load_predictions(path, tiny_dataset)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"caption": "a dog", "keypoints": [1], "area": "?", "id": None, "iscrowd": "x"}, {}),
        ({"bbox": [10, 10, 10**30, 40], "score": 10**30}, {"bbox": [10.0, 10.0, 1e30, 40.0], "score": 1e30}),
        ({"bbox": [1e308, 1e308, 1e308, 1e308]}, {"bbox": [1e308] * 4}),
        ({"bbox": [10, 10, -40, -40]}, {"bbox": [10.0, 10.0, -40.0, -40.0]}),
        ({"segmentation": one_detection()["segmentation"] | {"size": [100.0, 100.0], "x": 1}}, {}),
    ],
)
def test_what_pycocotools_would_stumble_over_is_scored_for_what_it_is(tmp_path, tiny_dataset, change, kept):
    path = tmp_path / "preds.json"
    path.write_text(json.dumps([one_detection() | change]))
    (found,) = load_predictions(path, tiny_dataset)
    assert found == one_detection() | kept and not set(change) & {"caption", "area"} & set(found)
    metrics = evaluate_predictions(tiny_dataset, [found], {})
    assert (metrics["bbox_AR100"] > 0) == ("bbox" not in kept) and metrics["seg_AR100"] > 0


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "null", '{"predictions": [], "settings": 3}', b"\xff\xfe\x00"])
def test_a_damaged_protocol_is_said_and_the_predictions_are_scored(tmp_path, tiny_dataset, content, capsys):
    path = tmp_path / "preds.json"
    save_predictions(path, [one_detection()], {"size": "64x64", "checkpoint": "34cd"}, SETTINGS)
    protocol = tmp_path / "preds.json.protocol"
    protocol.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert load_protocol(path)["size"] == "unknown" and load_predictions(path, tiny_dataset) == [one_detection()]
    said = "preds.json.protocol is damaged, or not of these predictions: how they were made is unknown.\n"
    assert capsys.readouterr().out.endswith(said)


@pytest.mark.parametrize("wrong", [None, 3, "x", [1], {"img_width": [1] * 10**5}, True])
def test_settings_of_another_kind_beside_predictions_are_no_traceback(tmp_path, capsys, wrong):
    path = tmp_path / "preds.json"
    save_predictions(path, [one_detection()], {"size": [1] * 10**5, "checkpoint": "34cd"}, {"img_width": 64})
    protocol = tmp_path / "preds.json.protocol"
    protocol.write_text(json.dumps(json.loads(protocol.read_text()) | {"settings": wrong}))
    assert len(load_protocol(path)["size"]) <= 60
    if isinstance(wrong, dict):
        with pytest.raises(UserError, match="with another img_width") as caught:
            require_same_origin(path, "new.ckpt", "34cd", {"img_width": 64})
        assert len(str(caught.value)) < 400
    else:
        require_same_origin(path, "new.ckpt", "34cd", {"img_width": 64})
        assert "does not say by which settings it was made" in capsys.readouterr().out


def test_a_missing_file_is_refused_by_name(tmp_path, tiny_dataset):
    with pytest.raises(UserError, match="nothing.json"):
        load_predictions(tmp_path / "nothing.json", tiny_dataset)


@pytest.mark.parametrize("lacking", ["bbox", "segmentation"])
@pytest.mark.parametrize("as_null", [True, False])
def test_a_detection_may_lack_its_box_or_its_mask(tmp_path, tiny_dataset, lacking, as_null):
    without = {key: value for key, value in one_detection().items() if key != lacking}
    path = tmp_path / "preds.json"
    path.write_text(json.dumps([without | ({lacking: None} if as_null else {})]))
    assert load_predictions(path, tiny_dataset) == [without]


def test_ids_may_be_written_as_texts(tmp_path, tiny_dataset):
    path = tmp_path / "preds.json"
    path.write_text(json.dumps([one_detection() | {"image_id": "11", "category_id": "7"}]))
    assert load_predictions(path, tiny_dataset) == [one_detection()]


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: None], ids=["folder", "nothing"])
def test_what_is_no_file_is_one_line(tmp_path, make):
    make(tmp_path / "p.json")
    with pytest.raises(UserError, match=r"^prediction_path: .*p.json cannot be read: "):
        require_same_origin(tmp_path / "p.json", "k.ckpt", "12ab", {})
    with pytest.raises(UserError, match=r"^checkpoint .*p.json (is a folder|does not exist)$"):
        checkpoint_hash(tmp_path / "p.json")


@pytest.mark.parametrize(
    "spoiled,message",
    [
        ({4: "counts", 5: "score"}, "detection 4 has a mask whose counts are not"),
        ({4: "score", 5: "counts"}, "detection 4 has no score"),
        ({4: "score", 3: "counts"}, "detection 3 has a mask whose counts are not"),
        ({2: "counts", 6: "counts"}, "detection 2 has a mask whose counts are not"),
    ],
)
@pytest.mark.parametrize("together", [1024, 3, 1])
def test_the_first_detection_that_is_wrong_is_named(tmp_path, tiny_dataset, monkeypatch, together, spoiled, message):
    monkeypatch.setattr(prediction_file, "TOGETHER", together)
    found = [one_detection() for _ in range(8)]
    for place, what in spoiled.items():
        if what == "score":
            del found[place]["score"]
        else:
            found[place]["segmentation"]["counts"] += "1"
    (tmp_path / "found.json").write_text(json.dumps(found))
    with pytest.raises(UserError, match=message):
        load_predictions(tmp_path / "found.json", tiny_dataset)
