"""Images in memory give what the files give that they were read from, mixed with files or not."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mindspore import Tensor

from src.config import default_config
from src.data.images import read_bgr
from src.data.pictures import Picture
from src.inference.classify import classify_files
from src.inference.predictors import make_predictor

SIZES = ((40, 60), (64, 32), (50, 50))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list:
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    paths = [folder / f"{place}.png" for place in range(len(SIZES))]
    for path, size in zip(paths, SIZES):
        cv2.imwrite(str(path), rng.integers(0, 256, (*size, 3), np.uint8))
    return paths


def as_pictures(paths) -> list:
    """Every second one in memory."""
    return [Picture(str(path), read_bgr(path)) if place % 2 else path for place, path in enumerate(paths)]


def whole_image_detector(image, image_shape):
    """One detection an image: all of it, with a score that tells its pixels."""
    count, sides = len(image.asnumpy()), image_shape.asnumpy()
    boxes = np.zeros((count, 1, 4), np.float32)
    boxes[:, 0, 2:] = sides[:, ::-1]
    scores = np.abs(image.asnumpy()).mean(axis=(1, 2, 3)).reshape(count, 1)
    masks = np.ones((count, 1, 28, 28), np.float32)
    return tuple(map(Tensor, (boxes, scores, np.zeros((count, 1), np.int32), np.ones((count, 1), bool), masks)))


def test_a_detector_takes_pictures_for_files(files):
    cfg = default_config(["--img_width", "64", "--img_height", "64", "--test_batch_size", "2"])
    predictor = make_predictor(whole_image_detector, cfg)
    whole = list(predictor.predict_files(files))
    mixed = list(predictor.predict_files(iter(as_pictures(files))))
    assert [name for name, _ in mixed] == [name for name, _ in whole] == [str(path) for path in files]
    for (_, one), (_, other), (height, width) in zip(whole, mixed, SIZES):
        assert np.array_equal(one.boxes, other.boxes) and np.array_equal(one.scores, other.scores)
        assert np.allclose(one.boxes, [[0, 0, width, height]])
    assert len({float(one.scores[0]) for _, one in whole}) == len(SIZES)


def test_a_classifier_takes_pictures_for_files_and_never_more_than_a_few_ahead(files):
    words = ["--task", "classification", "--num_classes", "3", "--img_width", "32", "--img_height", "32"]
    cfg = default_config([*words, "--test_batch_size", "2", "--num_parallel_workers", "1"])

    def model(image):
        return Tensor(image.asnumpy().mean(axis=(2, 3)))

    whole = list(classify_files(cfg, model, files))
    mixed = list(classify_files(cfg, model, as_pictures(files)))
    assert [best for _, best in whole] == [best for _, best in mixed]
    assert [str(source) for source, _ in mixed] == [str(path) for path in files]
    asked = SimpleNamespace(count=0)

    def endless():
        while True:
            asked.count += 1
            yield Picture(f"frame {asked.count}", read_bgr(files[0]))

    stream = classify_files(cfg, model, endless())
    assert str(next(stream)[0]) == "frame 1" and asked.count < 10
    stream.close()
