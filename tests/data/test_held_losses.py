"""Samples for validation losses: what is evaluated, without augmentation, the same every time, fixed shapes."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from src.config import load_config
from src.data.formats.coco import read_coco
from src.data.held_losses import loss_batches
from src.data.pipeline import DetectionSamples, build_eval_loader
from src.data.streams import SampleStreams
from src.tasks import TASKS
from tests.data.conftest import DEMO_CONFIG
from tests.data.tiny import CLASSES, square

SEG_CONFIG = str(DEMO_CONFIG.with_name("hrnet_seg_lip_shapes.yaml"))


@pytest.mark.parametrize("style", ["continuous", "legacy"])
def test_a_detectors_images_are_those_of_the_evaluation_whatever_augmentation_is_on(coco_folder, make_config, style):
    dataset = read_coco(coco_folder([(32, 24), (16, 32), (30, 30)], [square(1, (4, 6, 8, 10))]), CLASSES)
    cfg = replace(make_config(flip_ratio=1, expand_ratio=1, test_batch_size=2), box_style=style)
    samples = DetectionSamples(dataset, [0, 1, 2], cfg)
    found = list(loss_batches(cfg, samples, range(3)))
    assert [count for _, count in found] == [2, 1] and found[0][0][0].shape == (2, 3, 64, 64)
    evaluated = [one for batch in build_eval_loader(cfg, dataset) for one in batch.image[: batch.count]]
    np.testing.assert_array_equal(np.concatenate([batch[0] for batch, _ in found]), np.stack(evaluated))
    first = dict(zip(samples.columns, found[0][0]))
    expected = [8, 12, 24, 32]  # at twice its size
    np.testing.assert_allclose(first["gt_boxes"][0, 0], expected, atol=0.01)
    assert first["gt_valid"].sum() == 1 and first["gt_labels"][0, 0] > 0
    seeds = np.concatenate([batch[samples.columns.index("sample_seed")] for batch, _ in found])
    assert len(set(seeds.tolist())) == 3
    again = list(loss_batches(cfg, samples, [2, 0]))  # an image's sample does not depend on those beside it
    assert [batch[-1].tolist() for batch, _ in again] == [seeds[[2, 0]].tolist()]


@pytest.mark.parametrize(("keep_ratio", "size"), [(1, (40, 60)), (1, (20, 30)), (0, (40, 60))])
def test_a_segmenters_samples_are_the_centre_at_scale_1_or_the_stretched_image(tmp_path, keep_ratio, size):
    bgr = np.random.RandomState(0).randint(0, 256, (*size, 3)).astype(np.uint8)
    label = np.random.RandomState(1).randint(0, 3, size).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), bgr)
    cv2.imwrite(str(tmp_path / "b.png"), label)
    (tmp_path / "val.lst").write_text("a.png\tb.png\n")
    keys = ["--dataset=custom", "--num_classes=3", "--class_names=[x,y,z]", "--flip_ratio=1", "--color_jitter=0.5"]
    keys += ["--img_height=32", "--img_width=48", f"--keep_ratio={keep_ratio}", "--base_size=0", "--to_rgb=1"]
    cfg = load_config(SEG_CONFIG, [*keys, f"--val_dataset={tmp_path / 'val.lst'}"])
    samples = TASKS["segmentation"].held_out_samples(cfg)
    image, found = samples.plain(samples.read(0), SampleStreams(1, 0, 0))
    if keep_ratio and size == (40, 60):
        pixels, expected = bgr[4:36, 6:54], label[4:36, 6:54]
    elif keep_ratio:
        pixels, expected = np.zeros((32, 48, 3), np.uint8), np.full((32, 48), cfg.ignore_label)
        pixels[:20, :30], expected[:20, :30] = bgr, label
    else:
        pixels, expected = cv2.resize(bgr, (48, 32)), cv2.resize(label, (48, 32), interpolation=cv2.INTER_NEAREST)
    np.testing.assert_array_equal(found, expected)
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    np.testing.assert_allclose(image, ((pixels[..., ::-1] / 255 - mean) / std).transpose(2, 0, 1), atol=1e-4)
