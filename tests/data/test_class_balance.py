"""Classes of a classifier taken evenly, and several of its training sets at once, against one merged by hand."""

import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from src.config import load_config
from src.data.formats.classified import open_classified, read_classes
from src.data.imagenet import build_folder_loader
from src.data.sampling import Sampling
from src.errors import UserError
from src.inference.classify import known_class_names
from src.tasks import TASKS
from tests.data.conftest import DEMO_CONFIG

CONFIG = DEMO_CONFIG.with_name("hrnet_cls_shapes.yaml")


def balanced(images: list[int], strength: float) -> Sampling:
    """Of one data set with so many images of each class."""
    labels = np.repeat(np.arange(len(images)), images)
    return Sampling.balanced(np.zeros(len(labels), int), np.ones(1), labels, strength)


def config(train: object, *more: object, classes: int, val: object = ""):
    size = ["--img_width", 32, "--img_height", 32, "--num_classes", classes, "--batch_size", 1, "--val_dataset", val]
    return load_config(CONFIG, [str(one) for one in (*size, "--train_dataset", train, *more)])


def pictures(folder: Path, images: dict[str, int], first: int = 0) -> Path:
    """Files 0.png, 1.png, ... of different grey in a folder a class."""
    for name, count in images.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            first += 1
            cv2.imwrite(str(folder / name / f"{number}.png"), np.full((8, 8, 3), first, np.uint8))
    return folder


# ---------------------------------------------------------------------------------------------------- class balance


