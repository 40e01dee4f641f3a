"""Images by tiles, with a network's stand-in that finds drawn rectangles exactly, by their colour."""

import json
import logging

import cv2
import mindspore as ms
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from src.config import config_hash, default_config, score_settings
from src.data import windows
from src.data.formats.index import DetectionIndex, ImageRecord
from src.data.pictures import Picture
from src.inference.predictor import Predictor
from src.inference.predictors import make_predictor
from src.inference.tiles import TiledPredictor, tile_places
from src.tasks.detection import Detection
from src.tasks.detection_predictions import predict_dataset, together

SIDE, SLOTS = 64, 40
CLASSES = ("red", "green")
KEYS = [
    "--img_width", f"{SIDE}", "--img_height", f"{SIDE}", "--img_mean", "[0, 0, 0]", "--img_std", "[1, 1, 1]",
    "--to_rgb", "0", "--coco_classes", "[background, red, green]", "--num_classes", "3", "--device_target", "CPU",
]  # fmt: skip


def config(*words: str, tile: int = SIDE, overlap: float = 0.4):
    return default_config([*KEYS, "--tile", str(tile), "--tile_overlap", str(overlap), *words])


def colour_detector(image, image_shape):
    """Every rectangle of one colour, red or green, on black; its score is its brightness."""
    image, shapes = image.asnumpy(), image_shape.asnumpy()
    count = len(image)
    boxes, scores = np.zeros((count, SLOTS, 4), np.float32), np.zeros((count, SLOTS), np.float32)
    labels, valid = np.zeros((count, SLOTS), np.int32), np.zeros((count, SLOTS), bool)
    for k, (pixels, (height, width)) in enumerate(zip(image, shapes)):
        slot = 0
        for label, channel in enumerate((2, 1)):
            plane = np.uint8(pixels[channel, :height, :width])
            for value in np.unique(plane[plane > 0]):
                _, _, found, _ = cv2.connectedComponentsWithStats(np.uint8(plane == value), connectivity=4)
                for x, y, w, h, _ in found[1:]:
                    boxes[k, slot], scores[k, slot] = (x, y, x + w, y + h), value / 255
                    labels[k, slot], valid[k, slot] = label, True
                    slot += 1
    masks = np.ones((count, SLOTS, 28, 28), np.float32)
    return tuple(map(ms.Tensor, (boxes, scores, labels, valid, masks)))


colour_detector.__dict__["output_names"] = ("boxes", "scores", "labels", "valid", "masks")


def drawn(rng, size: int = SIDE, largest: int = 25) -> tuple[np.ndarray, list[tuple]]:
    """An image of rectangles that do not touch one another or the border, and (x1, y1, x2, y2, label, score)."""
    image, objects = np.zeros((size, size, 3), np.uint8), []
    taken = np.ones((size, size), bool)
    taken[2:-2, 2:-2] = False
    for value in rng.permutation(np.arange(100, 255))[:8]:
        x, y, w, h = *rng.randint(2, size - 8, 2), *rng.randint(4, largest + 1, 2)
        if not taken[y - 1 : y + h + 1, x - 1 : x + w + 1].any() and x + w < size - 1 and y + h < size - 1:
            label = rng.randint(2)
            image[y : y + h, x : x + w, 2 - label] = value
            taken[y : y + h, x : x + w] = True
            objects.append((x, y, x + w, y + h, label, round(value / 255, 4)))
    return image, objects


def collage(rng, rows: int = 5) -> tuple[np.ndarray, set[tuple]]:
    image, objects = np.zeros((rows * SIDE, rows * SIDE, 3), np.uint8), set()
    for y in range(0, rows * SIDE, SIDE):
        for x in range(0, rows * SIDE, SIDE):
            image[y : y + SIDE, x : x + SIDE], found = drawn(rng)
            objects |= {(a + x, b + y, c + x, d + y, *rest) for a, b, c, d, *rest in found}
    return image, objects


def as_set(found) -> set[tuple]:
    return {(*map(int, box), int(label), round(float(score), 4))
            for box, label, score in zip(found.boxes, found.labels, found.scores)}  # fmt: skip


