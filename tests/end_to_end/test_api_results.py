"""What `load` takes and what `predict` gives, with a made network: results, words for what is wrong, the page."""

import asyncio
import json
import logging
import random
import shutil
import signal
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import cv2
import mindspore as ms
import numpy as np
import pytest
from PIL import Image

import src
from src import api
from src.checkpoint import save_arrays
from src.config import default_config, load_config, save_config, to_dict
from src.errors import UserError
from src.process import guest
from src.tasks import Task
from tests.page_blocks import blocks

pytestmark = pytest.mark.usefixtures("networks_are_kept")


def whole_image_detector(image, image_shape):
    """Two detections an image: all of it, of class 0 with a score of 0.75, of class 1 with one of 0.25."""
    sides = image_shape.asnumpy()
    boxes = np.zeros((len(sides), 2, 4), np.float32)
    boxes[:, :, 2:] = sides[:, None, ::-1]
    scores = np.tile(np.float32([0.75, 0.25]), (len(sides), 1))
    labels = np.tile(np.int32([0, 1]), (len(sides), 1))
    arrays = boxes, scores, labels, np.ones((len(sides), 2), bool), np.ones((len(sides), 2, 28, 28), np.float32)
    return tuple(map(ms.Tensor, arrays))


@pytest.fixture()
def folder(tmp_path, monkeypatch):
    """A run's folder whose network is `whole_image_detector`."""
    monkeypatch.setattr(Task, "load", lambda task, cfg: whole_image_detector)
    place = tmp_path / "run's folder"
    (place / "best_ckpt").mkdir(parents=True)
    names = "[background, cat, dög]"
    cfg = default_config(["--img_width", "64", "--img_height", "64", "--coco_classes", names, "--num_classes", "3",
                          "--detector", "faster_rcnn", "--device_target", "CPU"])  # fmt: skip
    save_config(cfg, str(place / "config.yaml"))
    weights = {"weight": np.zeros(1, np.float32)}
    for name in ("bbox_mAP_0.1000_epoch_0001", "bbox_mAP_0.3000_epoch_0002", "bbox_mAP_0.2000_epoch_0003"):
        save_arrays(weights, place / "best_ckpt" / f"{name}.ckpt")
    return place


def test_a_runs_folder_means_its_best_checkpoint(folder):
    model = api.load(folder)
    assert model.path.name == "bbox_mAP_0.3000_epoch_0002.ckpt"
    assert (model.task, model.names) == ("detection", ("cat", "dög"))
    assert model.config.img_width == 64


def test_results_have_numbers_names_and_pictures(folder):
    found = api.load(folder).predict(np.zeros((40, 80, 3), np.uint8))
    assert (found.height, found.width, len(found)) == (40, 80, 2)
    assert found.boxes.tolist() == [[0, 0, 80, 40]] * 2 and found.boxes.dtype == np.float32
    assert found.labels.tolist() == [0, 1] and found.names == ["cat", "dög"]
    assert found.scores.tolist() == [0.75, 0.25]
    assert found.masks.shape == (2, 40, 80) and found.masks.dtype == bool and found.masks.all()
    assert found.name == "array" and found.draw().shape == (40 * 5, 80 * 5, 3)  # enlarged: labels need room
    assert found.to_json()["predictions"][1]["class"] == {"label": 1, "category_id": "unknown", "name": "dög"}
    seen = found.to_supervision()
    assert seen.xyxy.tolist() == found.boxes.tolist() and seen.data["class_name"].tolist() == found.names
    assert seen.mask.all() and seen.confidence.tolist() == [0.75, 0.25]


def test_thresholds_are_the_configurations_or_the_calls(folder):
    image = np.zeros((40, 80), np.uint8)
    assert len(api.load(folder).predict(image)) == 2
    assert len(api.load(folder, infer_score_thr=0.5).predict(image)) == 1
    model = api.load(folder, infer_score_thr=0.9)
    assert len(model.predict(image)) == 0 and len(model.predict(image, score_thr=0.25)) == 2
    assert model.predict(image, score_thr={"cat": 0.9, "dög": 0.1}).names == ["dög"]
    nothing = model.predict(image)
    assert nothing.masks.shape == (0, 40, 80) and len(nothing.to_supervision()) == 0
    for wrong, reason in ((1.5, "score_thr is 1.5; it must be from 0 to 1"), (True, "score_thr is True"),
                          ({"cat": 0.5}, "score_thr has no threshold for dög")):  # fmt: skip
        with pytest.raises(UserError, match=reason):
            model.predict(image, score_thr=wrong)


