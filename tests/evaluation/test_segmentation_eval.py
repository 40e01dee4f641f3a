"""Counts, IoU and printed form of a segmentation evaluation whose answers are known."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mindspore import Tensor

from src.commands.evaluate import evaluate
from src.config import load_config
from src.data.formats.segmentation_list import open_segmentation
from src.errors import UserError
from src.evaluation.segmentation_eval import SegmentationResult, confusion_matrix, print_result
from src.inference.segment_files import segment_files
from src.process.log_words import Words
from src.tasks import TASKS
from src.tasks.segmentation import segment_dataset
from tests.process.test_channel import connect, together

CLASSES = 6
KEYS = ("--dataset=custom", "--class_names=[a,b,c,d,e,f]", "--num_classes=6", "--class_weights=[]",
        "--img_mean=[0,0,0]", "--img_std=[1,1,1]", "--device_target=CPU", "--num_parallel_workers=2")  # fmt: skip
CITYSCAPES = str(Path(__file__).parents[2] / "configs" / "hrnet_w18_seg_cityscapes.yaml")


def config(*keys: str):
    return load_config(CITYSCAPES, [*KEYS, *keys])


def model(image: Tensor) -> Tensor:
    """Class k where the red value is k; full resolution."""
    red = np.round(image.asnumpy()[:, 0])
    return Tensor((red[:, None] == np.arange(CLASSES)[None, :, None, None]).astype(np.float32))


@pytest.fixture()
def data(tmp_path):
    """Five images of four sizes with random labels and random predictions (in the red channel)."""
    rng = np.random.RandomState(0)
    pairs, lines = [], []
    for k, size in enumerate(((20, 30), (31, 17), (20, 30), (8, 9), (40, 12))):
        label, predicted = rng.randint(0, CLASSES, (2, *size)).astype(np.uint8)
        label[rng.rand(*size) < 0.2] = 255
        cv2.imwrite(str(tmp_path / f"i{k}.png"), np.stack([0 * predicted, 0 * predicted, predicted], 2))
        cv2.imwrite(str(tmp_path / f"l{k}.png"), label)
        pairs.append((label, predicted))
        lines.append(f"i{k}.png\tl{k}.png\n")
    (tmp_path / "val.lst").write_text("".join(lines))
    return tmp_path, pairs


def independent_counts(pairs) -> np.ndarray:
    counts = np.zeros((CLASSES, CLASSES), np.int64)
    for label, predicted in pairs:
        np.add.at(counts, (label[label != 255], predicted[label != 255]), 1)
    return counts


def independent_iou(pairs) -> list[float]:
    found = []
    for k in range(CLASSES):
        both = sum(int(((label == k) & (predicted == k)).sum()) for label, predicted in pairs)
        any_ = sum(int((((label == k) | (predicted == k)) & (label != 255)).sum()) for label, predicted in pairs)
        found.append(both / any_)
    return found


def test_counts_are_exact_and_int64(data):
    root, pairs = data
    result = segment_dataset(config(), model, open_segmentation(config(), root, "val"))
    assert result.confusion.dtype == np.int64
    np.testing.assert_array_equal(result.confusion, independent_counts(pairs))
    np.testing.assert_array_equal(result.iou, independent_iou(pairs))


def test_labels_are_stretched_to_the_networks_input_where_asked_for(data, capsys):
    root, pairs = data
    keys = ("--keep_ratio=0", "--img_width=20", "--img_height=12")
    cfg = config(*keys, "--eval_label_size=input")
    result = segment_dataset(cfg, model, open_segmentation(cfg, root, "val"))
    assert result.confusion.sum() < 5 * 20 * 12 < independent_counts(pairs).sum()
    stretched = [cv2.resize(label, (20, 12), interpolation=cv2.INTER_NEAREST) for label, _ in pairs]
    true = sum(np.bincount(label[label != 255], minlength=CLASSES) for label in stretched)
    np.testing.assert_array_equal(result.labelled, true)
    TASKS["segmentation"].score(cfg, model, open_segmentation(cfg, root, "val"))
    assert "stretched to 20x12, scales 1, flip 0, scored at that size, labels stretched too" in capsys.readouterr().out
    own = segment_dataset(config(*keys), model, open_segmentation(cfg, root, "val"))
    np.testing.assert_array_equal(own.labelled, independent_counts(pairs).sum(1))


def test_metrics_are_printed_in_the_originals_form(data, capsys):
    root, pairs = data
    metrics = TASKS["segmentation"].score(config(), model, open_segmentation(config(), root, "val"))
    assert metrics["mIoU"] == np.mean(independent_iou(pairs))
    counts = independent_counts(pairs)
    assert metrics["pixel_acc"] == np.trace(counts) / counts.sum()
    printed = capsys.readouterr().out
    assert re.search(r"Number of samples:    5, total time: \d+\.\d\ds, average time: \d+\.\d\ds\n", printed)
    assert f"miou: {metrics['mIoU']}\niou array: \n [" in printed
    for name, iou in zip("abcdef", independent_iou(pairs)):
        assert re.search(rf"^{name}\s+{iou:.4f} ", printed, re.MULTILINE)


def test_the_log_style_of_the_original_prints_its_evaluation(data, capsys):
    root, _ = data
    cfg = config("--log_style=original")
    metrics = TASKS["segmentation"].score(cfg, model, open_segmentation(cfg, root, "val"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [f"=====> Image:  {number}" for number in range(5)]
    begin = lines.index("============= 910 Inference =============")
    assert re.fullmatch(r"Number of samples:    5, total time: \d+\.\d\ds, average time: \d\.\d\ds", lines[begin - 1])
    assert lines[begin + 1] == f"miou: {metrics['mIoU']}" and lines[begin + 2] == "iou array: "
    assert lines[begin + 3].startswith(" [") and "=" * 41 in lines[begin:]
    TASKS["segmentation"].score(cfg, model, open_segmentation(cfg, root, "val"), protocol={"checkpoint": "in training"})
    assert "=====> Image" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "family,facts,original,today",
    [
        ("310", {},
         "=========== 310 Inference Result ===========\nmiou: 0.5\niou array: \n [0.25 0.75]\n" + "=" * 44,
         "============= 310 Inference Result =============\nmiou: 0.5\niou array: \n [0.25 0.75]\n" + "=" * 41),
        ("sdk", {"seconds": 1.25},
         "========= SDK Inference Result =========\nThe total time of inference is 1.25 s\nmIoU: 0.5\n"
         "IoU array: \n [0.25 0.75]\n" + "=" * 40,
         "============= SDK Inference Result =============\nmiou: 0.5\niou array: \n [0.25 0.75]\n" + "=" * 41),
    ],
    ids=["310", "sdk"],
)  # fmt: skip
def test_the_block_of_the_programs_elsewhere_has_the_words_of_its_style(capsys, family, facts, original, today):
    result = SegmentationResult(np.array([[1, 2], [1, 9]]), np.zeros(2, np.int64))
    for style, expected in (("original", original), ("default", today)):
        print_result(result, "ab", Words(family, style), **facts)
        assert capsys.readouterr().out.startswith(expected + "\n")
    assert Words("310", "original").line("total", count=500) == "Total number of images:  500"
    assert Words("310", "original").line("written", count=1, images=1, folder="x") == "Export bin files finished!"


def test_unreadable_images_count_as_wrong_and_unreadable_labels_are_said(data, capsys):
    root, pairs = data
    (root / "i0.png").write_bytes(b"no image")
    (root / "l2.png").write_bytes(b"no label")
    (root / "i3.png").unlink()
    result = segment_dataset(config(), model, open_segmentation(config(), root, "val"))
    np.testing.assert_array_equal(result.confusion, independent_counts([pairs[1], pairs[4]]))
    lost = np.concatenate([pairs[k][0].ravel() for k in (0, 3)])
    np.testing.assert_array_equal(result.missed, np.bincount(lost[lost != 255], minlength=CLASSES))
    assert len(result.unreadable) == 3 and "left out" in result.unreadable[1]
    assert result.metrics()["pixel_acc"] < np.trace(result.confusion) / result.confusion.sum()


@pytest.mark.parametrize("size", [(30, 30), (40, 60), (30, 20), (1, 1)])
def test_a_label_of_another_size_than_its_image_is_left_out_and_named(data, size):
    root, pairs = data
    cv2.imwrite(str(root / "l0.png"), np.zeros(size, np.uint8))
    result = segment_dataset(config(), model, open_segmentation(config(), root, "val"))
    np.testing.assert_array_equal(result.confusion, independent_counts(pairs[1:]))
    said = f"i0.png has 30x20 pixels, its label {size[1]}x{size[0]}; left out, since nothing tells what is right"
    assert not result.missed.any() and [line.rpartition("/")[2] for line in result.unreadable] == [said]


def test_a_class_that_never_occurs_counts_as_zero_as_in_the_original():
    result = SegmentationResult.empty(3)
    result.confusion[0, 0], result.confusion[1, 0], result.confusion[1, 1] = 6, 2, 2
    assert result.iou.tolist() == [6 / 8, 2 / 4, 0.0] and result.absent.tolist() == [False, False, True]
    assert result.metrics()["mIoU"] == pytest.approx((0.75 + 0.5) / 3)


def test_a_million_pixels_of_one_pair_are_counted():
    label, predicted = np.full((1500, 1000), 3, np.uint8), np.full((1500, 1000), 4, np.uint8)
    assert confusion_matrix(label, predicted, CLASSES, 255)[3, 4] == 1_500_000


def test_inference_writes_indices_colours_and_overlays_of_each_images_own_size(data, tmp_path):
    root, pairs = data
    (root / "i4.png").write_bytes(b"no image")
    paths = sorted(root.glob("i*.png"))
    cfg = config()
    written, unreadable = segment_files(cfg, model, paths, tmp_path / "out")
    assert unreadable == [root / "i4.png"] and len(written) == 4
    palette = open_segmentation(cfg, root, "val").labels.palette
    for k, (_, predicted) in enumerate(pairs[:4]):
        index, colour, overlay = (cv2.imread(str(p), cv2.IMREAD_UNCHANGED) for p in written[root / f"i{k}.png"])
        np.testing.assert_array_equal(index, predicted)
        np.testing.assert_array_equal(colour[..., ::-1], palette[predicted])
        blended = (cv2.imread(str(root / f"i{k}.png")) + colour.astype(float)) / 2
        assert np.abs(overlay - blended).max() <= 1
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made a folder"):
        segment_files(cfg, model, paths, tmp_path / "file" / "out")


def test_inference_goes_on_after_the_images_whose_pictures_are_written(data, tmp_path):
    paths, seen = sorted(data[0].glob("i*.png")), []
    paths[1].write_bytes(b"no image")

    def counted(image: Tensor) -> Tensor:
        seen.append(image.shape[2:])
        if len(seen) == 3:
            raise KeyboardInterrupt
        return model(image)

    with pytest.raises(KeyboardInterrupt):
        segment_files(config(), counted, paths, tmp_path / "out")
    assert (tmp_path / "out.part").exists()
    written, unreadable = segment_files(config(), counted, paths, tmp_path / "out")
    assert len(seen) == 5 and seen[2] == seen[3]
    assert unreadable == [paths[1]] and list(written) == [paths[0], *paths[2:]]
    assert all(picture.exists() for pictures in written.values() for picture in pictures)
    assert not (tmp_path / "out.part").exists()


def test_ranks_that_share_the_images_count_what_one_counts(data):
    dataset = open_segmentation(config(), data[0], "val")
    alone = TASKS["segmentation"].score(config(), model, dataset)
    channels, _ = connect(3)
    found = together(channels, lambda process: TASKS["segmentation"].score(config(), model, dataset, process))
    assert found == [alone, {}, {}]


def test_a_prediction_file_is_refused_where_there_is_none_to_write():
    with pytest.raises(UserError, match="prediction_path is for detection only"):
        evaluate(config("--prediction_path=p.json", "--checkpoint_path=k.ckpt"))
