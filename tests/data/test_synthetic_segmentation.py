"""Drawn segmentation data: layouts, label ids, repeatability, left and right."""

import cv2
import numpy as np
import pytest

from src.data.label_sets import CITYSCAPES, CITYSCAPES_IGNORED, LIP
from src.data.synthetic.__main__ import LAYOUTS


def labels_of(root, subset: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """(image, raw label) of every sample of a list."""
    lines = (root / f"{subset}.lst").read_text().splitlines()
    return [tuple(cv2.imread(str(root / part), -1) for part in line.split("\t")) for line in lines]


@pytest.fixture(scope="module", params=["cityscapes", "lip"])
def tree(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    LAYOUTS[request.param](root, 40, 8, 96, 5)
    return request.param, root


def test_every_class_occurs_often_and_no_other_label_does(tree):
    kind, root = tree
    maps = [label for _, label in labels_of(root, "train")]
    assert len(maps) == 40 and len(labels_of(root, "val")) == 8
    wanted = {raw for raw, _ in CITYSCAPES.values()} if kind == "cityscapes" else set(range(len(LIP)))
    allowed = wanted | set(CITYSCAPES_IGNORED) if kind == "cityscapes" else wanted
    assert set(np.unique(np.concatenate([label.ravel() for label in maps])).tolist()) <= allowed
    for raw in wanted:
        assert sum((label == raw).sum() > 10 for label in maps) >= 8, raw
    if kind == "cityscapes":
        assert any((label == 0).any() for label in maps) and any((label == 1).any() for label in maps)


def test_pictures_and_labels_have_one_size_and_lip_has_many(tree):
    kind, root = tree
    pairs = labels_of(root, "train")
    assert all(image.shape[:2] == label.shape for image, label in pairs)
    sizes = {label.shape for _, label in pairs}
    assert sizes == {(48, 96)} if kind == "cityscapes" else len(sizes) > 10


def test_the_same_seed_draws_the_same_and_another_does_not(tree, tmp_path):
    kind, root = tree
    for name, seed in (("same", 5), ("other", 6)):
        LAYOUTS[kind](tmp_path / name, 3, 2, 96, seed)
    first, same, other = (labels_of(folder, "train")[0] for folder in (root, tmp_path / "same", tmp_path / "other"))
    assert np.array_equal(first[0], same[0]) and np.array_equal(first[1], same[1])
    assert not (first[1].shape == other[1].shape and np.array_equal(first[1], other[1]))


def test_left_and_right_differ(tree):
    kind, root = tree
    left, right = (8, 22) if kind == "cityscapes" else (15, 14)  # sidewalk and terrain; right arm and left arm
    for _, label in labels_of(root, "train"):
        places = [np.nonzero(label == raw)[1].mean() for raw in (left, right) if (label == raw).any()]
        assert len(places) < 2 or places[0] < places[1]