def test_an_unreadable_image_is_an_error_alone_and_none_in_a_list(folder, tmp_path, caplog):
    model = api.load(folder)
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(UserError, match="text.jpg is no image, or cut off"):
        model.predict(tmp_path / "text.jpg")
    with pytest.raises(UserError, match="gone.jpg is missing"):
        model.predict(str(tmp_path / "gone.jpg"))
    with pytest.raises(UserError, match=f"^{tmp_path} is a folder$"):
        model.predict(tmp_path)
    caplog.clear()
    found = model.predict([np.zeros((8, 8, 3), np.uint8), tmp_path / "text.jpg", np.ones((9, 9, 3), np.uint8)])
    assert [None if one is None else one.height for one in found] == [8, None, 9]
    assert [record.getMessage() for record in caplog.records] == [f"{tmp_path}/text.jpg is no image, or cut off"]
    assert model.predict([]) == []


def saved(path: Path, picture: Image.Image, **options) -> Path:
    picture.save(path, **options)
    return path


def test_an_image_of_pillow_is_what_its_file_is(folder, tmp_path):
    """Turned by EXIF, of 16 bits, of floating point, half seen through, with a palette."""
    rng, exif = np.random.RandomState(0), Image.Exif()
    exif[0x0112] = 6
    colours = Image.fromarray(rng.randint(0, 256, (12, 20, 3), np.uint8))
    clear = Image.fromarray(rng.randint(0, 256, (12, 20, 4), np.uint8))
    deep = rng.randint(0, 60000, (12, 20)).astype(np.uint16)
    files = [
        saved(tmp_path / "turned.png", colours, exif=exif), saved(tmp_path / "turned.tif", colours, exif=exif),
        saved(tmp_path / "deep.png", Image.fromarray(deep)), saved(tmp_path / "clear.png", clear),
        saved(tmp_path / "float.tif", Image.fromarray(deep.astype(np.float32) / 7)),
        saved(tmp_path / "whole.tif", Image.fromarray(deep.astype(np.int32) * 9)),
        saved(tmp_path / "palette.gif", colours.quantize(7)), saved(tmp_path / "grey.png", colours.convert("L")),
        saved(tmp_path / "inks.tif", colours.convert("CMYK")),
    ]  # fmt: skip
    for keys in ({}, {"image_window": [0, 30000], "alpha_colour": [9, 99, 200]}):
        model = api.load(folder, **keys)
        for file in files:
            with Image.open(file) as picture:
                assert np.array_equal(model.predict(picture).image(), model.predict(file).image()), file
    stored = api.load(folder, exif="stored")
    assert stored.predict(Image.open(files[0])).height == 12 and model.predict(Image.open(files[0])).height == 20


def test_an_image_of_pillow_that_cannot_be_read_loses_no_other_one(folder, tmp_path, caplog):
    model, grey = api.load(folder, test_batch_size=2), np.zeros((8, 8, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "whole.png"), np.random.RandomState(0).randint(0, 256, (40, 40, 3), np.uint8))
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:2000])
    with Image.open(tmp_path / "whole.png") as closed:
        pass
    with pytest.raises(UserError, match="an image of .*whole.png cannot be read"):
        model.predict(closed)
    caplog.clear()
    found = model.predict([closed, grey, Image.open(tmp_path / "cut.png"), closed, np.ones((9, 9), np.uint8), closed])
    assert [None if one is None else one.height for one in found] == [None, 8, None, None, 9, None]
    assert ["cut.png" in record.getMessage() for record in caplog.records] == [False, True, False, False]
    assert model.predict([closed]) == [None]


def test_what_is_one_image_is_no_stream(folder, tmp_path):
    model = api.load(folder)
    for one in ("photos", tmp_path, b"photo.jpg", np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8),
                Image.new("RGB", (8, 8)), 7):  # fmt: skip
        with pytest.raises(UserError, match="stream takes many images"):
            model.stream(one)
    assert [one.height for one in model.stream(np.zeros((2, 8, 9, 3), np.uint8))] == [8, 8]
    with pytest.raises(UserError, match=f"^{tmp_path} is a folder$"):
        model.predict(tmp_path)


