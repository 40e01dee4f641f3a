"""An augmentation from outside is a class, a line and its keys; it reaches every task and changes no other's draws."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.config import load_config
from src.data.augmentation import AUGMENTATIONS
from src.data.augmentation.transform import Chain, Transform, draw_in_turn
from src.data.formats import open_detection
from src.data.formats.image_folder import open_image_folder
from src.data.formats.segmentation_list import open_segmentation
from src.data.imagenet import FolderSamples
from src.data.pipeline import DetectionSamples
from src.data.segmentation import SegmentationSamples
from src.data.streams import SampleStreams
from tests.data.tiny import square

CONFIGS = Path(__file__).parents[3] / "configs" / "demo"
COUNT = 6


class VerticalFlip(Transform):
    """Upside down, with probability `upside_down_ratio`."""

    mirrored = True

    @classmethod
    def draw(cls, cfg, size, rng):
        return cls() if rng.rand() < cfg.upside_down_ratio else None

    def image(self, image):
        return image[::-1]

    def boxes(self, boxes, size):
        return np.stack([boxes[:, 0], size[0] - boxes[:, 3], boxes[:, 2], size[0] - boxes[:, 1]], axis=1)

    def masks(self, mask, outside=0):
        return mask[::-1]


@dataclass(frozen=True)
class RedCast(Transform):
    """Red of at least a random number up to `red_cast`; 0 is off."""

    least: int

    @classmethod
    def draw(cls, cfg, size, rng):
        return cls(int(rng.randint(1, cfg.red_cast + 1))) if cfg.red_cast else None

    def image(self, image):
        red, green, blue = np.moveaxis(image, -1, 0)
        return np.stack([np.maximum(red, self.least), green, blue], -1).astype(np.uint8)


@dataclass(frozen=True)
class TopHalf(Transform):
    """The upper half of the image as its file has it, if `top_half`."""

    on_original = True

    @classmethod
    def draw(cls, cfg, size, rng):
        return cls() if cfg.top_half else None

    def new_size(self, size):
        return size[0] // 2, size[1]

    def image(self, image):
        return image[: len(image) // 2]

    def boxes(self, boxes, size):
        return np.minimum(boxes, np.float32([size[1], size[0] // 2] * 2))

    def masks(self, mask, outside=0):
        return mask[: len(mask) // 2]


@pytest.fixture(autouse=True)
def added(monkeypatch):
    for name, kind in {"upside_down": VerticalFlip, "red_cast": RedCast, "top_half": TopHalf}.items():
        monkeypatch.setitem(AUGMENTATIONS, name, kind)


def config(demo: str, keys: dict, own: dict):
    """A configuration with keys of the augmentations' own, all off but for `own`."""
    cfg = load_config(CONFIGS / f"{demo}.yaml", [f"--{name}={value}" for name, value in keys.items()])
    for name, value in ({"upside_down_ratio": 0, "red_cast": 0, "top_half": False} | own).items():
        object.__setattr__(cfg, name, value)
    return cfg


def write_pictures(folder: Path) -> list[Path]:
    folder.mkdir(parents=True)
    paths = [folder / f"{k}.png" for k in range(COUNT)]
    for k, path in enumerate(paths):
        cv2.imwrite(str(path), np.random.RandomState(k).randint(0, 256, (40, 50, 3)).astype(np.uint8))
    return paths


def detection(folder: Path, own: dict):
    if not folder.exists():
        paths = write_pictures(folder / "data")
        images = [{"id": k, "file_name": path.name, "width": 50, "height": 40} for k, path in enumerate(paths)]
        annotations = [{"id": k} | square(k, (4 + k, 2, 9, 14)) for k in range(COUNT)]
        labels = {"images": images, "annotations": annotations, "categories": [{"id": 9, "name": "cat"}]}
        (folder / "labels.json").write_text(json.dumps(labels))
    keys = {"img_width": 96, "img_height": 96, "num_gts": 2, "expand_ratio": 0.5, "train_dataset": folder}
    cfg = config("mask_rcnn_hrnet_shapes", keys | {"coco_classes": "[background, cat]", "num_classes": 2}, own)
    return DetectionSamples(open_detection(cfg, "train"), list(range(COUNT)), cfg)


