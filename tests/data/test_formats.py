"""The common index of every label format, and how one is chosen (adding one: test_adding_a_label_format.py)."""

import dataclasses

import pytest

from src.data import formats
from src.data.formats import open_detection
from src.data.formats.coco import read_coco
from src.data.formats.index import DetectionIndex, ImageRecord, ObjectRecord, clipped_box
from src.errors import UserError
from tests.data.tiny import CLASSES, square


def test_the_label_file_made_of_the_records_of_a_coco_file_has_the_same_objects(coco_folder):
    crowd = square(2, (8, 0, 24, 24), 9, iscrowd=1, segmentation={"size": [24, 32], "counts": [24 * 8, 24 * 24]})
    annotations = [square(1, (2, 4, 6, 8), 4), crowd, square(2, (1, 1, 5, 5))]
    original = read_coco(coco_folder([(32, 24)] * 2, annotations), CLASSES)
    records = [original.record(k) for k in range(2)]
    made = DetectionIndex(original.annotation_file, CLASSES, records, original.category_ids)
    keys = ("image_id", "category_id", "bbox", "iscrowd", "segmentation")
    ours, theirs = (
        [[one[key] for key in keys] for one in index.coco.dataset["annotations"]] for index in (made, original)
    )
    assert ours == theirs
    for image_id in (1, 2):
        assert made.coco.imgs[image_id] == original.coco.imgs[image_id]
    assert made.coco.cats == original.coco.cats and made.report == original.report


def test_an_unknown_format_is_an_error_that_names_the_key_and_the_formats(make_config):
    cfg = dataclasses.replace(make_config(), val_data_type="none")
    with pytest.raises(UserError, match="val_data_type is 'none'; it must be one of auto, coco, mindrecord, "):
        open_detection(cfg, "val")


def fake_format(monkeypatch, name: str, mark: str) -> None:
    entry = formats.Format(lambda cfg, split: name, found=lambda folder, split: (folder / mark).exists(), marks=mark)
    monkeypatch.setitem(formats.FORMATS, name, entry)


def test_auto_takes_the_one_format_that_the_folder_holds(tmp_path, monkeypatch, make_config):
    fake_format(monkeypatch, "first", "a.txt")
    fake_format(monkeypatch, "second", "b.txt")
    cfg = make_config(train_dataset=tmp_path)
    assert cfg.train_data_type == "auto"
    with pytest.raises(UserError, match=r"holds no labels of a known format; looked for coco \(.*; second \(b.txt\)"):
        open_detection(cfg, "train")
    (tmp_path / "b.txt").touch()
    assert open_detection(cfg, "train") == "second"
    (tmp_path / "a.txt").touch()
    both = r"labels of 2 formats, first \(a.txt\) and second \(b.txt\): train_data_type says which to take"
    with pytest.raises(UserError, match=both):
        open_detection(cfg, "train")
    assert open_detection(dataclasses.replace(cfg, train_data_type="first"), "train") == "first"


def test_the_folder_above_a_data_set_is_told_from_one_without_labels(coco_folder, make_config):
    folder = coco_folder([(32, 24)], [square(1, (2, 4, 6, 8), 4)])
    (folder.parent / "empty").mkdir()
    words = f"^{folder.parent} holds no labels of its own, but these of its folders do: {folder.name}; name one$"
    with pytest.raises(UserError, match=words):
        open_detection(make_config(val_dataset=folder.parent), "val")
    with pytest.raises(UserError, match="empty holds no labels of a known format; looked for coco"):
        open_detection(make_config(val_dataset=folder.parent / "empty"), "val")


def test_auto_takes_the_layouts_of_before_as_before_whatever_lies_beside_them(coco_folder, monkeypatch, make_config):
    folder = coco_folder([(32, 24)], [square(1, (2, 4, 6, 8), 4)])
    fake_format(monkeypatch, "other", "labels.json")
    names = {"coco_classes": f"[background, {', '.join(CLASSES)}]", "num_classes": 3, "train_dataset": folder}
    told, named = (make_config(**names, train_data_type=name) for name in ("auto", "coco"))
    assert open_detection(told, "train").record(0) == open_detection(named, "train").record(0)
    for nowhere, why in ((folder / "no", "no does not exist"), ("", "train_dataset is empty")):
        with pytest.raises(UserError, match=why):
            open_detection(make_config(train_dataset=nowhere), "train")


def test_auto_takes_a_converted_set(tmp_path, make_config):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "dataset.json").write_text("{}")
    for places in ({"train_dataset": tmp_path / "train"}, {"train_dataset": "", "mindrecord_dir": tmp_path}):
        cfg = make_config(**places)
        assert formats.format_name(cfg, "train") == "mindrecord"
        assert formats.detection_source(cfg, "train") == str(tmp_path / "train")


def test_two_images_of_one_id_are_an_error(tmp_path):
    record = ImageRecord(tmp_path / "1.png", 5, 8, 8, ())
    with pytest.raises(UserError, match="labels.csv: two images have the same id"):
        DetectionIndex(tmp_path / "labels.csv", CLASSES, [record, record])


@pytest.mark.parametrize(
    ("segmentation", "why"),
    [
        ("?", "segmentation is neither polygons nor RLE"),
        ({"size": [8, 8], "counts": [60, 3]}, "the runs of an RLE are not those of 8 x 8 pixels"),
        ([[1, 1, 5, 1, 5, 1e8]], "a polygon is no list of x, y, ... of finite numbers near the image"),
    ],
)
def test_a_segmentation_that_is_none_of_cocos_is_named_before_anything_is_made_of_it(tmp_path, segmentation, why):
    record = ImageRecord(tmp_path / "1.png", 5, 8, 8, (ObjectRecord((1, 1, 5, 5), 0, False, segmentation, area=9.0),))
    with pytest.raises(UserError, match=f"labels.csv: an object of 1.png: {why}"):
        DetectionIndex(tmp_path / "labels.csv", CLASSES, [record])


@pytest.mark.parametrize(
    ("box", "expected"),
    [((2, 3, 4, 5), (2, 3, 6, 8)), ((-2, 3, 40, 50), (0, 3, 32, 24)), ((2, 3, 0.5, 5), None), ((33, 3, 4, 5), None)],
)
def test_boxes_are_clipped_to_the_image_and_degenerate_ones_are_none(box, expected):
    assert clipped_box(box, 32, 24) == expected
