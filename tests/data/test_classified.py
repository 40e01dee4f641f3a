"""Classified images as people have them: one folder a class without splits, and tables of files and classes."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from src.config import load_config
from src.data.formats.class_table import ClassTable
from src.data.formats.classified import open_classified
from src.data.held_out import is_held_out
from src.data.imagenet import FolderSamples
from src.errors import UserError
from src.inference.classify import known_class_names
from tests.data.conftest import DEMO_CONFIG

CONFIG = DEMO_CONFIG.with_name("hrnet_cls_shapes.yaml")
ROWS = (("a.png", "dog"), ("sub/b.png", "cat"), ("c d.png", "dog"))


def config(train: object, val: object = "", *more: str, classes: int = 2):
    size = ["--img_width", "32", "--img_height", "32", "--num_classes", str(classes)]
    return load_config(CONFIG, [*size, "--train_dataset", str(train), "--val_dataset", str(val), *more])


def image(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    return path.name


def table(folder: Path, text: str, name: str = "labels.csv") -> Path:
    for file, _ in ROWS:
        image(folder / file)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def shown(dataset) -> list[tuple[str, str]]:
    return [(Path(path).name, dataset.classes[label]) for path, label in dataset.images]


# -------------------------------------------------------------------------------------------------------------- folders


@pytest.mark.parametrize("val", ["", "nowhere", "same"])
def test_a_folder_a_class_is_parted_by_the_names_of_its_files(tmp_path, val, caplog):
    for kind in ("ant", "bee"):
        for number in range(30):
            image(tmp_path / kind / f"{kind}{number}.png")
    cfg = config(tmp_path, tmp_path if val == "same" else val, "--val_split", "0.2")
    parts = {split: open_classified(cfg, split) for split in ("train", "val")}
    names = {split: [Path(path).name for path, _ in part.images] for split, part in parts.items()}
    everything = sorted(f"{kind}{number}.png" for kind in ("ant", "bee") for number in range(30))
    assert sorted(names["train"] + names["val"]) == everything and 4 < len(names["val"]) < 24
    assert names["val"] == [name for name in everything if is_held_out(name, 0.2)]
    assert parts["train"].classes == parts["val"].classes == ["ant", "bee"]
    assert len(FolderSamples(parts["train"], cfg).keys) == len(names["train"])
    assert known_class_names(cfg) == ["ant", "bee"]


def test_without_a_share_the_same_images_for_both_are_said_and_a_class_that_is_left_without_is_named(tmp_path, caplog):
    image(tmp_path / "ant" / "0.jpg")  # which the share holds out
    for number in range(1, 9):
        image(tmp_path / "bee" / f"{number}.jpg")
    assert len(open_classified(config(tmp_path, tmp_path), "val")) == 9
    assert "the images of training are those of validation too; val_split parts them" in caplog.text
    assert len(open_classified(config(tmp_path, "", "--val_split", "0.25"), "train")) < 9
    assert "1 classes have no image left: ant" in caplog.text


# --------------------------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize(
    "text",
    [
        "file,class\na.png,dog\nsub/b.png,cat\nc d.png,dog\n",
        "a.png,dog\nsub/b.png,cat\nc d.png,dog\n",
        "id;Label;Image Path\r\n1;dog;a.png\r\n2;cat;sub/b.png\r\n3;dog;c d.png\r\n",
        "\ufefffilename\tlabel\na.png\tdog\nb.png\tcat\n\nc d.png\tdog\n",
        'file,class\n"a.png","dog"\nimages/sub/b.png,cat\n/home/me/c d.png,dog\na.png,dog\n',
    ],
)
def test_a_table_names_files_and_classes_whatever_separates_and_titles_them(tmp_path, text):
    dataset = open_classified(config(table(tmp_path, text)), "train")
    assert shown(dataset) == [("a.png", "dog"), ("b.png", "cat"), ("c d.png", "dog")]
    assert dataset.classes == ["cat", "dog"] and all(Path(path).is_file() for path, _ in dataset.images)


def test_classes_of_a_table_are_in_the_order_of_the_key_or_of_their_numbers(tmp_path):
    path = table(tmp_path, "file,class\na.png,10\nsub/b.png,9\n")
    assert ClassTable(path).classes == ["9", "10"]
    assert ClassTable(path, ["10", "9"]).images[0][1] == 0
    with pytest.raises(UserError, match="labels.csv does not match class_names: it has 9 and lacks 11"):
        ClassTable(path, ["10", "11"])
    with pytest.raises(UserError, match="num_classes is 3, but .*labels.csv has 2 classes: 9, 10"):
        open_classified(config(path, classes=3), "train")


def test_what_is_odd_in_a_table_is_counted_and_named(tmp_path, caplog):
    text = "file,class\na.png,dog\nsub/b.png,cat\ngone.png,cat\nx.png,\n,dog\nlonely\n"
    assert len(open_classified(config(table(tmp_path, text)), "train")) == 3
    assert "3 rows have no file or no class, and are left out: line 5, line 6, line 7" in caplog.text
    assert "1 of the files it names are missing: gone.png" in caplog.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "labels.csv is empty"),
        ("file,class\n", "names no images"),
        ("a.png,dog,3\nb.png,cat,4\n", "none of its columns .* is the file's; a title may be file, filename"),
        ("file,colour\na.png,red\n", "is the class's; a title may be class"),
        ("file,class\na.png,dog\na.png,cat\n", "line 3: a.png is of class cat, and of class dog above"),
        ("file,class\nx.png,dog\ny.png,cat\n", "none of its 2 images is there; looked for"),
        ("file,class\n/etc/passwd,dog\n", "line 2 names '/etc/passwd', outside of the data set's folder"),
        ('file,class\n"a.png,dog\n', "line 2: no row of a table"),
        ("file,class\na.png,d\0g\n", "holds a NUL character"),
    ],
)
def test_a_table_that_is_none_is_one_line(tmp_path, text, said):
    with pytest.raises(UserError, match=said) as caught:
        open_classified(config(table(tmp_path, text)), "train")
    assert str(caught.value).isprintable()


def test_a_table_is_parted_too_and_one_that_is_not_there_is_said(tmp_path):
    path = table(tmp_path, "".join(f"{file},{kind}\n" for file, kind in ROWS))
    parts = [open_classified(config(path, "", "--val_split", "0.5"), split) for split in ("train", "val")]
    assert sorted(shown(parts[0]) + shown(parts[1])) == sorted((Path(file).name, kind) for file, kind in ROWS)
    with pytest.raises(UserError, match="train_dataset .*none.csv is no table that is there"):
        open_classified(config(tmp_path / "none.csv"), "train")
