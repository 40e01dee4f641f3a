"""Accuracies, loss and reports of a classifier whose answers are known."""

import csv
from pathlib import Path

import cv2
import mindspore as ms
import numpy as np
import pytest
import torch

from src.config import load_config
from src.data.formats.image_folder import ImageFolder
from src.errors import UserError
from src.inference.classify import classify_files
from src.tasks import TASKS
from src.tasks.classification import classify_dataset

DEMO = str(Path(__file__).parents[2] / "configs" / "demo" / "hrnet_cls_shapes.yaml")
CLASSES, IMAGES = 7, 23
LOGITS = np.random.RandomState(0).randn(IMAGES, CLASSES).astype(np.float32)


def config(*keys: str):
    settings = ["--num_classes", str(CLASSES), "--input_size", "32", "--eval_resize", "32", "--test_batch_size", "5"]
    return load_config(DEMO, [*settings, "--img_mean", "[0,0,0]", "--img_std", "[1,1,1]", *keys])


def model(image: ms.Tensor) -> ms.Tensor:
    """The row of `LOGITS` that an image's grey level names."""
    return ms.Tensor(LOGITS[np.round(image.asnumpy()[:, 0, 16, 16]).astype(int) % IMAGES])


@pytest.fixture()
def dataset(tmp_path) -> ImageFolder:
    """23 images, image k uniformly of grey k and of class k mod 7, in two sizes."""
    for k in range(IMAGES):
        folder = tmp_path / "val" / f"class{k % CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{k:02d}.png"), np.full((40, 50 + k % 2, 3), k, np.uint8))
    return ImageFolder(tmp_path / "val")


def own_rows(dataset: ImageFolder) -> tuple[np.ndarray, np.ndarray]:
    numbers = [int(Path(path).stem) for path, _ in dataset.images]
    return LOGITS[numbers], np.array([label for _, label in dataset.images])


def test_metrics_are_over_every_image_once_and_equal_torch(dataset, capsys):
    metrics = TASKS["classification"].score(config(), model, dataset)
    logits, labels = (torch.tensor(x) for x in own_rows(dataset))
    best = logits.topk(5).indices
    assert metrics["Top_1_Acc"] == pytest.approx((best[:, 0] == labels).float().mean().item())
    assert metrics["Top_5_Acc"] == pytest.approx((best == labels[:, None]).any(1).float().mean().item())
    assert metrics["Loss"] == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), rel=1e-6)
    printed = capsys.readouterr().out
    assert f"total images num: {IMAGES}" in printed and "{'Loss': " in printed and "'Top_5_Acc': " in printed


def test_the_loss_is_smoothed_like_that_of_training_where_asked_for(dataset):
    logits, labels = (torch.tensor(x) for x in own_rows(dataset))
    for keys, smoothing in ((("--eval_smoothing", "1"), 0.1), ((), 0.0)):
        loss = classify_dataset(config("--label_smoothing", "0.1", *keys), model, dataset).loss
        expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        assert loss == pytest.approx(expected.item(), rel=1e-6)


def test_unreadable_images_count_as_wrong(dataset):
    right = next(k for k in range(IMAGES) if LOGITS[k].argmax() == k % CLASSES)
    whole = classify_dataset(config(), model, dataset)
    (dataset.folder / f"class{right % CLASSES}" / f"{right:02d}.png").write_bytes(b"no image")
    result = classify_dataset(config(), model, dataset)
    assert result.unreadable == 1 and result.confusion.sum() == IMAGES - 1
    assert result.top1 == pytest.approx(whole.top1 - 1 / IMAGES)


def test_the_report_has_the_matrix_and_the_accuracies(dataset, tmp_path):
    TASKS["classification"].score(config("--report_dir", str(tmp_path / "report")), model, dataset)
    logits, labels = own_rows(dataset)
    expected = np.zeros((CLASSES, CLASSES), int)
    np.add.at(expected, (labels, logits.argmax(1)), 1)
    rows = list(csv.reader((tmp_path / "report" / "confusion_matrix.csv").read_text().splitlines()))
    assert rows[0][1:] == dataset.classes
    np.testing.assert_array_equal(np.array([row[1:] for row in rows[1:]], int), expected)
    accuracies = list(csv.DictReader((tmp_path / "report" / "per_class_accuracy.csv").read_text().splitlines()))
    assert [int(row["images"]) for row in accuracies] == expected.sum(1).tolist()
    assert float(accuracies[0]["accuracy"]) == pytest.approx(expected[0, 0] / expected[0].sum(), abs=1e-6)
    for name in ("confusion_matrix.png", "per_class_accuracy.png"):
        assert cv2.imread(str(tmp_path / "report" / name)).shape[0] > 200


def test_a_report_folder_that_cannot_be_made_is_one_line(dataset, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="the report cannot be written"):
        TASKS["classification"].score(config("--report_dir", str(tmp_path / "file" / "in")), model, dataset)


def test_inference_gives_the_five_likeliest_with_names(dataset):
    paths = [path for path, _ in dataset.images[:6]]
    Path(paths[2]).write_bytes(b"no image")
    found = dict(classify_files(config("--val_dataset", str(dataset.folder)), model, paths))
    assert [str(path) for path in found] == paths and found[Path(paths[2])] is None
    row = own_rows(dataset)[0][0]
    first = found[Path(paths[0])]
    assert [entry["label"] for entry in first] == np.argsort(-row)[:5].tolist()
    assert first[0]["name"] == f"class{first[0]['label']}"
    scores = torch.softmax(torch.tensor(row), 0).numpy()
    np.testing.assert_allclose([entry["score"] for entry in first], np.sort(scores)[::-1][:5], rtol=1e-5)
    nameless = dict(classify_files(config(), model, paths[:1]))
    assert nameless[Path(paths[0])][0]["name"] == "unknown"
