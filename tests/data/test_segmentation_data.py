"""Segmentation lists, files and training samples on drawn pictures whose every pixel is known."""

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from src.config import load_config
from src.data.formats.segmentation_list import SegmentationDataset, open_segmentation
from src.data.inspection import label_files
from src.data.label_sets import label_set
from src.data.segmentation import SegmentationSamples, build_segmentation_loader
from src.data.streams import SampleStreams
from src.errors import UserError
from src.evaluation.segmentation_eval import score_label_maps

LIP = str(Path(__file__).parents[2] / "configs" / "hrnet_w18_seg_lip.yaml")
PLAIN = ("--img_mean=[0,0,0]", "--img_std=[1,1,1]", "--scale_range=[1,1]", "--keep_ratio=1", "--base_size=0")


def config(*keys: str):
    return load_config(LIP, ["--img_width=24", "--img_height=16", *PLAIN, *keys])


@pytest.fixture()
def root(tmp_path) -> Path:
    """Three pictures whose label at a pixel is the picture's blue value there."""
    rng = np.random.RandomState(0)
    lines = []
    for k, (height, width) in enumerate(((16, 24), (30, 40), (10, 12))):
        label = rng.randint(0, 20, (height, width)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"i{k}.png"), np.stack([label, label + 50, label + 100], 2))
        cv2.imwrite(str(tmp_path / f"l{k}.png"), label)
        lines.append(f"i{k}.png\tl{k}.png")
    (tmp_path / "train.lst").write_text("\n".join(lines) + "\n\n")
    return tmp_path


def samples(root: Path, *keys: str) -> SegmentationSamples:
    cfg = config(*keys)
    return SegmentationSamples(open_segmentation(cfg, str(root), "train"), cfg)


@pytest.mark.parametrize(
    "named,tree,other", [("lip", "leftImg8bit", "cityscapes"), ("cityscapes", "TrainVal_images", "lip")]
)
@pytest.mark.parametrize("place", ["", "train.lst"])
def test_the_tree_of_another_data_set_is_refused_as_its_labels_mean_other_classes(root, named, tree, other, place):
    (root / tree).mkdir()
    cfg = config("--dataset", named, "--num_classes", "20" if named == "lip" else "19")
    with pytest.raises(UserError) as refused:
        open_segmentation(cfg, str(root / place), "train")
    assert str(refused.value) == f"{root} holds {other} ({tree}/), and dataset is {named!r}: --dataset {other}"


def test_every_pixel_of_a_sample_keeps_its_label(root):
    made = samples(root, "--flip_ratio=0")
    for entry in range(3):
        image, label = made.make(made.read(entry), SampleStreams(0, 0, entry))
        assert image.shape == (3, 16, 24) and image.dtype == np.float32 and label.dtype == np.int32
        counted = label != 255
        np.testing.assert_array_equal(image[2][counted], label[counted])  # RGB: blue is the last channel
        np.testing.assert_array_equal(image[0][counted], label[counted] + 100)
        assert not image[:, ~counted].any()
    assert (~counted).sum() == 16 * 24 - 10 * 12  # the small picture lies in the corner, the rest is ignored


def test_a_mirrored_sample_has_mirrored_pixels_and_swapped_parts(root):
    plain, mirrored = samples(root, "--flip_ratio=0"), samples(root, "--flip_ratio=1")
    item = plain.read(0)
    (image, label), (turned, turned_label) = (s.make(item, SampleStreams(0, 0, 0)) for s in (plain, mirrored))
    np.testing.assert_array_equal(turned, image[..., ::-1])
    expected = label[:, ::-1].copy()
    for left, right in ((14, 15), (16, 17), (18, 19)):
        expected[label[:, ::-1] == left], expected[label[:, ::-1] == right] = right, left
    np.testing.assert_array_equal(turned_label, expected)


