import threading
import time
from types import SimpleNamespace

import cv2
import mindspore as ms
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from src.data.pipeline import EvalBatch
from src.errors import UserError
from src.inference import predictor as predictor_module
from src.inference.predictor import Predictor, find_images

SIZE = 64
SLOTS = 4


def make_config(batch_size: int = 2) -> SimpleNamespace:
    return SimpleNamespace(
        max_image_pixels=10**6,
        exif="auto",
        image_window=[],
        alpha_colour=[255, 255, 255],
        neck=SimpleNamespace(type="fpn"),
        test_cfg=SimpleNamespace(rcnn=SimpleNamespace(mask_thr_binary=0.5)),
        test_batch_size=batch_size,
        img_width=SIZE,
        img_height=SIZE,
        img_mean=[0.0, 0.0, 0.0],
        img_std=[1.0, 1.0, 1.0],
        to_rgb=True,
        keep_ratio=True,
        resize="fit",
        pad_colour="mean",
        box_style="continuous",
        detector="mask_rcnn",
    )


def whole_image_model(image: ms.Tensor, image_shape: ms.Tensor):
    """Finds one object an image, of the image's extent; its score is the brightness of the first pixel / 255."""
    batch = image.shape[0]
    shape, first = image_shape.asnumpy(), image.asnumpy()[:, 0, 0, 0]
    boxes = np.zeros((batch, SLOTS, 4), np.float32)
    boxes[:, 0, 2], boxes[:, 0, 3] = shape[:, 1], shape[:, 0]
    scores = np.zeros((batch, SLOTS), np.float32)
    scores[:, 0] = first / 255
    valid = np.arange(SLOTS)[None] < np.ones((batch, 1))
    masks = np.ones((batch, SLOTS, 28, 28), np.float32)
    return tuple(map(ms.Tensor, (boxes, scores, np.zeros((batch, SLOTS), np.int32), valid, masks)))


def make_batch(first_id: int, size: int = 2, count: int | None = None) -> EvalBatch:
    image = np.zeros((size, 3, SIZE, SIZE), np.float32)
    image[:, 0, 0, 0] = np.arange(first_id, first_id + size)
    return EvalBatch(
        image=image,
        image_shape=np.full((size, 2), SIZE, np.int32),
        scale_factor=np.full((size, 2), 0.5, np.float32),
        orig_shape=np.full((size, 2), 2 * SIZE, np.int32),
        image_ids=list(range(first_id, first_id + size)),
        readable=[True] * size,
        count=size if count is None else count,
    )


def write_image(path, height: int, width: int, value: int) -> str:
    cv2.imwrite(str(path), np.full((height, width, 3), value, np.uint8))
    return str(path)


def test_a_batch_gives_its_real_images_only():
    predictions = Predictor(whole_image_model, make_config()).predict_batch(make_batch(10, size=4, count=3))
    assert [round(float(one.scores[0]) * 255) for one in predictions] == [10, 11, 12]
    assert np.allclose(predictions[0].boxes, [[0, 0, 128, 128]])
    assert coco_mask.decode(predictions[0].masks[0]).shape == (128, 128)


def test_a_stream_keeps_the_order_and_the_ids():
    batches = [make_batch(0), make_batch(2), make_batch(4, count=1)]
    stream = list(Predictor(whole_image_model, make_config(), workers=3).predict_stream(batches))
    assert [image_id for image_id, _ in stream] == [0, 1, 2, 3, 4]
    assert [round(float(one.scores[0]) * 255) for _, one in stream] == [0, 1, 2, 3, 4]


def test_an_unreadable_image_gives_none():
    batch = make_batch(0)
    batch.readable[1] = False
    (_, first), (_, second) = Predictor(whole_image_model, make_config()).predict_stream([batch])
    assert len(first) == 1 and second is None


def test_the_number_of_images_under_way_is_bounded():
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 2
            yield make_batch(read)

    stream = Predictor(whole_image_model, make_config(), workers=2).predict_stream(endless())
    for done, _ in enumerate(stream, start=1):
        assert read - done <= 12
        if done == 200:
            stream.close()
            break