def test_a_file_of_another_size_is_not_drawn_on(folder, tmp_path):
    path = str(tmp_path / "photo.png")
    cv2.imwrite(path, np.zeros((20, 30, 3), np.uint8))
    found = api.load(folder).predict(path)
    assert found.draw().shape[2] == 3
    cv2.imwrite(path, np.zeros((10, 40, 3), np.uint8))
    for look in (found.draw, found.image):
        with pytest.raises(UserError, match="photo.png has changed: it was 30 x 20 and is 40 x 10"):
            look()


def test_a_result_takes_thresholds_as_the_model_does(folder, tmp_path):
    found = api.load(folder).predict(np.zeros((8, 8), np.uint8))
    (tmp_path / "least.yaml").write_text("cat: 0.8\ndög: 0.1\n")
    assert found.above(0.5).names == ["cat"] == found.above(np.float32(0.75)).names
    for chosen in ({"cat": 0.8, "dög": 0.1}, [0.8, 0.1], np.array([0.8, 0.1]), str(tmp_path / "least.yaml")):
        assert found.above(chosen).names == ["dög"]
    for wrong in (float("nan"), "x", None, [0.5], [0.5, 2], {"cat": 0.5}):
        with pytest.raises(UserError):
            found.above(wrong)


@pytest.mark.parametrize(
    "image,reason",
    [
        (None, "not NoneType"),
        (3, "not int"),
        (np.zeros((4, 4, 3)), "not [4, 4, 3] float64"),
        (np.zeros((4, 4, 4), np.uint8), "not [4, 4, 4] uint8"),
        (np.zeros((0, 4, 3), np.uint8), "not [0, 4, 3] uint8"),
        (np.zeros(4, np.uint8), "not [4] uint8"),
    ],
)
def test_what_is_no_image_is_named(folder, image, reason):
    with pytest.raises(UserError) as error:
        api.load(folder).predict(image)
    assert reason in str(error.value)


def test_what_cannot_be_loaded_is_named(folder, tmp_path):
    for name in ("photo.jpg", "net.pth"):
        (tmp_path / name).write_bytes(b"x")
    save_arrays({"weight": np.zeros(1, np.float32)}, tmp_path / "plain.ckpt")
    for source, keys, reason in (
        (tmp_path / "nothing.ckpt", {}, "nothing.ckpt"),
        (tmp_path, {}, "is no folder of a run: it has no config.yaml"),
        (None, {}, "load takes a run's folder, a checkpoint, an exported file or zoo:NAME, not NoneType"),
        ("", {}, "not an empty text"),
        (tmp_path / "photo.jpg", {}, "photo.jpg ends in '.jpg': MindSpore's checkpoints end in .ckpt"),
        (tmp_path / "net.pth", {"config_path": "x.yaml"}, "net.pth is of another framework: python convert_from_pt.py"),
        (tmp_path / "plain.ckpt", {}, 'give config_path="FILE.yaml"'),
        (folder, {"infer_score_th": 1}, "load: unknown key infer_score_th; did you mean infer_score_thr"),
        (folder, {"infer_score_thr": 7}, "infer_score_thr"),
        (folder, {"checkpoint_path": "x"}, "checkpoint_path is what load's first argument says"),
        (folder, {"test_cfg": {"rcnn": {"max_per_img": "many"}}}, "test_cfg.rcnn.max_per_img"),
    ):
        with pytest.raises(UserError) as error:
            api.load(source, **keys)
        assert reason in str(error.value), (source, keys)


def test_keys_that_no_model_reads_are_said(folder, caplog):
    api.load(folder, batch_size=3, pred_input="/x", tile_overlap=0.3, infer_score_thr=0.5, font="",
             test_cfg={"rcnn": {"max_per_img": 7}}, device_target="CPU")  # fmt: skip
    (line,) = [record.getMessage() for record in caplog.records if "without effect" in record.getMessage()]
    assert line.startswith("keys without effect (load): ") and "read with tile alone" in line
    assert "load does not read it" in line and {"batch_size", "pred_input"} <= set(line.replace(",", "").split())
    assert not [name for name in ("infer_score_thr", "font", "max_per_img", "device_target") if name in line]
    caplog.clear()
    api.load(folder, infer_score_thr=0.5, test_batch_size=2)
    assert not [record for record in caplog.records if "without effect" in record.getMessage()]


def test_keys_of_sections_are_mappings_or_have_dots(folder):
    for keys in ({"test_cfg": {"rcnn": {"max_per_img": 7}}}, {"test_cfg.rcnn.max_per_img": np.int64(7)}):
        model = api.load(folder, test_batch_size=3, img_std=(1.0, 2, 3), keep_ratio=False, **keys)
        assert model.config.test_cfg.rcnn.max_per_img == 7 and model.config.test_batch_size == 3
        assert model.config.img_std == [1.0, 2.0, 3.0] and model.config.keep_ratio is False


