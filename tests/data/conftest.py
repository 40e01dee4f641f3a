"""Small COCO-format folders made on the spot, and the configuration that reads them."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.config import Config, load_config
from src.data.formats.coco import read_coco
from src.data.formats.rules import USUAL_RULES
from tests.data.tiny import CLASSES
from tests.data.truth import learned, scored

DEMO_CONFIG = Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_shapes.yaml"


@pytest.fixture()
def coco_folder(tmp_path) -> Callable[..., Path]:
    """Writes a data set of random pictures: sizes of the images (w, h), annotations, other parts of the label file."""

    def write(sizes: list[tuple[int, int]], annotations: list[dict], **changes) -> Path:
        folder = tmp_path / "set"
        (folder / "data").mkdir(parents=True, exist_ok=True)
        images = []
        for image_id, (width, height) in enumerate(sizes, start=1):
            picture = np.random.RandomState(image_id).randint(0, 256, (height, width, 3)).astype(np.uint8)
            cv2.imwrite(str(folder / "data" / f"{image_id}.png"), picture)
            images.append({"id": image_id, "file_name": f"{image_id}.png", "width": width, "height": height})
        content = {
            "images": images,
            "annotations": [{"id": i} | item for i, item in enumerate(annotations, start=1)],
            "categories": [{"id": 4, "name": "dog"}, {"id": 9, "name": "cat"}],
        }
        (folder / "labels.json").write_text(json.dumps(content | changes))
        return folder

    return write


@pytest.fixture()
def make_config() -> Callable[..., Config]:
    """The demo configuration at 64 x 64 pixels without random changes of the images, with other values as asked."""

    def load(**values) -> Config:
        defaults = {
            "img_width": 64,
            "img_height": 64,
            "num_gts": 3,
            "batch_size": 2,
            "epoch_size": 2,
            "flip_ratio": 0.0,
            "expand_ratio": 0.0,
            "filter_empty_gt": False,
            "num_parallel_workers": 1,
            "python_multiprocessing": False,
            "test_batch_size": 2,
        }
        arguments = [text for key, value in (defaults | values).items() for text in (f"--{key}", str(value))]
        return load_config(DEMO_CONFIG, arguments)

    return load


@pytest.fixture()
def agreeing(coco_folder, make_config):
    """A data set of one 20 x 12 image (or of `images` entries) that training and evaluation see alike."""

    def make(*annotations: dict, classes=CLASSES, rules=USUAL_RULES, **changes):
        dataset = read_coco(coco_folder([(20, 12)] * 2, list(annotations), **changes), classes, rules=rules)
        assert learned(dataset, make_config(num_gts=40)) == scored(dataset)
        return dataset

    return make
