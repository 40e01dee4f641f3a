"""Several training data sets of a segmenter at once: pairs in folders and lists, each read as it is read alone."""

import numpy as np
import pytest

from src.data.formats.segmentation_list import open_segmentation
from src.data.held_out import is_held_out
from src.data.loader import streams_of
from src.data.segmentation import SegmentationSamples, build_segmentation_loader
from src.errors import UserError
from src.tasks import TASKS
from tests.data.test_own_masks import config, labels_of, mask, pairs, save

TWO = "[ground, crack]"


@pytest.fixture()
def sets(tmp_path):
    """One with masks of 0 and 255, one of a list with 0 and 1; both have a 0.jpg."""
    one = pairs(tmp_path / "one", {"0": mask(0, 255), "1": mask(255), "2": mask(0)})
    other = pairs(tmp_path / "other", {"0": mask(1), "3": mask(0, 1)})
    (other / "train.lst").write_text("".join(f"images/{k}.jpg\tmasks/{k}.png\n" for k in (0, 3, 4)))
    return one, other


def both(sets, *more: object):
    keys = ("--train_dataset", f"[{sets[0]}, {sets[1]}]", "--val_dataset", "", "--batch_size", "1")
    return config(TWO, *keys, *map(str, more))


def test_each_set_is_read_as_it_is_read_alone(sets, caplog):
    cfg = both(sets)
    dataset = open_segmentation(cfg, cfg.train_dataset, "train")
    alone = [open_segmentation(config(TWO, "--train_dataset", str(one)), str(one), "train") for one in sets]
    assert labels_of(alone[0]) == [[0, 1], [1], [0]] and alone[1].read_label(0).max() == 1
    assert dataset.samples == alone[0].samples + alone[1].samples and dataset.sets == [0, 0, 0, 1, 1, 1]
    for index, (part, place) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]):
        np.testing.assert_array_equal(dataset.read_label(index), alone[part].read_label(place))
    samples = SegmentationSamples(dataset, cfg)  # 4.jpg is missing
    assert samples.keys == [0, 1, 2, 3, 4] and samples.origins == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    save(sets[1] / "masks" / "3.png", mask(0, 7))
    assert dataset.why_unreadable(4).startswith(f"{sets[1] / 'masks' / '3.png'} has the value 7")


def test_another_set_changes_no_sample_of_the_first(sets):
    cfg, alone = both(sets), config(TWO, "--train_dataset", str(sets[0]), "--batch_size", "1")
    made = []
    for one in (cfg, alone):
        samples = SegmentationSamples(open_segmentation(one, one.train_dataset, "train"), one)
        made.append([samples.make(samples.read(entry), streams_of(samples, 1, 2, entry)) for entry in range(3)])
    for ours, theirs in zip(*made):
        for mine, other in zip(ours, theirs):
            np.testing.assert_array_equal(mine, other)


def test_weights_say_how_often_a_sets_samples_are_taken(sets, caplog):
    caplog.set_level("INFO")
    cfg = both(sets, "--train_weights", "[1, 2]")
    task = TASKS["segmentation"]
    loader = task.make_loader(cfg, 0, 1, 0)
    assert loader.steps_per_epoch == 7 and loader.source.sampling.counts(0, 0).tolist() == [1, 1, 1, 2, 2]
    line = (
        f"training data sets: {sets[0]} (3 images, weight 1: 3 samples), {sets[1] / 'train.lst'} (2 images, weight 2: "
        "4 samples), 7 samples an epoch"
    )
    assert line in caplog.messages and list(dict(task.inspect(cfg))["sampling"]) == [line]
    plain = config(TWO, "--train_dataset", str(sets[0]), "--batch_size", "1")
    assert build_segmentation_loader(plain, open_segmentation(plain, str(sets[0]), "train")).source.sampling.is_plain


def test_val_split_holds_images_of_all_sets_out_by_their_names(sets):
    cfg = both(sets, "--val_split", 0.5)
    parts = {split: TASKS["segmentation"].open(cfg, split) for split in ("train", "val")}
    names = {split: [image.name for image, _ in part.samples] for split, part in parts.items()}
    held = [name for name in ("0.jpg", "1.jpg", "2.jpg", "0.jpg", "3.jpg", "4.jpg") if is_held_out(name, 0.5)]
    assert names["val"] == held and 0 < len(held) < 6 and len(names["train"]) == 6 - len(held)
    assert parts["val"].sets == [int("other" in image.parts) for image, _ in parts["val"].samples]


def test_a_set_that_is_none_is_refused_by_its_name(sets, tmp_path):
    for wrong, message in (
        (tmp_path / "no", f"data set folder {tmp_path / 'no'} does not exist"),
        (sets[0], "is named twice as training data"),
        (tmp_path / "one.lst", "one.lst does not exist"),
    ):
        cfg = config(TWO, "--train_dataset", f"[{sets[0]}, {wrong}]", "--val_dataset", "")
        with pytest.raises(UserError, match=message):
            TASKS["segmentation"].open(cfg, "train")
