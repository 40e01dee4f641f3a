"""Pictures of held-out images: truth beside what a network says, for each task."""

import json
from pathlib import Path

import cv2
import mindspore as ms
import numpy as np
import pytest

from src.config import load_config
from src.inference.panels import BAR, GAP, LONGEST_SIDE
from src.inference.sample_pictures import RIGHT, WRONG, beside, least_score, spread, stems
from src.tasks import TASKS
from tests.inference.test_predictor import whole_image_model

DEMO = Path(__file__).parents[2] / "configs" / "demo"
BOX = (20, 30, 40, 50)  # x, y, w, h of the one object of each image


def picture(number: int, height: int = 400, width: int = 480) -> np.ndarray:
    """Smooth, so that a JPEG or a resized copy is nearly the same."""
    rows, columns = np.mgrid[:height, :width]
    return np.dstack([rows / 4 + 20 * number, columns / 4, 0 * rows + 90]).astype(np.uint8)


def halves(page: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    width = (page.shape[1] - GAP) // 2
    return page[BAR:, :width], page[BAR:, width + GAP :]


@pytest.fixture()
def detection(tmp_path):
    """A configuration whose validation data are 4 images of a COCO folder, two of one name, one of them damaged."""
    folder, names = tmp_path / "set", ["a/1.png", "b/1.png", f"c/{'x' * 250}.png", "a/é\n.jpg"]
    images, annotations = [], []
    for number, name in enumerate(names, 1):
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = cv2.imencode(path.suffix, picture(number))[1].tobytes()
        path.write_bytes(content[:200] if number == 2 else content)
        images.append({"id": number, "file_name": name, "width": 480, "height": 400})
        x, y, w, h = BOX
        polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
        own = {"id": number, "image_id": number, "bbox": BOX, "area": w * h, "iscrowd": 0, "segmentation": [polygon]}
        annotations.append(own | {"category_id": 1})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "circle"}]}
    (folder / "labels.json").write_text(json.dumps(content))
    keys = ["--val_dataset", str(folder), "--coco_classes", "[background,circle]", "--num_classes", "2"]
    return load_config(str(DEMO / "mask_rcnn_hrnet_tiny.yaml"), [*keys, "--test_batch_size", "2", "--to_rgb", "0"])


