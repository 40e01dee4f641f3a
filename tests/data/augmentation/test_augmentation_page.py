"""The page docs/augmentation.md: its keys are there with the defaults that it says, its recipe loads."""

import re

import yaml

from src.config import Config, load_config
from src.config.transform_keys import TransformKeys
from tests.page_blocks import ROOT, blocks

PAGE = (ROOT / "docs" / "augmentation.md").read_text(encoding="utf-8")


def test_every_key_of_the_table_has_the_default_that_the_table_says():
    rows = "\n".join(re.findall(r"^\| (`[^|]+) \|", PAGE.partition("\n## The order")[0], re.MULTILINE))
    cfg = Config()
    named = set(re.findall(r"`(\w+)`", rows))
    assert named >= {"flip_ratio", "mixup", *TransformKeys.__dataclass_fields__}
    assert all(hasattr(cfg, one) for one in named)
    defaults = dict(re.findall(r"`(\w+)` \(([^)]*)\)", rows))
    assert defaults.keys() >= TransformKeys.__dataclass_fields__.keys()
    for name, default in defaults.items():
        assert getattr(cfg, name) == yaml.safe_load(default), name


def test_its_recipe_is_the_pipeline_of_mmdetections_lsj(tmp_path):
    (recipe,) = blocks("augmentation.md", "yaml")
    demos = ROOT / "configs" / "demo"
    path = tmp_path / "own.yaml"
    path.write_text(recipe.replace("[mask", f"[{demos}/mask").replace("../", f"{demos}/../"), encoding="utf-8")
    cfg, demo = load_config(str(path)), load_config(str(demos / "mask_rcnn_hrnet_shapes.yaml"))
    assert cfg.large_scale_jitter == [0.1, 2.0] and cfg.flip_ratio == 0.5 and cfg.expand_ratio == 0
    same = [name for name in vars(demo) if name != "large_scale_jitter" and not name.startswith("_")]
    changed = [name for name in same if getattr(cfg, name) != getattr(demo, name)]
    assert set(changed) <= {"origin"}
