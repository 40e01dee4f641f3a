"""A configuration to start from: it loads, makes batches and trains, and every number in its reasons is true."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from src.checkpoint import save_arrays
from src.commands.new import main, new
from src.config import load_config
from src.data.formats.coco import open_coco
from src.data.mindrecord import convert
from src.data.start import recipe, segmentation
from src.data.start.recipe import Wish
from src.data.start.told import tell
from src.data.synthetic.cityscapes import write_cityscapes
from src.data.synthetic.coco import write_coco
from src.data.synthetic.imagenet import write_imagenet
from src.data.synthetic.lip import write_lip
from src.errors import UserError
from src.tasks import TASKS
from tests.commands.new_files import TINY, box, goes_on, made, numbers, reasons, write_masks, write_objects
from tests.data.nine_ways import CLASSES, WAYS, drawn_scenes

ROOT = Path(__file__).parents[2]
QUIRKY = ROOT / "tests" / "data_files" / "quirky_labels"


@pytest.mark.parametrize("name", WAYS)
def test_every_format_of_objects_gives_a_configuration_that_makes_batches(name, tmp_path):
    WAYS[name].write(tmp_path / "data", drawn_scenes())
    cfg = made(tmp_path / "data", tmp_path / "my.yaml")
    assert cfg.train_data_type == WAYS[name].format and set(cfg.coco_classes[1:]) >= set(CLASSES)
    assert cfg.detector == ("mask_rcnn" if WAYS[name].has_masks else "faster_rcnn")
    has_own = name in ("Roboflow's COCO", "Cityscapes")
    assert (bool(cfg.val_dataset), cfg.val_split) == ((True, 0.0) if has_own else (False, 0.1))
    goes_on(cfg)


def test_the_file_of_a_data_set_is_taken_as_its_folder_is(tmp_path):
    WAYS["YOLO boxes"].write(tmp_path / "data", drawn_scenes())
    cfg = made(tmp_path / "data" / "data.yaml", tmp_path / "my.yaml")
    assert (cfg.train_data_type, cfg.train_dataset) == ("yolo", str(tmp_path / "data" / "data.yaml"))
    goes_on(cfg)


def test_records_give_one_too(tmp_path):
    write_coco(tmp_path / "coco", 12, 6, 96, 5)
    keys = ["--train_dataset", tmp_path / "coco/train", "--val_dataset", tmp_path / "coco/validation"]
    keys += ["--mindrecord_dir", tmp_path / "records"]
    cfg = load_config(str(ROOT / "configs/demo/mask_rcnn_hrnet_shapes.yaml"), list(map(str, keys)))
    for name, split in (("train", "train"), ("validation", "val")):
        convert(cfg, open_coco(cfg, split), tmp_path / "records" / name)
    cfg = made(tmp_path / "records", tmp_path / "my.yaml")
    assert (cfg.train_data_type, cfg.val_data_type) == ("mindrecord", "mindrecord")
    goes_on(cfg)


@pytest.mark.parametrize("name", sorted(path.name for path in QUIRKY.iterdir() if (path / "labels.json").is_file()))
def test_quirky_labels_give_one_or_the_line_that_says_why_not(name, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(QUIRKY / name / "labels.json", folder)
    (folder / "data").symlink_to(QUIRKY / "images")
    if name == "two_images_one_id":
        with pytest.raises(UserError, match="two images have the id 1"):
            made(folder, tmp_path / "my.yaml")
        assert os.listdir(tmp_path) == ["data"]
        return
    cfg = made(folder, tmp_path / "my.yaml")
    without = ("boxes_only", "mixed", "bad_polygons")
    assert cfg.detector == ("faster_rcnn" if name in without else "mask_rcnn")
    assert cfg.run_eval == (name != "some_masks_as_crowds")  # of which one image alone has an object
    goes_on(cfg)


def test_the_reasons_of_a_hand_worked_set_of_objects(tmp_path, monkeypatch):
    """Sides 16, 16, 20, 64 px in 160 x 120: their quarter lies at 16, so images double, to 320 x 240, but 256 are the
    most: 1.6 times, 256 x 192, where they are 25.6, 25.6, 32, 102.4.
    """
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    objects = [box(1, 1, 0, 0, 16, 16), box(2, 1, 50, 50, 32, 8, 7), box(3, 2, 9, 9, 20, 20), box(4, 3, 9, 9, 64, 64)]
    write_objects(tmp_path / "d" / "train", [(160, 120)] * 20, objects)
    write_objects(tmp_path / "d" / "val", [(160, 120)] * 3, [box(1, 2, 0, 0, 30, 30)])
    cfg = made(tmp_path / "d", tmp_path / "my.yaml")
    said = reasons(tmp_path / "my.yaml")
    assert (cfg.img_width, cfg.img_height, cfg.num_gts, cfg.batch_size, cfg.lr) == (256, 192, 8, 1, 0.00025)
    assert (cfg.epoch_size, cfg.eval_every, cfg.warmup_step, cfg.num_parallel_workers) == (60, 5, 18, 3)
    assert cfg.coco_classes == ["background", "yes: #1", "1e3"] and cfg.num_classes == 3
    assert cfg.backbone.norm_eval is False and cfg.rpn.anchor_generator.scales == [8]
    assert (cfg.train_dataset, cfg.val_dataset) == (str(tmp_path / "d" / "train"), str(tmp_path / "d" / "val"))
    assert said == {
        "_base_": "mask_rcnn with hrnet, the tiny preset",
        "task": "the folder holds labels of objects (coco: labels.json or annotations/instances_*.json or "
        "_annotations.coco.json or result.json)",
        "detector": "4 of 4 objects have a mask, at least half",
        "train_dataset": "20 images; 3 that show an object are learned from",
        "train_data_type": "the format of its labels, told by the folder",
        "val_data_type": "as the training data",
        "val_dataset": "its own 3 images of validation",
        "coco_classes": "2 classes of the labels, in their order",
        "num_classes": "2 and the background",
        "img_width": "the images are 160x120 at the median, the objects' sides 18 px (root of the box's area); at "
        "256x192 they become 29 px, and 50% are below 32 px, the smallest anchor's side. No larger, for a longer side "
        "of 256 px is the most with this preset; in multiples of 32",
        "img_height": "as above",
        "num_gts": "an image has 2 objects at most, and 300 are room enough",
        "batch_size": "the least of three, and 1 at least: an image of 256x192 takes about 0.0737 GiB (an estimate), "
        "and 8 GiB (--memory) less 1 hold 94; 3 training images make at least 8 updates an epoch with no number of "
        "them a batch; more than 8 are not usual",
        "lr": "0.002 is for 8 images an update: 0.002 x 1 / 8",
        "epoch_size": "4,800 images are to be learned from, 3 an epoch, in 6 to 60 epochs; 3 updates an epoch make 180",
        "warmup_step": "a tenth of the run's 180 updates",
        "eval_every": "12 evaluations are wanted: every 5 epochs of 60 makes 12",
        "num_parallel_workers": "this machine has 3 cores; 8 do",
        "brief": "the run's name, after this file",
    }
    goes_on(cfg)


def test_small_objects_that_no_image_size_helps_get_smaller_anchors(tmp_path):
    """Squares of 16 px, and two of 120 px, which alone meet an anchor of 32, 64 or 128 px."""
    objects = [box(k, k, 0, 0, *((120, 120) if k in (3, 5) else (16, 16))) for k in range(1, 11)]
    write_objects(tmp_path / "d", [(256, 256)] * 10, objects)
    cfg = made(tmp_path / "d", tmp_path / "my.yaml")
    said = reasons(tmp_path / "my.yaml")["scales"]
    assert (cfg.img_width, cfg.rpn.anchor_generator.scales) == (256, [4])
    shown = TASKS["detection"].open(cfg, "train")
    large = sum(one.box[2] == 120 for k in range(len(shown)) for one in shown.record(k).objects)
    usual = round(100 * large / len(shown))  # 120 / 128 squared is 0.88
    assert said == f"100% of the objects can reach IoU 0.7 with an anchor at 256x256; {usual}% with the usual 8"
    published = made(tmp_path / "d", tmp_path / "published.yaml", Wish("published", 16))
    assert published.rpn.anchor_generator.scales == [8]


def test_standing_and_lying_images_get_a_square_and_large_objects_no_larger_images(tmp_path):
    objects = [box(1, 1, 0, 0, 100, 100), box(2, 3, 0, 0, 100, 64)]
    write_objects(tmp_path / "d", [(160, 120), (160, 120), (120, 160)], objects)
    cfg = made(tmp_path / "d", tmp_path / "my.yaml")
    assert (cfg.img_width, cfg.img_height) == (64, 64)  # 32 / 85 of 160 is less than the least longer side
    assert cfg.val_split == 0.1 and "cannot be parted" not in reasons(tmp_path / "my.yaml")["val_dataset"]


def test_weights_for_the_backbone_keep_what_goes_with_them(tmp_path):
    write_objects(tmp_path / "d", [(160, 120)] * 4, [box(k, k, 0, 0, 40, 40) for k in range(1, 5)])
    save_arrays({"conv1.weight": np.zeros(3, np.float32)}, tmp_path / "w.ckpt")
    wish = Wish("published", 16, str(tmp_path / "w.ckpt"))
    cfg = made(tmp_path / "d", tmp_path / "with.yaml", wish)
    assert cfg.backbone.pretrained == str(tmp_path / "w.ckpt")
    assert cfg.backbone.norm_eval is True and cfg.backbone.frozen_stages == 1
    cfg = made(tmp_path / "d", tmp_path / "without.yaml", Wish("published"))
    assert cfg.backbone.norm_eval is False and cfg.backbone.frozen_stages == 0 and not cfg.backbone.pretrained
    (tmp_path / "damaged.ckpt").write_bytes(b"x")
    for name, problem in (
        ("gone.ckpt", "does not exist"), ("with.yaml", "ends in '.yaml'"), ("damaged.ckpt", "is cut off, damaged or"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=f"{name} .*{problem}"):
            made(tmp_path / "d", tmp_path / "gone.yaml", Wish("tiny", weights=str(tmp_path / name)))


# ------------------------------------------------------------------------------------------------------ label pictures


@pytest.mark.parametrize(
    "values,classes,said",
    [
        ([0, 1, 4, 255], 5, "6 label pictures of 6 hold values up to 4, and 255, which does not count; nothing names"),
        ([0, 255], 2, "6 label pictures of 6 hold 0 and 255 alone; nothing names"),
        ([[0, 0, 0], [9, 200, 3], [80, 1, 2]], 3, "6 label pictures of 6 hold 3 colours; nothing names them"),
    ],
)
def test_the_classes_of_label_pictures_are_told_by_their_values(values, classes, said, tmp_path):
    write_masks(tmp_path / "d", values)
    cfg = made(tmp_path / "d", tmp_path / "my.yaml", task="segmentation")
    assert (cfg.task, cfg.dataset, cfg.num_classes) == ("segmentation", "custom", classes)
    assert cfg.class_names == [f"class_{k}" for k in range(classes)] and not cfg.class_weights
    assert reasons(tmp_path / "my.yaml")["class_names"].startswith(said)
    assert cfg.label_colours == (sorted(values) if isinstance(values[0], list) else [])
    assert (cfg.img_width, cfg.img_height, cfg.base_size, cfg.val_split) == (128, 64, 128, 0.1)
    goes_on(cfg)


def test_names_beside_the_pictures_are_taken_and_folders_of_splits_are_seen(tmp_path):
    write_masks(tmp_path / "d", [0, 1, 2], splits=("train", "val"))
    (tmp_path / "d" / "classes.txt").write_text("sky\nroad: wet\nyes\n")
    cfg = made(tmp_path / "d", tmp_path / "my.yaml", task="segmentation")
    assert cfg.class_names == ["sky", "road: wet", "yes"] and cfg.val_dataset == str(tmp_path / "d")
    said = reasons(tmp_path / "my.yaml")
    assert said["class_names"] == "6 label pictures of 6 hold values up to 2; named by classes.txt"
    limits = "with a longer side of 64 to 256 px, in multiples of 32: 1 times as large"
    assert said["img_width"] == f"the images are 100x60 at the median: as large, {limits}"
    assert said["base_size"] == "the longer side of an image at scale 1: 1.3 times its own"  # 128 / 100
    goes_on(cfg)


@pytest.mark.parametrize("write,dataset,classes", [(write_cityscapes, "cityscapes", 19), (write_lip, "lip", 20)])
def test_trees_of_known_sets_keep_their_classes(write, dataset, classes, tmp_path):
    write(tmp_path / "d", 10, 4, 64, 5)
    for preset in recipe.PRESETS:
        cfg = made(tmp_path / "d", tmp_path / f"{preset}.yaml", Wish(preset, memory=64))
        assert (cfg.dataset, cfg.num_classes, cfg.val_dataset) == (dataset, classes, str(tmp_path / "d"))
        assert len(cfg.class_weights) == (19 if dataset == "cityscapes" else 0)
        said = reasons(tmp_path / f"{preset}.yaml")
        assert said["train_dataset"] == "10 images, 10 of them are learned from"
        assert said["val_dataset"] == "its own 4 images of validation"
        assert numbers(said["batch_size"])[1:3] == [cfg.img_width, cfg.img_height]
    goes_on(load_config(str(tmp_path / "tiny.yaml")))


@pytest.mark.parametrize(
    "dataset,classes,images,masks,lists",
    [
        ("voc", 21, ("JPEGImages",) * 2, ("SegmentationClass",) * 2, "ImageSets/Segmentation"),
        ("ade20k", 150, ("images/training", "images/validation"),
         ("annotations/training", "annotations/validation"), ""),
    ],
)  # fmt: skip
def test_official_folders_of_label_pictures_are_known(dataset, classes, images, masks, lists, tmp_path):
    for split, image_folder, mask_folder, which in zip(("train", "val"), images, masks, (range(9), range(9, 12))):
        for place, picture in ((image_folder, np.zeros((64, 96, 3))), (mask_folder, np.full((64, 96), 7))):
            (tmp_path / "d" / place).mkdir(parents=True, exist_ok=True)
            for k in which:
                Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "d" / place / f"p{k}.png")
        if lists:
            (tmp_path / "d" / lists).mkdir(parents=True, exist_ok=True)
            (tmp_path / "d" / lists / f"{split}.txt").write_text("\n".join(f"p{k}" for k in which))
    cfg = made(tmp_path / "d", tmp_path / "my.yaml")
    said = reasons(tmp_path / "my.yaml")
    assert (cfg.task, cfg.dataset, cfg.num_classes, cfg.class_weights) == ("segmentation", dataset, classes, [])
    assert said["train_dataset"] == "9 images, 9 of them are learned from"
    assert said["val_dataset"] == "its own 3 images of validation"
    assert said["num_classes"] == f"{dataset} has {classes} classes"
    goes_on(cfg)


def test_what_fits_two_tasks_is_asked_for_and_what_fits_none_is_said(tmp_path):
    write_masks(tmp_path / "masks", [0, 1, 2])
    with pytest.raises(UserError, match="images and masks .segmentation.: --task says which is meant$"):
        tell(str(tmp_path / "masks"))
    assert tell(str(tmp_path / "masks"), "detection").kind == "instance_masks"
    WAYS["instance masks"].write(tmp_path / "instances", drawn_scenes())
    assert tell(str(tmp_path / "instances")).task == "detection"
    WAYS["VOC"].write(tmp_path / "voc", drawn_scenes())
    assert tell(str(tmp_path / "voc")).task == "detection"
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match="nothing holds no labels that are known: detection: "):
        tell(str(tmp_path / "nothing"))
    with pytest.raises(UserError, match="no class folders"):
        tell(str(tmp_path / "nothing"), "classification")
    with pytest.raises(UserError, match="gone does not exist"):
        tell(str(tmp_path / "gone"))
    (tmp_path / os.fsdecode(b"\xff")).mkdir()
    with pytest.raises(UserError, match="is no text in UTF-8"):
        tell(str(tmp_path / os.fsdecode(b"\xff")))
    (tmp_path / "one" / "train" / "a").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "one" / "train" / "a" / "1.jpg"), np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(UserError, match="has one class, a: nothing is to be told apart"):
        made(tmp_path / "one", tmp_path / "my.yaml")


def test_photographs_in_the_place_of_label_pictures_are_refused(tmp_path, monkeypatch):
    write_masks(tmp_path / "d", [[k, k, 0] for k in range(12)])
    monkeypatch.setattr(segmentation, "MOST_COLOURS", 11)
    with pytest.raises(UserError, match="hold 12 colours in 6 label pictures of 6, more than classes have"):
        made(tmp_path / "d", tmp_path / "my.yaml", task="segmentation")


# ---------------------------------------------------------------------------------------------------------- classified


def test_folders_of_classes_with_and_without_splits_and_a_table(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    write_imagenet(tmp_path / "d", 19, 8, 48, 5)
    cfg = made(tmp_path / "d", tmp_path / "own.yaml")
    said = reasons(tmp_path / "own.yaml")
    assert (cfg.task, cfg.num_classes, cfg.val_dataset) == ("classification", 8, str(tmp_path / "d" / "val"))
    assert said["class_names"] == "8 folders of images, 2 (cross) to 3 images (arrow) each"
    assert said["train_dataset"] == "19 images, 19 of them are learned from"
    limits = "as large, in multiples of 32, 32 to 64 px"
    assert said["input_size"] == f"the images' shorter side is 48 px at the median; {limits}"
    assert said["batch_size"] == (
        "the least of three, and 1 at least: an image of 64x64 takes about 0.0041 GiB (an estimate), and 8 GiB "
        "(--memory) less 1 hold 1,708; 19 training images make at least 8 updates an epoch with up to 2 a batch; more "
        "than 64 are not usual"
    )
    assert said["lr"] == "0.002 is for 64 images an update: 0.002 x 2 / 64" and cfg.lr == 6.25e-05
    run = "9 updates an epoch make 540"
    assert said["epoch_size"] == f"7,000 images are to be learned from, 19 an epoch, in 6 to 60 epochs; {run}"
    assert said["num_parallel_workers"] == "this machine has 16 cores; 8 do" and cfg.num_parallel_workers == 8
    goes_on(cfg)

    cfg = made(tmp_path / "d" / "train", tmp_path / "parted.yaml")
    said = reasons(tmp_path / "parted.yaml")
    held = len(TASKS[cfg.task].open(cfg, "val"))
    assert said["val_split"] == (
        f"{cfg.val_split:g} is held out by a hash of the files' names: {held} of 19 images; with 0.1 fewer of the "
        "classes would be on both sides"
    )
    assert said["train_dataset"] == f"19 images, {19 - held} of them are learned from"
    goes_on(cfg)

    for preset, side in (("small", 64), ("published", 224)):
        cfg = made(tmp_path / "d", tmp_path / f"{preset}.yaml", Wish(preset, 16))
        assert (cfg.img_width, cfg.img_height) == (side, side)

    files = sorted((tmp_path / "d" / "train").rglob("*.jpg"))
    rows = [f"{path.relative_to(tmp_path / 'd')},{path.parent.name}" for path in files]
    (tmp_path / "d" / "table.csv").write_text("\n".join(["file,class", *rows]))
    cfg = made(tmp_path / "d" / "table.csv", tmp_path / "table.yaml", Wish("small", 16))
    assert cfg.train_dataset == str(tmp_path / "d" / "table.csv") and (cfg.img_width, cfg.eval_resize) == (64, 73)
    assert reasons(tmp_path / "table.yaml")["eval_resize"].endswith("central crop: 256/224 of it, as in the base")
    goes_on(cfg)


# ------------------------------------------------------------------------------------------------------------- the file


def test_the_file_works_from_anywhere_and_takes_no_others_place(tmp_path, monkeypatch, capsys):
    write_objects(tmp_path / "d", [(160, 120)] * 4, [box(k, k, 0, 0, 40, 40) for k in range(1, 5)])
    monkeypatch.chdir(tmp_path)
    main(["--data", "d", "--out", "sub/my.yaml", "--preset", "tiny", "--num_gts", "24", "--allow_outside", "1"])
    text = (tmp_path / "sub" / "my.yaml").read_text()
    assert text.startswith("# Written by: python -m src.commands.new --data d --out sub/my.yaml --preset tiny --num")
    values = yaml.safe_load(text)
    assert values["_base_"] == str(ROOT / "configs" / "demo" / "mask_rcnn_hrnet_shapes.yaml")
    assert values["train_dataset"] == str(tmp_path / "d")
    assert values["num_gts"] == 24 and values["allow_outside"] is True and "# as the command line says" in text
    said = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("[")]
    assert said == [
        "sub/my.yaml: detection, 4 images; 3 that show an object are learned from",
        "python -m src.commands.check --config_path sub/my.yaml",
        "python -m src.commands.browse --config_path sub/my.yaml",
        "python train.py --config_path sub/my.yaml",
    ]
    monkeypatch.chdir("/")
    goes_on(load_config(str(tmp_path / "sub" / "my.yaml")))
    for out, problem in (
        (tmp_path / "sub" / "my.yaml", "exists already"), (tmp_path / "my.txt", "must end with .yaml"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=f"^--out .* {problem}"):
            new(tmp_path / "d", out, "", TINY)
    assert (tmp_path / "sub" / "my.yaml").read_text() == text and os.listdir(tmp_path / "sub") == ["my.yaml"]
    with pytest.raises(UserError, match="^--train_dataset: the training data are --data here"):
        new(tmp_path / "d", tmp_path / "other.yaml", "", Wish("tiny", overrides=["--train_dataset", "x"]))
    with pytest.raises(UserError, match="rubbish"):
        new(tmp_path / "d", tmp_path / "other.yaml", "", Wish("tiny", overrides=["--rubbish", "x"]))
    assert sorted(os.listdir(tmp_path)) == ["d", "sub"]


def test_within_the_repository_the_base_is_reached_from_the_file(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "configs", tmp_path / "repo" / "configs")
    for module in ("src.data.start.recipe", "src.commands.new"):
        monkeypatch.setattr(f"{module}.CONFIGS", tmp_path / "repo" / "configs")
    write_objects(tmp_path / "d", [(160, 120)] * 4, [box(k, k, 0, 0, 40, 40) for k in range(1, 5)])
    out = new(tmp_path / "d", tmp_path / "repo" / "configs" / "my.yaml", "", TINY)
    assert yaml.safe_load(out.read_text())["_base_"] == "demo/mask_rcnn_hrnet_shapes.yaml"
    (tmp_path / "repo").rename(tmp_path / "moved")
    assert load_config(str(tmp_path / "moved" / "configs" / "my.yaml")).num_classes == 3
