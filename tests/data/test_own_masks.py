"""Segmentation data as people have them: pairs in two folders, 0 and 255, one bit, colours, and public label sets."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.config import load_config
from src.data import custom_lst_maker
from src.data.formats.label_files import read_indices
from src.data.formats.segmentation_list import open_segmentation
from src.data.held_out import is_held_out
from src.data.label_sets import label_set
from src.data.segmentation import SegmentationSamples
from src.errors import UserError
from tests.data.conftest import DEMO_CONFIG

CONFIG = DEMO_CONFIG.with_name("hrnet_seg_cityscapes_shapes.yaml")
SIZE = (10, 12)


def config(classes: str = "[ground, crack]", *more: str):
    count = classes.count(",") + 1
    given = ["--dataset", "custom", "--class_names", classes, "--num_classes", str(count), "--class_weights", "[]"]
    return load_config(CONFIG, [*given, *more])


def save(path: Path, values: np.ndarray | Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (values if isinstance(values, Image.Image) else Image.fromarray(values)).save(path)


def pairs(folder: Path, masks: dict, images="images", labels="masks", suffix=".png") -> Path:
    """Writes an image and a mask of each name."""
    for name, mask in masks.items():
        save(folder / images / f"{name}.jpg", np.zeros((*SIZE, 3), np.uint8))
        save(folder / labels / f"{name}{suffix}", mask)
    return folder


def mask(*values: int) -> np.ndarray:
    """The values in vertical stripes."""
    return np.uint8(values)[np.arange(SIZE[1]) * len(values) // SIZE[1]][None].repeat(SIZE[0], 0)


def labels_of(dataset) -> list[list[int]]:
    return [np.unique(dataset.read_label(k)).tolist() for k in range(len(dataset))]


# -------------------------------------------------------------------------------------------------------------- folders


@pytest.mark.parametrize(
    ("images", "labels", "suffix"),
    [("images", "masks", ".png"), ("train/images", "train/masks", ".tif"), ("images/train", "masks/train", ".bmp"),
     ("images", "masks", "_mask.png")],
)  # fmt: skip
def test_images_and_masks_are_paired_by_name_without_a_list(tmp_path, caplog, images, labels, suffix):
    pairs(tmp_path, {"b": mask(0, 1), "a": mask(1), "sub/c": mask(0)}, images, labels, suffix)
    save(tmp_path / images / "alone.png", np.zeros((*SIZE, 3), np.uint8))
    save(tmp_path / labels / f"other{suffix}", mask(0))
    dataset = open_segmentation(config(), str(tmp_path), "train")
    assert [image.stem for image, _ in dataset.samples] == ["a", "b", "c"] and not dataset.missing
    assert labels_of(dataset) == [[1], [0, 1], [0]]
    assert "1 images without label: alone" in caplog.text and "1 labels without image: other" in caplog.text
    assert len(SegmentationSamples(dataset, config()).keys) == 3


def test_a_list_that_is_there_is_taken_and_what_is_not_there_is_said(tmp_path):
    pairs(tmp_path, {"a": mask(0), "b": mask(1)})
    (tmp_path / "train.lst").write_text("images/b.jpg\tmasks/b.png\n")
    assert len(open_segmentation(config(), str(tmp_path), "train")) == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="val.lst does not exist, and .*empty has no folders images and masks"):
        open_segmentation(config(), str(tmp_path / "empty"), "val")
    save(tmp_path / "images" / "a.png", np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(UserError, match="images/a.jpg and images/a.png have one name: which one is it"):
        open_segmentation(config(), str(tmp_path), "val")
    save(tmp_path / "un" / "images" / "a.jpg", np.zeros((*SIZE, 3), np.uint8))
    save(tmp_path / "un" / "masks" / "b.png", mask(0))
    with pytest.raises(UserError, match="none of 1 images and 1 labels belong together"):
        open_segmentation(config(), str(tmp_path / "un"), "train")


@pytest.mark.parametrize("val", ["", "nowhere", "same"])
def test_val_split_holds_out_the_same_share_in_every_run_and_the_list_maker_too(tmp_path, val, caplog):
    names = [f"{number:03d}" for number in range(40)]
    folder = str(pairs(tmp_path / "set", dict.fromkeys(names, mask(0, 1))))
    keys = ("--train_dataset", folder, "--val_dataset", folder if val == "same" else val)
    cfg = config("[a, b]", *keys, "--val_split", "0.3")
    parts = {split: open_segmentation(cfg, getattr(cfg, f"{split}_dataset"), split) for split in ("train", "val")}
    own = {split: [image.stem for image, _ in part.samples] for split, part in parts.items()}
    assert own["val"] == [name for name in names if is_held_out(f"{name}.jpg", 0.3)]
    assert sorted(own["train"] + own["val"]) == names and 5 < len(own["val"]) < 20
    custom_lst_maker.make_lists(Path(folder), 0.3)
    lines = {split: Path(folder, f"{split}.lst").read_text().splitlines() for split in own}
    assert {split: [Path(line.split("\t")[0]).stem for line in part] for split, part in lines.items()} == own


def test_without_a_share_the_same_images_for_both_are_said(tmp_path, caplog):
    folder = str(pairs(tmp_path, {"a": mask(0), "b": mask(1)}))
    cfg = config("[a, b]", "--train_dataset", folder, "--val_dataset", folder)
    assert len(open_segmentation(cfg, folder, "val")) == 2
    assert "the images of training are those of validation too; val_split holds" in caplog.text
    with pytest.raises(UserError, match="has no val/ of its own: --val_split 0.15 holds"):
        custom_lst_maker.make_lists(Path(folder))
    with pytest.raises(UserError, match="has no folders images and masks"):
        custom_lst_maker.make_lists(tmp_path / "images")


def test_the_list_maker_takes_the_splits_of_the_folder(tmp_path, capsys):
    for split, name in (("train", "a"), ("val", "b")):
        pairs(tmp_path, {name: mask(0)}, f"{split}/images", f"{split}/masks")
    custom_lst_maker.main(["--root", str(tmp_path)])
    assert (tmp_path / "val.lst").read_text() == "val/images/b.jpg\tval/masks/b.png\n"
    assert "1 samples written to" in capsys.readouterr().out


# --------------------------------------------------------------------------------------------------------------- values


WHITE = {
    "grey": lambda values: values,
    "three equal channels": lambda values: np.repeat(values[..., None], 3, 2),
    "with alpha": lambda values: np.dstack([values] * 3 + [np.full_like(values, 255)]),
}


@pytest.mark.parametrize("kind", WHITE)
def test_0_and_255_with_two_classes_mean_class_1_which_is_said_once(tmp_path, caplog, kind):
    pairs(tmp_path, {"a": WHITE[kind](mask(0)), "b": WHITE[kind](mask(0, 255)), "c": WHITE[kind](mask(255))})
    for _ in range(2):
        assert labels_of(open_segmentation(config(), str(tmp_path), "train")) == [[0], [0, 1], [1]]
    assert caplog.text.count("255 is crack") == 1


def test_255_is_ignored_where_the_key_says_so_where_there_is_a_1_and_where_there_are_more_classes(tmp_path):
    pairs(tmp_path, {"a": mask(0, 255), "b": mask(0)})
    typed = config("[ground, crack]", "--ignore_label", "255")
    assert labels_of(open_segmentation(typed, str(tmp_path), "train")) == [[0, 255], [0]]
    assert labels_of(open_segmentation(config("[a, b, c]"), str(tmp_path), "train")) == [[0, 255], [0]]
    save(tmp_path / "masks" / "b.png", mask(0, 1, 255))
    assert labels_of(open_segmentation(config(), str(tmp_path), "train")) == [[0, 255], [0, 1, 255]]


def test_a_file_that_is_unlike_those_that_were_looked_at_is_named_and_not_taken_otherwise(tmp_path):
    values = [mask(0)] * 70 + [mask(0, 255)]
    pairs(tmp_path, {f"{k:03d}": one for k, one in enumerate(values)})
    assert labels_of(open_segmentation(config(), str(tmp_path), "train"))[70] == [0, 1]
    for k in range(71):
        save(tmp_path / "masks" / f"{k:03d}.png", mask(0, 255))
    save(tmp_path / "masks" / "001.png", mask(0, 1))
    dataset = open_segmentation(config(), str(tmp_path), "train")
    assert dataset.read_label(0) is not None and dataset.read_label(1) is None
    assert "001.png has the value 1, which is no label of this data set" in dataset.why_unreadable(1)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_one_bit_is_class_0_and_1(tmp_path, suffix):
    pairs(tmp_path, {"a": Image.fromarray(mask(0, 255)).convert("1")}, suffix=suffix)
    found = open_segmentation(config(), str(tmp_path), "train").read_label(0)
    assert found.dtype == np.uint8 and np.array_equal(found, mask(0, 1))


def test_a_label_image_may_have_more_pixels_than_pillow_takes_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # what the project has set stays
    save(tmp_path / "a.png", Image.new("1", (20_000, 9_100)))  # beyond Pillow's own limit for an error
    assert read_indices(tmp_path / "a.png", 100_000_000) is None
    assert read_indices(tmp_path / "a.png", 182_000_000).shape == (9_100, 20_000)


# -------------------------------------------------------------------------------------------------------------- colours


COLOURS = [[0, 0, 0], [255, 0, 0], [0, 128, 255]]


def coloured(values: np.ndarray) -> np.ndarray:
    return np.uint8([*COLOURS, [255, 255, 255], [1, 2, 3]])[values]


@pytest.mark.parametrize("ignored", [False, True])
def test_colours_are_classes_by_label_colours(tmp_path, ignored):
    colours = str([*COLOURS, [255, 255, 255]] if ignored else COLOURS)
    cfg = config("[a, b, c]", "--label_colours", colours)
    palette = Image.fromarray(coloured(mask(2, 0))).quantize(4)
    alpha = np.dstack([coloured(mask(1, 2)), np.full(SIZE, 255, np.uint8)])
    pairs(tmp_path, {"a": coloured(mask(0, 1, 2)), "b": palette, "c": alpha, "d": coloured(mask(0, 3)),
                     "e": coloured(mask(0, 4)), "f": np.zeros(SIZE, np.uint8)})  # fmt: skip
    dataset = open_segmentation(cfg, str(tmp_path), "train")
    np.testing.assert_array_equal(dataset.read_label(0), mask(0, 1, 2))
    np.testing.assert_array_equal(dataset.read_label(1), mask(2, 0))
    np.testing.assert_array_equal(dataset.read_label(2), mask(1, 2))
    assert (dataset.read_label(3) is not None) == ignored and dataset.read_label(4) is None
    assert not ignored or np.unique(dataset.read_label(3)).tolist() == [0, 255]
    assert "e.png has the colour [1, 2, 3], which is not in label_colours" in dataset.why_unreadable(4)
    assert not dataset.read_label(5).any()
    assert label_set(cfg).palette.tolist() == COLOURS


def test_coloured_labels_without_the_key_say_which_it_is(tmp_path):
    dataset = open_segmentation(config(), str(pairs(tmp_path, {"a": coloured(mask(0, 1))})), "train")
    assert dataset.read_label(0) is None and "label_colours takes colours" in dataset.why_unreadable(0)


@pytest.mark.parametrize(
    ("colours", "said"),
    [("[[0, 0, 0]]", "num_classes is 2, but label_colours has 1 colours"), ("[[0, 0], [1, 1, 1]]", "a colour is"),
     ("[[0, 0, 0], [0, 0, 0]]", "has \\[0, 0, 0\\] more than once"), ("[0, 0, 0]", "must be a list of lists, not"),
     ("[[0, 0, 256], [1, 1, 1]]", "must be .*at most 255"), ("[[0, 0, a], [1, 1, 1]]", "must be a whole number")],
)  # fmt: skip
def test_label_colours_that_are_none_are_refused(colours, said):
    with pytest.raises(UserError, match=said):
        config("[a, b]", "--label_colours", colours)


# ---------------------------------------------------------------------------------------------------- public label sets


@pytest.fixture(scope="module")
def mmseg(data_files) -> dict:
    """Classes and palettes copied from MMSegmentation 1.2.2."""
    return json.loads((data_files / "mmseg_label_sets.json").read_text())


def public(dataset: str, classes: int):
    return load_config(CONFIG, ["--dataset", dataset, "--num_classes", str(classes), "--class_weights", "[]"])


@pytest.mark.parametrize(
    ("dataset", "classes", "skipped"),
    [("ade20k", 150, 1), ("pascal_context", 60, 0), ("pascal_context", 59, 1), ("voc", 21, 0)],
)
def test_a_public_label_set_is_that_of_mmsegmentation(mmseg, dataset, classes, skipped):
    labels = label_set(public(dataset, classes))
    first = len(mmseg[dataset]["classes"]) - classes
    assert list(labels.names) == mmseg[dataset]["classes"][first:]
    assert labels.palette.tolist() == mmseg[dataset]["palette"][first:]
    raw = np.arange(256).astype(np.uint8)
    if skipped:  # mmseg's LoadAnnotations with reduce_zero_label
        raw[raw == 0] = 255
        raw = raw - 1
        raw[raw == 254] = 255
    known = (raw < classes) | (raw == 255)
    np.testing.assert_array_equal(labels.table[known], raw[known])
    assert (labels.table[~known] == -1).all()
    assert labels.raw_ids().tolist() == [k + skipped for k in range(classes)]


def test_a_public_set_of_other_classes_is_refused():
    with pytest.raises(UserError, match="num_classes is 21, but dataset ade20k has 150 classes"):
        label_set(public("ade20k", 21))


@pytest.mark.parametrize(
    ("dataset", "classes", "images", "labels", "lists"),
    [("ade20k", 150, "images/validation", "annotations/validation", ""),
     ("voc", 21, "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"),
     ("pascal_context", 59, "JPEGImages", "SegmentationClassContext", "ImageSets/SegmentationContext")],
)  # fmt: skip
def test_a_public_set_is_read_in_its_own_layout(tmp_path, dataset, classes, images, labels, lists):
    palette = Image.fromarray(mask(0, 3, 255))
    palette.putpalette(list(range(256)) * 3)
    pairs(tmp_path, {"a": palette, "b": palette}, images, labels)
    if lists:
        (tmp_path / lists).mkdir(parents=True)
        (tmp_path / lists / "val.txt").write_text("b\n")
    dataset = open_segmentation(public(dataset, classes), str(tmp_path), "val")
    assert [image.stem for image, _ in dataset.samples] == (["b"] if lists else ["a", "b"])
    assert labels_of(dataset)[0] == ([0, 3, 255] if classes == 21 else [2, 255])
