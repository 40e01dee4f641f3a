"""Each kind of network by the real commands: graphs that are read give the very losses and metrics of fresh ones."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from src.process.compile_cache import SWITCH
from tests.end_to_end.commands import ROOT, command_line, losses, run_process, table
from tests.end_to_end.test_distributed import Job, place  # noqa: F401  the fixture
from tests.models.test_any_backbone import POINTREND

pytestmark = pytest.mark.slow

ON, OFF = "1", "0"
DATA = {  # layout, further arguments, folders of training and validation
    "coco": (("--size", 64), "train", "validation"),
    "lip": (("--size", 96), "", ""),
    "imagenet": (("--size", 64), "train", "val"),
}
RESNET = ("--backbone.type", "resnet", "--backbone.depth", 18, "--backbone.base_channels", 4)  # compiles sooner
FAMILIES = {  # layout, configuration, keys of the network, keys of the training
    "mask_rcnn": ("coco", "mask_rcnn_hrnet_tiny", (), ("--filter_empty_gt", 0)),
    "pointrend": (
        "coco", "mask_rcnn_hrnet_tiny",
        (*RESNET, "--neck.type", "fpn", "--neck.fpn.in_channels", "[4,8,16,32]", "--detector", "pointrend",
         *POINTREND, "--mask_roi.featmap_strides", "[4]"),
        ("--filter_empty_gt", 0, "--accumulate_step", 2),
    ),
    "segmentation": ("lip", "hrnet_seg_lip_shapes", (), ("--batch_size", 4)),
    "classification": (
        "imagenet", "hrnet_cls_shapes", (*RESNET, "--cls_head.head_channels", "[4,4,4,4]"),
        ("--batch_size", 4, "--ema_decay", 0.9),
    ),
}  # fmt: skip
CHANGED = {  # a loss weight, an anchor, a threshold of training and one of evaluation, together
    "mask_rcnn": ("--rpn.loss_cls.loss_weight", 2, "--rpn.anchor_generator.scales", "[6]",
                  "--train_cfg.rpn.assigner.pos_iou_thr", 0.8, "--test_cfg.rcnn.score_thr", 0.001),
    "pointrend": ("--point_head.loss_point.loss_weight", 2, "--rpn.anchor_generator.scales", "[6]",
                  "--train_cfg.rpn.assigner.pos_iou_thr", 0.8, "--test_cfg.rcnn.score_thr", 0.001),
    "segmentation": ("--class_weights", str([2.0] + 19 * [0.5])),
    "classification": ("--label_smoothing", 0.2),
}  # fmt: skip


class Training:
    """Four steps and two evaluations of a family, in the background."""

    def __init__(self, family: str, folder: Path, brief: str, switch: str, *more: object):
        layout, config, network, keys = FAMILIES[family]
        _, train, validation = DATA[layout]
        folders = ("--train_dataset", folder / "data" / train, "--val_dataset", folder / "data" / validation)
        limits = ("--epoch_size", 2, "--max_steps", 4, "--log_every", 1, "--eval_every", 1, "--brief", brief)
        places = ("--train_outputs", folder / "out", "--compile_cache_path", folder / "graphs")
        self.place, self.brief = folder / "out", brief
        config = ("train.py", "--config_path", f"configs/demo/{config}.yaml")
        self.process = subprocess.Popen(
            command_line(*config, *folders, *limits, *places, *network, *keys, *more),
            cwd=ROOT,
            env=environment(switch),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def result(self) -> tuple[list[dict], list[dict], list[str]]:
        """losses.csv, metrics.csv, and how each graph was had."""
        output, _ = self.process.communicate(timeout=500)
        assert self.process.returncode == 0, output[-3000:]
        (folder,) = self.place.glob(f"*_{self.brief}")
        ways = re.findall(r"INFO: Graph of \w+: (read|compiled anew) in ", (folder / "train.log").read_text())
        metrics = folder / "metrics.csv"
        return losses(folder), table(metrics) if metrics.exists() else [], ways


def environment(switch: str) -> dict[str, str]:
    return os.environ | {SWITCH: switch}


@pytest.fixture(scope="module", params=FAMILIES)
def trained(request, tmp_path_factory):
    """(family, folder, its numbers without the cache, and with a cache that was empty)."""
    family = request.param
    folder = tmp_path_factory.mktemp(family)
    layout = FAMILIES[family][0]
    images = ("--images", 8, "--val-images", 8, "--seed", 3)
    run_process("-m", "src.data.synthetic", layout, folder / "data", *DATA[layout][0], *images)
    fresh = Training(family, folder, "fresh", OFF)
    first = Training(family, folder, "first", ON)
    return family, folder, fresh.result(), first.result()


def test_the_second_run_reads_both_graphs_and_has_the_losses_and_metrics_of_a_run_without_a_cache(trained):
    family, folder, fresh, first = trained
    assert len(fresh[0]) == 4
    assert fresh[2] == [] and first[2] == ["compiled anew"] * 2 and first[:2] == fresh[:2]
    second = Training(family, folder, "second", ON).result()
    assert second[2] == ["read"] * 2 and second[:2] == fresh[:2]


def test_changed_loss_weights_anchors_and_thresholds_compile_anew(trained):
    """Where nothing is read, the numbers are a fresh run's as in the test above; one family is held to that again."""
    family, folder, fresh, _ = trained
    beside = Training(family, folder, "otherwise", OFF, *CHANGED[family]) if family == "mask_rcnn" else None
    found = Training(family, folder, "anew", ON, *CHANGED[family]).result()
    assert found[2] == ["compiled anew"] * 2 and found[0] != fresh[0]
    assert beside is None or found[:2] == beside.result()[:2]


