"""The training batches of the commit before augmentations became a list (a781d91), held by what they show.

Random decisions are held exactly: sample seeds, labels, which images, flips and windows by way of the boxes. Pixels
depend in their last digits on the processor and the libraries, so they are held by the means of the four quarters of
each image, which any other flip, window or scale would move.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from src.config import load_config
from src.data.formats import open_detection
from src.data.formats.image_folder import open_image_folder
from src.data.formats.segmentation_list import open_segmentation
from src.data.imagenet import build_folder_loader
from src.data.pipeline import build_train_loader
from src.data.segmentation import build_segmentation_loader
from src.data.synthetic.__main__ import LAYOUTS

DEMOS = Path(__file__).parents[2] / "configs" / "demo"
BATCHES = 3
SIZES = {"coco": 150, "imagenet": 72, "cityscapes": 160, "lip": 130}
CASES = {  # name: demo, layout, keys
    "mask_rcnn_hrnet": ("mask_rcnn_hrnet_shapes", "coco", ()),
    "mask_rcnn_spinenet": ("mask_rcnn_spinenet_shapes", "coco", ()),
    "pointrend_hrnet": ("pointrend_hrnet_shapes", "coco", ()),
    "hrnet_cls": ("hrnet_cls_shapes", "imagenet", ()),
    "hrnet_seg_cityscapes": ("hrnet_seg_cityscapes_shapes", "cityscapes", ()),
    "hrnet_seg_lip": ("hrnet_seg_lip_shapes", "lip", ()),
    "expanded": ("mask_rcnn_hrnet_shapes", "coco", ("--expand_ratio=0.7", "--img_width=160", "--to_rgb=0")),
    "coloured": ("hrnet_cls_shapes", "imagenet", ("--color_jitter=0.4", "--rand_augment=2", "--crop_scale=[0.1,1]")),
    "mixed": ("hrnet_cls_shapes", "imagenet", ("--mixup=0.8", "--cutmix=1.0")),
    "stretched": ("hrnet_seg_lip_shapes", "lip", ("--keep_ratio=0", "--color_jitter=0.4", "--scale_range=[0.5,2.1]")),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The synthetic sets, 10 training images each."""
    folder = tmp_path_factory.mktemp("held_batches")
    for layout, size in SIZES.items():
        LAYOUTS[layout](folder / layout, 10, 4, size, 3)
    return folder


def source(case: str, data: Path):
    """Batches by number; reading them needs no `mindspore.dataset`."""
    demo, layout, keys = CASES[case]
    folder = str(data / layout) + ("/train" if layout in ("coco", "imagenet") else "")
    cfg = load_config(DEMOS / f"{demo}.yaml", ["--train_dataset", folder, "--batch_size=2", "--seed=5", *keys])
    if cfg.task == "detection":
        return build_train_loader(cfg, open_detection(cfg, "train")).source
    if cfg.task == "classification":
        return build_folder_loader(cfg, open_image_folder(cfg, folder)).source
    return build_segmentation_loader(cfg, open_segmentation(cfg, folder, "train")).source


def shown(batches: list[dict[str, np.ndarray]]) -> list[dict[str, dict]]:
    """exact: whole numbers that hold the random decisions; near: numbers that hold the pixels."""
    found = []
    for batch in batches:
        exact = {name: values for name, values in batch.items() if values.dtype.kind in "iub" and values.ndim < 3}
        near = {name: values for name, values in batch.items() if name in ("gt_boxes", "share")}
        near |= {name: quarters(batch[name]) for name in ("image", "gt_masks") if name in batch}
        if batch.get("label", np.zeros(0)).ndim == 3:  # a label map, not a class
            near["label"] = quarters(batch["label"])
        found.append({
            "exact": {name: values.astype(int).tolist() for name, values in exact.items()},
            "near": {name: np.round(values.astype(float), 3).tolist() for name, values in near.items()},
        })  # fmt: skip
    return found


def quarters(values: np.ndarray) -> np.ndarray:
    """(..., H, W) -> (..., 4) mean of each quarter; packed masks are unpacked first."""
    values = np.unpackbits(values, axis=-1) if values.dtype == np.uint8 else values
    height, width = values.shape[-2:]
    rows = np.split(values[..., : height // 2 * 2, : width // 2 * 2].astype(np.float64), 2, axis=-2)
    return np.stack([part.mean((-2, -1)) for row in rows for part in np.split(row, 2, axis=-1)], -1)


def assert_near(ours: list, expected: list, name: str) -> None:
    tolerance = {"gt_boxes": 0.01, "gt_masks": 0.005, "share": 0.002}.get(name, 0.03)
    np.testing.assert_allclose(np.array(ours), np.array(expected), atol=tolerance, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_the_batches_are_those_of_before(case, data, data_files):
    expected = json.loads((data_files / "held_batches.json").read_text())[case]
    batches = source(case, data)
    ours = shown([dict(zip(batches.samples.columns, batches[number])) for number in range(BATCHES)])
    for batch, before in zip(ours, expected, strict=True):
        assert batch["exact"] == before["exact"]
        assert batch["near"].keys() == before["near"].keys()
        for name, values in batch["near"].items():
            assert_near(values, before["near"][name], name)