@pytest.mark.parametrize(
    ("images", "strength", "samples"),
    [
        ([7, 1], 1.0, [4, 4]),
        ([8, 4, 1], 1.0, [5, 4, 4]),  # 13 / 3: what is left over goes to the first
        ([16, 4], 0.5, [13, 7]),  # in proportion 4 to 2: 13.33 and 6.67
        ([16, 0, 4], 0.5, [13, 0, 7]),
        ([16, 4], 1e-9, [16, 4]),
        ([5, 5, 5], 1.0, [5, 5, 5]),
    ],
)
def test_samples_of_the_classes_are_in_the_proportion_that_the_strength_says(images, strength, samples):
    plan = balanced(images, strength)
    labels = np.repeat(np.arange(len(images)), images)
    seen = np.zeros(len(labels))
    for epoch in range(40):
        counts = plan.counts(1, epoch)
        assert np.bincount(labels, counts, len(images)).tolist() == samples and counts.sum() == len(plan) == sum(images)
        for label, (own, wanted) in enumerate(zip(images, samples)):
            assert not own or set(counts[labels == label]) <= {wanted // own, -(-wanted // own)}
        seen += counts
    assert (seen > 0).all()  # nothing is left out for good
    assert plan.is_plain == (samples == images)


def test_an_epoch_has_what_torchs_weighted_sampler_has_on_average():
    images = [60, 25, 12, 3]
    labels = np.repeat(np.arange(4), images)
    weights = 1 / np.array(images)[labels]
    torch.manual_seed(0)
    sampler = torch.utils.data.WeightedRandomSampler(torch.from_numpy(weights), num_samples=100)
    theirs, ours, plan = np.zeros(100), np.zeros(100), balanced(images, 1.0)
    for epoch in range(400):
        theirs += np.bincount(list(sampler), minlength=100) / 400
        ours += plan.counts(0, epoch) / 400
    assert np.abs(np.bincount(labels, theirs) - 25).max() < 1 and np.allclose(np.bincount(labels, ours), 25)
    np.testing.assert_allclose(ours, 100 * weights / weights.sum(), atol=0.12)
    np.testing.assert_allclose(theirs, ours, atol=0.5)


def test_the_classes_of_a_loader_are_balanced_and_it_says_so(tmp_path, caplog):
    caplog.set_level("INFO")
    folder = pictures(tmp_path, {"ant": 9, "bee": 3})
    cfg = config(folder, "--class_balanced", 1, classes=2)
    task = TASKS["classification"]
    loader = task.make_loader(cfg, 0, 1, 0)
    line = "class_balanced 1: samples an epoch: bee 6 (of 3 images), ant 6 (of 9 images)"
    assert line in caplog.messages and list(dict(task.inspect(cfg))["sampling"]) == [line]
    assert loader.steps_per_epoch == 12
    epochs = [[loader.source[item] for item in range(12 * epoch, 12 * epoch + 12)] for epoch in (0, 1)]
    assert [Counter(int(batch[1][0]) for batch in epoch) for epoch in epochs] == [{0: 6, 1: 6}] * 2
    chosen = [set(np.flatnonzero(loader.source.sampling.counts(cfg.seed, epoch)[:9])) for epoch in (0, 1)]
    assert len(chosen[0]) == len(chosen[1]) == 6 and chosen[0] != chosen[1]
    later = loader.from_step(15).source
    for item in range(5):
        for mine, whole in zip(later[item], loader.source[15 + item]):
            np.testing.assert_array_equal(mine, whole)


def test_without_balance_no_bit_changes(tmp_path):
    folder = pictures(tmp_path, {"ant": 5, "bee": 2})
    off, alone = (config(folder, *more, classes=2) for more in (("--class_balanced", 0), ()))
    assert off == alone
    source = build_folder_loader(off, open_classified(off, "train")).source
    assert source.sampling.is_plain and source.samples.origins == []
    order = np.random.RandomState([off.seed, 1]).permutation(7)
    assert [int(source[7 + place][1][0]) for place in range(7)] == [int(entry > 4) for entry in order]


# ------------------------------------------------------------------------------------------------- several data sets


@pytest.fixture()
def two(tmp_path):
    return pictures(tmp_path / "a", {"cow": 3, "ant": 2}), pictures(tmp_path / "b", {"bee": 2, "cow": 4}, first=50)


def shown(dataset) -> list[tuple[str, int]]:
    return [(dataset.classes[label], int(cv2.imread(path)[0, 0, 0])) for path, label in dataset.images]


def test_folders_are_joined_by_the_names_of_their_classes(two, tmp_path):
    one, other = two
    dataset = open_classified(config(f"[{one}, {other}]", classes=3), "train")
    merged = tmp_path / "merged"
    for number, source in enumerate(two):
        for path in source.glob("*/*.png"):
            (merged / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, merged / path.parent.name / f"{number}_{path.name}")
    by_hand = open_classified(config(merged, classes=3), "train")
    assert dataset.classes == by_hand.classes == ["ant", "bee", "cow"]
    assert sorted(shown(dataset)) == sorted(shown(by_hand)) and dataset.sets == [0] * 5 + [1] * 6
    named = open_classified(config(f"[{one}, {other}]", "--class_names", "[cow, bee, ant]", classes=3), "train")
    assert named.classes == ["cow", "bee", "ant"] and shown(named) == shown(dataset)
    cfg = config(f"[{one}, {other}]", classes=3)
    assert TASKS["classification"].resolved(cfg).class_names == ["ant", "bee", "cow"] == known_class_names(cfg)
    assert read_classes([str(one), str(tmp_path / "nowhere")]) == []


def test_a_table_and_a_folder_are_joined_too(two, tmp_path):
    one, other = two
    rows = [f"{path.relative_to(tmp_path)},{path.parent.name}" for path in sorted(other.glob("*/*.png"))]
    (tmp_path / "b.csv").write_text("\n".join(("file,class", *rows)))
    by_table = open_classified(config(f"[{one}, {tmp_path / 'b.csv'}]", classes=3), "train")
    assert shown(by_table) == shown(open_classified(config(f"[{one}, {other}]", classes=3), "train"))


def test_weights_and_balance_act_together(two, caplog):
    caplog.set_level("INFO")
    one, other = two
    plain = config(f"[{one}, {other}]", "--train_weights", "[1, 0.5]", classes=3)
    plan = TASKS["classification"].make_loader(plain, 0, 1, 0).source.sampling
    assert plan.counts(0, 0)[:5].tolist() == [1] * 5 and plan.counts(0, 0)[5:].sum() == 3
    both = config(f"[{one}, {other}]", "--train_weights", "[1, 2]", "--class_balanced", 1, classes=3)
    loader = TASKS["classification"].make_loader(both, 0, 1, 0)
    # by the weights 2 ants, 4 bees and 3 + 8 cows, 17 in all: of each class 5.67, of the cows 3/11 from the first set
    counts = loader.source.sampling.counts(0, 0)
    labels = np.array([label for _, label in loader.source.samples.dataset.images])
    per_class = np.bincount(labels, counts).tolist()
    assert sum(per_class) == 17 and sorted(per_class) == [5, 6, 6]
    assert counts[:5][labels[:5] == 2].sum() in (1, 2) and counts[5:][labels[5:] == 2].sum() in (4, 5)
    assert f"training data sets: {one} (5 images, weight 1: " in caplog.text
    assert loader.source.samples.origins[5] == (1, 0)


def test_val_split_holds_images_of_both_sets_out(two):
    one, other = two
    cfg = config(f"[{one}, {other}]", "--val_split", 0.4, classes=3)
    train, val = (open_classified(cfg, split) for split in ("train", "val"))
    names = [{Path(path).name for path, _ in part.images} for part in (train, val)]
    assert not names[0] & names[1] and len(train) + len(val) == 11 and set(val.sets) == {0, 1}
    same = config(f"[{one}, {other}]", "--val_split", 0.4, classes=3, val=other)
    assert open_classified(same, "val").images == val.images


def test_what_does_not_fit_is_refused_and_names_the_set(two, tmp_path):
    one, other = two

    def error(train: str, *more: object, classes: int = 3) -> str:
        with pytest.raises(UserError) as said:
            open_classified(config(train, *more, classes=classes), "train")
        return str(said.value)

    both = f"[{one}, {other}]"
    assert f"num_classes is 2, but {one}, {other} has 3 classes: ant, bee, cow" in error(both, classes=2)
    names = ("--class_names", "[ant, cow, eel]")
    assert error(both, *names) == f"{other} does not match class_names: it has bee"
    names = ("--class_names", "[ant, bee, cow, eel]")
    assert error(both, *names, classes=4) == f"{one}, {other} does not match class_names: it lacks eel"
    assert error(f"[{one}, {tmp_path / 'c'}]") == f"data set folder {tmp_path / 'c'} does not exist"
    assert "is named twice as training data" in error(f"[{one}, {one}/]")
    with pytest.raises(UserError, match=f"train_outputs {other}/out lies in train_dataset"):
        TASKS["classification"].resolved(config(both, "--train_outputs", f"{other}/out", classes=3))
