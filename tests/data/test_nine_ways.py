"""One drawn data set in every format: every reader gives the same objects, and training the same loss."""

from dataclasses import replace

import numpy as np
import pytest
from mindspore import Tensor, set_seed

from src.config import load_config
from src.data import formats
from src.data.formats import format_name, index_cache
from src.data.masks import to_bitmap
from src.tasks import TASKS
from tests.data.nine_ways import CLASSES, WAYS, drawn_scenes

DETECTION = TASKS["detection"]
NEAR = 1.01  # pixels; supervision's outlines end at the last pixel's corner, and YOLO's numbers have a few digits
TINY = "tests/end_to_end/mask_rcnn_resnet_tiny.yaml"


@pytest.fixture(scope="module")
def scenes():
    return drawn_scenes()


@pytest.fixture(scope="module")
def folders(scenes, tmp_path_factory):
    """The data set in a way, written once."""
    made = {}

    def folder_of(way: str):
        if way not in made:
            made[way] = tmp_path_factory.mktemp("way")
            WAYS[way].write(made[way], scenes)
        return made[way]

    return folder_of


def config_of(folder, *more):
    classes = f"[background, {', '.join(CLASSES)}]"
    data = ("--train_dataset", folder, "--val_dataset", folder, "--classes", "subset")
    arguments = (*data, "--coco_classes", classes, "--num_classes", len(CLASSES) + 1, *more)
    return load_config(TINY, [str(one) for one in arguments])


def test_there_are_nine_ways_at_least_and_two_of_an_independent_writer():
    assert len(WAYS) >= 9 and sum("by supervision" in name for name in WAYS) >= 2
    assert {way.format for way in WAYS.values()} == set(formats.FORMATS) - {"mindrecord"}


@pytest.mark.parametrize("name", WAYS)
def test_every_reader_gives_the_same_objects(name, folders, scenes):
    way, cfg = WAYS[name], config_of(folders(name))
    assert format_name(cfg, "train") == way.format
    dataset = DETECTION.open(cfg, "train")
    records = sorted((dataset.record(k) for k in range(len(dataset))), key=lambda one: one.path.name)
    assert [(one.width, one.height) for one in records] == [(one.width, one.height) for one in scenes]
    assert all(one.path.is_file() for one in records) and dataset.classes == CLASSES
    for record, scene in zip(records, scenes):
        assert len(record.objects) == len(scene.objects)
        for truth in scene.objects:
            side = min(np.subtract(truth.extent[2:], truth.extent[:2]))
            distance = [np.abs(np.subtract(one.box, truth.extent)).max() for one in record.objects]
            found = record.objects[int(np.argmin(distance))]
            assert min(distance) < NEAR and CLASSES[found.label] == truth.kind and not found.crowd and side >= 32
            if way.has_masks:
                mask = to_bitmap(found.segmentation, scene.height, scene.width)
                assert (mask & truth.mask).sum() > 0.95 * (mask | truth.mask).sum()
            else:
                assert found.segmentation is None


@pytest.mark.parametrize("name", [name for name, way in WAYS.items() if formats.FORMATS[way.format].root])
def test_what_is_kept_of_a_file_an_image_is_what_was_read(name, folders, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(index_cache, "LEAST", 1)
    way, cfg = WAYS[name], config_of(folders(name))
    first = DETECTION.open(cfg, "train")
    assert len(list(tmp_path.rglob("*.labels"))) == 1
    monkeypatch.setitem(formats.FORMATS, way.format, replace(formats.FORMATS[way.format], read=None))
    again = DETECTION.open(cfg, "train")
    records = [[dataset.record(k) for k in range(len(dataset))] for dataset in (first, again)]
    assert records[0] == records[1] and first.report == again.report and first.classes == again.classes


@pytest.mark.parametrize("name", WAYS)
def test_nothing_is_odd_about_it(name, folders, scenes):
    """Of what `check` says of the data."""
    way, cfg = WAYS[name], config_of(folders(name))
    lines = [line for _, part in DETECTION.inspect(cfg) for line in part]
    odd = [line for line in lines if "WARNING" in line and "anchor" not in line and "finest level" not in line]
    assert not odd and sum("3 image files opened, 0 unreadable" in line for line in lines) == 2
    count = sum(len(one.objects) for one in scenes)
    expected = f"3 images, {count} objects, 0 of them crowds, {count * way.has_masks} with a mask"
    assert any(expected in line for line in lines)
    said = DETECTION.open(cfg, "train").report.lines()
    allowed = () if way.has_masks else (f"{count} of {count} objects have no mask",)
    allowed += {"coco": ("categories that no", "only the supercategory"), "cityscapes": ("categories that no",)}.get(
        way.format, ()
    )
    allowed += ("3 files are not where their names say",) if name == "Label Studio's COCO" else ()
    assert [line for line in said if not line.startswith(allowed)] == []


def test_coco_labelme_and_via_give_the_same_loss_of_the_first_step(folders, pynative_mode):
    losses, boxes, model = {}, {}, None
    for name in ("COCO", "labelme", "VIA"):
        cfg = config_of(folders(name), "--batch_size", 3, "--filter_empty_gt", 0, "--flip_ratio", 0)
        set_seed(1)
        model = model or DETECTION.build_model(cfg)
        model.set_train(True)
        batch = [Tensor(column) for column in DETECTION.make_loader(cfg, 0, 1, 0).source[0]]
        losses[name] = sum(float(one.asnumpy()) for one in model(*batch))
        boxes[name] = batch[1].asnumpy()
    assert boxes["COCO"].any() and np.isfinite(losses["COCO"]) and losses["COCO"] > 0.1
    assert losses["labelme"] == pytest.approx(losses["COCO"], abs=1e-3)
    assert losses["VIA"] == pytest.approx(losses["COCO"], abs=1e-3)