def differs(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(h, w): where two pictures are clearly different."""
    return np.abs(one.astype(int) - other).max(axis=-1) > 12


def bright(image, shape):
    """Finds the whole of each image, with certainty."""
    boxes, scores, *rest = whole_image_model(image, shape)
    return boxes, ms.Tensor(np.where(scores.asnumpy() != 0, 0.9, 0).astype(np.float32)), *rest


def test_a_detectors_pictures_show_the_objects_at_the_left_and_what_is_found_at_the_right(
    pynative_mode, detection, caplog
):
    draw = TASKS["detection"].sample_pictures(detection, 8)
    assert sum("is not among the sample pictures" in line for line in caplog.messages) == 1
    for _ in range(2):  # the same ones each time
        pages = draw(bright)
        assert list(pages) == ["1", "x" * 200, "é\n"]
    truth, found = halves(pages["1"])
    assert truth.shape == (400, 480, 3) and pages["1"].shape == (400 + BAR, 2 * 480 + GAP, 3)
    x, y, w, h = BOX
    rows, columns = np.nonzero(differs(truth, picture(1)))
    assert rows.max() <= y + h + 2 and columns.min() >= x - 2  # the label stands above the object
    assert differs(truth, picture(1))[y : y + h, x : x + w].mean() > 0.9
    assert differs(found, picture(1)).mean() > 0.9  # a mask over the whole image
    assert list(TASKS["detection"].sample_pictures(detection, 1)(bright)) == ["1"]


def test_a_detector_that_finds_nothing_leaves_the_image_as_it_is(pynative_mode, detection):
    def blind(image, shape):
        boxes, scores, labels, valid, masks = bright(image, shape)
        return boxes, scores, labels, ms.Tensor(np.zeros(valid.shape, bool)), masks

    pages = TASKS["detection"].sample_pictures(detection, 1)(blind)
    assert np.array_equal(halves(pages["1"])[1], picture(1))


def test_a_segmenters_pictures_show_ignored_pixels_uncoloured(pynative_mode, tmp_path):
    image = np.full((64, 64, 3), 100, np.uint8)
    label = np.zeros((64, 64), np.uint8)
    label[:32], label[32:, :32] = 3, 255
    lines = []
    for name in ("a/k", "b/k", "c/k"):
        (tmp_path / name).parent.mkdir()
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
        cv2.imwrite(str(tmp_path / f"{name}_label.png"), label)
        lines.append(f"{name}.png\t{name}_label.png\n")
    (tmp_path / "c" / "k.png").write_bytes(b"no image")
    (tmp_path / "val.lst").write_text("".join(lines))
    keys = ["--val_dataset", str(tmp_path), "--keep_ratio", "1"]
    cfg = load_config(str(DEMO / "hrnet_seg_lip_shapes.yaml"), keys)

    def all_of_class_5(batch):
        logits = np.zeros((len(batch.asnumpy()), 20, 16, 16), np.float32)
        logits[:, 5] = 1
        return ms.Tensor(logits)

    pages = TASKS["segmentation"].sample_pictures(cfg, 5)(all_of_class_5)
    assert list(pages) == ["k", "k_2"]
    colours = TASKS["segmentation"].open(cfg, "val").labels.palette[:, ::-1]
    truth, found = (half[3::6, 3::6] for half in halves(pages["k"]))  # enlarged sixfold
    assert truth.shape == (64, 64, 3)
    expected = [(truth[:32], colours[3]), (truth[32:, 32:], colours[0]), (found, colours[5])]
    for part, colour in expected:
        np.testing.assert_allclose(part, np.broadcast_to(0.5 * 100 + 0.5 * colour, part.shape), atol=1)
    assert (truth[32:, :32] == 100).all()


def test_a_classifiers_pictures_come_from_all_classes_and_tell_right_from_wrong(pynative_mode, tmp_path):
    for name in ("ant", "bee", "cow", "dog"):
        (tmp_path / "val" / name).mkdir(parents=True)
        for k in range(3):
            cv2.imwrite(str(tmp_path / "val" / name / f"{name}{k}.png"), picture(k))
    keys = ["--val_dataset", str(tmp_path / "val"), "--num_classes", "4", "--class_names", "[ant,bee,cow,dog]"]
    cfg = load_config(str(DEMO / "hrnet_cls_shapes.yaml"), [*keys, "--test_batch_size", "3"])
    pages = TASKS["classification"].sample_pictures(cfg, 4)(
        lambda batch: ms.Tensor(np.tile(np.float32([0, 5, 0, 0]), (batch.shape[0], 1)))
    )
    assert list(pages) == ["ant0", "bee0", "cow0", "dog0"]
    plates = [tuple(tuple(half[1, 1]) for half in halves(page)) for page in pages.values()]
    assert plates == [(RIGHT, WRONG), (RIGHT, RIGHT), (RIGHT, WRONG), (RIGHT, WRONG)]


@pytest.mark.parametrize(
    ("scores", "objects", "least"),
    [([0.9, 0.2, 0.1], 1, 0.3), ([0.1, 0.9, 0.2], 2, 0.2), ([0.1], 3, 0.1), ([0.2, 0.1], 0, 0.3), ([], 2, 0.3)],
)
def test_at_least_as_many_detections_as_objects_are_drawn_and_all_from_0_3_on(scores, objects, least):
    assert least_score(scores, objects) == least


@pytest.mark.parametrize(
    ("total", "count", "places"), [(9, 3, [0, 3, 6]), (3, 8, [0, 1, 2]), (8, 3, [0, 2, 5]), (5, 1, [0])]
)
def test_places_are_spread_evenly_and_none_twice(total, count, places):
    assert spread(total, count) == places


def test_names_are_all_different_and_fit_a_file_system(tmp_path):
    names = stems(["a.jpg", "A.png", "a.b.jpg", ".hidden", "ü" * 120 + ".jpg", "ü" * 120 + "x.jpg", "\udcff.png"])
    assert len({name.lower() for name in names}) == len(names)
    for name in names:
        (tmp_path / f"{name}.jpg").write_bytes(b"")
    assert len(list(tmp_path.iterdir())) == len(names)


def test_large_pictures_are_made_smaller():
    page = beside(picture(1, 1200, 3000), picture(2, 1200, 3000))
    assert page.shape == (round(1200 * LONGEST_SIDE / 3000) + BAR, 2 * LONGEST_SIDE + GAP, 3)
