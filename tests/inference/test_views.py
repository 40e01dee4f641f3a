"""A detector run on views of an image: in which order, what it is shown, and what its answers become."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mindspore import Tensor
from pycocotools import mask as coco_mask

from src.config import config_hash, default_config, score_settings, without_views
from src.data.formats.coco import read_coco
from src.data.pictures import Picture
from src.errors import UserError
from src.inference.backends import ExportedModel, Port
from src.inference.predictor import Predictor
from src.inference.predictors import make_predictor
from src.inference.results import to_coco_results
from src.inference.views import ViewPredictor
from src.process.runtime import SINGLE
from src.tasks import TASKS
from src.tasks.detection_predictions import predict_dataset, unfinished_predictions, view_facts

SIDES = ["--img_width", "96", "--img_height", "64", "--test_cfg.rcnn.max_per_img", "5"]
M, NAMES = 28, ["a", "b", "c"]


def config(*keys: str):
    return default_config([*SIDES, *keys])


class BrightThings:
    """Finds the box around an image's bright pixels; its masks are what it has been told for its calls.

    Like a detector it takes (image, image_shape, word) for boxes and (image, boxes, labels, valid) for masks.
    """

    def __init__(self, scores=(0.5,), masks=(1.0,)):
        self.scores, self.masks = scores, masks
        self.shown, self.asked = [], []

    def __call__(self, image, second, *more):
        pixels = image.asnumpy()
        if len(more) == 2:
            self.asked.append((pixels, second.asnumpy(), *(one.asnumpy() for one in more)))
            value = self.masks[(len(self.asked) - 1) % len(self.masks)]
            return Tensor(np.broadcast_to(np.float32(value), (*second.shape[:2], M, M)).copy())
        assert more == ("boxes",)
        self.shown.append((pixels, second.asnumpy()))
        count, score = len(pixels), self.scores[(len(self.shown) - 1) % len(self.scores)]
        boxes, valid = np.zeros((count, 5, 4), np.float32), np.zeros((count, 5), bool)
        for slot, (one, (height, width)) in enumerate(zip(pixels, second.asnumpy())):
            rows, columns = np.nonzero(one[0, :height, :width] > 1)
            if len(rows):
                boxes[slot, 3] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
                valid[slot, 3] = True
        return tuple(map(Tensor, (boxes, np.full((count, 5), score, np.float32), np.ones((count, 5), np.int32), valid)))


def picture(name: str, width: int, height: int, box: tuple[int, int, int, int] | None) -> Picture:
    pixels = np.full((height, width, 3), 10, np.uint8)
    if box:
        pixels[box[1] : box[3], box[0] : box[2]] = 250
    return Picture(name, pixels)


def one_prediction(model, cfg, image: Picture):
    ((name, prediction),) = make_predictor(model, cfg).predict_files([image])
    assert name == image.name
    return prediction


PHOTO = picture("photo", 48, 32, (4, 6, 12, 16))  # twice as large in the input of 96 x 64


def test_off_is_the_plain_predictor_and_no_other_hash():
    assert type(make_predictor(None, config())) is Predictor
    flip = config("--eval_flip", "1")
    assert type(make_predictor(None, flip)) is type(make_predictor(None, config("--eval_scales", "[0.5]")))
    assert config_hash(without_views(flip)) == config_hash(config()) != config_hash(flip)
    assert score_settings(flip)["eval_flip"] is True and score_settings(config())["eval_scales"] == [1.0]


def test_views_come_by_scale_the_mirrored_one_first_and_each_is_what_it_should_be():
    model = BrightThings()
    one_prediction(model, config("--eval_flip", "1", "--eval_scales", "[0.5, 1]"), PHOTO)
    # HRFPN needs 64 pixels a side
    assert [image.shape for image, _ in model.shown] == [(1, 3, 64, 64)] * 2 + [(1, 3, 64, 96)] * 2
    assert [shape.tolist() for _, shape in model.shown] == [[[32, 48]]] * 2 + [[[64, 96]]] * 2
    plain = BrightThings()
    one_prediction(plain, config("--eval_scales", "[0.5, 1.0]"), PHOTO)
    for (mirrored, _), (usual, _), (alone, _) in zip(model.shown[::2], model.shown[1::2], plain.shown, strict=True):
        np.testing.assert_array_equal(usual, alone)
        width = 48 if usual.shape[3] == 64 else 96
        np.testing.assert_array_equal(mirrored[..., :width], usual[..., :width][..., ::-1])
        assert not mirrored[..., width:].any()  # padded on the right, behind the mirrored image
    for (seen, *_), (shown, _) in zip(model.asked, model.shown, strict=True):
        np.testing.assert_array_equal(seen, shown)


def test_boxes_of_all_views_are_merged_in_pixels_of_the_image():
    scores = (0.3, 0.6, 0.9, 0.4)
    model = BrightThings(scores)
    found = one_prediction(model, config("--eval_flip", "1", "--eval_scales", "[0.5, 1]"), PHOTO)
    assert found.boxes.tolist() == [[4, 6, 12, 16]] and found.labels.tolist() == [1]
    assert found.scores.tolist() == [np.float32(0.9)]  # no mean


def test_merged_boxes_are_put_to_every_view():
    model = BrightThings()
    one_prediction(model, config("--eval_flip", "1", "--eval_scales", "[0.5, 1]"), PHOTO)
    boxes = [boxes[0, 0].tolist() for _, boxes, _, _ in model.asked]
    assert boxes == [[36, 6, 44, 16], [4, 6, 12, 16], [72, 12, 88, 32], [8, 12, 24, 32]]
    assert [labels[0].tolist() for _, _, labels, _ in model.asked] == [[1, 0, 0, 0, 0]] * 4
    assert [valid[0].tolist() for _, _, _, valid in model.asked] == [[True, *[False] * 4]] * 4


def area(prediction) -> tuple[int, list[int]]:
    """Pixels of the only mask, and the box around them."""
    pixels = coco_mask.decode(prediction.masks[0])
    rows, columns = np.nonzero(pixels)
    return int(pixels.sum()), [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else []


def test_masks_are_the_mean_of_the_views_and_mirrored_ones_are_turned_back():
    left = (np.arange(M) < M // 2).astype(np.float32)
    cases = [
        ((left, 1 - left), (40, [8, 6, 12, 16])),  # the same half, seen in the mirror and plainly
        ((0.35, 0.7), (80, [4, 6, 12, 16])),  # 0.525 everywhere
        ((0.2, 0.7), (0, [])),  # 0.45
        ((left, left), (80, [4, 6, 12, 16])),  # 0.5 everywhere: the threshold itself is object
    ]
    for masks, expected in cases:
        assert area(one_prediction(BrightThings(masks=masks), config("--eval_flip", "1"), PHOTO)) == expected


def test_an_image_without_a_detection_costs_no_masks_and_is_a_normal_result():
    model = BrightThings()
    found = one_prediction(model, config("--eval_flip", "1"), picture("dark", 48, 32, None))
    assert len(found) == 0 and found.masks == [] and (found.height, found.width) == (32, 48)
    assert not model.asked


def test_a_detector_without_masks_is_asked_for_none():
    model = BrightThings()
    found = one_prediction(model, config("--eval_flip", "1", "--detector", "faster_rcnn"), PHOTO)
    assert found.boxes.tolist() == [[4, 6, 12, 16]] and found.masks is None and not model.asked


FEW = [
    picture("a", 48, 32, (4, 6, 12, 16)), picture("b", 32, 48, (1, 6, 31, 40)), picture("c", 33, 31, (0, 0, 20, 31)),
    picture("d", 32, 40, None), picture("e", 96, 64, (90, 60, 96, 64)), picture("f", 30, 90, (5, 9, 25, 80)),
]  # fmt: skip


@pytest.mark.parametrize("keys", [(), ("--resize", "short_long", "--resize_limits", "[90, 60]")])
@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_files_and_pictures_in_their_order_whatever_the_batches(tmp_path, keys, batch_size):
    (tmp_path / "no.png").write_bytes(b"no picture")
    sources = [*FEW[:3], tmp_path / "no.png", *FEW[3:]]
    cfg = config("--eval_flip", "1", "--eval_scales", "[1, 1.5]", *keys, "--test_batch_size", str(batch_size))
    found = list(make_predictor(BrightThings(), cfg).predict_files(sources))
    assert [name for name, _ in found] == [str(source) for source in sources]
    assert found[3][1] is None
    for (_, prediction), image in zip(found[:3] + found[4:], FEW, strict=True):
        rows, columns = np.nonzero(image.bgr[..., 0] > 128)
        assert len(prediction) == min(len(rows), 1) == len(prediction.masks)
        assert (prediction.height, prediction.width) == image.bgr.shape[:2]
        if len(rows):
            around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            np.testing.assert_allclose(prediction.boxes[0], around, atol=1.2)  # a pixel of the input


def test_inputs_of_scales_hold_their_images_in_multiples_of_the_divider():
    model = BrightThings()
    keys = ("--resize", "short_long", "--resize_limits", "[90, 60]", "--eval_scales", "[0.75, 1, 1.25]")
    one_prediction(model, config(*keys), picture("portrait", 60, 90, (5, 5, 30, 30)))
    # limits 90 x 60 times the scale, to the nearest pixel: 68 x 45, 90 x 60, 113 x 75, turned with the image
    assert [shape.tolist() for _, shape in model.shown] == [[[68, 45]], [[90, 60]], [[113, 75]]]
    assert [image.shape[2:] for image, _ in model.shown] == [(96, 64), (96, 64), (128, 96)]


def test_every_tile_of_a_large_image_is_seen_in_all_views():
    model = BrightThings()
    large = picture("large", 150, 64, (100, 20, 120, 40))
    found = one_prediction(model, config("--eval_flip", "1", "--tile", "64", "--tile_overlap", "0.25"), large)
    assert found.boxes.tolist() == [[100, 20, 120, 40]] and area(found) == (400, [100, 20, 120, 40])
    assert len(model.shown) == 2 * 3  # tiles from 0, 48 and 86 on


def test_images_are_read_a_few_ahead():
    asked = []

    def endless():
        while True:
            asked.append(1)
            yield PHOTO

    cfg = config("--eval_flip", "1", "--test_batch_size", "2")
    stream = make_predictor(BrightThings(), cfg).predict_files(endless())
    for _ in range(3):
        assert len(next(stream)[1]) == 1
    assert len(asked) < 20
    stream.close()


class BoxFile(ExportedModel):
    """An exported detector of boxes alone."""

    def __init__(self):
        ports = [Port("image", (1, 3, 64, 96), np.dtype(np.float32)), Port("image_shape", (1, 2), np.dtype(np.int32))]
        super().__init__(Path("boxes.mindir"), ports, {"max_detections": 5})

    def _run(self, arrays):
        return tuple(one.asnumpy() for one in BrightThings()(*map(Tensor, arrays), "boxes"))


def test_an_exported_file_of_boxes_is_run_on_the_mirror_image_too():
    cfg = config("--eval_flip", "1", "--detector", "faster_rcnn", "--backend", "mindir", "--test_batch_size", "3")
    found = [one for _, one in make_predictor(BoxFile(), cfg).predict_files(FEW)]
    assert isinstance(make_predictor(BoxFile(), cfg), ViewPredictor)
    assert found[0].boxes.tolist() == [[4, 6, 12, 16]] and [len(one) for one in found] == [1, 1, 1, 0, 1, 1]


# ------------------------------------------------------------------------------------------------------- the commands


@pytest.fixture()
def dataset(tmp_path):
    (tmp_path / "data").mkdir()
    for image in FEW:
        cv2.imwrite(str(tmp_path / "data" / f"{image.name}.png"), image.bgr)
    images = [
        {"id": 10 + k, "file_name": f"{one.name}.png", "height": one.bgr.shape[0], "width": one.bgr.shape[1]}
        for k, one in enumerate(FEW)
    ]
    classes = [{"id": 1 + k, "name": name} for k, name in enumerate(NAMES)]
    (tmp_path / "labels.json").write_text(json.dumps({"images": images, "annotations": [], "categories": classes}))
    return read_coco(tmp_path, NAMES)


def test_an_evaluation_sees_what_inference_sees_and_goes_on_with_the_same_views_alone(dataset, tmp_path):
    keys = ["--coco_classes", f"[background, {', '.join(NAMES)}]", "--num_classes", "4", "--test_batch_size", "1",
            "--prediction_path", str(tmp_path / "found.json")]  # fmt: skip
    cfg = config("--eval_flip", "1", "--eval_scales", "[1, 1.5]", *keys)
    files = [record.path for record in map(dataset.record, range(len(dataset)))]
    by_files = [to_coco_results(one, 10 + k, [1, 2, 3])
                for k, (_, one) in enumerate(make_predictor(BrightThings(), cfg).predict_files(files))]  # fmt: skip
    whole = predict_dataset(cfg, BrightThings(), dataset)
    assert whole == (sum(by_files, []), []) and len(whole[0]) == 5

    class Stopped(BrightThings):
        def __call__(self, *inputs):
            if len(self.shown) > 16:
                raise KeyboardInterrupt
            return super().__call__(*inputs)

    with pytest.raises(KeyboardInterrupt), unfinished_predictions(cfg, dataset, SINGLE) as part:
        predict_dataset(cfg, Stopped(), dataset, SINGLE, part)
    other = unfinished_predictions(config("--eval_scales", "[1, 1.5]", *keys), dataset, SINGLE)
    with pytest.raises(UserError, match="eval_flip.*True then, False now"), other:
        pass
    with unfinished_predictions(cfg, dataset, SINGLE) as part:
        assert 0 < part.done < len(dataset)
        assert predict_dataset(cfg, BrightThings(), dataset, SINGLE, part) == whole


def test_the_protocol_says_the_views():
    assert view_facts(config()) == {"flip": "off"}
    assert view_facts(config("--eval_flip", "1")) == {"flip": "on"}
    assert view_facts(config("--eval_scales", "[0.75, 1, 1.25]")) == {"flip": "off", "scales": "0.75, 1, 1.25"}


def test_within_a_training_each_image_is_seen_once(monkeypatch, tmp_path):
    task, seen = TASKS["detection"], []
    cfg = config("--eval_flip", "1", "--eval_scales", "[0.5, 1]")
    monkeypatch.setattr(type(task), "open", lambda *_: None)
    monkeypatch.setattr(type(task), "score", lambda self, cfg, *_: seen.append(cfg) or {})
    monkeypatch.setattr("src.tasks.detection.detector_pictures", lambda cfg, *_: seen.append(cfg))
    task.make_evaluator(cfg, SINGLE)(None)
    task.sample_pictures(cfg, 2)
    assert [(one.eval_flip, list(one.eval_scales)) for one in seen] == [(False, [1])] * 2


@pytest.mark.slow
def test_the_mirror_image_has_the_mirrored_result_of_a_network(graph_mode):
    """Its views are the same two; and they are what the plain predictor sees of the image and of its mirror image."""
    from src.config import load_config
    from src.inference.merge_views import merge_views, mirrored_boxes
    from tests.models.detection.mmdet_case import BASE, CONFIG, build

    keys = ["--img_width", "96", "--img_height", "64", "--test_cfg.rcnn.max_per_img", "20", "--backbone.type", "resnet",
            "--backbone.depth", "18", "--backbone.base_channels", "4", "--neck.type", "fpn"]  # fmt: skip
    model = build(keys)
    model.set_train(False)
    blocks = np.random.RandomState(5).randint(0, 256, (5, 7, 3)).astype(np.uint8)
    pixels = cv2.resize(blocks, (96, 64), interpolation=cv2.INTER_NEAREST)
    both = [Picture("as it is", pixels), Picture("mirrored", np.ascontiguousarray(pixels[:, ::-1]))]
    plain, flip = (load_config(str(CONFIG), [*BASE, *keys, "--eval_flip", word]) for word in ("0", "1"))
    (_, one), (_, other) = make_predictor(model, plain).predict_files(both)
    wanted = merge_views(
        [other.boxes, one.boxes], [other.scores, one.scores], [other.labels, one.labels], [True, False], (64, 96),
        plain.test_cfg.rcnn.iou_threshold, 20,
    )  # fmt: skip
    (_, found), (_, mirrored) = make_predictor(model, flip).predict_files(both)
    np.testing.assert_allclose(found.boxes, wanted.boxes, atol=1e-4)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-6)
    np.testing.assert_array_equal(found.labels, wanted.labels)
    assert len(found) == len(mirrored) == 20 and {0, 1} == set((found.scores[:, None] == one.scores).any(axis=1))
    np.testing.assert_allclose(mirrored_boxes(mirrored.boxes, 96), found.boxes, atol=1e-3)
    for ours, theirs in zip(found.masks, mirrored.masks):
        same = coco_mask.decode(ours) == coco_mask.decode(theirs)[:, ::-1]
        assert same.mean() > 0.99