def test_the_program_around_it_stays_as_it_was(folder):
    ms.set_context(mode=ms.PYNATIVE_MODE)
    try:
        def state():
            project = logging.getLogger("src")
            return (
                signal.getsignal(signal.SIGINT), sys.stdout, sys.stderr, sys.excepthook, threading.excepthook,
                list(logging.getLogger().handlers), logging.getLogger().level, list(project.handlers),
                project.propagate, project.level, random.getstate(), str(np.random.get_state()),
                ms.get_context("mode"), Path.cwd(),
            )  # fmt: skip

        before = state()
        api.load(folder).predict(np.zeros((8, 8, 3), np.uint8))
        assert state() == before
    finally:
        ms.set_context(mode=ms.GRAPH_MODE)


def test_it_works_under_a_running_event_loop_and_in_its_threads(folder):
    image = np.zeros((8, 8, 3), np.uint8)

    async def cell() -> list:
        model = api.load(folder)
        loop = asyncio.get_running_loop()
        later = [loop.run_in_executor(None, model.predict, image) for _ in range(3)]
        loaded = await loop.run_in_executor(None, api.load, folder)
        return [model.predict(image), loaded.predict(image), *await asyncio.gather(*later)]

    assert {json.dumps(found.to_json()) for found in asyncio.run(cell())} == {
        json.dumps(api.load(folder).predict(image).to_json())
    }


def test_a_checkpoint_alone_brings_its_configuration(folder, tmp_path):
    cfg = load_config(str(folder / "config.yaml"), ["--infer_score_thr", "0.5", "--max_image_pixels", "7"])
    facts = {"task": "detection", "config": to_dict(cfg)}
    save_arrays({"weight": np.zeros(1, np.float32)}, tmp_path / "alone.ckpt", facts)
    model = api.load(str(tmp_path / "alone.ckpt"))
    assert model.names == ("cat", "dög") and len(model.predict(np.zeros((8, 8, 3), np.uint8))) == 1
    assert model.config.max_image_pixels == default_config().max_image_pixels  # limits are whose machine it is
    assert api.load(tmp_path / "alone.ckpt", max_image_pixels=9).config.max_image_pixels == 9


def test_published_weights_have_a_name(folder, tmp_path, monkeypatch):
    path = tmp_path / "converted.ckpt"
    facts = {"task": "detection", "config": to_dict(load_config(str(folder / "config.yaml")))}
    save_arrays({"weight": np.zeros(1, np.float32)}, path, facts)
    weights = SimpleNamespace(row=SimpleNamespace(configs=()), fetched=lambda: path, converted=lambda config: path)
    monkeypatch.setattr("src.zoo.command_line._named", lambda text: weights if text == "zoo:this one" else None)
    monkeypatch.setattr("src.zoo.fetch.require_whole", lambda weights: None)
    model = api.load("zoo:this one", infer_score_thr=0.5)
    assert model.path == path and len(model.predict(np.zeros((8, 8, 3), np.uint8))) == 1


def test_the_page_of_the_documentation_runs(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ms_vision_zoo", src)
    names = {}
    shutil.copytree(folder, tmp_path / "outputs" / "261127_MaskRCNN_demo")
    (tmp_path / "photos").mkdir()
    for picture in ("photo.jpg", "photos/one.jpg"):
        cv2.imwrite(picture, np.full((40, 40, 3), 99, np.uint8))
    for block in blocks("api.md", "python"):
        exec(block, names)
    assert "['cat', 'dög']" in capsys.readouterr().out and (tmp_path / "drawn_one.png").is_file()
    assert names["same"].names == ["cat"] and names["model"].config.test_cfg.rcnn.max_per_img == 20


def test_another_device_is_one_clear_error(folder, monkeypatch):
    monkeypatch.setattr(guest, "_device", [("GPU", 1)])
    with pytest.raises(UserError, match="device_target is CPU, but this process runs its networks on GPU 1"):
        api.load(folder)


def test_a_stream_reads_no_more_than_it_needs(folder):
    asked = []

    def frames():
        for number in range(10**6):
            asked.append(number)
            yield np.full((8, 8 + number, 3), 7, np.uint8)

    stream = api.load(folder, test_batch_size=2).stream(frames())
    assert [next(stream).width for _ in range(3)] == [8, 9, 10] and len(asked) < 20
    stream.close()
