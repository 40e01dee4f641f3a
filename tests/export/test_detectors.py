"""A detector's exported files against its network: detections, no detections, COCO metrics, standard operators."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor
from mindspore.train.mind_ir_pb2 import ModelProto
from pycocotools import mask as coco_mask

from src.commands import export as export_module
from src.config import load_config
from src.data.formats.coco import read_coco
from src.data.formats.index import DetectionIndex
from src.data.images import read_bgr
from src.data.synthetic import __main__ as synthetic
from src.errors import UserError
from src.export.parity import (
    assert_parity,
    compare_detections,
    detection_difference,
    pair_detections,
    valid_detections,
)
from src.inference.backends import open_model, run_model
from src.inference.paste import paste_masks
from src.inference.predictor import Predictor
from src.inference.results import to_coco_results
from src.models.detection.detections import Detections
from src.tasks import TASKS
from tests.end_to_end.commands import run_process
from tests.export.detector_weights import save_lively_detector
from tests.models.test_any_backbone import TINY, overrides

DETECTION = TASKS["detection"]
KEYS = [
    *overrides("resnet", "mask_rcnn"), "--img_width", "128", "--img_height", "96", "--test_batch_size", "1",
    "--test_cfg.rcnn.max_per_img", "40",
    "--test_cfg.rpn.nms_pre", "200", "--test_cfg.rpn.max_per_img", "100",
]  # fmt: skip
IMAGES = 3


class Exported:
    """A lively detector in a folder of its own: checkpoint, exported files, drawn images, its network."""

    def __init__(self, folder: Path, keys: list[str]):
        self.folder, self.keys = folder, [*keys, "--val_dataset", str(folder / "data" / "validation")]
        arguments = ["--images", "1", "--val-images", str(IMAGES), "--size", "120", "--seed", "5"]
        synthetic.main(["coco", str(folder / "data"), *arguments])
        self.paths = sorted((folder / "data" / "validation" / "data").iterdir())
        images = [read_bgr(path) for path in self.paths]
        save_lively_detector(TINY, self.keys, images, folder / "model.ckpt")
        cfg = self.config("mindspore", "model.ckpt")
        self.network = DETECTION.load_network(cfg, cfg.checkpoint_path)

    def config(self, backend: str, name: str, *more: str):
        paths = ["--checkpoint_path", str(self.folder / name), "--backend", backend]
        return load_config(TINY, [*self.keys, *paths, *more])

    def export(self, file_format: str, name: str, *more: str) -> Path:
        """Without loading the checkpoint again: the network that is there is compiled already."""
        keys = ("--file_name", str(self.folder / name), "--file_format", file_format)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(DETECTION, "load_network", lambda cfg, path: self.network)
            return export_module.export(self.config("mindspore", "model.ckpt", *keys, *more))

    def open(self, name: str):
        backend = name.rpartition(".")[2]
        return DETECTION.load(self.config(backend, name))


@pytest.fixture(scope="module")
def mask_rcnn(tmp_path_factory):
    exported = Exported(tmp_path_factory.mktemp("mask_rcnn"), KEYS)
    exported.export("ONNX", "model")
    exported.export("MINDIR", "model")
    return exported


def assert_same_detections(network, model, inputs: dict[str, np.ndarray], least: int, masks_apart: float) -> None:
    """By the issue's measure: boxes within 0.01 px, scores within 1e-4, masks of IoU 0.999."""
    expected, found = run_model(network, *inputs.values()), run_model(model, *inputs.values())
    difference = detection_difference(expected, found)
    assert difference.count >= least and difference.unpaired == 0, difference
    assert difference.box < 0.01 and difference.score < 1e-4, difference
    left, right = valid_detections(expected), valid_detections(found)
    assert len(left) == len(right)
    if len(left) == 3:  # no masks
        return
    pasted = []
    for sides, order in zip((left, right), zip(*pair_detections(left, right))):
        boxes, masks = sides[0][list(order)], sides[3][list(order)]
        pasted.append([coco_mask.decode(code) for code in paste_masks(masks, boxes, 96, 128)])
    both, either = (sum(f(a, b).sum() for a, b in zip(*pasted)) for f in (np.logical_and, np.logical_or))
    assert both / either > 1.0 - masks_apart


