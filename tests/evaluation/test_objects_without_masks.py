"""Labels of which some objects have no mask: the table of masks takes no notice of predictions on them."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from src.evaluation.coco_eval import STATISTICS, evaluate_predictions
from tests.evaluation.tiny import detection, make_dataset

MASKED, BARE = (0, 0, 20, 20), (40, 40, 20, 20)


def dataset_of(*objects: tuple, bare: tuple[int, ...] = ()):
    """objects: (image, category, box); the annotations of the numbers `bare` lose their mask."""
    dataset = make_dataset([(*one, False) for one in objects])
    for number in bare:
        dataset.coco.dataset["annotations"][number]["segmentation"] = []
    return dataset


def masks_scored_by_pycocotools(dataset, results: list[dict], crowds: tuple[int, ...] = ()) -> dict[str, float]:
    """Its own metrics of masks, of which the annotations of the numbers `crowds` are crowds."""
    truth = COCO()
    content = dataset.coco.dataset
    annotations = [one | {"iscrowd": int(k in crowds)} for k, one in enumerate(content["annotations"])]
    truth.dataset = content | {"annotations": annotations}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found = truth.loadRes([{k: v for k, v in one.items() if k != "bbox"} for one in results])
        direct = COCOeval(truth, found, "segm")
        direct.evaluate()
        direct.accumulate()
        direct.summarize()
    return {f"seg_{name}": value for name, value in zip(STATISTICS, direct.stats.tolist())}


def of_masks(metrics: dict[str, float]) -> dict[str, float]:
    """Without AR1: the best prediction of an image may be one that is ignored, as with COCO's crowds."""
    return {name: value for name, value in metrics.items() if name.startswith("seg_") and name != "seg_AR1"}


@pytest.mark.parametrize(
    "mask", [BARE, (39, 39, 22, 22), (45, 40, 20, 20), (40, 48, 20, 20), (47, 47, 4, 4), (37, 40, 26, 26)]
)
def test_a_mask_on_an_object_without_one_is_neither_right_nor_wrong_at_any_threshold(mask):
    dataset = dataset_of((11, 7, MASKED), (11, 7, BARE), bare=(1,))
    own, on_it = detection(11, 7, MASKED, 0.5), detection(11, 7, mask, 0.9)
    expected = evaluate_predictions(dataset, [own], {})
    assert expected["seg_mAP"] == pytest.approx(1)
    assert of_masks(evaluate_predictions(dataset, [own, on_it], {})) == of_masks(expected)
    assert of_masks(evaluate_predictions(dataset, [own, on_it, on_it], {})) == of_masks(expected)


def test_a_crowd_would_have_a_mask_that_is_a_pixel_too_wide_wrong():
    results = [detection(11, 7, MASKED, 0.5), detection(11, 7, (39, 39, 22, 22), 0.9)]
    whole = dataset_of((11, 7, MASKED), (11, 7, BARE))
    assert masks_scored_by_pycocotools(whole, results, crowds=(1,))["seg_mAP"] == pytest.approx((7 + 3 / 2) / 10)


@pytest.mark.parametrize("mask", [(51, 40, 20, 20), (70, 70, 20, 20), (30, 30, 40, 40)])
def test_a_mask_of_which_less_than_half_lies_there_is_wrong(mask):
    dataset = dataset_of((11, 7, MASKED), (11, 7, BARE), bare=(1,))
    results = [detection(11, 7, MASKED, 0.5), detection(11, 7, mask, 0.9)]
    assert evaluate_predictions(dataset, results, {})["seg_mAP"] == pytest.approx(0.5)  # the better one is wrong


def test_an_object_without_a_mask_excuses_no_mask_of_another_class_or_image():
    dataset = dataset_of((11, 7, MASKED), (11, 3, BARE), (12, 3, MASKED), bare=(1,))
    results = [detection(11, 7, MASKED, 0.5), detection(12, 3, MASKED, 0.5)]
    assert evaluate_predictions(dataset, results, {})["seg_mAP"] == pytest.approx(1)
    for image, category in ((11, 7), (12, 3)):
        more = [*results, detection(image, category, BARE, 0.9)]
        assert evaluate_predictions(dataset, more, {})["seg_mAP"] == pytest.approx((1 + 0.5) / 2)