@pytest.mark.parametrize(
    ("size", "side", "overlap", "places"),
    [
        ((100, 250), 100, 0.2, [(0, 0), (0, 80), (0, 150)]),
        ((100, 100), 100, 0.2, [(0, 0)]),
        ((30, 20), 100, 0.2, [(0, 0)]),
        ((101, 20), 100, 0.2, [(0, 0), (1, 0)]),
        ((180, 180), 100, 0.2, [(0, 0), (0, 80), (80, 0), (80, 80)]),
        ((200, 100), 100, 0.0, [(0, 0), (100, 0)]),
        ((120, 10), 10, 0.9, [(top, 0) for top in range(111)]),
    ],
)
def test_tiles_cover_the_image_and_stay_inside(size, side, overlap, places):
    assert tile_places(size, side, overlap) == places


@pytest.mark.parametrize("batch", [1, 4])
def test_a_collage_of_25_images_by_tiles_has_the_objects_of_all_of_them(batch):
    image, objects = collage(np.random.RandomState(0))
    predictor = make_predictor(colour_detector, config("--test_batch_size", str(batch)))
    ((name, found),) = predictor.predict_files([Picture("collage", image)])
    assert isinstance(predictor, TiledPredictor) and name == "collage" and len(objects) > 80
    assert as_set(found) == objects and len(found) == len(objects)
    assert (np.diff(found.scores) <= 0).all()
    for box, mask in zip(found.boxes, found.masks):
        x1, y1, x2, y2 = map(int, box)
        assert mask["size"] == [320, 320]
        assert coco_mask.area(mask) == (x2 - x1) * (y2 - y1) and coco_mask.toBbox(mask).tolist()[:2] == [x1, y1]


def test_objects_larger_than_tiles_and_overlaps_come_out_as_one():
    image = np.zeros((200, 300, 3), np.uint8)
    image[20:40, 10:290, 2] = 200
    image[60:190, 150:180, 1] = 150
    ((_, found),) = make_predictor(colour_detector, config(overlap=0.2)).predict_files([Picture("bars", image)])
    assert as_set(found) == {(10, 20, 290, 40, 0, 0.7843), (150, 60, 180, 190, 1, 0.5882)}


def test_without_tiles_nothing_changes():
    plain = default_config(KEYS)
    assert type(make_predictor(colour_detector, plain)) is Predictor
    assert config_hash(plain) == config_hash(default_config([*KEYS, "--tile_overlap", "0.2", "--tile", "0"]))
    assert {"tile", "tile_overlap"} <= score_settings(plain).keys() and config_hash(plain) != config_hash(config())


def test_an_image_of_one_tile_is_what_the_plain_predictor_makes_of_it_to_the_last_bit():
    image, _ = drawn(np.random.RandomState(3), 50)
    pictures = [Picture("a", image), Picture("b", image[:, :40])]
    plain = list(make_predictor(colour_detector, default_config(KEYS)).predict_files(pictures))
    tiled = list(make_predictor(colour_detector, config()).predict_files(pictures))
    for (name, one), (other_name, other) in zip(plain, tiled, strict=True):
        assert name == other_name and (one.height, one.width) == (other.height, other.width)
        for key in ("boxes", "labels", "scores"):
            np.testing.assert_array_equal(getattr(one, key), getattr(other, key))
        assert one.masks == other.masks


def test_files_that_cannot_be_read_are_none_in_their_place_and_say_why(tmp_path, caplog):
    image, objects = drawn(np.random.RandomState(1))
    cv2.imwrite(str(tmp_path / "a.png"), image)
    (tmp_path / "b.png").write_text("no image")
    cv2.imwrite(str(tmp_path / "c.png"), np.zeros((100, 100, 3), np.uint8))
    paths = [tmp_path / name for name in ("b.png", "a.png", "c.png", "none.png")]
    cfg = config("--max_image_pixels", "9999")
    found = list(make_predictor(colour_detector, cfg).predict_files(paths))
    assert [name for name, _ in found] == [str(path) for path in paths]
    assert [one is None for _, one in found] == [True, False, True, True] and as_set(found[1][1]) == set(objects)
    assert f"{paths[0]} is no image, or cut off" in caplog.text and "of this size TIFF alone" in caplog.text