def test_a_resumed_run_reads_the_graph_and_goes_on_to_the_same_losses(trained):
    family, folder, fresh, _ = trained
    Training(family, folder, "resumed", ON, "--max_steps", 3, "--run_eval", 0).result()
    whole = Training(family, folder, "resumed", ON, "--resume", 1, "--run_eval", 0).result()
    assert whole[0] == fresh[0] and whole[2] == ["read"] * 2  # the log of both runs: a graph each


def test_evaluation_and_inference_read_their_graph_whatever_the_checkpoint(trained, tmp_path):
    """Batch normalisation is folded: other weights, the same graph."""
    family, folder, _, _ = trained
    layout, config, network, _ = FAMILIES[family]
    validation = folder / "data" / DATA[layout][2]
    checkpoints = [sorted(folder.glob(f"out/*_first/{kind}/*.ckpt"))[0] for kind in ("best_ckpt", "ckpt")]
    places = ("--compile_cache_path", folder / "graphs")
    common = ("eval.py", "--config_path", f"configs/demo/{config}.yaml", *network, "--val_dataset", validation, *places)
    outputs = [run_process(*common, "--checkpoint_path", checkpoints[k], environment=environment(ON)) for k in (0, 1)]
    expected = run_process(*common, "--checkpoint_path", checkpoints[1], environment=environment(OFF))
    assert "compiled anew in" in outputs[0] and ": read in" in outputs[1] and "Graph of" not in expected

    def numbers(output: str) -> list[str]:
        left_out = r"Graph of|Convolutions by|\bs per|time|DONE|checkpoint"
        return [line for line in output.splitlines() if not re.search(left_out, line)]

    assert numbers(outputs[1]) == numbers(expected)


def test_each_of_two_ranks_has_its_own_graphs(place):  # noqa: F811
    keys = ("--compile_cache_path", place / "graphs", "--epoch_size", 2, "--eval_every", 1)
    found = []
    for brief in ("first", "second"):
        job = Job(place, *keys, "--brief", brief, **{SWITCH: ON})
        status, output = job.end(200)
        assert status == 0, output[-3000:]
        (folder,) = (place / "out").glob(f"*_{brief}")
        logs = sorted((place / "out" / "launch_logs").iterdir())[-1]
        texts = [path.read_text() for path in sorted(logs.glob("rank_*.log"))]
        found.append((losses(folder), [re.findall(r"Graph of \w+: (read|compiled anew)", text) for text in texts]))
    assert [ways for _, ways in found] == [[["compiled anew"] * 2] * 2, [["read"] * 2] * 2]
    assert found[0][0] == found[1][0]