def test_a_mask_of_an_object_nearby_is_scored_as_before():
    # 14 of 26 columns are common with the object that has a mask; 16 of the mask's 20 lie in the other one's box.
    near = ((11, 7, MASKED), (11, 7, (10, 0, 20, 20)))
    results = [detection(11, 7, (6, 0, 20, 20), 0.9)]
    metrics = evaluate_predictions(dataset_of(*near, bare=(1,)), results, {})
    assert metrics["seg_mAP"] == pytest.approx(0.1)  # right at 0.50 alone
    assert of_masks(metrics) == of_masks(masks_scored_by_pycocotools(dataset_of(*near), results, crowds=(1,)))
    exact = [detection(11, 7, MASKED, 0.9)]
    assert evaluate_predictions(dataset_of(*near, bare=(1,)), exact, {})["seg_mAP"] == pytest.approx(1)


def drawn(seed: int) -> tuple[list[tuple], list[dict], list[int]]:
    """Objects in cells that do not touch, a prediction near most of them, and which object each of these is on."""
    rng = np.random.RandomState(seed)
    objects, results, meant = [], [], []
    for image in (11, 12, 13):
        for k in range(8):
            x, y, side = 25 * (k % 4) + 3, 50 * (k // 4) + 3, int(rng.randint(8, 20))
            objects.append((image, (7, 3)[k % 2], (x, y, side, side + 20 * (k // 4))))
            if rng.rand() < 0.8:
                dx, dy = rng.randint(-2, 3, 2)
                box = (x + dx, y + dy, side, side + 20 * (k // 4))
                results.append(detection(*objects[-1][:2], box, float(rng.rand())))
                meant.append(len(objects) - 1)
    return objects, results, meant


@pytest.mark.parametrize("seed", range(3))
def test_the_table_of_masks_is_pycocotools_own_of_the_objects_that_have_one(seed):
    objects, results, meant = drawn(seed)
    bare = tuple(np.flatnonzero(np.random.RandomState(seed + 10).rand(len(objects)) < 0.5).tolist())
    metrics = evaluate_predictions(dataset_of(*objects, bare=bare), results, {})
    masked = dataset_of(*(one for k, one in enumerate(objects) if k not in bare))
    of_masked = [one for one, number in zip(results, meant) if number not in bare]
    expected = of_masks(masks_scored_by_pycocotools(masked, of_masked))
    assert 0.1 < expected["seg_mAP"] < 0.9 and len(expected) == 11
    assert of_masks(metrics) == expected
    whole = evaluate_predictions(dataset_of(*objects), results, {})
    boxes = [name for name in metrics if name.startswith("bbox_")]
    assert len(boxes) == 12 and [metrics[name] for name in boxes] == [whole[name] for name in boxes]


def test_how_many_objects_have_no_mask_is_said_where_masks_are_scored(capsys):
    dataset = dataset_of((11, 7, MASKED), (11, 7, BARE), bare=(1,))
    results = [detection(11, 7, MASKED, 0.5)]
    evaluate_predictions(dataset, results, {})
    line = "1 of 2 objects have no mask: the segm table ignores predicted masks on them."
    assert line in capsys.readouterr().out.splitlines()
    boxes = [{k: v for k, v in one.items() if k != "segmentation"} for one in results]
    evaluate_predictions(dataset, boxes, {}, has_masks=False)
    assert "mask" not in capsys.readouterr().out


@pytest.mark.parametrize("count", [0, 1])
def test_of_a_detector_without_masks_the_box_table_alone_is_printed_and_returned(capsys, count):
    results = [detection(11, 7, MASKED, 0.5)][:count]
    boxes = [{k: v for k, v in one.items() if k != "segmentation"} for one in results]
    metrics = evaluate_predictions(dataset_of((11, 7, MASKED)), boxes, {}, has_masks=False)
    printed = capsys.readouterr().out
    assert list(metrics) == [f"bbox_{name}" for name in STATISTICS] and metrics["bbox_mAP"] == pytest.approx(count)
    assert printed.count("Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all") == 1
    assert "seg" not in printed.lower() and "mask" not in printed and "bbox AP" in printed
    with_masks = evaluate_predictions(dataset_of((11, 7, MASKED)), results, {}, has_masks=True)
    assert "seg_mAP" in with_masks and "segm AP" in capsys.readouterr().out