def classification(folder: Path, own: dict):
    if not folder.exists():
        write_pictures(folder / "ant")
        write_pictures(folder / "bee")
    keys = {"input_size": 32, "num_classes": 2, "color_jitter": 0.4, "rand_augment": 2, "crop_scale": "[0.2, 1]"}
    cfg = config("hrnet_cls_shapes", keys, own)
    return FolderSamples(open_image_folder(cfg, str(folder)), cfg)


def segmentation(folder: Path, own: dict):
    if not folder.exists():
        paths = write_pictures(folder)
        for k, path in enumerate(paths):
            label = np.random.RandomState(k).randint(0, 20, (40, 50)).astype(np.uint8)
            cv2.imwrite(str(path.with_name(f"l{k}.png")), label)
        (folder / "train.lst").write_text("".join(f"{k}.png\tl{k}.png\n" for k in range(COUNT)))
    cfg = config("hrnet_seg_lip_shapes", {"color_jitter": 0.4, "img_width": 48, "img_height": 32, "base_size": 60}, own)
    return SegmentationSamples(open_segmentation(cfg, str(folder), "train"), cfg)


TASKS = {"detection": detection, "classification": classification, "segmentation": segmentation}


def made(task: str, folder: Path, **own) -> list[dict[str, np.ndarray]]:
    """Every training sample of a small data set, one epoch."""
    samples = TASKS[task](folder / task, own)
    sample = [samples.make(samples.read(k), SampleStreams(3, 0, samples.keys[k])) for k in range(COUNT)]
    return [dict(zip(samples.columns, columns)) for columns in sample]


def red(sample: dict) -> np.ndarray:
    """(H, W) red values of a sample in 0..255; the demos take RGB."""
    return np.round(sample["image"][0] * 58.395 + 123.675)


def height(sample: dict) -> int:
    """Of the image before padding."""
    return int(sample["image_shape"][0]) if "image_shape" in sample else sample["image"].shape[1]


@pytest.mark.parametrize("task", TASKS)
def test_it_acts_on_image_boxes_masks_and_labels_and_all_else_stays(task, tmp_path):
    for before, after in zip(made(task, tmp_path), made(task, tmp_path, upside_down_ratio=1), strict=True):
        h = height(before)
        np.testing.assert_array_equal(after["image"][:, :h], before["image"][:, :h][:, ::-1])
        if task == "detection":
            assert after["sample_seed"] == before["sample_seed"] and after["gt_labels"].tolist() == [1, 0]
            left, top, right, bottom = before["gt_boxes"][0]
            np.testing.assert_allclose(after["gt_boxes"][0], [left, h - bottom, right, h - top], rtol=1e-6)
            np.testing.assert_array_equal(after["gt_masks"][0, :h], before["gt_masks"][0, :h][::-1])
            assert after["gt_masks"].any()
        elif task == "classification":
            assert after["label"] == before["label"]
        else:
            labels = TASKS[task](tmp_path / task, {}).dataset.labels
            expected = before["label"][::-1].astype(np.uint8)
            np.testing.assert_array_equal(after["label"], labels.swapped(expected))
            assert (after["label"] != expected).any()  # a mirror image: left and right parts have changed their names


