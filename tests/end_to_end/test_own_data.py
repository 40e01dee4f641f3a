"""The page docs/own_data.md, followed word by word: from a folder of labels to a drawn detection."""

import json
from pathlib import Path

import pytest

from src.config import load_config
from src.data.held_out import split_part
from tests.end_to_end.followed_page import bash, lay_out
from tests.page_blocks import blocks


@pytest.mark.slow
def test_the_page_leads_from_a_folder_of_labels_to_a_drawn_detection(tmp_path):
    draw, train, use = blocks("own_data.md", "bash")
    (yaml_text,) = blocks("own_data.md", "yaml")
    lay_out(tmp_path, yaml_text)

    bash(draw, tmp_path)
    mine = tmp_path / "data" / "mine"
    images, labels = (sorted(path.name for path in mine.glob(f"*.{ending}")) for ending in ("jpg", "json"))
    assert len(images) == len(labels) == 24 and len(list(mine.iterdir())) == 48
    started = load_config(str(tmp_path / "started.yaml"))
    assert (started.task, started.detector, started.val_split) == ("detection", "mask_rcnn", 0.15)
    drawn = {shape["label"] for path in mine.glob("*.json") for shape in json.loads(path.read_text())["shapes"]}

    printed = bash(train, tmp_path)
    held = len(split_part(images, "val", 0.15, mine))
    assert f"data/mine: {24 - held} images" in printed and f"data/mine: {held} images" in printed
    assert f"{held} of 24 images are held out for validation" in printed
    assert "Result metrics for epoch 2" in printed
    assert "outputs/browse/index.html: " in printed and (tmp_path / "outputs" / "browse" / "index.html").is_file()
    (run,) = tmp_path.glob("outputs/*_MaskRCNN_mine")
    assert load_config(str(run / "config.yaml")).coco_classes == ["background", *sorted(drawn)]

    printed = bash(use, tmp_path)
    assert f"total images num: {held}" in printed and "24 overlays in outputs/overlays, 0 images not drawn" in printed
    content = json.loads((tmp_path / "outputs" / "mine.json").read_text())
    found = {item["class"]["name"] for entry in content.values() for item in entry["predictions"]}
    assert len(content) == 24 and found and found <= drawn
    assert len(list(Path(tmp_path / "outputs" / "overlays").iterdir())) == 24
