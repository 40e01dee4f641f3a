"""Image folders: classes, labels, batches, damaged files, the synthetic set."""

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.config import load_config
from src.data.formats.image_folder import ImageFolder, open_image_folder
from src.data.imagenet import Preparation, build_folder_loader, evaluation_batches
from src.data.inspection import image_folder
from src.data.synthetic.__main__ import main as synthetic
from src.data.synthetic.imagenet import CLASSES
from src.errors import UserError

DEMO = str(Path(__file__).parents[2] / "configs" / "demo" / "hrnet_cls_shapes.yaml")


@pytest.fixture()
def folder(tmp_path) -> Path:
    """Three classes; image k of class c is uniformly 10 c + k, so pixels tell which one it is."""
    for label, name in enumerate(("ant", "bee", "cow")):
        (tmp_path / "train" / name).mkdir(parents=True)
        for k in range(4):
            cv2.imwrite(str(tmp_path / "train" / name / f"{k}.png"), np.full((40, 50, 3), 10 * label + k, np.uint8))
    return tmp_path / "train"


def config(**keys):
    settings = {
        "num_classes": 3, "input_size": 32, "eval_resize": 32, "batch_size": 5, "epoch_size": 2, "img_mean": "[0,0,0]",
        "img_std": "[1,1,1]", "num_parallel_workers": 1, **keys,
    }  # fmt: skip
    return load_config(DEMO, [word for name, value in settings.items() for word in (f"--{name}", str(value))])


def test_labels_follow_the_sorted_folder_names_or_the_given_order(folder):
    dataset = ImageFolder(folder)
    assert dataset.classes == ["ant", "bee", "cow"] and len(dataset) == 12
    assert [label for _, label in dataset.images] == [0] * 4 + [1] * 4 + [2] * 4
    turned = ImageFolder(folder, ["cow", "bee", "ant"])
    assert {Path(path).parent.name: label for path, label in turned.images} == {"cow": 0, "bee": 1, "ant": 2}


def test_what_is_left_out_is_said_once_and_the_images_are_numbered_as_before(folder, caplog):
    before = ImageFolder(folder).images
    (folder / "deer").mkdir()
    (folder / "deer" / "notes.txt").write_text("no image")
    (folder / "ant" / "old" / "x.jpg").mkdir(parents=True)
    for place in (folder / "ant" / "old" / "x.jpg" / "7.jpg", folder / "8.png"):
        cv2.imwrite(str(place), np.zeros((4, 4, 3), np.uint8))
    (folder / "bee" / "wing.jpg").mkdir()
    (folder / "cow" / "loop.png").symlink_to("loop.png")
    (folder / ".hidden").mkdir()
    for _ in range(2):
        dataset = open_image_folder(config(num_classes=4), str(folder))
    assert dataset.images == before and dataset.classes == ["ant", "bee", "cow", "deer"]
    assert [line.removeprefix(f"{folder}: ") for line in caplog.messages] == dataset.notes == [
        "1 classes have no image: deer",
        "1 images lie in folders within those of the classes and are left out: ant/old/x.jpg/7.jpg",
        "1 images lie beside the folders of the classes and are left out: 8.png",
    ]  # fmt: skip
    assert [line for line in image_folder(dataset) if "WARNING" in line] == [f"WARNING: {n}" for n in dataset.notes]


def test_images_that_all_lie_too_deep_are_told_so(tmp_path):
    (tmp_path / "ant" / "a").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "ant" / "a" / "1.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(UserError, match=r"1 class folders, but 1 in folders within them \(ant/a/1.png\)"):
        ImageFolder(tmp_path)


def test_a_class_folder_whose_name_no_file_can_hold_is_named(folder):
    (folder / "b\udce9").mkdir()
    with pytest.raises(UserError, match=r"the class folder 'b\\udce9' has a name that is no text in UTF-8"):
        ImageFolder(folder)


