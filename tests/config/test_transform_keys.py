"""Keys of augmentations: values that cannot be are refused in one line, and who does not read one says so."""

from pathlib import Path

import pytest

from src.config import load_config
from src.config.unread import tell_unread
from tests.config.refused import refusal

CONFIGS = Path(__file__).parents[2] / "configs"
LEGACY = ("--resize=fit", "--box_style=legacy", "--roi.roi_layer.aligned=0", "--mask_roi.roi_layer.aligned=0")


@pytest.mark.parametrize(
    ("keys", "parts"),
    [
        (["--train_scales=[[64,64],[1400,800]]"], ["train_scales has [1400, 800]", "not fit the input of 1344 x 800"]),
        (["--train_scales=[[900,900]]"], ["[900, 900]", "1344 x 800"]),
        (["--train_scales=[[800,1344,8]]"], ["[800, 1344, 8]", "[w, h]"]),
        (["--train_scales=[[800,4]]"], ["train_scales", "4", "at least 8"]),
        (["--train_scales=[800,1344]"], ["train_scales must be a list of lists, not one with 800 in it"]),
        (["--large_scale_jitter=[0.1]"], ["large_scale_jitter is [0.1]", "[LOW, HIGH]"]),
        (["--large_scale_jitter=[2,0.1]"], ["large_scale_jitter", "lower first"]),
        (["--large_scale_jitter=[0.001,2]"], ["large_scale_jitter", "at least 0.01"]),
        (["--large_scale_jitter=[0.1,2]", "--train_scales=[[64,64]]"], ["train_scales and large_scale_jitter"]),
        (["--large_scale_jitter=[0.1,2]", "--keep_ratio=0"], ["large_scale_jitter", "keep_ratio"]),
        (["--train_scales=[[64,64]]", "--resize=fit_twice"], ["train_scales", "'fit_twice'"]),
        (
            ["--train_resize=short_long", "--mosaic=0.5", "--rotate90_ratio=0.5"],
            ["train_resize short_long does not go with rotate90_ratio, mosaic: set it to fit, or switch"],
        ),
        (["--train_resize=short_long", "--train_weights=[2]"], ["short_long does not go with train_weights: set"]),
        (["--copy_paste=1", "--copy_paste_max=1"], ["copy_paste_max is 1", "set it to 2 at least"]),
        (["--random_erasing=1.5"], ["random_erasing is 1.5", "at most 1"]),
        (["--vertical_flip_ratio=-1"], ["vertical_flip_ratio", "at least 0"]),
        (["--rotate90_ratio=2"], ["rotate90_ratio", "at most 1"]),
        (["--photometric_distortion=2"], ["photometric_distortion", "0, 1"]),
    ],
)
def test_values_that_cannot_be_are_refused(keys, parts):
    message = refusal(str(CONFIGS / "mask_rcnn_r50_fpn_1x_coco.yaml"), *keys)
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    "key",
    ["train_scales=[[64,64]]", "large_scale_jitter=[0.1,2]", "random_erasing=0.1", "vertical_flip_ratio=0.5",
     "rotate90_ratio=0.5"],
)  # fmt: skip
def test_what_moves_boxes_is_for_continuous_ones(key):
    message = refusal(str(CONFIGS / "mask_rcnn_r50_fpn_1x_coco.yaml"), *LEGACY, f"--{key}")
    assert key.partition("=")[0] in message and "box_style" in message and "'legacy'" in message


def test_both_orders_of_a_scale_fit_and_colours_are_free():
    path = str(CONFIGS / "mask_rcnn_r50_fpn_1x_coco.yaml")
    cfg = load_config(path, ["--train_scales=[[1333,800],[800,1333]]", "--photometric_distortion=1"])
    assert cfg.train_scales == [[1333, 800], [800, 1333]] and cfg.photometric_distortion
    assert load_config(path, ["--copy_paste=1", "--copy_paste_max=1", "--copy_paste_selected=0"]).copy_paste_max == 1
    assert load_config(path, [*LEGACY, "--photometric_distortion=1", "--color_jitter=0.4"]).color_jitter == 0.4


@pytest.mark.parametrize(
    ("path", "unread"),
    [
        ("mask_rcnn_r50_fpn_1x_coco.yaml", set()),
        ("hrnet_w48_cls.yaml", {"train_scales", "large_scale_jitter"}),
        ("hrnet_w48_seg_cityscapes.yaml", {"train_scales", "large_scale_jitter"}),
    ],
)
def test_a_task_that_does_not_read_one_says_so(said, path, unread):
    names = ["train_scales", "large_scale_jitter", "photometric_distortion", "random_erasing", "vertical_flip_ratio",
             "rotate90_ratio", "color_jitter"]  # fmt: skip
    cfg = load_config(str(CONFIGS / path))
    object.__setattr__(cfg, "typed", frozenset(names))
    tell_unread(cfg, "train.py")
    told = " ".join(said())
    assert {name for name in names if name in told} == unread
    before = len(said())
    tell_unread(cfg, "eval.py")
    assert all(name in said()[before] for name in names)