@pytest.mark.parametrize("backend", ["onnx", "mindir"])
def test_a_file_gives_the_networks_detections_for_images_of_any_aspect_ratio(graph_mode, mask_rcnn, backend):
    model = mask_rcnn.open(f"model.{backend}")
    cases = DETECTION.example_inputs(mask_rcnn.config("mindspore", "model.ckpt"))
    (height, width), other, nothing = (tuple(case["image_shape"][0]) for case in cases.values())
    assert width / height > 1 > other[1] / other[0] or width / height < 1 < other[1] / other[0]
    assert nothing == (0, 0)
    for inputs in list(cases.values())[:2]:
        assert_same_detections(mask_rcnn.network, model, inputs, 20, 1e-3)


@pytest.mark.parametrize("backend", ["onnx", "mindir"])
def test_an_image_without_detections_gives_none(graph_mode, mask_rcnn, backend):
    model = mask_rcnn.open(f"model.{backend}")
    boxes, _, _, valid, masks = run_model(model, np.zeros((1, 3, 96, 128), np.float32), np.zeros((1, 2), np.int32))
    assert boxes.shape == (1, 40, 4) and masks.shape == (1, 40, 28, 28) and not valid.any()
    if backend == "onnx":  # its own outputs are as long as there are detections
        shapes = [output.shape for output in model(np.zeros((1, 3, 96, 128)), np.zeros((1, 2)))]
        assert shapes == [(0, 4), (0,), (0,), (0, 28, 28)]


@pytest.mark.parametrize("backend", ["onnx", "mindir"])
def test_a_file_has_the_networks_average_precision(graph_mode, mask_rcnn, backend, tmp_path):
    cfg = mask_rcnn.config("mindspore", "model.ckpt")
    dataset = labels_near_the_predictions(mask_rcnn, cfg)
    expected = DETECTION.score(cfg, mask_rcnn.network, dataset)
    assert 0.05 < expected["bbox_mAP"] < 0.95 and 0.05 < expected["seg_mAP"] < 0.95, expected
    model = mask_rcnn.open(f"model.{backend}")
    found = DETECTION.score(mask_rcnn.config(backend, f"model.{backend}"), model, dataset)
    assert found == pytest.approx(expected, abs=1e-3, nan_ok=True)


def test_a_file_with_compiled_operators_runs_in_a_fresh_process(mask_rcnn, tmp_path):
    out, image = tmp_path / "out.json", mask_rcnn.paths[0]
    paths = ("--checkpoint_path", mask_rcnn.folder / "model.mindir", "--pred_input", image, "--pred_output", out)
    run_process("infer.py", "--config_path", TINY, *mask_rcnn.keys, *paths, "--backend", "mindir")
    (entry,) = json.loads(out.read_text()).values()
    cfg = mask_rcnn.config("mindspore", "model.ckpt")
    ((_, prediction),) = Predictor(mask_rcnn.network, cfg).predict_files([image])
    assert [item["score"] for item in entry["predictions"]] == pytest.approx(prediction.scores.tolist(), abs=1e-6)
    assert [item["mask"] for item in entry["predictions"]] == prediction.masks


def test_a_file_of_another_machine_takes_the_compiled_operators_of_this_one(graph_mode, mask_rcnn, tmp_path):
    model = ModelProto()
    model.ParseFromString((mask_rcnn.folder / "model.mindir").read_bytes())
    named = [a for one in model.primitives if one.op_type == "Custom" for a in one.attribute if a.name == "func_name"]
    assert named
    for attribute in named:  # as files of before have it
        attribute.s = b"/home/someone/src/ops/bin/" + attribute.s
    (tmp_path / "moved.mindir").write_bytes(model.SerializeToString())
    moved, own = open_model(tmp_path / "moved.mindir", "mindir"), mask_rcnn.open("model.mindir")
    assert [(port.name, port.shape) for port in moved.inputs] == [(port.name, port.shape) for port in own.inputs]


