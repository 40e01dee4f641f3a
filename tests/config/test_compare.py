"""The hash of a configuration, and where two of them differ."""

from pathlib import Path

from src.config import Config, config_hash, differences, load_config
from src.config.schema import key, keys

CONFIGS = Path(__file__).parents[2] / "configs"
TINY = str(CONFIGS / "demo" / "mask_rcnn_hrnet_tiny.yaml")
# A hash stands in reports and exported files. One changes here only where a file's values change on purpose.
HASHES = {
    "default_config": "9221ab454a93",
    "demo/hrnet_cls_shapes": "0606ffc34232",
    "demo/hrnet_seg_cityscapes_shapes": "a7cea989db5c",
    "demo/hrnet_seg_lip_shapes": "eb4a06f2428d",
    "demo/mask_rcnn_hrnet_overfit": "8ea134c05609",
    "demo/mask_rcnn_hrnet_shapes": "74ef0d3fdf2d",
    "demo/mask_rcnn_hrnet_tiny": "d5171a75ac8a",
    "demo/mask_rcnn_spinenet_shapes": "5685878a2e10",
    "demo/pointrend_hrnet_shapes": "79d1c335d569",
    "hrnet_w18_cls": "99f0ad1b0dca",
    "hrnet_w18_seg_cityscapes": "87752bb1c2e3",
    "hrnet_w18_seg_lip": "23ffac0f4eee",
    "hrnet_w18_small_seg_cityscapes": "c570c6a004e3",
    "hrnet_w18_small_seg_lip": "0e24c2e1abd8",
    "hrnet_w32_cls": "f0eedfc74931",
    "hrnet_w48_cls": "9df5af633be5",
    "hrnet_w48_seg_cityscapes": "9cdaf1e02be7",
    "hrnet_w48_seg_lip": "0ea17e257075",
    "mask_rcnn_143_1280": "bd10b0594627",
    "mask_rcnn_49S_640": "b2e129381698",
    "mask_rcnn_49_640": "eb5cfd7c1875",
    "mask_rcnn_96_1024": "5ada18abce7d",
    "mask_rcnn_hrnetv2p_w18_1x_coco": "cf3ec40b1121",
    "mask_rcnn_hrnetv2p_w32_1x_coco": "7f405bc532a0",
    "mask_rcnn_r50_fpn_1x_coco": "5716c451a3df",
    "mask_rcnn_r50_fpn_detectron2": "06f821472b21",
    "pointrend_r50_fpn_1x_coco": "db46a069d21a",
    "pointrend_r50_fpn_detectron2": "51cbe5396bd7",
}


def load(*overrides: str) -> Config:
    return load_config(TINY, overrides)


def test_the_shipped_configurations_keep_their_hashes():
    """One that is added gets a line of its own when it has been published."""
    assert {name: config_hash(load_config(str(CONFIGS / f"{name}.yaml"))) for name in HASHES} == HASHES


def test_the_hash_tells_experiments_apart_but_not_places():
    plain = config_hash(load())
    assert len(plain) == 12 and int(plain, 16) >= 0
    places = ["--train_outputs", "/elsewhere", "--checkpoint_path", "a.ckpt", "--device_target", "GPU", "--resume", "1"]
    assert config_hash(load(*places)) == plain
    for change in (["--lr", "0.5"], ["--test_cfg.rcnn.score_thr", "0.2"], ["--mask_head.norm_cfg.eps", "1e-5"]):
        assert config_hash(load(*change)) != plain


def test_a_key_that_is_added_later_changes_no_hash_until_it_is_set():
    @keys(matters="training", on_resume="same")
    class Later(Config):
        added: float = key(0.5, "a key that did not exist when the run was made")

    loaded = load()
    values = {name: getattr(loaded, name) for name in Config.__dataclass_fields__}
    assert config_hash(Later(**values)) == config_hash(load())
    assert config_hash(Later(**values, added=0.25)) != config_hash(load())


def test_a_default_that_is_written_out_is_no_difference():
    assert config_hash(load("--ema_decay", "0", "--scale_range", "0.5,2.1")) == config_hash(load())


def test_two_configurations_differ_in_the_keys_by_their_values():
    changed = load("--lr", "0.5", "--rpn.anchor_generator.scales", "[4]", "--val_dataset", "v", "--lr_steps", "[8, 11]")
    found = {one.name: one[1:] for one in differences(load("--lr", "0.25"), changed)}
    assert found == {
        "lr": (0.25, 0.5, "free"),
        "rpn.anchor_generator.scales": ([8.0], [4.0], "same"),
        "val_dataset": ("./data/coco-2017/validation", "v", "free"),
    }


def test_a_section_that_only_one_has_is_one_difference():
    found = differences(load(), load("--mask_head.norm_cfg.eps", "0.01"))
    assert found == [("mask_head.norm_cfg", False, True, "same")]
    assert [
        one.name for one in differences(load("--mask_head.norm_cfg.eps=0.1"), load("--mask_head.norm_cfg.eps=1"))
    ] == ["mask_head.norm_cfg.eps"]
