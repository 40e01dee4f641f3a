"""Keys that are typed behind `new` are given: the rest of the file follows, or one line says why it cannot."""

import os
from pathlib import Path

import pytest
import yaml

from src.commands.new import main
from src.data.start.recipe import Wish
from src.data.synthetic.imagenet import write_imagenet
from src.errors import UserError
from src.tasks import TASKS
from tests.commands.new_files import box, goes_on, made, reasons, write_masks, write_objects

SAID = "as the command line says"


def typed(data: Path, out: Path, *keys: str, task: str = "", preset: str = "tiny"):
    return made(data, out, Wish(preset, 16, overrides=keys), task)


@pytest.fixture
def squares(tmp_path):
    """40 images of 128 x 128 with a square of 40 px each, every fourth of the second class."""
    objects = [box(k, k, 0, 0, 40, 40, 7 if k % 4 == 0 else 3) for k in range(1, 41)]
    write_objects(tmp_path / "d", [(128, 128)] * 40, objects)
    return tmp_path / "d"


def test_batch_epochs_and_a_side_lead_to_rate_steps_warmup_and_the_other_side(squares, tmp_path):
    """36 of 40 images learned from, in batches of 2: 18 updates an epoch, 54 in 3. 0.02 x 2 / 16 = 0.0025."""
    out = tmp_path / "my.yaml"
    keys = ("--batch_size", "2", "--epoch_size", "3", "--img_height", "96", "--val_split", "0.1")
    cfg = typed(squares, out, *keys, preset="small")
    assert (cfg.batch_size, cfg.lr, cfg.epoch_size, cfg.lr_steps) == (2, 0.0025, 3, [2, 3])
    assert (cfg.warmup_step, cfg.eval_every) == (5, 1)
    assert (cfg.img_width, cfg.img_height, cfg.eval_width, cfg.eval_height) == (96, 96, 0, 0)
    said = reasons(out)
    assert said["batch_size"] == said["epoch_size"] == said["img_height"] == said["val_split"] == SAID
    assert said["lr"] == "0.02 is for 16 images an update: 0.02 x 2 / 16"
    assert said["warmup_step"] == "a tenth of the run's 54 updates"
    assert said["lr_steps"] == "after 2/3 and 11/12 of 3 epochs, as 8 and 11 are of 12, rounded"
    assert said["eval_every"] == "12 evaluations are wanted: every 1 epoch of 3 makes 3"
    assert said["img_width"].startswith(
        "the images are 128x128 at the median, the objects' sides 40 px (root of the box's area); at 96x96 they become "
        "30 px, and 100% are below 32 px, the smallest anchor's side. By img_height and the images' shape"
    )
    assert said["eval_width"] == "images are evaluated at the size above, as they are learned from; 1344 in the base"
    goes_on(cfg)


def test_batches_that_make_one_step_count_for_the_rate(squares, tmp_path):
    cfg = typed(squares, tmp_path / "my.yaml", "--batch_size", "2", "--accumulate_step", "3")
    assert cfg.lr == 0.0015  # 0.002 x 6 / 8
    with pytest.raises(UserError, match="^--batch_size 500: 36 training images make no batch of it"):
        typed(squares, tmp_path / "other.yaml", "--batch_size", "500")


def test_a_typed_share_parts_the_whole_set_once(squares, tmp_path):
    cfg = typed(squares, tmp_path / "my.yaml", "--val_split", "0.4")
    assert cfg.val_split == 0.4 and [len(TASKS[cfg.task].open(cfg, split)) for split in ("train", "val")] == [29, 11]
    assert reasons(tmp_path / "my.yaml")["train_dataset"] == "40 images; 29 that show an object are learned from"
    cfg = typed(squares, tmp_path / "none.yaml", "--val_split", "0")
    assert (cfg.val_split, cfg.run_eval) == (0, False)
    assert reasons(tmp_path / "none.yaml")["train_dataset"] == "40 images; 40 that show an object are learned from"
    write_objects(tmp_path / "own" / "train", [(64, 64)] * 4, [box(k, k, 0, 0, 40, 40) for k in range(1, 5)])
    write_objects(tmp_path / "own" / "val", [(64, 64)] * 2, [box(k, k, 0, 0, 40, 40) for k in (1, 2)])
    with pytest.raises(UserError, match="^--val_split 0.5: there is a validation set, .*own/val; --val_dataset '' "):
        typed(tmp_path / "own", tmp_path / "own.yaml", "--val_split", "0.5")
    cfg = typed(tmp_path / "own", tmp_path / "own.yaml", "--val_split", "0.5", "--val_dataset", "")
    assert (cfg.val_dataset, cfg.val_split) == ("", 0.5)
    goes_on(cfg)