def labels_near_the_predictions(exported: Exported, cfg) -> DetectionIndex:
    """The validation images, labelled with the detector's own best detections, a little out of place."""
    folder = exported.folder / "data" / "validation"
    labels = json.loads((folder / "labels.json").read_text())
    dataset = read_coco(folder, cfg.coco_classes[1:])
    rng, annotations = np.random.RandomState(0), []
    by_path = {dataset.record(i).path: dataset.record(i).image_id for i in range(len(dataset))}
    for path, prediction in Predictor(exported.network, cfg).predict_files(exported.paths):
        for result in to_coco_results(prediction, by_path[Path(path)], dataset.category_ids)[:12:2]:
            mask = np.roll(coco_mask.decode(result["segmentation"]), rng.randint(0, 3), axis=1)
            code = coco_mask.encode(np.asfortranarray(mask))
            if coco_mask.area(code) > 12:
                counts = {"size": [prediction.height, prediction.width], "counts": code["counts"].decode()}
                box, area = coco_mask.toBbox(code).tolist(), int(coco_mask.area(code))
                entry = {"segmentation": counts, "bbox": box, "area": area, "iscrowd": 0, "id": len(annotations) + 1}
                annotations.append({k: result[k] for k in ("image_id", "category_id")} | entry)
    moved = exported.folder / "moved" / "validation"
    moved.mkdir(parents=True, exist_ok=True)
    (moved / "labels.json").write_text(json.dumps(labels | {"annotations": annotations}))
    if not (moved / "data").exists():
        (moved / "data").symlink_to(folder / "data")
    return read_coco(moved, cfg.coco_classes[1:])


def test_the_onnx_file_is_standard_and_tells_how_to_use_it(mask_rcnn):
    import onnx  # after MindSpore, whose generated protobuf code needs to be the first

    model = onnx.load(mask_rcnn.folder / "model.onnx")
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 16)]
    kinds = {node.op_type for node in model.graph.node}
    assert {node.domain for node in model.graph.node} == {""}
    assert {"NonMaxSuppression", "RoiAlign", "TopK"} <= kinds and "BatchNormalization" not in kinds
    assert [value.name for value in model.graph.input] == ["image", "image_shape"]
    assert [value.name for value in model.graph.output] == ["boxes", "scores", "labels", "masks"]
    metadata = open_model(mask_rcnn.folder / "model.onnx", "onnx").metadata
    expected = {
        "task": "detection", "class_names": ["circle", "square", "triangle", "star"], "category_ids": [2, 5, 7, 11],
        "height": 96, "width": 128, "to_rgb": True, "keep_ratio": True, "mask_threshold": 0.5, "score_threshold": 0.05,
        "max_detections": 40,
    }  # fmt: skip
    assert {name: metadata[name] for name in expected} == expected


def test_pointrends_file_gives_its_detections(graph_mode, tmp_path):
    size = ("--img_height", "96", "--test_cfg.rcnn.max_per_img", "25")
    exported = Exported(tmp_path, [*KEYS, *overrides("resnet", "pointrend"), *size])
    exported.export("ONNX", "model")
    model = exported.open("model.onnx")
    for inputs in list(DETECTION.example_inputs(exported.config("mindspore", "model.ckpt")).values())[:2]:
        assert_same_detections(exported.network, model, inputs, 10, 1e-3)


@pytest.fixture(scope="module", params=["cascade_mask_rcnn", "cascade_rcnn"])
def cascade(request, tmp_path_factory):
    keys = ["--detector", request.param, "--test_cfg.rcnn.max_per_img", "25"]
    keys += ["--bbox_head.reg_class_agnostic", str(int(request.param != "cascade_rcnn"))]
    return Exported(tmp_path_factory.mktemp("cascade"), [*KEYS, *keys])