def test_a_mirrored_sample_keeps_its_parts_names_where_the_key_says_so(root):
    plain, mirrored = samples(root, "--flip_ratio=0"), samples(root, "--flip_ratio=1", "--flip_swaps_labels=0")
    label, turned = (s.make(s.read(0), SampleStreams(0, 0, 0))[1] for s in (plain, mirrored))
    np.testing.assert_array_equal(turned, label[:, ::-1])
    assert {14, 15} & set(np.unique(label))


def test_stretching_takes_the_whole_picture_to_the_networks_size(root):
    made = samples(root, "--flip_ratio=0", "--keep_ratio=0", "--base_size=24")
    image, label = made.make(made.read(1), SampleStreams(0, 0, 1))
    assert image.shape == (3, 16, 24) and (label != 255).all()
    np.testing.assert_array_equal(label, cv2.resize(made.read(1)[1], (24, 16), interpolation=cv2.INTER_NEAREST))


def test_colour_jitter_changes_colours_and_no_label(root):
    plain, jittered = samples(root, "--flip_ratio=0"), samples(root, "--flip_ratio=0", "--color_jitter=0.5")
    item = plain.read(0)
    (image, label), (other, other_label) = (s.make(item, SampleStreams(0, 0, 0)) for s in (plain, jittered))
    np.testing.assert_array_equal(label, other_label)
    assert np.abs(image - other).max() > 1


def test_palette_labels_are_read_as_indices(root):
    picture = Image.fromarray(np.uint8([[1, 2], [3, 255]]))
    picture.putpalette(list(range(256)) * 3)
    picture.save(root / "l0.png")
    dataset = open_segmentation(config(), str(root), "train")
    np.testing.assert_array_equal(dataset.read_label(0), [[1, 2], [3, 255]])


def test_bad_files_are_told_apart(root):
    (root / "i0.png").write_bytes(b"no image")
    cv2.imwrite(str(root / "l1.png"), np.full((30, 40), 77, np.uint8))
    cv2.imwrite(str(root / "l2.png"), np.zeros((9, 12), np.uint8))
    made = samples(root)
    assert all(made.read(entry) is None for entry in range(3))
    reasons = [made.why_unreadable(entry) for entry in range(3)]
    assert "i0.png is no image" in reasons[0] and "l1.png has the value 77" in reasons[1]
    assert "12x10 pixels, its label 12x9" in reasons[2]
    cv2.imwrite(str(root / "l1.png"), np.full((30, 40, 3), (0, 0, 9), np.uint8))
    assert "l1.png is no label image" in made.why_unreadable(1)
    (root / "l1.png").write_bytes((root / "i1.png").read_bytes()[:60])
    assert made.read(1) is None


def test_missing_files_are_said_and_left_out_of_training(root, caplog):
    (root / "i1.png").unlink()
    made = samples(root)
    assert made.keys == [0, 2] and "1 of the files it names are missing (i1.png)" in caplog.text
    assert f"looked for {root / 'i1.png'}" in caplog.text
    for name in ("i0.png", "l2.png"):
        (root / name).unlink()
    with pytest.raises(UserError, match="none of its 3 samples"):
        samples(root)


@pytest.mark.parametrize(
    "content,said",
    [(None, "lip_lst_maker --root"), ("", "names no samples"), ("a.png\n", "line 1: expected an image and a label")],
)
def test_lists_that_are_none_are_one_line(root, content, said):
    (root / "train.lst").unlink()
    if content is not None:
        (root / "train.lst").write_text(content)
    with pytest.raises(UserError, match=said):
        samples(root)


LINES = "i0.png\tl0.png\ni1.png\tl1.png\n"


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + LINES.encode(),
        LINES.encode("utf-16"),
        b"\xfe\xff" + LINES.encode("utf-16-be"),
        LINES.replace("\n", "\r\n").encode(),
        LINES.replace("\n", "\r").encode(),
        LINES.replace("\t", "\t\t ").encode() + b"\t\n  \n",
        b"# image label\n#\n" + LINES.encode() + b"# the end",
    ],
)
def test_a_list_has_the_same_samples_whatever_wrote_it(root, content):
    (root / "train.lst").write_bytes(content)
    made = samples(root)
    assert [image.name for image, _ in made.dataset.samples] == ["i0.png", "i1.png"] and made.keys == [0, 1]


