"""Matching in rounds is matching one after the other; the evaluation's numbers are pycocotools' to the last digit."""

import contextlib

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from src.evaluation import matching
from src.evaluation.matching import Group, match_best_first, match_reaching
from src.evaluation.table_eval import Entries, TableEval
from tests.evaluation.tiny import rectangle_mask

SIDE = 100


def drawn(seed: int, images: int, classes: int, most_objects: int, most_found: int, masks: bool) -> tuple[dict, list]:
    """Boxes on a coarse grid, so that overlaps, areas and scores are often equal, some of them crowds."""
    rng = np.random.default_rng(seed)
    objects, found = [], []

    def box() -> list[float]:
        x, y = (rng.integers(0, 6, 2) * 8).tolist()
        w, h = rng.choice([16, 24, 32, 40, 52], 2).tolist()
        return [float(x), float(y), float(w), float(h)]

    for image in range(1, images + 1):
        for _ in range(rng.integers(0, most_objects + 1)):
            own = {"image_id": image, "category_id": int(rng.integers(1, classes + 1)), "bbox": box()}
            own |= {"id": len(objects) + 1, "iscrowd": int(rng.random() < 0.2)}
            own["area"] = own["bbox"][2] * own["bbox"][3] * float(rng.choice([0.5, 1.0]))
            own["segmentation"] = rectangle_mask(own["bbox"])
            objects.append(own)
        for _ in range(rng.integers(0, most_found + 1)):
            score = float(rng.integers(1, 12)) / 12
            own = {"image_id": image, "category_id": int(rng.integers(1, classes + 1)), "score": score}
            shape = box()
            found.append(own | ({"segmentation": rectangle_mask(shape)} if masks else {"bbox": shape}))
    content = {
        "images": [{"id": k, "height": SIDE, "width": SIDE, "file_name": f"{k}.png"} for k in range(1, images + 1)],
        "categories": [{"id": k, "name": str(k)} for k in range(1, classes + 1)],
        "annotations": objects,
    }
    return content, found


def entries(annotations: list[dict], kind: str) -> Entries:
    """As pycocotools has them; its ids are 1, 2, ..."""
    image, label, area, crowd = (
        np.array([one[key] for one in annotations]) for key in ("image_id", "category_id", "area", "iscrowd")
    )
    score = np.array([one.get("score", 0.0) for one in annotations])
    shapes = [one["bbox" if kind == "bbox" else "segmentation"] for one in annotations]
    shapes = np.array(shapes, float).reshape(-1, 4) if kind == "bbox" else shapes
    return Entries(image - 1, label - 1, area.astype(float), shapes, score, crowd > 0)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize(
    "seed,images,classes,most_objects,most_found",
    [(0, 8, 3, 6, 12), (1, 5, 2, 20, 30), (2, 1, 1, 3, 250), (3, 12, 4, 2, 3), (4, 3, 1, 0, 5), (5, 3, 2, 30, 230)],
)
def test_every_number_is_that_of_pycocotools(kind, seed, images, classes, most_objects, most_found, monkeypatch):
    if seed == 1:
        monkeypatch.setattr(matching, "MOST_VALUES", 500)  # many parts
    content, results = drawn(seed, images, classes, most_objects, most_found, kind == "segm")
    with contextlib.redirect_stdout(None):
        truth = COCO()
        truth.dataset = content
        truth.createIndex()
        found = truth.loadRes([dict(result) for result in results])
        theirs = COCOeval(truth, found, kind)
        sizes = len(truth.imgs), len(truth.cats)
        own = (entries(one.dataset["annotations"], kind) for one in (truth, found))
        ours = TableEval(*own, kind, *sizes)
        for one in (ours, theirs):
            one.evaluate()
            one.accumulate()
            one.summarize()
    for name in ("precision", "recall", "scores"):
        assert np.array_equal(ours.eval[name], theirs.eval[name]), name
    assert ours.stats.tolist() == theirs.stats.tolist() and ours.eval["counts"] == theirs.eval["counts"]
    assert most_objects == 0 or 0 < ours.stats[0] < 1


def one_after_the_other(group: Group, view: int, threshold: float) -> list[int]:
    """The rule in loops."""
    free, taken = [True] * len(group.shared), []
    for own in group.overlaps:
        best = -1
        for ignored in (False, True):
            for k, overlap in enumerate(own):
                is_open = free[k] and group.ignored[view, k] == ignored and overlap >= threshold
                is_kind = best < 0 or group.ignored[view, best] == ignored
                if is_kind and is_open and (best < 0 or overlap >= own[best]):
                    best = k
        taken.append(best)
        if best >= 0 and not group.shared[best]:
            free[best] = False
    return taken


def test_groups_of_all_sizes_together_are_matched_as_each_alone():
    rng = np.random.default_rng(0)
    groups = []
    for _ in range(200):
        found, objects = rng.integers(0, 9), rng.integers(1, 7)
        overlaps = rng.integers(0, 11, (found, objects)) / 10
        groups.append(Group(overlaps, rng.random((2, objects)) < 0.3, rng.random(objects) < 0.2))
    thresholds = [0.5, 0.7, 1.0]
    for group, taken in zip(groups, match_best_first(groups, thresholds)):
        assert taken.shape == (len(group.overlaps), 2, 3)
        for view in (0, 1):
            for k, threshold in enumerate(thresholds):
                assert taken[:, view, k].tolist() == one_after_the_other(group, view, threshold)


def test_no_group_and_no_detection_match_nothing():
    assert match_best_first([], [0.5]) == []
    empty = Group(np.zeros((0, 2)), np.zeros((1, 2), bool), np.zeros(2, bool))
    assert match_best_first([empty], [0.5])[0].shape == (0, 1, 1)


def test_those_that_reach_an_object_are_matched_and_named():
    """Of five detections the second and the last reach one; the last takes the object that the other group has."""
    nothing = np.zeros(2, bool)
    groups = [
        Group(np.array([[0.1, 0.2], [0.6, 0.7], [0.0, 0.4]]), nothing[None], nothing),
        Group(np.array([[0.2, 0.0], [0.5, 0.1]]), nothing[None], nothing),
    ]
    places, taken = match_reaching(groups, [0.5, 0.65])
    assert places.tolist() == [1, 4] and taken[:, 0].tolist() == [[1, 1], [0, -1]]


def test_objects_of_the_table_stand_by_image_an_images_classes_as_they_are_labelled():
    labelled = [(1, 2, 0.0), (0, 1, 10.0), (0, 0, 20.0), (0, 1, 30.0), (1, 0, 40.0)]  # image, class, size
    image, label, size = np.array(labelled).T
    boxes = np.stack([size, size, size + 10, size + 10], 1)
    objects = Entries(image.astype(int), label.astype(int), size, boxes, is_crowd=size == 30)
    found = Entries(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros((0, 4)), np.zeros(0))
    done = TableEval(objects, found, "bbox", 2, 3)
    with contextlib.redirect_stdout(None):
        done.evaluate()
    assert done.table.object_image.tolist() == [0, 0, 0, 1, 1] and done.table.object_label.tolist() == [1, 1, 0, 2, 0]
    assert done.table.object_ignored[:, 0].tolist() == [False, True, False, False, False]