def test_typed_classes_make_their_number(squares, tmp_path):
    cfg = typed(squares, tmp_path / "my.yaml", "--coco_classes", "[background, '1e3', 'yes: #1']", "--brief", "foo")
    assert (cfg.coco_classes, cfg.num_classes, cfg.brief) == (["background", "1e3", "yes: #1"], 3, "foo")
    goes_on(cfg)
    cfg = typed(squares, tmp_path / "open.yaml", "--coco_classes", "[]")
    assert (cfg.coco_classes, cfg.num_classes) == ([], 81)
    assert typed(squares, tmp_path / "same.yaml", "--num_classes", "3").num_classes == 3
    with pytest.raises(UserError, match=r"^--num_classes 5: it is 3 here \(2 and the background\); --coco_classes or"):
        typed(squares, tmp_path / "other.yaml", "--num_classes", "5")
    with pytest.raises(UserError, match="^--run_eval True: it is False here .there is nothing to evaluate on"):
        typed(squares, tmp_path / "other.yaml", "--run_eval", "1", "--val_split", "0")
    assert not (tmp_path / "other.yaml").exists()


def test_a_typed_detector_and_typed_weights_choose_what_goes_with_them(squares, tmp_path):
    cfg = typed(squares, tmp_path / "my.yaml", "--detector", "faster_rcnn", "--rpn.anchor_generator.scales", "[4, 8]")
    assert cfg.detector == "faster_rcnn" and cfg.rpn.anchor_generator.scales == [4, 8]
    base = yaml.safe_load((tmp_path / "my.yaml").read_text())["_base_"]
    assert base.endswith("configs/demo/faster_rcnn_hrnet_shapes.yaml")
    with pytest.raises(UserError, match="^checkpoint .*gone.ckpt does not exist"):
        typed(squares, tmp_path / "other.yaml", "--backbone.pretrained", str(tmp_path / "gone.ckpt"))


def test_classifiers_and_segmenters_take_typed_sizes_and_names(tmp_path, monkeypatch):
    write_imagenet(tmp_path / "cls", 19, 8, 48, 5)
    for keys in (("--input_size", "96"), ("--img_width", "96")):
        cfg = typed(tmp_path / "cls", tmp_path / f"{keys[0]}.yaml", *keys, preset="small")
        assert (cfg.img_width, cfg.img_height, cfg.eval_resize) == (96, 96, 110)  # 256 / 224 of 96
    goes_on(cfg)
    with pytest.raises(UserError, match="a classifier's images are square here; --input_size says both"):
        typed(tmp_path / "cls", tmp_path / "other.yaml", "--img_width", "96", "--img_height", "64")
    names = sorted(os.listdir(tmp_path / "cls" / "train"), reverse=True)
    assert typed(tmp_path / "cls", tmp_path / "n.yaml", "--class_names", str(names)).class_names == names
    write_masks(tmp_path / "seg", [0, 1, 2])
    keys = ("--class_names", "[a, b, c, d]", "--img_width", "160")
    cfg = typed(tmp_path / "seg", tmp_path / "seg.yaml", *keys, task="segmentation")
    assert (cfg.num_classes, cfg.img_width, cfg.img_height, cfg.base_size) == (4, 160, 96, 160)  # of 100 x 60
    goes_on(cfg)
    with pytest.raises(UserError, match="^--class_names has 2, too few: 6 label pictures of 6 hold values up to 2, 3"):
        typed(tmp_path / "seg", tmp_path / "other.yaml", "--class_names", "[a, b]", task="segmentation")
    monkeypatch.chdir(tmp_path)
    main(["--data", "cls/train", "--out", "rel.yaml", "--preset", "tiny", "--val_dataset", "cls/val"])
    assert yaml.safe_load((tmp_path / "rel.yaml").read_text())["val_dataset"] == str(tmp_path / "cls" / "val")


def test_more_objects_than_there_is_room_for_are_said_and_images_without_any_counted(tmp_path):
    crowded = [box(k, 1, k % 100, k // 4, 20, 20) for k in range(1, 401)]
    write_objects(tmp_path / "d" / "train", [(128, 128)] * 10, [*crowded, box(401, 2, 0, 0, 40, 40)])
    write_objects(tmp_path / "d" / "val", [(128, 128)], [box(1, 1, 0, 0, 40, 40)])
    cfg = typed(tmp_path / "d", tmp_path / "my.yaml", "--filter_empty_gt", "0")
    said = reasons(tmp_path / "my.yaml")
    assert said["num_gts"] == "an image has 400 objects at most, of which 300 are learned from" and cfg.num_gts == 300
    assert said["train_dataset"] == "10 images; 10 are learned from"
    assert cfg.test_cfg.rcnn.max_per_img == cfg.test_cfg.rpn.max_per_img == 128
    assert said["max_per_img"] == "detections of an image: as many as proposals, 128; 24 in the base"