def test_names_of_files_may_begin_like_comments_and_hold_odd_spaces(root):
    for kind, name in (("i0", "# a\u2028b.png"), ("l0", "#\x85.png")):
        (root / f"{kind}.png").rename(root / name)
    (root / "train.lst").write_text("# a\u2028b.png\t#\x85.png\n", encoding="utf-8")
    assert len(samples(root).dataset) == 1 and not samples(root).dataset.missing


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (LINES.encode("utf-16-le"), "line 1: i.*holds a NUL character"),
        (LINES.encode() + b"i2\0.png\tl2.png", "line 3: i2.*holds a NUL character"),
        (b"\xffi0.png\tl0.png", r"no text in UTF-8 \(byte 0\)"),
        (LINES.encode("utf-16")[:-1], "no text"),
        (b"a b c\n", "line 1: expected an image and a label path, found 3 fields"),
    ],
)
def test_a_list_that_is_no_text_is_one_line(root, content, said):
    (root / "train.lst").write_bytes(content)
    with pytest.raises(UserError, match=f"train.lst.*{said}") as caught:
        samples(root)
    assert str(caught.value).isprintable()


def test_a_label_of_another_size_takes_part_in_nothing(root):
    cv2.imwrite(str(root / "l1.png"), np.zeros((9, 9), np.uint8))
    cv2.imwrite(str(root / "l2.png"), np.full((10, 12), 20, np.uint8))
    (root / "i0.png").unlink()
    dataset = open_segmentation(config(), str(root), "train")
    found = [dataset.read(index) for index in range(3)]
    assert [(image is None, label is None) for image, label in found] == [(True, False), (False, True), (False, True)]
    result = score_label_maps(dataset, 255, [(k, label, None if label is None else label) for k, (_, label) in
                                             enumerate(found)][1:])  # fmt: skip
    assert not result.labelled.any() and len(result.unreadable) == 2
    assert "i1.png has 40x30 pixels, its label 9x9; left out" in result.unreadable[0]
    assert "l2.png has the value 20, which is no label of this data set; left out" in result.unreadable[1]


@pytest.mark.parametrize("keep", [0, 1, 8, 20, 30, 45, 60])
@pytest.mark.parametrize("change", [bytes, lambda data: data.replace(b"IHDR", b"IHDX"), lambda data: b"GIF89a"])
def test_a_damaged_label_image_is_no_label(root, keep, change):
    content = (root / "l0.png").read_bytes()
    (root / "l0.png").write_bytes(change(content)[:keep])
    assert open_segmentation(config(), str(root), "train").read_label(0) is None


def test_a_list_can_be_named_itself_and_may_use_spaces(root, monkeypatch):
    (root / "few.lst").write_text("i0.png  l0.png\n")
    assert len(SegmentationDataset(root / "few.lst", "train", label_set(config()))) == 1
    with pytest.raises(UserError, match="does not exist"):
        SegmentationDataset(root / "nowhere", "train", label_set(config()))
    with pytest.raises(UserError, match="val_dataset is empty"):
        SegmentationDataset("", "val", label_set(config()))
    monkeypatch.chdir(root)
    assert len(SegmentationDataset(".", "train", label_set(config()))) == 3


def test_a_loader_that_starts_later_gives_the_batches_of_an_uninterrupted_run(root):
    cfg = config("--batch_size=1", "--epoch_size=2", "--scale_range=[0.5,2]", "--num_parallel_workers=1")
    dataset = open_segmentation(cfg, str(root), "train")
    whole = [[x.asnumpy() for x in batch] for batch in build_segmentation_loader(cfg, dataset)]
    later = [[x.asnumpy() for x in batch] for batch in build_segmentation_loader(cfg, dataset, start_step=4)]
    assert len(whole) == 6 and len(later) == 2
    for left, right in zip(whole[4:], later):
        for a, b in zip(left, right):
            np.testing.assert_array_equal(a, b)


