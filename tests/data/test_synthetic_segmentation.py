"""The generated Cityscapes and LIP trees: layout, valid labels, every class, left and right."""

import cv2
import numpy as np
import pytest

from src.data import synthetic
from src.data.synthetic_lip import CLASSES

# Cityscapes' own numbers of the 19 evaluated classes (cityscapesScripts, labels.py).
EVALUATED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
TRAIN, VAL = 60, 9


@pytest.fixture(scope="module", params=["cityscapes", "lip"])
def tree(request, tmp_path_factory):
    """(layout, its folder)"""
    out = tmp_path_factory.mktemp("synthetic") / request.param
    options = ["--images", str(TRAIN), "--val-images", str(VAL), "--size", "96", "--seed", "3"]
    synthetic.main([request.param, str(out), *options])
    return request.param, out


def samples(out, subset: str = "train") -> list[tuple[np.ndarray, np.ndarray]]:
    """(image, label) of every line of the list."""
    pairs = [line.split("\t") for line in (out / f"{subset}.lst").read_text().splitlines()]
    read = [[cv2.imread(str(out / name), cv2.IMREAD_UNCHANGED) for name in pair] for pair in pairs]
    return [(image, label) for image, label in read]


def test_the_layout_is_exactly_the_real_one(tree):
    layout, out = tree
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    for subset, count in (("train", TRAIN), ("val", VAL)):
        if layout == "cityscapes":
            for folder, ending in (("leftImg8bit", "_leftImg8bit.png"), ("gtFine", "_gtFine_labelIds.png")):
                found = {file for file in files if file.startswith(f"{folder}/{subset}/") and file.endswith(ending)}
                assert len(found) == count and all(file.count("/") == 3 for file in found)
                files -= found
        else:
            ids = (out / f"{subset}_id.txt").read_text().split()
            assert len(set(ids)) == count
            files -= {f"TrainVal_images/{subset}_images/{name}.jpg" for name in ids}
            files -= {f"TrainVal_parsing_annotations/{subset}_segmentations/{name}.png" for name in ids}
            files.remove(f"{subset}_id.txt")
        assert len((out / f"{subset}.lst").read_text().splitlines()) == count
        files.remove(f"{subset}.lst")
    assert files == set()


def test_image_and_label_agree_in_size(tree):
    layout, out = tree
    pairs = samples(out) + samples(out, "val")
    for image, label in pairs:
        assert image.dtype == label.dtype == np.uint8 and image.shape == (*label.shape, 3)
    sizes = {label.shape for _, label in pairs}
    if layout == "cityscapes":
        assert sizes == {(48, 96)}
    else:
        assert max(map(max, sizes)) == 96 and len(sizes) > 10


def test_only_label_ids_of_the_data_set_occur_and_some_are_ignored(tree):
    layout, out = tree
    found = set(np.unique(np.concatenate([label.ravel() for _, label in samples(out)])).tolist())
    expected = {0, 1, 4, *EVALUATED} if layout == "cityscapes" else set(range(20))
    assert found == expected


def test_every_class_is_in_a_good_share_of_the_images_and_large_enough_to_learn(tree):
    layout, out = tree
    labels = [label for _, label in samples(out)]
    for class_id in EVALUATED if layout == "cityscapes" else range(20):
        pixels = np.array([(label == class_id).sum() for label in labels])
        assert (pixels > 0).mean() >= 0.2, class_id
        assert np.median(pixels[pixels > 0]) >= 40, class_id


def test_the_same_arguments_give_the_same_bytes_and_another_seed_others(tree, tmp_path):
    layout, _ = tree
    for name, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        options = ["--images", "3", "--val-images", "2", "--size", "64", "--seed", seed]
        synthetic.main([layout, str(tmp_path / name), *options])
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) >= 12
    same = [(tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files]
    assert all(same)
    images = [name for name in files if name.suffix in (".png", ".jpg")]
    assert all((tmp_path / "a" / name).read_bytes() != (tmp_path / "c" / name).read_bytes() for name in images)


def test_the_validation_pictures_are_not_the_training_ones(tree):
    _, out = tree
    training = {label.tobytes() for _, label in samples(out)}
    assert not training & {label.tobytes() for _, label in samples(out, "val")}


def mean_column(label: np.ndarray, class_id: int) -> float:
    columns = np.nonzero(label == class_id)[1]
    return columns.mean() if len(columns) else np.nan


def test_a_persons_left_parts_lie_at_the_right_of_the_right_parts(tree):
    layout, out = tree
    if layout != "lip":
        pytest.skip("streets have no left and right parts")
    for part in ("arm", "leg", "shoe"):
        left, right = CLASSES.index(f"left-{part}"), CLASSES.index(f"right-{part}")
        pairs = np.array([(mean_column(label, left), mean_column(label, right)) for _, label in samples(out)])
        seen = ~np.isnan(pairs).any(axis=1)
        assert seen.mean() > 0.9
        assert (pairs[seen, 0] > pairs[seen, 1]).all(), part


def test_left_and_right_of_a_person_have_the_same_colour(tree):
    layout, out = tree
    if layout != "lip":
        pytest.skip("streets have no left and right parts")
    for part in ("arm", "leg", "shoe"):
        left, right = CLASSES.index(f"left-{part}"), CLASSES.index(f"right-{part}")
        differences = [
            image[label == left].mean(axis=0) - image[label == right].mean(axis=0)
            for image, label in samples(out)
            if (label == left).any() and (label == right).any()
        ]
        assert np.abs(np.mean(differences, axis=0)).max() < 5, part


def test_streets_are_not_symmetric(tree):
    layout, out = tree
    if layout != "cityscapes":
        pytest.skip("people may stand anywhere")
    for _, label in samples(out):
        middle = label.shape[1] / 2
        for name, class_id in (("sidewalk", 8), ("building", 11), ("train", 31)):
            assert not mean_column(label, class_id) > middle, name
        for name, class_id in (("vegetation", 21), ("terrain", 22)):
            assert not mean_column(label, class_id) < middle, name
