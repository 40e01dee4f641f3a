"""What tests of `new` have in common."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from src.commands import check
from src.commands.new import new
from src.config import load_config
from src.data.start.recipe import Wish
from src.tasks import TASKS

TINY = Wish("tiny", memory=8)


def made(data: Path, out: Path, wish: Wish = TINY, task: str = ""):
    """The configuration of a new file."""
    return load_config(str(new(data, out, task, wish)))


WARNING = ". WARNING: "


def reasons(path: Path) -> dict[str, str]:
    """The comment above each key without its warning, on one line. Keys of sections are told by their last name."""
    return {name: text.partition(WARNING)[0] for name, text in _comments(path).items()}


def warnings(path: Path) -> dict[str, str]:
    """The warnings in the same comments."""
    return {name: text.partition(WARNING)[2] for name, text in _comments(path).items() if WARNING in text}


def _comments(path: Path) -> dict[str, str]:
    found, comment = {}, []
    for line in path.read_text(encoding="utf-8").splitlines()[3:]:
        text = line.strip()
        if text.startswith("# "):
            comment.append(text[2:])
        elif re.match(r"\w+:", text):
            found[text.partition(":")[0]] = " ".join(comment)
            comment = []
    return found


def numbers(text: str) -> list[float]:
    return [float(one.replace(",", "")) for one in re.findall(r"\d[\d,]*(?:\.\d+)?(?:e-?\d+)?", text)]


def goes_on(cfg) -> None:
    """Batches are made, and `check` says all that needs no network."""
    task = TASKS[cfg.task]
    cfg = task.resolved(cfg)
    batch = task.make_loader(cfg, 0, 1, 0).source[0]
    assert batch[0].shape == (cfg.batch_size, 3, cfg.img_height, cfg.img_width)
    assert all(list(lines) for _, lines in task.inspect(cfg))
    assert list(check.image_files(cfg, task, task.survey(cfg, "train")))
    if cfg.run_eval:
        assert len(task.open(cfg, "val")) > 0


def write_masks(folder: Path, values: list, colours: bool = False, splits: tuple = ("",)) -> None:
    """Pairs images/x.jpg, masks/x.png of 100 x 60 pixels, each mask of bands of these values."""
    for split in splits:
        for k in range(6):
            bands = np.repeat(np.array(values), -(-60 // len(values)), axis=0)[:60]
            mask = np.repeat(bands[:, None], 100, axis=1).astype(np.uint8)
            for name, picture in (("images", np.full((60, 100, 3), 40 * k, np.uint8)), ("masks", mask)):
                place = folder / split / name
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(place / f"{k}.png")


def box(number: int, image: int, x: float, y: float, w: float, h: float, category: int = 3) -> dict:
    outline = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    return {
        "id": number, "image_id": image, "category_id": category, "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0,
        "segmentation": outline,
    }  # fmt: skip


def write_objects(folder: Path, sizes: list, annotations: list[dict]) -> None:
    (folder / "data").mkdir(parents=True)
    for k, (width, height) in enumerate(sizes, start=1):
        cv2.imwrite(str(folder / "data" / f"{k}.jpg"), np.full((height, width, 3), 9 * k, np.uint8))
    images = [{"id": k, "file_name": f"{k}.jpg", "width": w, "height": h} for k, (w, h) in enumerate(sizes, start=1)]
    categories = [{"id": 3, "name": "yes: #1"}, {"id": 7, "name": "1e3"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(content))