def test_post_processing_of_one_batch_overlaps_with_the_network_on_the_next(monkeypatch):
    both = threading.Barrier(2, timeout=10)  # passed only by a network and a post-processing at the same time
    calls = 0

    def model(image, image_shape):
        nonlocal calls
        calls += 1
        if calls == 2:
            both.wait()
        return whole_image_model(image, image_shape)

    original = predictor_module.to_prediction
    met = []

    def to_prediction(*arguments):
        if not met:
            met.append(True)
            both.wait()
        return original(*arguments)

    monkeypatch.setattr(predictor_module, "to_prediction", to_prediction)
    stream = Predictor(model, make_config(1), workers=2).predict_stream([make_batch(i, size=1) for i in range(3)])
    assert len(list(stream)) == 3


def test_an_error_in_the_loader_or_in_post_processing_reaches_the_caller(monkeypatch):
    def broken_loader():
        yield make_batch(0)
        raise UserError("labels.json: broken")

    with pytest.raises(UserError, match="broken"):
        list(Predictor(whole_image_model, make_config()).predict_stream(broken_loader()))

    def fail(*_):
        raise ValueError("no such mask")

    monkeypatch.setattr(predictor_module, "to_prediction", fail)
    with pytest.raises(ValueError, match="no such mask"):
        list(Predictor(whole_image_model, make_config()).predict_stream([make_batch(0)]))


def test_files_are_predicted_at_their_own_size_and_unreadable_ones_are_told(tmp_path):
    paths = [write_image(tmp_path / "a.png", 32, 48, 51), str(tmp_path / "b.png"), str(tmp_path / "none.png")]
    (tmp_path / "b.png").write_bytes(b"not an image")
    paths.append(write_image(tmp_path / "c.jpg", 100, 40, 204))
    paths.append(write_image(tmp_path / "d.png", 7, 5, 102))
    shapes = []

    def model(image, image_shape):
        shapes.append(image.shape)
        return whole_image_model(image, image_shape)

    found = dict(Predictor(model, make_config(2)).predict_files(paths))
    assert list(found) == paths
    assert [path for path, one in found.items() if one is None] == paths[1:3]
    assert set(shapes) == {(2, 3, SIZE, SIZE)}
    for path, height, width, score in ((paths[0], 32, 48, 0.2), (paths[3], 100, 40, 0.8), (paths[4], 7, 5, 0.4)):
        one = found[path]
        assert (one.height, one.width) == (height, width)
        assert np.allclose(one.boxes, [[0, 0, width, height]], atol=1e-4)
        assert one.scores == pytest.approx([score], abs=0.01)
        assert coco_mask.area(one.masks[0]) == pytest.approx(height * width, abs=4)


def test_the_first_batch_is_timed_for_itself():
    def slow_first(image, image_shape):
        time.sleep(0.05 if predictor.first_run_seconds == 0 else 0)
        return whole_image_model(image, image_shape)

    predictor = Predictor(slow_first, make_config())
    list(predictor.predict_stream([make_batch(0), make_batch(2)]))
    assert 0.05 <= predictor.first_run_seconds < 5


def test_a_folder_gives_its_images_sorted_and_nothing_else(tmp_path):
    for name in ("b.png", "a.JPG", "c.jpeg", "d.bmp", "e.webp"):
        write_image(tmp_path / name, 4, 4, 0) if name != "a.JPG" else (tmp_path / name).write_bytes(b"")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "deeper.png").mkdir()
    assert [path.name for path in find_images(tmp_path)] == ["a.JPG", "b.png", "c.jpeg", "d.bmp", "e.webp"]
    assert find_images(tmp_path / "b.png") == [tmp_path / "b.png"]


def test_an_empty_folder_and_a_missing_path_are_errors_that_name_it(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path.name}: no jpg, jpeg, png, bmp, webp, tif, tiff files"):
        find_images(tmp_path)
    with pytest.raises(UserError, match="nowhere: no such image or folder"):
        find_images(tmp_path / "nowhere")
