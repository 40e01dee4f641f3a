"""`val_loss`: the losses of training on held-out images, against PyTorch on the logits; nothing is moved by it."""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mindspore import Tensor, nn

from src.checkpoint import read_checkpoint
from src.config import load_config
from src.data.held_losses import loss_batches
from src.data.synthetic.coco import write_coco
from src.engine.curves import CsvTable
from src.engine.experiment import Experiment
from src.engine.hooks.validation_losses import HeldOutLosses, ValidationLosses
from src.engine.run import Epoch, Run
from src.engine.setup import make_train_step
from src.process.runtime import Runtime
from src.tasks import TASKS
from tests.engine.conftest import CONFIG
from tests.engine.toy import TOTAL, ToyTask, make_run

CONFIGS = Path(__file__).parents[3] / "configs"
RESNET = ["--backbone.type=resnet", "--backbone.depth=18", "--backbone.base_channels=4", "--device_target=CPU"]
COMMON = [*RESNET, "--compile_cache=0", "--val_loss=1", "--test_batch_size=2", "--ema_decay=0.5"]
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
SIDES = {"classes": (32, 32), "seg": (40, 72)}  # of pictures; the networks take 32 x 32 and 32 x 64


def picture(path: Path, size, seed: int) -> np.ndarray:
    """A random picture at `path`; as the network gets it, (h, w, 3)."""
    bgr = np.random.RandomState(seed).randint(0, 256, (*size, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), bgr)
    return (bgr[..., ::-1].astype(np.float32) / 255 - MEAN) / STD


@pytest.fixture()
def classes(tmp_path):
    """Five pictures of three classes and a file that is none: configuration, images, labels."""
    images, labels = [], []
    for number, name in enumerate(("a", "a", "b", "c", "c")):
        images.append(picture(tmp_path / "val" / name / f"{number}.png", SIDES["classes"], number))
        labels.append("abc".index(name))
    (tmp_path / "val" / "b" / "none.png").write_bytes(b"no picture")
    head = ["--cls_head.head_channels=[4,4,4,4]", "--cls_head.final_channels=16", "--num_classes=3"]
    keys = ["--input_size=32", "--eval_resize=32", "--label_smoothing=0.1", f"--val_dataset={tmp_path / 'val'}"]
    cfg = load_config(str(CONFIGS / "demo" / "hrnet_cls_shapes.yaml"), [*COMMON, *head, *keys, "--mixup=0.5"])
    return cfg, np.stack(images), np.array(labels)


@pytest.fixture()
def scenes(tmp_path):
    """Three pictures, larger than the network's input, with labels, some of them ignored."""
    lines, images, labels = [], [], []
    for number in range(3):
        images.append(picture(tmp_path / f"{number}.png", SIDES["seg"], number)[4:36, 4:68])
        label = np.random.RandomState(9 + number).randint(0, 4, SIDES["seg"]).astype(np.uint8)
        label[label == 3] = 255
        label[: 10 * number] = 255
        cv2.imwrite(str(tmp_path / f"{number}_label.png"), label)
        labels.append(label[4:36, 4:68].astype(np.int64))
        lines.append(f"{number}.png\t{number}_label.png\n")
    (tmp_path / "val.lst").write_text("".join(lines))
    keys = ["--dataset=custom", "--num_classes=3", "--class_names=[x,y,z]", "--img_height=32", "--img_width=64"]
    keys += ["--keep_ratio=1", "--base_size=0", "--ohem=0", "--class_weights=[0.5,1,2]"]
    return [*COMMON, *keys, f"--val_dataset={tmp_path / 'val.lst'}"], np.stack(images), np.stack(labels)


def run_of(cfg) -> Run:
    """A run whose moving average is another network than the one that is trained."""
    task = TASKS[cfg.task]
    model = task.build_model(cfg)
    rng = np.random.RandomState(3)
    for parameter in model.get_parameters():
        value = rng.uniform(0.5, 1.5, parameter.shape) * (1 if parameter.ndim == 1 else rng.choice([-0.3, 0.3]))
        parameter.set_data(Tensor((value * rng.uniform(0.2, 1, parameter.shape)).astype(np.float32)))
    step, schedule = make_train_step(cfg, model, 1)
    for average in step.ema:
        average.set_data(average * 0.9)
    return Run(cfg, task, step, schedule, Experiment(Path("nowhere")))


def val_losses(run: Run) -> dict[str, float]:
    hook, epoch = ValidationLosses(), Epoch(1, 1, 1, 0.0, 0.0, {run.task.metric: 0.5})
    hook.on_start(run, {})
    hook.on_epoch(run, epoch)
    return {name: value for name, value in epoch.metrics.items() if name.startswith("val_")}


def logits_of(run: Run, images: np.ndarray) -> torch.Tensor:
    """What the averaged network says in evaluation mode."""
    run.model.set_train(False)
    with run.step.averaged():
        logits = run.model(Tensor(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))).asnumpy()
    run.model.set_train(True)
    return torch.tensor(logits)


