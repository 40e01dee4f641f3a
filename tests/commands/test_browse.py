"""The page of the data: its pictures are of training's own samples, and it names everything that is odd."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.commands import browse as command
from src.commands import check
from src.commands.browse import Options, browse
from src.config import load_config
from src.data.loader import TrainSource
from src.data.synthetic.cityscapes import write_cityscapes
from src.data.synthetic.coco import write_coco
from src.data.synthetic.imagenet import write_imagenet
from src.errors import UserError
from src.inference.sheets import seen_by_training, without_augmentation
from src.tasks import TASKS
from tests.pages.test_page import Reader

DEMOS = Path(__file__).parents[2] / "configs" / "demo"
ODD = "odd # 100% <b> 'q' \udcff.jpg"


def config(name: str, *keys: object):
    return load_config(str(DEMOS / f"{name}.yaml"), list(map(str, keys)))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    write_coco(folder / "coco", 10, 4, 96, 5)
    write_imagenet(folder / "classes", 16, 8, 64, 5)
    write_cityscapes(folder / "scenes", 4, 2, 64, 5)
    return folder


def configs(drawn: Path, *keys: object) -> dict:
    """A configuration of each task."""
    places = {
        "mask_rcnn_hrnet_shapes": ("coco/train", "coco/validation"),
        "hrnet_cls_shapes": ("classes/train", "classes/val"),
        "hrnet_seg_cityscapes_shapes": ("scenes", "scenes"),
    }
    own = {"hrnet_cls_shapes": ("--mixup", 0.8, "--batch_size", 4)}
    return {
        name: config(
            name, "--train_dataset", drawn / train, "--val_dataset", drawn / val, "--train_outputs", drawn / "outputs",
            *own.get(name, ()), *keys,
        )
        for name, (train, val) in places.items()
    }  # fmt: skip


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def page_texts(path: Path) -> list[str]:
    return [text for text in Reader(path.read_text(encoding="utf-8")).texts if text.strip()]


def test_the_sheets_show_the_very_samples_that_training_takes(drawn):
    for cfg in configs(drawn).values():
        samples = TASKS[cfg.task].samples(cfg, "train")
        source = TrainSource(samples, cfg.seed, cfg.batch_size, 0, 1, 1, 0, 1)
        entries = [2, 0, 3, 1]
        shown = dict(seen_by_training(samples, entries, cfg))
        plain = dict(without_augmentation(samples, entries, cfg))
        batch = tuple(np.stack(arrays) for arrays in zip(*(source._sample(0, entry, 0) for entry in entries)))
        mixed = samples.mix(batch, np.random.RandomState([cfg.seed, 0, 0, 0]))
        for place, entry in enumerate(entries):
            assert tuple(shown[entry]) == samples.columns
            for array, expected in zip(shown[entry].values(), mixed):
                np.testing.assert_array_equal(array, expected[place])
        assert [len(dict(seen_by_training(samples, entries[:count], cfg))) for count in (1, 3)] == [1, 3]
        assert any((shown[entry]["image"] != plain[entry]["image"]).any() for entry in entries)
        again = dict(seen_by_training(samples, entries, cfg))
        assert all((again[k][name] == shown[k][name]).all() for k in entries for name in samples.columns)


def test_portraits_among_landscapes_are_shown_each_in_its_own_input(coco_set, make, tmp_path):
    sizes = [(48, 32), (32, 48), (48, 32), (32, 48), (48, 32)]
    folder = coco_set(sizes, [box(4, 4, 20, 20, image=k) for k in range(1, 6)])
    short_long = ("--train_resize", "short_long", "--img_width", 96, "--batch_size", 2)
    cfg = make(folder, "", *short_long)
    samples = TASKS[cfg.task].samples(cfg, "train")
    shown = dict(seen_by_training(samples, range(5), cfg))
    assert [shown[k]["image"].shape[1:] for k in range(5)] == [(64, 96) if k % 2 == 0 else (96, 64) for k in range(5)]
    alone = dict(seen_by_training(samples, [3], cfg))
    np.testing.assert_array_equal(shown[3]["image"], alone[3]["image"])
    browse(cfg, Options("train", True, str(tmp_path / "page"), images=5))
    assert len(list((tmp_path / "page" / "pictures").glob("image_*.jpg"))) == 5


def test_every_task_has_a_page_with_a_picture_of_each_sample(drawn, tmp_path):
    for (name, cfg), (split, count) in zip(configs(drawn).items(), (("train", 3), ("train", 5), ("val", 2))):
        out = tmp_path / name
        page = browse(cfg, Options(split, split == "train", str(out), images=count))
        facts = json.loads((out / "report.json").read_text())
        assert (facts["images"], facts["duplicates"], facts["unusable"], facts["kind"]) == (count, 0, 0, "data")
        pictures = list((out / "pictures").glob("image_*.jpg"))
        assert len(pictures) == count and all(max(cv2.imread(str(one)).shape) <= 384 for one in pictures)
        assert "No image of validation is in training too." in page_texts(page)
        assert all((out / one["src"]).is_file() for one in Reader(page.read_text(encoding="utf-8")).of("img"))


def test_boxes_and_masks_are_drawn_where_the_sample_has_them_and_its_padding_is_seen(coco_set, make):
    """A 20 x 12 image in an input of 64 x 64 is 64 x 38 there; the box (2, 2, 6, 6) is (6.4, 6.4) to (25.6, 25.6)."""
    folder = coco_set([(20, 12)], [box(2, 2, 6, 6, category=4)])
    cfg = make(folder)
    samples = TASKS[cfg.task].samples(cfg, "train")
    (_, sample), *_ = without_augmentation(samples, [0], cfg)
    bare = dict(sample) | {"gt_labels": sample["gt_labels"] * 0}
    drawer = TASKS[cfg.task].drawer(cfg, "train")
    with_labels, without = drawer.draw(sample), drawer.draw(bare)
    assert (with_labels.words, without.words) == ("1 object", "0 objects")
    assert with_labels.picture.shape == (384, 384, 3)  # six times 64
    changed = np.argwhere((with_labels.picture != without.picture).any(2))
    edges = 6 * np.array([6.4, 25.6])
    assert abs(changed[:, 1].min() - edges[0]) <= 3 and abs(changed[:, 0].max() - edges[1]) <= 3
    middle = round(6 * 16)
    assert (with_labels.picture[middle, middle] != without.picture[middle, middle]).any()  # the mask
    grey = without.picture[-20, 20].astype(int)  # below the image: the mean colour
    assert np.abs(grey - [104, 116, 124]).max() <= 1


def box(x: float, y: float, w: float, h: float, category: int = 4, image: int = 1, crowd: int = 0) -> dict:
    outline = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    return {
        "image_id": image, "category_id": category, "bbox": [x, y, w, h], "area": w * h, "iscrowd": crowd,
        "segmentation": outline,
    }  # fmt: skip


@pytest.fixture()
def coco_set(tmp_path):
    def write(sizes: list[tuple[int, int]], annotations: list[dict], name: str = "set", names=None) -> Path:
        folder = tmp_path / name
        (folder / "data").mkdir(parents=True)
        names = names or [f"{k}.jpg" for k in range(1, len(sizes) + 1)]
        for k, (file, (width, height)) in enumerate(zip(names, sizes)):
            picture = np.random.RandomState([len(name), k]).randint(0, 256, (6, 6, 3)).astype(np.uint8)
            picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(tmp_path / "x.jpg"), picture)
            (tmp_path / "x.jpg").rename(folder / "data" / file)
        images = [
            {"id": k, "file_name": file, "width": width, "height": height}
            for k, (file, (width, height)) in enumerate(zip(names, sizes), start=1)
        ]
        content = {
            "images": images,
            "annotations": [{"id": k} | one for k, one in enumerate(annotations, start=1)],
            "categories": [{"id": 4, "name": "<i>dog & 猫"}, {"id": 9, "name": "cat"}],
        }
        (folder / "labels.json").write_text(json.dumps(content))
        return folder

    return write


@pytest.fixture()
def make(tmp_path):
    def load(train: Path, val: Path | str = "", *keys: object):
        classes = ("--coco_classes", "[]", "--num_classes", 81, "--img_width", 64, "--img_height", 64)
        places = ("--train_dataset", train, "--val_dataset", val, "--train_outputs", tmp_path / "runs")
        cfg = config("mask_rcnn_hrnet_shapes", *places, *classes, *keys)
        return TASKS[cfg.task].resolved(cfg)

    return load


def test_what_is_odd_is_named_whole_and_nothing_in_a_name_becomes_a_tag(coco_set, make, tmp_path):
    sizes = [(40, 30), (40, 30), (60, 40), (40, 30)]
    annotations = [
        box(2, 2, 10, 10), box(1, 1, 0.5, 9), box(20, 5, 8, 2, category=9), box(0, 0, 30, 20, image=3),
        box(5, 5, 20, 20, image=3, crowd=1), box(3, 3, 9, 9, image=4),
    ]  # fmt: skip
    folder = coco_set(sizes, annotations, names=["1.jpg", "2.jpg", ODD, "4.jpg"])
    (folder / "data" / "4.jpg").write_text("no image")
    out = tmp_path / "page"
    page = browse(make(folder, "", "--num_gts", 1), Options(out=str(out), augmented=True))
    listed = rows(out / "oddities.csv")
    assert ["training", "empty images", "2.jpg"] in listed
    assert ["training", "degenerate boxes", "annotation 2"] in listed
    assert ["training", "unusable image", f"{folder / 'data' / '4.jpg'} is no image, or cut off"] in listed
    texts = page_texts(page)
    assert any("2 images have more than num_gts = 1 objects" in text for text in texts)
    assert any("1 annotations have no area inside their image" in text for text in texts)
    assert "The configuration names no validation data." in texts
    assert "1 more cannot be read: 4.jpg" in texts
    assert "2 of 3 training images" in texts and "1 more takes no part: see what is odd." in texts
    assert "odd # 100% <b> 'q' \\xff.jpg: 1 object" in texts  # the crowd has no room beside it
    assert rows(out / "classes_training.csv") == [["<i>dog & 猫", "3", "1", "3"], ["cat", "1", "0", "1"]]
    assert "<i>dog & 猫" in texts and not Reader(page.read_text()).of("i") and not Reader(page.read_text()).of("b")
    assert not list(out.glob("classes_validation*"))


def test_sizes_are_those_of_the_labels_and_in_words_too(coco_set, make):
    folder = coco_set([(40, 20), (40, 20), (20, 20)], [box(0, 0, 4, 16), box(0, 0, 16, 16), box(1, 1, 2, 2, image=3)])
    survey = TASKS["detection"].survey(make(folder), "train")
    sides, fitted, counts = survey.distributions
    np.testing.assert_allclose(sides.values, [8, 16, 2])
    np.testing.assert_allclose(fitted.values, [12.8, 25.6, 6.4])  # 64 / 40, 64 / 20
    assert counts.values.tolist() == [2, 0, 1]
    assert sides.line() == "side of an object (root of its box's area): median 8 px, 5% below 2.6, 5% above 15.2"


def test_copies_across_the_splits_are_listed_and_check_says_them(drawn, tmp_path, capsys, monkeypatch):
    shutil.copytree(drawn / "coco", tmp_path / "coco")
    train, val = tmp_path / "coco" / "train", tmp_path / "coco" / "validation"
    content = json.loads((val / "labels.json").read_text())
    for number, name in enumerate((ODD, "again.jpg")):
        source = train / "data" / f"{number + 3:012d}.jpg"
        image = cv2.imread(str(source))
        (val / "data" / name).write_bytes(
            cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 70])[1].tobytes() if number else source.read_bytes()
        )
        height, width = image.shape[:2]
        content["images"].append({"id": 1000 + number, "file_name": name, "width": width, "height": height})
    (val / "labels.json").write_text(json.dumps(content))
    cfg = config("mask_rcnn_hrnet_shapes", "--train_dataset", train, "--val_dataset", val)
    out = tmp_path / "page"
    texts = page_texts(browse(cfg, Options("val", out=str(out))))
    assert [row[:4] for row in rows(out / "duplicates.csv")] == [
        ["validation is in training", ODD.replace("\udcff", "\\xff"), "000000000003.jpg", "yes"],
        ["validation is in training", "again.jpg", "000000000004.jpg", "no"],
    ]
    assert "6 of 6 validation images" in texts
    assert len(list((out / "pictures").glob("twice_*.jpg"))) == 2
    assert ": 6 images of validation, 2 duplicates, 0 unusable images" in capsys.readouterr().out

    monkeypatch.setattr(check, "_model_sections", lambda *_: iter(()))
    lines = next(list(part) for title, part in check.sections(cfg) if title == "image files")
    assert lines[0] == "training: longer side of an image: median 96 px, 5% below 96, 5% above 96"
    assert "no training images are another training image" in lines
    twice = [line for line in lines if line.startswith("WARNING")]
    assert len(twice) == 1
    assert twice[0].startswith("WARNING: 2 validation images are a training image too, 1 of them byte for byte: odd #")
    monkeypatch.setattr(check, "MOST_COMPARED", 3)
    lines = next(list(part) for title, part in check.sections(cfg) if title == "image files")
    assert "3 images of a set are compared with one another; python -m src.commands.browse takes all" in lines


def test_a_validation_set_that_is_not_there_costs_the_page_of_training_nothing(drawn, tmp_path):
    cfg = config("mask_rcnn_hrnet_shapes", "--train_dataset", drawn / "coco/train", "--val_dataset", tmp_path / "gone")
    texts = page_texts(browse(cfg, Options(out=str(tmp_path / "page"), images=2)))
    assert any(text.startswith("There are no validation data: ") and "gone" in text for text in texts)
    with pytest.raises(UserError, match="gone"):
        browse(cfg, Options("val", out=str(tmp_path / "other")))
    none = config("mask_rcnn_hrnet_shapes", "--train_dataset", drawn / "coco/train", "--val_dataset", "")
    with pytest.raises(UserError, match="^--split val: the configuration names no validation data"):
        browse(none, Options("val", out=str(tmp_path / "other")))
    assert not (tmp_path / "other").exists()


def test_only_a_page_of_its_own_is_replaced_and_the_data_are_left_alone(drawn, tmp_path):
    cfg = configs(drawn)["hrnet_cls_shapes"]
    out = tmp_path / "page"
    browse(cfg, Options(out=str(out), images=5, most_files=8))
    browse(cfg, Options(out=str(out), images=2, most_files=8))
    assert len(list((out / "pictures").glob("image_*.jpg"))) == 2
    (out / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="^--out .* holds mine.txt, which no report has written"):
        browse(cfg, Options(out=str(out)))
    (out / "mine.txt").unlink()
    facts = json.loads((out / "report.json").read_text())
    (out / "report.json").write_text(json.dumps({name: one for name, one in facts.items() if name != "kind"}))
    with pytest.raises(UserError, match="holds a report of an evaluation"):
        browse(cfg, Options(out=str(out)))
    inside = drawn / "classes" / "train" / "page"
    with pytest.raises(UserError, match="lies in train_dataset, where pages are no data"):
        browse(cfg, Options(out=str(inside)))
    assert not inside.exists()


def test_large_sets_are_opened_evenly_and_the_page_says_how_many(drawn, tmp_path, capsys):
    cfg = configs(drawn)["mask_rcnn_hrnet_shapes"]
    browse(cfg, Options(out=str(tmp_path / "page"), images=1, most_files=4))
    texts = page_texts(tmp_path / "page" / "index.html")
    place = texts.index("training")
    assert texts[place + 2 : place + 5] == ["10", "4", "0"]
    among = "among the files opened (4 of 10 of training, 4 of 4 of validation)"
    assert f"No image of validation is in training too {among}." in texts
    assert f"No picture is there twice {among}." in texts
    assert f", 0 duplicates {among}, 0 unusable images" in capsys.readouterr().out


def test_the_command_line_reads_what_makes_samples_and_says_what_it_does_not_read(drawn, tmp_path, caplog, capsys):
    path = str(DEMOS / "hrnet_cls_shapes.yaml")
    data = ("--train_dataset", str(drawn / "classes/train"), "--val_dataset", str(drawn / "classes/val"))
    command.main(
        ["--config_path", path, *data, "--out", str(tmp_path / "page"), "--augmented", "1", "--images", "1",
         "--lr", "1", "--color_jitter", "0.4", "--seed", "3", "--font", ""]
    )  # fmt: skip
    assert "keys without effect (command line): lr (browse does not read it)" in caplog.text
    assert ": 1 image of training, " in capsys.readouterr().out