@pytest.mark.slow  # tests/convert/test_cascades.py has a cascade's ONNX file by default
@pytest.mark.parametrize("kind", ["onnx", "mindir"])
def test_a_cascades_file_gives_its_detections(graph_mode, cascade, kind):
    cascade.export(kind.upper(), "model")
    model, has_masks = cascade.open(f"model.{kind}"), cascade.network.has_masks
    assert model.metadata["has_masks"] == has_masks
    if kind == "onnx":
        names = [output.name for output in model.session.get_outputs()]
        assert names == ["boxes", "scores", "labels", *["masks"] * has_masks]
    for inputs in list(DETECTION.example_inputs(cascade.config("mindspore", "model.ckpt")).values())[:2]:
        assert_same_detections(cascade.network, model, inputs, 10, 1e-3)


def test_detections_in_another_order_are_the_same_and_missing_ones_are_counted():
    boxes = np.float32([[[0, 0, 10, 10], [20, 20, 40, 50], [0, 0, 0, 0]]])
    scores, labels = np.float32([[0.9, 0.9, 0]]), np.int32([[0, 1, 0]])
    valid, masks = np.array([[True, True, False]]), np.random.RandomState(0).rand(1, 3, 4, 4).astype(np.float32)
    whole = boxes, scores, labels, valid, masks
    swapped = tuple(array[:, [1, 0, 2]] for array in whole)
    assert detection_difference(whole, swapped).unpaired == 0 and detection_difference(whole, swapped).box == 0
    relabelled = boxes, scores, labels + 1, valid, masks
    assert detection_difference(whole, relabelled).unpaired == 4
    one = boxes, scores, labels, np.array([[True, False, False]]), masks
    assert detection_difference(whole, one).unpaired == 1


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda boxes, scores, labels, valid, masks: (boxes + 0.05, scores, labels, valid, masks), "boxes by 5.00e-02"),
        (lambda boxes, scores, labels, valid, masks: (boxes, scores + 0.01, labels, valid, masks), "scores by 1.0"),
        (lambda boxes, scores, labels, valid, masks: (boxes, scores, labels, valid, masks * 0.9), "mask cells by"),
        (lambda boxes, scores, labels, valid, masks: (boxes + 3, scores, labels, valid, masks), "partner by 2.40e+01"),
        (lambda boxes, scores, labels, valid, masks: (boxes, scores, labels, valid & False, masks), "partner by 1.20"),
    ],
)
def test_each_kind_of_difference_is_refused(change, message):
    rng = np.random.RandomState(0)
    low, valid = rng.uniform(0, 50, (1, 12, 2)), np.ones((1, 12), bool)
    boxes = np.concatenate([low, low + 20], 2).astype(np.float32)
    whole = boxes, rng.rand(1, 12), np.arange(12)[None], valid, rng.rand(1, 12, 4, 4) + 0.1
    assert "12 detections, 0 without a partner" in compare_detections("case", whole, whole)
    with pytest.raises(UserError, match=re.escape(message)):
        compare_detections("case", whole, change(*whole))


@pytest.mark.parametrize("count", [0, 3])
def test_a_comparison_without_any_detection_says_that_it_compared_nothing(count, caplog):
    boxes, masks = np.zeros((1, 5, 4), np.float32), np.zeros((1, 5, 7, 7), np.float32)
    detections = boxes, boxes[..., 0], np.zeros((1, 5), np.int32), np.arange(5)[None] < count, masks

    def network(image: Tensor) -> tuple[Tensor, ...]:
        return tuple(map(Tensor, detections))

    network.output_names = Detections._fields
    assert_parity(network, network, {"a": {"image": boxes}, "b": {"image": boxes}})
    assert ("were not compared" in caplog.text) == (count == 0)