def test_a_tiff_that_is_damaged_in_the_midst_is_none_and_the_next_one_is_read(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(windows, "WHOLE", 0)
    image, objects = collage(np.random.RandomState(2), rows=3)
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"{name}.tif"), image, [278, 8, 259, 8])
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[len(content) // 2 :][:400] = bytes(400)
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    (tmp_path / "a.tif").write_bytes(content)
    predictor = make_predictor(colour_detector, config())
    (_, damaged), (_, found) = predictor.predict_files([tmp_path / "a.tif", tmp_path / "b.tif"])
    assert damaged is None and as_set(found) == objects and "a.tif is damaged in rows" in caplog.text


# ---------------------------------------------------------------------------------------------------------- evaluation


@pytest.fixture()
def dataset(tmp_path) -> DetectionIndex:
    """A collage, an image of one tile, and a file that is no image."""
    rng, records = np.random.RandomState(5), []
    from src.data.formats.index import ObjectRecord

    for number, (image, objects) in enumerate([collage(rng, 3), drawn(rng)], start=1):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), image)
        own = tuple(
            ObjectRecord(tuple(map(float, one[:4])), int(one[4]), False,
                         [[one[0], one[1], one[2], one[1], one[2], one[3], one[0], one[3]]])
            for one in sorted(objects)
        )  # fmt: skip
        records.append(ImageRecord(path, number, image.shape[1], image.shape[0], own))
    (tmp_path / "3.png").write_text("no image")
    records.append(ImageRecord(tmp_path / "3.png", 3, 10, 10, ()))
    return DetectionIndex(tmp_path / "labels.json", CLASSES, records)


def test_a_data_set_by_tiles_scores_what_is_there_and_the_protocol_names_the_tiles(dataset, capsys, caplog):
    cfg = config()
    metrics = Detection().score(cfg, colour_detector, dataset)
    assert metrics["bbox_mAP"] == 1 and metrics["seg_mAP"] == 1
    out = capsys.readouterr().out
    assert "tiles 64 with an overlap of 0.4" in out and "3.png" in caplog.text
    assert Detection().score(default_config(KEYS), colour_detector, dataset)["bbox_mAP"] < 0.9  # resized to a third
    assert "tiles" not in capsys.readouterr().out


def test_results_that_were_kept_are_taken_and_the_rest_is_worked_out(dataset):
    cfg, calls = config("--test_batch_size", "4"), []

    def counted(image, shape):
        calls.append(len(image))
        return colour_detector(image, shape)

    class Kept:
        def __init__(self, kept):
            self.kept, self.new = kept, []

        def entries(self):
            return iter(self.kept)

        def append(self, image_id, entry):
            self.new.append((image_id, entry))

    assert together(cfg) == 1 and together(default_config([*KEYS, "--resize", "short_long"])) == 1
    first = Kept([])
    whole, missing = predict_dataset(cfg, counted, dataset, part=first)
    before = len(calls)
    again = Kept(first.new[:1])
    assert predict_dataset(cfg, counted, dataset, part=again) == (whole, missing) and missing == [3]
    assert again.new == first.new[1:] and len(calls) - before == 1


def test_infer_writes_one_entry_an_image_in_its_own_pixels(tmp_path, dataset, caplog):
    caplog.set_level(logging.INFO)
    paths = [tmp_path / "1.png", tmp_path / "2.png", tmp_path / "3.png"]
    cfg = config("--pred_input", str(tmp_path), "--pred_output", str(tmp_path / "out.json"))
    Detection().infer(cfg, colour_detector, paths, tmp_path / "out.json")
    content = json.loads((tmp_path / "out.json").read_text())
    assert list(content) == [str(path) for path in paths[:2]]
    entry = content[str(paths[0])]
    assert (entry["height"], entry["width"]) == (192, 192)
    objects = {tuple(map(int, one.box)) for one in dataset.record(0).objects}
    found = set()
    for one in entry["predictions"]:
        assert list(one) == ["bbox", "class", "mask", "score"] and one["mask"]["size"] == [192, 192]
        box = one["bbox"]
        found.add((box["x_min"], box["y_min"], box["x_min"] + box["width"], box["y_min"] + box["height"]))
    assert found == objects