def test_wrong_folders_and_classes_are_one_clear_line(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bare" / "ant").mkdir(parents=True)
    for path, names, message in (
        (tmp_path / "none", (), "does not exist"),
        (tmp_path / "empty", (), "no class folders"),
        (tmp_path / "bare", (), "no images"),
        (folder, ("ant", "bee", "dog"), "it has cow and lacks dog"),
    ):
        with pytest.raises(UserError, match=message):
            ImageFolder(path, names)
    with pytest.raises(UserError, match="num_classes is 4, but .* has 3 class folders: ant, bee, cow$"):
        open_image_folder(config(num_classes=4), str(folder))


def test_training_batches_have_fixed_shapes_and_the_images_own_labels(folder):
    loader = build_folder_loader(config(), ImageFolder(folder))
    batches = [[column.asnumpy() for column in batch] for batch in loader]
    assert loader.steps_per_epoch == 2 and len(batches) == 4
    for image, label, other, share in batches:
        assert image.shape == (5, 3, 32, 32) and image.dtype == np.float32
        assert label.dtype == other.dtype == np.int32 and (label == other).all() and (share == 1).all()
        np.testing.assert_array_equal(image[:, 0, 0, 0].astype(int) // 10, label)


@pytest.mark.parametrize("start", [1, 3])
def test_a_resumed_run_sees_the_same_batches_whatever_the_augmentation(folder, start):
    keys = {"mixup": 0.4, "cutmix": 1.0, "color_jitter": 0.4, "rand_augment": 2}
    whole = [[c.asnumpy() for c in batch] for batch in build_folder_loader(config(**keys), ImageFolder(folder))]
    rest = [
        [c.asnumpy() for c in batch]
        for batch in build_folder_loader(config(**keys), ImageFolder(folder), start_step=start)
    ]
    assert len(rest) == 4 - start and any((batch[3] < 1).any() for batch in whole)
    for ours, theirs in zip(rest, whole[start:]):
        for left, right in zip(ours, theirs):
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("mode", ["batch", "elem"])
def test_a_resumed_run_sees_timms_augmentations_again(folder, mode):
    timm = {"mixup": 0.4, "cutmix": 1.0, "mixup_mode": mode, "auto_augment": "rand-m9-mstd0.5-inc1", "batch_size": 4}
    whole = build_folder_loader(config(**timm), ImageFolder(folder)).source
    for workers in (1, 2):
        cfg = config(**timm, num_parallel_workers=workers)
        rest = [[c.asnumpy() for c in batch] for batch in build_folder_loader(cfg, ImageFolder(folder), start_step=2)]
        assert len(rest) == len(whole) - 2 == 4 and any((batch[3] < 1).any() for batch in rest)
        for k, ours in enumerate(rest):
            for left, right in zip(ours, whole[k + 2], strict=True):
                np.testing.assert_array_equal(left, right)
    unmixed = build_folder_loader(config(batch_size=4, auto_augment=timm["auto_augment"]), ImageFolder(folder)).source
    plain = build_folder_loader(config(batch_size=4), ImageFolder(folder)).source
    assert any((unmixed[k][0] != plain[k][0]).any() for k in range(3))


def test_a_damaged_image_is_replaced_in_training_and_kept_in_evaluation(folder, caplog):
    (folder / "bee" / "1.png").write_bytes(b"no image")
    dataset = ImageFolder(folder)
    with caplog.at_level(logging.WARNING):
        labels = np.concatenate([batch[1].asnumpy() for batch in build_folder_loader(config(batch_size=4), dataset)])
    assert len(labels) == 24 and any("1.png" in message for message in caplog.messages)
    seen = list(evaluation_batches(dataset.images, Preparation.from_config(config()), 5, workers=2))
    assert [len(items) for _, items, _ in seen] == [5, 5, 2] and all(image.shape[0] == 5 for image, _, _ in seen)
    assert [item for _, items, _ in seen for item in items] == dataset.images
    assert sum(not good for _, _, readable in seen for good in readable) == 1
    assert seen[0][0][1, 0, 16, 16] == 1 and not seen[2][0][2:].any()


def test_the_synthetic_set_has_every_class_in_turn_and_is_repeatable(tmp_path):
    for name in ("a", "b"):
        synthetic(["imagenet", str(tmp_path / name), "--images", "16", "--val-images", "8", "--size", "48"])
    train = ImageFolder(tmp_path / "a" / "train")
    assert tuple(train.classes) == CLASSES and np.bincount([label for _, label in train.images]).tolist() == [2] * 8
    first = Path(train.images[3][0])
    twin = tmp_path / "b" / first.relative_to(tmp_path / "a")
    assert first.read_bytes() == twin.read_bytes() and cv2.imread(str(first)).shape == (48, 48, 3)
