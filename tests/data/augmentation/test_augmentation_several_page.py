"""The page docs/augmentation_several.md: its keys are there with the defaults that it says, its recipe loads."""

import re

import yaml

from src.config import Config, load_config
from src.config.combination_keys import CombinationKeys
from src.data.augmentation import COMBINATIONS
from tests.page_blocks import ROOT, blocks

PAGE = (ROOT / "docs" / "augmentation_several.md").read_text(encoding="utf-8")


def test_every_key_of_the_table_has_the_default_that_the_table_says():
    defaults = dict(re.findall(r"^\| `(\w+)` \(([^)]*)\)", PAGE, re.MULTILINE))
    assert defaults.keys() == CombinationKeys.__dataclass_fields__.keys() >= COMBINATIONS.keys()
    cfg = Config()
    for name, default in defaults.items():
        assert getattr(cfg, name) == yaml.safe_load(default), name


def test_its_recipe_is_jitter_and_copy_paste(tmp_path):
    (recipe,) = blocks("augmentation_several.md", "yaml")
    demos, path = ROOT / "configs" / "demo", tmp_path / "own.yaml"
    path.write_text(recipe.replace("[mask", f"[{demos}/mask").replace("../", f"{demos}/../"), encoding="utf-8")
    cfg = load_config(str(path))
    assert (cfg.copy_paste, cfg.copy_paste_max, cfg.large_scale_jitter, cfg.mosaic) == (1, 100, [0.1, 2.0], 0)
    assert (cfg.copy_paste_box_shift, cfg.copy_paste_least_pixels) == (3, 30)
