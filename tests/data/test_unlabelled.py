"""Test sets without labels: which images they have, and the ids and names that their servers know."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.config import load_config
from src.data.formats.image_list import official_names, unlabelled_images
from src.data.formats.unlabelled import open_unlabelled
from src.data.label_sets import label_set
from src.errors import UserError
from tests.data.conftest import DEMO_CONFIG

CLASSES = [(4, "dog"), (9, "cat")]
SEGMENTATION = DEMO_CONFIG.with_name("hrnet_seg_cityscapes_shapes.yaml")


def touch(folder: Path, *names: str, size=(12, 20)) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.zeros((*size, 3), np.uint8))
    return folder


def info(**changes) -> str:
    images = [{"id": 30 - k, "file_name": f"{k:012d}.png", "width": 20, "height": 12} for k in (3, 9)]
    categories = [{"id": 9, "name": "cat"}, {"id": 4, "name": "dog"}]
    return json.dumps({"images": images, "categories": categories, "info": {}} | changes)


def opened(**keys: object):
    given = [text for name, value in keys.items() for text in (f"--{name}", str(value))]
    return open_unlabelled(load_config(DEMO_CONFIG, given), CLASSES)


@pytest.mark.parametrize(
    "changes", [{}, {"annotations": [{"odd": 1}]}, {"categories": []}, {"images": [{"id": 27, "file_name": "3.png"}]}]
)
def test_cocos_image_info_gives_the_images_with_the_ids_of_file_and_network(tmp_path, changes):
    touch(tmp_path / "test2017", "000000000003.png", "000000000009.png", "3.png")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "image_info_test2017.json").write_text(info(**changes))
    by_name = tmp_path / "annotations" / "image_info_test-dev2017.json"
    by_name.write_text(info(**changes))
    for keys in (
        {"val_dataset": tmp_path / "test2017"}, {"val_annotations": by_name, "val_images": tmp_path / "test2017"}
    ):  # fmt: skip
        dataset = opened(**keys)
        assert dataset.image_ids == ([27] if "images" in changes else [21, 27])
        assert dict(zip(dataset.classes, dataset.category_ids)) == {"dog": 4, "cat": 9}
        records = [dataset.record(k) for k in range(len(dataset))]
        assert {(one.width, one.height, one.objects) for one in records} == {(20, 12, ())}
        assert all(one.path.is_file() for one in records)


def test_labels_that_are_there_are_not_looked_at(coco_folder):
    dataset = opened(val_dataset=coco_folder([(20, 12)], [{"image_id": 1, "category_id": 4, "bbox": "none"}]))
    assert dataset.image_ids == [1] and not dataset.record(0).objects and not dataset.report.odd_boxes


@pytest.mark.parametrize(
    ("names", "ids"),
    [(("000000000139.jpg", "000000000285.png"), [139, 285]), (("a/1.jpg", "b/1.png"), ["a/1.jpg", "b/1.png"]),
     (("1.jpg", "x.tif"), ["1.jpg", "x.tif"])],
)  # fmt: skip
def test_a_folder_of_images_has_the_numbers_of_their_names_as_ids(tmp_path, names, ids):
    dataset = opened(val_dataset=touch(tmp_path / "in", *names))
    assert dataset.image_ids == ids and dataset.category_ids == [4, 9] and dataset.classes == ("dog", "cat")
    assert (dataset.record(0).width, dataset.record(0).height) == (20, 12)


@pytest.mark.parametrize("keys", [{"val_dataset": ""}, {"val_dataset": "nowhere"}, {"val_dataset": "empty"}])
def test_where_there_are_no_images_it_is_one_line(tmp_path, monkeypatch, keys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="val_dataset is empty|nowhere does not exist|empty has no images"):
        opened(**keys)
    with pytest.raises(UserError, match="val_dataset is empty|nowhere does not exist|empty has no images"):
        unlabelled_images(load_config(SEGMENTATION, [text for one in keys.items() for text in (f"--{one[0]}", one[1])]))


def images_of(source: Path) -> list[Path]:
    return unlabelled_images(load_config(SEGMENTATION, ["--val_dataset", str(source)]))


def test_a_segmentation_test_set_is_a_list_of_images_a_folder_with_one_or_a_tree(tmp_path):
    tree = touch(tmp_path / "leftImg8bit" / "test", "berlin/b_leftImg8bit.png", "aachen/a_leftImg8bit.png")
    assert [path.name for path in images_of(tree)] == ["a_leftImg8bit.png", "b_leftImg8bit.png"]
    lines = ["# a comment", "leftImg8bit/test/berlin/b_leftImg8bit.png", "leftImg8bit/test/aachen/a_leftImg8bit.png\tx"]
    (tmp_path / "test.lst").write_text("\n".join(lines))
    for source in (tmp_path, tmp_path / "test.lst"):
        assert [path.name for path in images_of(source)] == ["b_leftImg8bit.png", "a_leftImg8bit.png"]
    pairs = touch(tmp_path / "own", "images/my photo.png", "masks/my photo.png")
    assert images_of(pairs) == [pairs / "images" / "my photo.png"]
    (pairs / "test.lst").write_text("images/my photo.png\n")
    assert images_of(pairs) == [pairs / "images" / "my photo.png"]
    (pairs / "test.lst").write_text("images/gone.png\n")
    with pytest.raises(UserError, match="1 of the images it names are missing; looked for .*gone.png"):
        images_of(pairs)


def test_label_pictures_have_the_names_of_their_images_and_folders_only_where_they_must(tmp_path):
    root = Path("root")
    names = official_names([root / "berlin" / "x_leftImg8bit.png", root / "a" / "y.jpg"], root)
    assert names == [Path("x_leftImg8bit.png"), Path("y.png")]
    assert official_names([root / "a" / "1.png", root / "b" / "1.png"], root) == [Path("a/1.png"), Path("b/1.png")]
    with pytest.raises(UserError, match="two images have one name but for its ending"):
        official_names([root / "1.png", root / "1.jpg"], root)


def test_label_ids_are_those_of_the_data_sets_own_files():
    ids = label_set(load_config(SEGMENTATION)).raw_ids().tolist()
    assert ids == [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    assert label_set(load_config(DEMO_CONFIG.with_name("hrnet_seg_lip_shapes.yaml"))).raw_ids().tolist() == [*range(20)]
