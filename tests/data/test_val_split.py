"""`val_split`: a detector's training data parted where there is no validation set, whatever their format."""

import json

import numpy as np
import pytest

from src.data.formats import detection_source, open_detection
from src.data.held_out import is_held_out
from src.data.mindrecord import convert
from src.errors import UserError
from src.evaluation.coco_eval import evaluate_predictions
from src.tasks import TASKS
from tests.data.test_yolo import make, picture
from tests.data.tiny import CLASSES, square
from tests.data.truth import perfect_results

COUNT = 12
NAMES = {"coco_classes": f"[background, {', '.join(CLASSES)}]", "num_classes": 3}
HELD = [f"{k}.png" for k in range(1, COUNT + 1) if is_held_out(f"{k}.png", 0.4)]


@pytest.fixture()
def coco(coco_folder):
    return coco_folder([(32, 24)] * COUNT, [square(k, (2, 4, 6, 8), 4) for k in range(1, COUNT + 1)])


@pytest.fixture()
def yolo(tmp_path):
    root = make(tmp_path / "yolo", "images", "labels", data_yaml="train: images\nnames: [cat, dog]\n")
    for k in range(1, COUNT + 1):
        picture(root / "images" / f"{k}.png")
    for name in "abc":
        (root / "images" / f"{name}.png").unlink()
        (root / "labels" / f"{name}.txt").unlink(missing_ok=True)
    (root / "labels" / "1.txt").touch()
    return root


def names(dataset) -> list[str]:
    return [dataset.record(k).path.name for k in range(len(dataset))]


@pytest.mark.parametrize("kind", ["coco", "yolo", "mindrecord", "named"])
def test_the_same_names_are_held_out_in_every_format(kind, coco, yolo, make_config, tmp_path):
    places = {"train_dataset": yolo if kind == "yolo" else coco, "val_dataset": ""}
    if kind == "named":
        places |= {"train_dataset": "", "train_annotations": coco / "labels.json"}
    if kind == "mindrecord":
        plain = make_config(**NAMES, **places)
        convert(plain, open_detection(plain, "train"), tmp_path / "record" / "train")
        places = {"train_dataset": "", "val_dataset": "", "mindrecord_dir": tmp_path / "record"}
    cfg = make_config(**NAMES, **places, val_split=0.4)
    train, val = (open_detection(cfg, split) for split in ("train", "val"))
    assert sorted(names(val)) == sorted(HELD) and 0 < len(HELD) < COUNT
    assert sorted(names(train) + names(val)) == sorted(f"{k}.png" for k in range(1, COUNT + 1))
    assert train.classes == val.classes == CLASSES and detection_source(cfg, "val") == detection_source(cfg, "train")


def test_training_and_evaluation_take_their_part_alone(coco, make_config, caplog):
    caplog.set_level("INFO")
    (coco / "data" / HELD[0]).unlink()
    cfg = make_config(**NAMES, train_dataset=coco, val_dataset=coco.parent / "nowhere", val_split=0.4, batch_size=1)
    task = TASKS["detection"]
    loader = task.make_loader(cfg, 0, 1, 0)
    assert loader.steps_per_epoch == COUNT - len(HELD)
    val = task.open(cfg, "val")
    assert val.report.missing_files == [HELD[0]] and val.report.objects == len(HELD)
    truth = val.coco.dataset
    assert [one["file_name"] for one in truth["images"]] == names(val) and len(truth["annotations"]) == len(HELD)
    assert evaluate_predictions(val, perfect_results(val), {})["bbox_mAP"] == 1
    assert task.open(cfg, "train").report.missing_files == []
    assert f"{len(HELD)} of {COUNT} images are held out for validation" in caplog.text
    assert "nowhere: there is no validation set here" in caplog.text
    assert [title for title, _ in task.inspect(cfg)] == ["training data", "validation data", "anchors"]


def test_a_validation_set_that_is_there_is_taken_whole(coco, yolo, make_config, caplog):
    caplog.set_level("INFO")
    cfg = make_config(**NAMES, train_dataset=coco, val_dataset=yolo, val_split=0.4)
    train, val = (open_detection(cfg, split) for split in ("train", "val"))
    assert len(train) == len(val) == COUNT and names(val) != names(train)
    assert f"{yolo}: val_split 0.4 has no effect: there is a validation set" in caplog.text


def test_one_place_for_both_is_parted_unless_it_has_images_of_its_own_for_either(yolo, make_config):
    cfg = make_config(**NAMES, train_dataset=yolo, val_dataset=yolo, val_split=0.4)
    assert sorted(names(open_detection(cfg, "val"))) == sorted(HELD)
    picture(yolo / "images" / "val" / "v.png")
    (yolo / "labels" / "val").mkdir()
    (yolo / "labels" / "val" / "v.txt").touch()
    (yolo / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat, dog]\n")
    (yolo / "images" / "train").mkdir()
    (yolo / "labels" / "train").mkdir()
    for name in HELD:
        (yolo / "images" / name).rename(yolo / "images" / "train" / name)
        (yolo / "labels" / "train" / name.replace("png", "txt")).touch()
    assert names(open_detection(cfg, "val")) == ["v.png"] and len(open_detection(cfg, "train")) == len(HELD)


def test_without_the_key_nothing_is_parted_and_one_image_cannot_be(coco, make_config):
    assert len(open_detection(make_config(**NAMES, train_dataset=coco, val_dataset=""), "train")) == COUNT
    content = json.loads((coco / "labels.json").read_text())
    one = content | {"images": content["images"][:1], "annotations": content["annotations"][:1]}
    (coco / "labels.json").write_text(json.dumps(one))
    cfg = make_config(**NAMES, train_dataset=coco, val_dataset="", val_split=0.4)
    with pytest.raises(UserError, match="val_split: .*labels.json has 1 image names; two at least"):
        open_detection(cfg, "train")


def test_a_part_of_an_index_is_one_of_its_own(coco, make_config):
    whole = open_detection(make_config(**NAMES, train_dataset=coco, val_dataset=""), "train")
    part = whole.part([3, 1])
    assert part.image_ids == [4, 2] and [one["id"] for one, _ in part.raw.images] == [4, 2]
    assert part.training_indices(True) == [0, 1] and len(part.coco.imgs) == 2 and len(whole.coco.imgs) == COUNT
    assert np.all([len(whole) == COUNT, whole.report.objects == COUNT, part.report.objects == 2])