def test_a_seed_of_each_sample_and_epoch_comes_beside_the_same_images_and_labels(root):
    cfg = config("--batch_size=1", "--epoch_size=2", "--scale_range=[0.5,2]", "--num_parallel_workers=1")
    dataset, columns = open_segmentation(cfg, str(root), "train"), ("image", "label", "sample_seed")
    plain = [[x.asnumpy() for x in batch] for batch in build_segmentation_loader(cfg, dataset)]
    seeded = [[x.asnumpy() for x in batch] for batch in build_segmentation_loader(cfg, dataset, columns=columns)]
    later = [x[2].asnumpy() for x in build_segmentation_loader(cfg, dataset, start_step=4, columns=columns)]
    for (image, label), (same, its, seed) in zip(plain, seeded, strict=True):
        assert np.array_equal(image, same) and np.array_equal(label, its)
        assert seed.shape == (1,) and seed.dtype == np.int32 and seed[0] >= 0
    seeds = [batch[2].item() for batch in seeded]
    assert len(set(seeds)) == 6 and seeds[4:] == [seed.item() for seed in later]


def test_the_check_tells_sizes_balance_and_what_is_unusable(root):
    (root / "i0.png").write_bytes(b"no image")
    lines = "\n".join(label_files(open_segmentation(config(), str(root), "train"), 255))
    for said in ("3 samples, 0 files missing", "3 samples read, 1 unusable", "i0.png is no image", "2 sizes of images",
                 "most pixels: ", "ignored pixels: 0.0%"):  # fmt: skip
        assert said in lines


CITYSCAPES = str(Path(__file__).parents[2] / "configs" / "hrnet_w18_seg_cityscapes.yaml")
RAW = np.uint8([[7, 26, 4], [33, 23, 0]])  # road, car, ignored; bicycle, sky, ignored
CLASSES = np.uint8([[0, 13, 255], [18, 10, 255]])  # what they are, and as train ids are written


def cityscapes(folder: Path, *files: tuple[str, np.ndarray]) -> SegmentationDataset:
    for name, values in files:
        cv2.imwrite(str(folder / name), values)
    cv2.imwrite(str(folder / "image.png"), np.zeros((2, 3, 3), np.uint8))
    (folder / "val.lst").write_text("".join(f"image.png\t{name}\n" for name, _ in files))
    return open_segmentation(load_config(CITYSCAPES), str(folder), "val")


@pytest.mark.parametrize(
    "files",
    [
        [("a_labelIds.png", RAW)],
        [("a_labelTrainIds.png", CLASSES)],
        [("a_labelTrainIds.png", CLASSES), ("b_labelIds.png", RAW)],
        [("a.png", RAW)],
        [("a.png", CLASSES)],
        [("a.png", np.minimum(CLASSES, 18)), ("b.png", CLASSES), ("c_labelIds.png", RAW)],
    ],
)
def test_label_files_hold_raw_or_train_ids_by_their_names_and_values(tmp_path, caplog_of, files):
    dataset = cityscapes(tmp_path, *files)
    for index, (_, values) in enumerate(files):
        np.testing.assert_array_equal(dataset.read_label(index), CLASSES if values is RAW else values)
    told = "val.lst: label files without labelIds in their names hold train ids, by their values" in caplog_of.text
    assert told == (files[0][0] == "a.png" and files[0][1] is not RAW)


def test_names_that_their_values_contradict_are_said(tmp_path, caplog_of):
    cityscapes(tmp_path, ("a_labelIds.png", CLASSES))
    assert "files named *labelIds* hold values of train ids alone: are they labelTrainIds?" in caplog_of.text
    dataset = cityscapes(tmp_path, ("a_labelTrainIds.png", RAW))
    assert dataset.read_label(0) is None
    assert "a_labelTrainIds.png has the value 23, which is no label of this data set" in dataset.why_unreadable(0)


@pytest.fixture()
def caplog_of(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("src"), "propagate", True)
    caplog.set_level(logging.INFO, logger="src")
    return caplog
