"""The twelve photographs of tests/data_files/coco_real as a data set of two splits."""

import json
import shutil
from pathlib import Path

SOURCE = Path(__file__).parent / "data_files" / "coco_real"
TRAIN = 8  # images; the others are for validation


def write_photographs(folder: Path) -> Path:
    """folder/{train,validation}/{data,labels.json}; the folder."""
    content = json.loads((SOURCE / "labels.json").read_text(encoding="utf-8"))
    images = sorted(content["images"], key=lambda one: one["file_name"])
    for split, own in (("train", images[:TRAIN]), ("validation", images[TRAIN:])):
        (folder / split / "data").mkdir(parents=True)
        for one in own:
            shutil.copy(SOURCE / "data" / one["file_name"], folder / split / "data")
        ids = {one["id"] for one in own}
        objects = [one for one in content["annotations"] if one["image_id"] in ids]
        labels = content | {"images": own, "annotations": objects}
        (folder / split / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    return folder
