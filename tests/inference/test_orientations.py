"""Landscapes and portraits through one network by resize short_long: what each finds alone, in the files' order."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.config import load_config
from src.data.formats.coco import read_coco
from src.inference.predictor import Predictor
from src.process.runtime import SINGLE, Runtime
from src.tasks import TASKS
from src.tasks.detection_predictions import predict_dataset, together, unfinished_predictions
from tests.models.detection.mmdet_case import BASE, CONFIG, build

SIZES = [(90, 61), (61, 90), (70, 70), (31, 80), (66, 44), (45, 30), (30, 45), (64, 96), (80, 81), (120, 60)]  # (w, h)
BOTH = ["--img_width", "96", "--img_height", "64", "--resize_limits", "[90, 62]", "--resize", "short_long",
        "--test_cfg.rcnn.max_per_img", "20", "--backbone.type", "resnet", "--backbone.depth", "18",
        "--backbone.base_channels", "4", "--neck.type", "fpn"]  # fmt: skip


def config(*keys: str):
    return load_config(str(CONFIG), [*BASE, *BOTH, *keys])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Pictures of blocks, and one file that is none."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.RandomState(5)
    for number, (width, height) in enumerate(SIZES):
        blocks = rng.randint(0, 256, (5, 5, 3)).astype(np.uint8)
        picture = cv2.resize(blocks, (width, height), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    (folder / "5.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def model():
    import mindspore as ms

    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    model = build(BOTH)
    model.set_train(False)
    return model


@pytest.fixture(scope="module")
def alone(folder, model) -> dict[str, object]:
    """Each image by a network that was built for its orientation and knows no other one."""
    found = {}
    for kind, (width, height) in {"landscape": (96, 64), "portrait": (64, 96)}.items():
        keys = ["--img_width", str(width), "--img_height", str(height), "--resize", "fit", "--test_batch_size", "1"]
        own = build([*BOTH, *keys])
        own.set_train(False)
        predictor = Predictor(own, config(*keys))
        bounds = (90, 62) if kind == "landscape" else (62, 90)
        predictor.settings = replace(predictor.settings, bounds=bounds)
        names = [f"{k}.png" for k, (w, h) in enumerate(SIZES) if (h > w) == (kind == "portrait")]
        for path, prediction in predictor.predict_files([folder / name for name in names]):
            found[Path(path).name] = prediction
    return found


@pytest.mark.parametrize("batch_size", [2, pytest.param(1, marks=pytest.mark.slow)])
def test_every_image_has_what_it_has_alone_in_the_order_of_the_files(folder, model, alone, batch_size, caplog):
    paths = [folder / f"{k}.png" for k in range(len(SIZES))]
    predictor = Predictor(model, config("--test_batch_size", str(batch_size)))
    with caplog.at_level("INFO"):
        found = list(predictor.predict_files(paths))
    assert [path for path, _ in found] == list(map(str, paths))
    for path, prediction in found:
        wanted = alone[Path(path).name]
        if wanted is None:
            assert prediction is None and Path(path).name == "5.png"
            continue
        assert len(prediction) == len(wanted) and prediction.masks == wanted.masks
        np.testing.assert_allclose(prediction.boxes, wanted.boxes, atol=1e-3)
        np.testing.assert_allclose(prediction.scores, wanted.scores, atol=1e-5)
    assert sum(len(prediction) for _, prediction in found if prediction) > 20
    if batch_size == 2:
        said = [one.getMessage() for one in caplog.records if "graph number" in one.getMessage()]
        assert len(said) == 1 and said[0].startswith("images of 64x96: the network's graph number 2")


@pytest.fixture(scope="module")
def dataset(folder):
    names = [name for name in sorted(folder.glob("?.png")) if name.name != "5.png"]
    images = [
        {"id": 7 * k, "file_name": str(path.name), "height": cv2.imread(str(path)).shape[0],
         "width": cv2.imread(str(path)).shape[1]} for k, path in enumerate(names)
    ]  # fmt: skip
    classes = [{"id": k, "name": name} for k, name in enumerate("abc", start=1)]
    content = {"images": images, "annotations": [], "categories": classes}
    (folder / "data").mkdir(exist_ok=True)
    for path in names:
        (folder / "data" / path.name).write_bytes(path.read_bytes())
    (folder / "labels.json").write_text(json.dumps(content))
    return read_coco(folder, ["a", "b", "c"])


def image_ids(results: list[dict]) -> list[int]:
    return list(dict.fromkeys(one["image_id"] for one in results))


def test_an_evaluation_gives_results_in_the_order_of_the_data_on_ranks_too(dataset, model, alone):
    cfg = config("--test_batch_size", "2")
    found, _ = predict_dataset(cfg, model, dataset, SINGLE)
    records = [dataset.record(k) for k in range(len(dataset))]
    counts = {one.image_id: len(alone[one.path.name]) for one in records}
    assert image_ids(found) == [image_id for image_id, count in counts.items() if count]
    assert [sum(one["image_id"] == image_id for one in found) for image_id in counts] == list(counts.values())
    parts = [predict_dataset(cfg, model, dataset, Runtime(rank, 2))[0] for rank in range(2)]
    assert len(set(image_ids(parts[0])) & set(image_ids(parts[1]))) == 0
    for one, other in zip(parts[0] + parts[1], found, strict=True):
        assert [one[key] for key in ("image_id", "category_id")] == [other[key] for key in ("image_id", "category_id")]
        np.testing.assert_allclose(one["bbox"], other["bbox"], atol=1e-3)


@pytest.mark.slow
def test_an_evaluation_that_was_stopped_goes_on_to_the_same_results(dataset, model, tmp_path):
    class Stopped:
        calls = 0

        def __call__(self, *inputs):
            self.calls += 1
            if self.calls == 6:
                raise KeyboardInterrupt
            return model(*inputs)

    cfg = config("--test_batch_size", "1", "--prediction_path", str(tmp_path / "found.json"))
    whole = predict_dataset(cfg, model, dataset, SINGLE)
    with pytest.raises(KeyboardInterrupt), unfinished_predictions(cfg, dataset, SINGLE) as part:
        predict_dataset(cfg, Stopped(), dataset, SINGLE, part)
    with unfinished_predictions(cfg, dataset, SINGLE) as part:
        assert 0 < part.done < len(dataset)
        assert predict_dataset(cfg, model, dataset, SINGLE, part) == whole
    assert together(config("--test_batch_size", "2")) == 16 and together(cfg) == 1


def test_the_inputs_that_an_exported_file_is_checked_with_have_its_size_whatever_the_padding(folder):
    for keys, size in (([], (64, 96)), (["--eval_width", "64", "--eval_height", "128"], (128, 64))):
        cfg = config("--eval_padding", "own", "--test_batch_size", "1", "--val_dataset", str(folder), *keys)
        cases = TASKS["detection"].example_inputs(cfg)
        assert len(cases) == 3 and str(folder / "0.png") in cases
        assert all(inputs["image"].shape == (1, 3, *size) for inputs in cases.values())
        assert [array.shape for array in TASKS["detection"].blank_inputs(cfg)] == [(1, 3, 64, 96), (1, 2)]