@pytest.mark.parametrize("task", TASKS)
def test_it_draws_from_a_stream_of_its_own(task, tmp_path):
    plain, some = made(task, tmp_path), made(task, tmp_path, upside_down_ratio=0.5)
    turned = [bool((a["image"] != b["image"]).any()) for a, b in zip(plain, some)]
    assert 0 < sum(turned) < COUNT
    for flipped, before, after in zip(turned, plain, some):
        h = height(before)
        pixels = after["image"][:, :h]
        np.testing.assert_array_equal(pixels[:, ::-1] if flipped else pixels, before["image"][:, :h])
    both, cast = made(task, tmp_path, upside_down_ratio=0.5, red_cast=200), made(task, tmp_path, red_cast=200)
    for flipped, before, after in zip(turned, cast, both):  # nor do two of them change each other's
        h = height(before)
        pixels = after["image"][:, :h]
        np.testing.assert_array_equal(pixels[:, ::-1] if flipped else pixels, before["image"][:, :h])


@pytest.mark.parametrize("task", TASKS)
def test_colours_are_red_green_blue_in_every_task(task, tmp_path):
    least = set()
    for before, after in zip(made(task, tmp_path), made(task, tmp_path, red_cast=200), strict=True):
        h = height(before)
        np.testing.assert_array_equal(after["image"][1:], before["image"][1:])
        least.add(int(red(after)[:h].min()))
        assert least <= set(range(1, 201)) and (red(after)[:h] >= red(before)[:h]).all()
    assert len(least) > 2


@pytest.mark.parametrize("task", TASKS)
def test_one_that_acts_on_the_original_may_change_its_size(task, tmp_path):
    whole, half = made(task, tmp_path), made(task, tmp_path, top_half=True)
    assert all(a["image"].shape == b["image"].shape for a, b in zip(whole, half))
    assert any((a["image"] != b["image"]).any() for a, b in zip(whole, half))
    if task == "detection":
        assert [one["sample_seed"] for one in half] == [one["sample_seed"] for one in whole]


@pytest.mark.parametrize("task", TASKS)
def test_one_that_acts_at_the_networks_size_must_keep_it(task, tmp_path, monkeypatch):
    monkeypatch.setattr(TopHalf, "on_original", False)
    with pytest.raises(ValueError, match="augmentation top_half changes the image's size"):
        made(task, tmp_path, top_half=True)


def test_one_that_mirrors_the_original_gives_what_cv2_can_resize(tmp_path, monkeypatch):
    monkeypatch.setattr(VerticalFlip, "on_original", True)
    plain, turned = (made("detection", tmp_path, upside_down_ratio=ratio) for ratio in (0, 1))
    for before, after in zip(plain, turned):
        assert after["gt_masks"].sum() > 0 and after["image_shape"].tolist() == before["image_shape"].tolist()


def test_detections_boxes_and_masks_follow_one_that_acts_on_the_original(tmp_path):
    for sample in made("detection", tmp_path, top_half=True):
        bitmap = np.unpackbits(sample["gt_masks"][0], axis=-1)
        rows, columns = np.flatnonzero(bitmap.any(1)), np.flatnonzero(bitmap.any(0))
        edges = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(sample["gt_boxes"][0], edges, atol=1.5)
        assert sample["image_shape"][0] < sample["image_shape"][1] * 0.5


def test_a_chain_hands_each_step_the_size_that_the_one_before_leaves():
    seen = []

    class Halved(TopHalf):
        @classmethod
        def draw(cls, cfg, size, rng):
            seen.append(size)
            return cls()

        def boxes(self, boxes, size):
            seen.append(size)
            return boxes

    chain = draw_in_turn((Halved, Halved, Halved), None, (40, 50), None)
    chain.boxes(np.zeros((1, 4), np.float32), (40, 50))
    assert seen == [(40, 50), (20, 50), (10, 50)] * 2
    assert chain.new_size((40, 50)) == (5, 50) and chain.image(np.zeros((40, 50, 3), np.uint8)).shape == (5, 50, 3)


def test_two_mirror_images_are_none():
    assert Chain((VerticalFlip(),)).mirrored and not Chain((VerticalFlip(), VerticalFlip())).mirrored
