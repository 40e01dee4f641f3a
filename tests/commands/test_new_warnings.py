"""What `new` warns of, on the screen and in the file: objects too small, classes that nobody can measure, no memory."""

import pytest

from src.commands.new import main
from src.config import load_config
from src.data.inspection import anchor_overlaps
from src.data.start.recipe import Wish
from src.tasks import TASKS
from tests.commands.new_files import TINY, box, made, reasons, warnings, write_objects


def test_small_objects_get_small_anchors_and_a_warning(tmp_path, capsys):
    """13 px in 512 px: 256 px are the most of the preset, where they are 6.5 px; 1.4 strides of 4 px are 5.6 px, and
    (5.6 / 6.5) squared is 0.74.
    """
    write_objects(tmp_path / "d", [(512, 512)] * 20, [box(k, k, 0, 0, 13, 13) for k in range(1, 21)])
    main(["--data", str(tmp_path / "d"), "--out", str(tmp_path / "my.yaml"), "--preset", "tiny", "--memory", "8"])
    cfg, said = load_config(str(tmp_path / "my.yaml")), reasons(tmp_path / "my.yaml")
    assert said["img_width"] == (
        "the images are 512x512 at the median, the objects' sides 13 px (root of the box's area); at 256x256 they "
        "become 6.5 px, and 100% are below 32 px, the smallest anchor's side. No larger, for a longer side of 256 px "
        "is the most with this preset; in multiples of 32"
    )
    small = (
        "100% of the objects are smaller than 8 px at 256x256 (median 6.5 px), too small to be found well: take larger "
        "images (--img_width, a larger preset), or cut them into tiles"
    )
    assert warnings(tmp_path / "my.yaml") == {"img_width": small}
    assert f"WARNING: img_width: {small}" in capsys.readouterr().out.splitlines()
    assert cfg.rpn.anchor_generator.scales == [1.4]
    assert said["scales"] == "100% of the objects can reach IoU 0.7 with an anchor at 256x256; 0% with the usual 8"
    lines = list(anchor_overlaps(TASKS["detection"].open(cfg, "train"), (256, 256), cfg.rpn.anchor_generator, 0.7))
    assert lines[0] == "100% of the objects can reach IoU 0.7 with an anchor (upper bound)"


def test_where_no_anchor_is_small_enough_the_usual_ones_stay_and_it_is_said(tmp_path):
    """20 px in 9000 px: 0.57 px at 256."""
    write_objects(tmp_path / "d", [(9000, 3000)] * 3, [box(k, k, 0, 0, 20, 20) for k in range(1, 4)])
    cfg = made(tmp_path / "d", tmp_path / "my.yaml")
    said = warnings(tmp_path / "my.yaml")
    assert (cfg.img_width, cfg.img_height, cfg.rpn.anchor_generator.scales) == (256, 96, [8])
    assert "(median 0.57 px)" in said["img_width"]
    assert said["scales"] == "0% of the objects can reach IoU 0.7 with an anchor: look at their sizes and shapes"


@pytest.mark.parametrize(
    "image,side,size,rule",
    [
        (160, 80, 64, "So large that a quarter of the objects at most is below 32 px in images of the median size"),
        (100, 10, 224, "2 times as large as the images, the most there is"),  # 200 px
        (400, 10, 256, "No larger, for a longer side of 256 px is the most with this preset"),
        (600, 600, 64, "No smaller, for a longer side of 64 px is the least with this preset"),
    ],
)
def test_the_reason_says_what_bounds_the_size(image, side, size, rule, tmp_path):
    write_objects(tmp_path / "d", [(image, image)] * 4, [box(k, k, 0, 0, side, side) for k in range(1, 5)])
    cfg = made(tmp_path / "d", tmp_path / "my.yaml")
    assert (cfg.img_width, cfg.img_height) == (size, size)
    assert reasons(tmp_path / "my.yaml")["img_width"].endswith(f" {rule}; in multiples of 32")


def test_the_share_that_is_held_out_grows_until_it_shows_the_classes(tmp_path):
    """Of 1.jpg to 14.jpg the hash holds out 5 with any share up to 0.249, and 1, 5 and 14 with 0.3."""
    write_objects(tmp_path / "d", [(128, 128)] * 14, [box(k, k, 0, 0, 40, 40) for k in (1, 2, 3)])
    cfg = made(tmp_path / "d", tmp_path / "my.yaml")
    assert cfg.val_split == 0.3 and not warnings(tmp_path / "my.yaml")
    assert reasons(tmp_path / "my.yaml")["val_split"] == (
        "0.3 is held out by a hash of the files' names: 3 of 14 images; with 0.1 fewer of the classes would be on both "
        "sides"
    )
    write_objects(tmp_path / "e", [(128, 128)] * 14, [box(k, k, 0, 0, 40, 40) for k in (2, 3, 4)])
    cfg = made(tmp_path / "e", tmp_path / "none.yaml")
    assert "1 of 14 images" in reasons(tmp_path / "none.yaml")["val_split"]
    assert cfg.val_split == 0.1 and warnings(tmp_path / "none.yaml") == {
        "val_split": "no image of those held out shows an object: nothing can be measured, and mAP will be -1"
    }


def test_classes_that_one_side_lacks_are_named(tmp_path):
    write_objects(tmp_path / "d" / "train", [(64, 64)] * 3, [box(k, k, 0, 0, 40, 40, 3) for k in (1, 2, 3)])
    write_objects(tmp_path / "d" / "val", [(64, 64)] * 2, [box(k, k, 0, 0, 40, 40, 7) for k in (1, 2)])
    made(tmp_path / "d", tmp_path / "my.yaml")
    assert warnings(tmp_path / "my.yaml")["val_dataset"] == (
        "1 of 2 classes (yes: #1) has no object among the images of validation: nothing is measured of them; 1 of 2 "
        "classes (1e3) has no object among the images learned from: nothing is learned of them"
    )


def test_a_batch_that_memory_does_not_hold_is_said(tmp_path):
    """36 images make 9 updates with 4, 7 with 5; an image of 64 x 64 takes 1.5 x 0.004096 = 0.00614 GiB."""
    write_objects(tmp_path / "d" / "train", [(64, 64)] * 36, [box(k, k, 0, 0, 60, 60) for k in range(1, 37)])
    write_objects(tmp_path / "d" / "val", [(64, 64)], [box(1, 1, 0, 0, 60, 60)])
    cfg = made(tmp_path / "d", tmp_path / "my.yaml", TINY)
    said = reasons(tmp_path / "my.yaml")["batch_size"]
    assert cfg.batch_size == 4 and "36 training images make at least 8 updates an epoch with up to 4 a batch" in said
    cfg = made(tmp_path / "d", tmp_path / "tight.yaml", Wish("tiny", 1.001))
    said = reasons(tmp_path / "tight.yaml")["batch_size"]
    assert cfg.batch_size == 1 and "1.001 GiB (--memory) less 1 hold 0;" in said
    assert warnings(tmp_path / "tight.yaml")["batch_size"] == (
        "a batch of 1 of 64x64 takes about 1.01 GiB (an estimate), and there are 1.001 (--memory)"
    )