def test_of_a_classifier_it_is_the_mean_over_the_readable_images(pynative_mode, classes):
    cfg, images, labels = classes
    run = run_of(cfg)
    before = {one.name: one.asnumpy().copy() for one in run.step.get_parameters()}
    logits = logits_of(run, images)
    expected = F.cross_entropy(logits.double(), torch.tensor(labels), label_smoothing=0.1).item()
    found = val_losses(run)
    assert found == {"val_loss": pytest.approx(expected, rel=1e-5), "val_loss_cls": found["val_loss"]}
    assert found == val_losses(run) and run.model.training and run.model.backbone.training
    for one in run.step.get_parameters():
        np.testing.assert_array_equal(one.asnumpy(), before[one.name], err_msg=one.name)


@pytest.mark.parametrize(
    "segmenter", ["fcn", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ocr", "pointrend"))]
)
def test_of_a_segmenter_it_is_the_batches_losses_weighted_by_their_images(pynative_mode, scenes, segmenter):
    """Batches of two images and of the one that is left, each a mean over pixels as in training."""
    keys, images, labels = scenes
    small = ["--seg_head.ocr.mid_channels=8", "--seg_head.ocr.key_channels=4"] if segmenter == "ocr" else []
    if segmenter == "pointrend":
        small = ["--seg_head.pointrend.num_points=16", "--seg_head.pointrend.subdivision_steps=1"]
    cfg = load_config(str(CONFIGS / "demo" / "hrnet_seg_lip_shapes.yaml"), [*keys, f"--segmenter={segmenter}", *small])
    run = run_of(cfg)
    run.model.set_train(False)
    with run.step.averaged():
        x = Tensor(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        if segmenter == "ocr":
            aux, main = run.model.logits(x)
            outputs = [(main, 1.0), (aux, cfg.seg_head.ocr.aux_weight)]
        else:
            outputs = [(run.model.logits(x) if segmenter == "fcn" else run.model.coarse(x)[0], 1.0)]
        outputs = [(torch.tensor(one.asnumpy()), factor) for one, factor in outputs]
    run.model.set_train(True)
    corners = cfg.seg_head.bilinear == "align_corners"
    expected = []
    for logits, factor in outputs:
        large = F.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=corners)
        weight, target = torch.tensor([0.5, 1, 2]), torch.tensor(labels)
        parts = [(2, slice(0, 2)), (1, slice(2, 3))]
        means = [n * F.cross_entropy(large[part], target[part], weight, ignore_index=255).item() for n, part in parts]
        expected.append(factor * sum(means) / 3)
    found = val_losses(run)
    names = [f"val_{name}" for name in run.model.loss_names]
    assert list(found) == ["val_loss", *names]
    assert found["val_loss"] == pytest.approx(sum(found[name] for name in names), rel=1e-6)
    for name, value in zip(names, expected):
        assert found[name] == pytest.approx(value, rel=1e-4)
    assert found == val_losses(run)


@pytest.mark.parametrize("detector", ["mask_rcnn", pytest.param("faster_rcnn", marks=pytest.mark.slow)])
def test_of_a_detector_with_frozen_statistics_it_is_the_training_forward(pynative_mode, tmp_path, detector):
    """Then both modes compute the same: the losses with ground truth, RoIs sampled by the image's own seed."""
    write_coco(tmp_path, 1, 3, 64, 5)
    keys = [*COMMON[len(RESNET) :], "--device_target=CPU", "--backbone.norm_eval=1", f"--detector={detector}"]
    cfg = load_config(CONFIG, [*keys, f"--val_dataset={tmp_path / 'validation'}"])
    run = run_of(cfg)
    samples = run.task.held_out_samples(cfg)
    assert tuple(samples.columns) == run.model.train_columns
    batches, expected = list(loss_batches(cfg, samples, range(3))), 0
    assert [images for _, images in batches] == [2, 1]
    with run.step.averaged():
        for batch, images in batches:
            losses = run.model(*map(Tensor, batch))
            expected = expected + images / 3 * np.float64([loss.asnumpy() for loss in losses])
    found = val_losses(run)
    np.testing.assert_allclose(list(found.values())[1:], expected, rtol=1e-4)
    assert min(found.values()) > 0 and found["val_loss"] == pytest.approx(expected.sum(), rel=1e-4)


# ------------------------------------------------------------------------------------------------- in graph, in a run


class Dropping(nn.Cell):
    """Has a normalisation that moves and a part that is only there in training."""

    loss_names = ("loss_a", "loss_b")

    def __init__(self):
        super().__init__()
        self.norm, self.part = nn.BatchNorm2d(2), Doubling()

    def construct(self, x, target=None):
        y = self.part(self.norm(x))
        return ((y - target).abs().mean(), y.mean()) if self.training else y


MOMENTS = ("mean", "variance")


class Doubling(nn.Cell):
    def construct(self, x):
        return x * 2.0 if self.training else x


def test_in_graph_mode_the_parts_are_in_evaluation_mode_before_between_and_after(graph_mode):
    model = Dropping()
    network, rng = HeldOutLosses(model), np.random.RandomState(0)
    x, target = (rng.randn(2, 2, 3, 3).astype(np.float32) + 5 for _ in range(2))
    for _ in range(2):
        model.set_train(True)
        trained = [float(loss.asnumpy()) for loss in model(Tensor(x), Tensor(target))]
        mean, variance = (getattr(model.norm, f"moving_{name}").asnumpy().reshape(2, 1, 1) for name in MOMENTS)
        y = (x - mean) / np.sqrt(variance + 1e-5)
        model.set_train(False)
        losses = network.of((x, target))
        np.testing.assert_allclose(losses, [np.abs(y - target).mean(), y.mean()], rtol=1e-5)
        assert abs(trained[1] - losses[1]) > 0.1 and not model.training
        np.testing.assert_allclose(model(Tensor(x)).asnumpy(), y, rtol=1e-5)
        np.testing.assert_array_equal(model.norm.moving_mean.asnumpy().reshape(2, 1, 1), mean)


class ToySamples:
    """Three held-out samples of the toy's columns, each of the toy's rows."""

    keys = [4, 5, 6]

    def read(self, entry):
        return self.keys[entry]

    def plain(self, item, streams):
        rng = np.random.RandomState(item)
        return rng.randn(3).astype(np.float32), rng.randn(4).astype(np.float32)


@pytest.fixture()
def evaluated(monkeypatch):
    monkeypatch.setattr(ToyTask, "held_out_samples", lambda *_: ToySamples(), raising=False)
    monkeypatch.setattr(ToyTask, "make_evaluator", lambda *_: lambda model: {"score": 0.5}, raising=False)
    return "--run_eval", 1, "--test_batch_size", 3


@dataclass(frozen=True)
class OneOfTwo(Runtime):
    """A rank of two by what it evaluates; what would be summed over the ranks is kept."""

    place: int = 0
    kept: list = field(default_factory=list)

    def share(self, count):
        return Runtime(self.place, 2).share(count)

    def sum_arrays(self, array):
        self.kept.append(array)
        return array


def test_over_two_ranks_it_is_the_mean_over_the_images_of_both(pynative_mode, tmp_path):
    run = make_run(tmp_path, CONFIG, "--test_batch_size", "2")
    run.task.held_out_samples = lambda cfg: ToySamples()
    whole, sums = val_losses(run), 0
    for place in range(2):
        run.process = OneOfTwo(place=place)
        val_losses(run)
        sums = sums + run.process.kept[0]
    assert sums[0] == 3  # rank 0 has one of the images, rank 1 two
    expected = []
    for entries in ([0], [1, 2]):
        batch = [np.stack(column) for column in zip(*(ToySamples().plain(ToySamples.keys[k], None) for k in entries))]
        run.model.set_train(False)
        expected.append(len(entries) * np.float64([loss.asnumpy() for loss in run.model(*map(Tensor, batch))]))
    np.testing.assert_allclose(sums[1:] / 3, sum(expected) / 3, rtol=1e-6)
    assert list(whole) == ["val_loss", "val_loss_a", "val_loss_b"]


def test_a_run_with_it_trains_to_the_bit_as_one_without(command, evaluated):
    folders = {on: command(*evaluated, "--val_loss", on, "--brief", f"v{on}")[0] for on in (0, 1)}
    assert (folders[0] / "losses.csv").read_bytes() == (folders[1] / "losses.csv").read_bytes()
    states = [read_checkpoint(sorted((folders[on] / "ckpt").glob("*.ckpt"))[-1]) for on in (0, 1)]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][name], err_msg=name)
    without, with_it = ((folders[on] / "metrics.csv").read_text().splitlines() for on in (0, 1))
    assert with_it[0] == f"{without[0]},val_loss,val_loss_a,val_loss_b" and len(with_it) == len(without) == 3
    for row in CsvTable(folders[1] / "metrics.csv").read():
        assert row["val_loss"] == pytest.approx(row["val_loss_a"] + row["val_loss_b"]) and row["val_loss_a"] > 0


def test_a_run_that_is_resumed_with_it_or_without_keeps_all_rows(command, evaluated):
    folder, _ = command(*evaluated, "--epoch_size", 1)
    command(*evaluated, "--epoch_size", 2, "--val_loss", 1, "--resume", 1)
    command(*evaluated, "--epoch_size", 3, "--resume", 1)
    rows = CsvTable(folder / "metrics.csv").read()
    assert [row["global_step"] for row in rows] == [TOTAL // 2, TOTAL, TOTAL + TOTAL // 2]
    assert [np.isnan(row["val_loss"]) for row in rows] == [True, False, True]
    assert [row["score"] for row in rows] == [0.5] * 3 and not list(folder.glob("*.damaged"))
