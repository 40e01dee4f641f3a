"""int8 files: which nodes become int8, how their share is counted, what they give, and what is refused."""

import shutil
from pathlib import Path

import cv2
import mindspore  # noqa: F401  before onnx: its generated protobuf code needs to be the first
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from src.checkpoint import save_weights
from src.commands.export import export
from src.commands.quantize import Seen, require_calibration
from src.config import load_config
from src.config.unread import EVAL, EXPORT, tell_unread
from src.data.synthetic import __main__ as synthetic
from src.errors import UserError
from src.export.quantize import Product, int8_share, products_of, quantize_onnx, to_quantize
from src.inference.backends import ExportedModel, Port, open_model, run_model
from src.tasks import TASKS
from tests.export.test_dense import CONFIG, SMALL
from tests.export.test_detectors import KEYS, Exported
from tests.export.test_segmenter_points import CONFIG as SEGMENTER
from tests.export.test_segmenter_points import KEYS as SEGMENTER_KEYS
from tests.models.test_fold import with_used_norms

RNG = np.random.RandomState(0)


def graph_of(nodes, inputs, output, weights) -> onnx.ModelProto:
    """nodes: (operator, inputs, output, attributes); weights: shape by name."""
    made = [helper.make_node(kind, list(ins), [out], name=out, **more) for kind, ins, out, more in nodes]
    arrays = [numpy_helper.from_array(RNG.randn(*shape).astype(np.float32), name) for name, shape in weights.items()]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    result = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    graph = helper.make_graph(made, "by_hand", ports, [result], arrays)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)


def test_multiply_accumulates_are_counted_as_by_hand():
    nodes = [
        ("Conv", ("x", "wide"), "conv", {"pads": [1, 1, 1, 1], "strides": [2, 2]}),  # (1, 6, 4, 4): 96 x 2 x 9
        ("Conv", ("conv", "grouped"), "groups", {"group": 3}),  # (1, 3, 4, 4): 48 x 2 x 1
        ("ConvTranspose", ("groups", "up"), "larger", {"strides": [2, 2]}),  # of 48 features: x 5 x 4
        ("Flatten", ("larger",), "flat", {}),  # (1, 320)
        ("Gemm", ("flat", "dense"), "dense_out", {"transB": 1}),  # 7 x 320
        ("Gemm", ("dense_out", "column"), "outer", {"transA": 1, "transB": 1}),  # (7, 1) x (1, 3): 21 x 1
        ("MatMul", ("outer", "last"), "logits", {}),  # (7, 3) x (3, 2): 42
    ]
    weights = {"wide": (6, 2, 3, 3), "grouped": (3, 2, 1, 1), "up": (3, 5, 2, 2), "dense": (7, 320), "column": (3, 1),
               "last": (3, 2)}  # fmt: skip
    model = graph_of(nodes, {"x": (1, 2, 8, 8)}, "logits", weights)
    found = products_of(model, {"x": np.ones((1, 2, 8, 8), np.float32)})
    assert {one.name: one.count for one in found} == {
        "conv": 6 * 16 * 2 * 9, "groups": 3 * 16 * 2, "larger": 3 * 16 * 5 * 4, "dense_out": 7 * 320, "outer": 21,
        "logits": 14 * 3,
    }  # fmt: skip
    assert not any(one.is_int8 for one in found) and int8_share(found) == 0
    assert int8_share([Product("a", "Conv", 30, True), Product("b", "Conv", 10, False)]) == 0.75


TWO_HEADS = [
    ("Conv", ("x", "stem.weight"), "stem", {}),
    ("Relu", ("stem",), "stem_relu", {}),
    ("Conv", ("stem_relu", "block.weight"), "block", {}),
    ("Add", ("block", "stem_relu"), "sum", {}),
    ("Conv", ("sum", "aux.3.weight"), "aux", {}),
    ("Sigmoid", ("aux",), "regions", {}),
    ("Add", ("regions", "sum"), "context", {}),  # after a last layer
    ("Conv", ("context", "head.fcs.weight"), "fcs", {}),
    ("Relu", ("fcs",), "fcs_relu", {}),
    ("Conv", ("fcs_relu", "head.predictor.weight"), "predictor", {}),
    ("Reshape", ("predictor", "size"), "logits", {}),
]
WEIGHTS = {f"{name}.weight": (2, 2, 1, 1) for name in ("stem", "block", "aux.3", "head.fcs", "head.predictor")}


def test_last_layers_and_what_follows_them_stay_float():
    model = graph_of(TWO_HEADS, {"x": (1, 2, 4, 4)}, "logits", WEIGHTS)
    model.graph.initializer.append(numpy_helper.from_array(np.int64([2, 16]), "size"))
    assert to_quantize(model.graph, ("aux.3.", "head.fcs.", "head.predictor.")) == [
        "stem", "stem_relu", "block", "sum", "fcs", "fcs_relu",
    ]  # fmt: skip
    assert to_quantize(model.graph) == [node.name for node in model.graph.node if node.op_type != "Sigmoid"]


def test_a_quantised_graph_is_near_the_float_one_and_its_share_is_counted(tmp_path):
    model = graph_of(TWO_HEADS, {"x": (1, 2, 4, 4)}, "logits", WEIGHTS)
    model.graph.initializer.append(numpy_helper.from_array(np.int64([2, 16]), "size"))
    onnx.save(model, tmp_path / "float.onnx")
    feeds = [{"x": RNG.randn(1, 2, 4, 4).astype(np.float32)} for _ in range(8)]
    quantize_onnx(tmp_path / "float.onnx", tmp_path / "int8.onnx", iter(feeds), ("aux.3.", "head.predictor."))
    written = onnx.load(tmp_path / "int8.onnx")
    is_int8 = {one.name.removesuffix("_quant"): one.is_int8 for one in products_of(written, feeds[0])}
    assert is_int8 == {"stem": True, "block": True, "aux": False, "fcs": True, "predictor": False}
    assert int8_share(products_of(written, feeds[0])) == 0.6  # each has 32 x 2
    import onnxruntime

    runs = [onnxruntime.InferenceSession(str(tmp_path / f"{kind}.onnx"), providers=["CPUExecutionProvider"])
            for kind in ("float", "int8")]  # fmt: skip
    left, right = (np.concatenate([run.run(None, feed)[0] for feed in feeds]) for run in runs)
    assert 0 < np.abs(left - right).max() < 0.1 * left.std()


@pytest.mark.parametrize(
    "keys,message",
    [
        (("--file_format", "MINDIR"), "quantize int8 is for file_format ONNX; it is MINDIR"),
        (("--file_format", "AIR"), "quantize int8 is for file_format ONNX; it is AIR"),
        (("--file_format", "ONNX"), "calibration_data is empty: quantize int8 measures"),
    ],
)
def test_wrong_combinations_are_refused(keys, message):
    data = () if "ONNX" in keys else ("--calibration_data", "images")
    cfg = load_config(CONFIG, [*SMALL, "--quantize", "int8", *keys, *data])
    with pytest.raises(UserError, match=message):
        require_calibration(cfg)


def test_keys_without_effect_are_said(caplog):
    tell_unread(load_config(CONFIG, [*SMALL, "--calibration_images", "5"]), EXPORT)
    assert "calibration_images (read with quantize int8 alone)" in caplog.text
    caplog.clear()
    keys = ("--quantize", "int8", "--file_format", "ONNX", "--calibration_data", "d", "--num_parallel_workers", "1")
    tell_unread(load_config(CONFIG, [*SMALL, *keys]), EXPORT)  # it evaluates
    assert not caplog.text
    tell_unread(load_config(CONFIG, [*SMALL, "--quantize", "int8"]), EVAL)  # no error of what is export.py's to ask for
    assert "quantize (eval.py does not read it)" in caplog.text


class Finds(ExportedModel):
    """A detector's file of three images an inference, or a classifier's, which is not run."""

    def __init__(self, is_detections: bool):
        super().__init__(
            Path("file.onnx"), (Port("image", (3, 1), "float32"), Port("image_shape", (3, 2), "int32")), {}
        )
        self.is_detections = is_detections

    def _run(self, arrays):
        return (np.zeros((5, 4)),)


@pytest.mark.parametrize("is_detections,places", [(True, [[0, 1, 2], [2, 0, 1], [1, 2, 0]]), (False, [[0, 1, 2]])])
def test_each_image_is_measured_at_each_place_of_a_detectors_batch_whose_heads_are_its_own(is_detections, places):
    seen = Seen(Finds(is_detections))
    seen._run([np.float32([[0], [1], [2]]), np.int32([[0, 9], [1, 9], [2, 9]])])
    assert [feed["image"][:, 0].tolist() for feed in seen.waiting] == places
    assert [feed["image_shape"][:, 0].tolist() for feed in seen.waiting] == places


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """Folder with a checkpoint, images/ (two classes, six images) and broken/ (an image that is none)."""
    folder = tmp_path_factory.mktemp("int8")
    save_weights(with_used_norms(load_config(CONFIG, SMALL)), folder / "model.ckpt")
    for number in range(6):
        place = folder / "images" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        coarse = np.random.RandomState(number).randint(0, 256, (5, 6, 3), np.uint8)
        cv2.imwrite(str(place / f"{number}.png"), cv2.resize(coarse, (48, 40), interpolation=cv2.INTER_CUBIC))
    for name in "cdefgh":
        (folder / "images" / name).mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "0.png").write_text("no image")
    (folder / "empty").mkdir()
    shutil.copytree(folder / "images", folder / "mixed")
    shutil.copy(folder / "broken" / "0.png", folder / "mixed" / "a" / "gone.png")
    return folder


def int8_config(folder: Path, data: str, *more: str):
    paths = ("--checkpoint_path", f"{folder}/model.ckpt", "--file_name", f"{folder}/model.onnx")
    keys = ("--file_format", "ONNX", "--quantize", "int8", "--calibration_data", f"{folder}/{data}")
    return load_config(CONFIG, [*SMALL, *paths, *keys, "--val_dataset", f"{folder}/images", *more])


def test_a_classifier_in_int8_is_scored_beside_the_float_file_and_runs_as_any_file(graph_mode, classifier, capsys):
    path = export(int8_config(classifier, "mixed", "--export_batch", "2"))
    printed = capsys.readouterr().out
    assert f"1 images cannot be read: {classifier}/mixed/a/gone.png\n" in printed
    assert "Top_1_Acc: float " in printed and ", int8 " in printed
    assert sorted(one.name for one in classifier.glob("*model*")) == ["model.ckpt", "model.onnx"]
    model = open_model(path, "onnx")
    assert model.metadata["quantized"]["type"] == "int8" and model.metadata["quantized"]["calibration_images"] == 6
    assert 0.9 < model.metadata["quantized"]["share"] <= 1 and model.metadata["batch"] == 2
    products = products_of(onnx.load(path), {"image": np.zeros((2, 3, 32, 32), np.float32)})
    assert [one.kind for one in products if not one.is_int8] == ["Gemm"]  # the classifier itself
    assert model.metadata["configuration"]["num_classes"] == 8
    task, cfg = TASKS["classification"], int8_config(classifier, "images")
    image = next(iter(task.example_inputs(cfg).values()))["image"]
    images = np.concatenate([image] * 3)  # the last batch is filled up
    (expected,), (found,) = run_model(task.load(cfg), images), run_model(model, images)
    np.testing.assert_allclose(found[1:], found[:1].repeat(2, 0), atol=1e-5)
    assert 0 < np.abs(found - expected).max() < 0.25 * np.abs(expected).max()


@pytest.mark.parametrize(
    "data,message",
    [
        ("broken", "calibration_data: none of its images can be read .*0.png, 1 in all"),
        ("empty", "calibration_data: .*empty: no .* files in this folder"),
        ("none", "calibration_data: .*none: no such image or folder"),
    ],
)
def test_calibration_without_images_leaves_the_older_file(graph_mode, classifier, data, message):
    older = classifier / "model.onnx"
    before = older.read_bytes() if older.exists() else older.write_bytes(b"older") and b"older"
    with pytest.raises(UserError, match=message):
        export(int8_config(classifier, data))
    assert older.read_bytes() == before and not list(classifier.glob(".*tmp"))


def test_a_typed_data_set_that_is_not_there_is_said_before_anything_is_written(graph_mode, classifier):
    with pytest.raises(UserError, match="gone"):
        export(
            int8_config(
                classifier, "images", "--val_dataset", f"{classifier}/gone", "--file_name", f"{classifier}/new/file"
            )
        )
    assert not (classifier / "new").exists()


@pytest.mark.slow
def test_a_detector_in_int8_finds_what_the_float_file_finds(graph_mode, tmp_path, capsys):
    detector = Exported(tmp_path, KEYS)
    data = ("--quantize", "int8", "--calibration_data", f"{tmp_path}/data/train")
    detector.export("ONNX", "int8", *data)
    printed = capsys.readouterr().out
    assert "bbox_mAP: float " in printed and "seg_mAP: float " in printed
    model = detector.open("int8.onnx")
    inputs = next(iter(TASKS["detection"].example_inputs(detector.config("mindspore", "model.ckpt")).values()))
    found, expected = run_model(model, *inputs.values()), run_model(detector.network, *inputs.values())
    count, wanted = int(found[3].sum()), int(expected[3].sum())
    assert wanted >= 20 and abs(count - wanted) <= 0.2 * wanted
    products = products_of(onnx.load(tmp_path / "int8.onnx"), inputs)
    assert int8_share(products) > 0.9
    floating = {one.name.partition(".")[0] for one in products if not one.is_int8}
    assert floating == {"features", "bbox_head", "mask_head"}  # RPN's, the boxes' and the masks' last layers


@pytest.mark.slow
def test_an_image_gives_the_same_at_each_place_of_an_int8_batch(graph_mode, tmp_path):
    detector = Exported(tmp_path, KEYS)
    data = ("--quantize", "int8", "--calibration_data", f"{tmp_path}/data/train", "--val_dataset", "")
    detector.export("ONNX", "two", *data, "--export_batch", "2")
    model = detector.open("two.onnx")
    case = next(iter(TASKS["detection"].example_inputs(detector.config("mindspore", "model.ckpt")).values()))
    *found, images = model(*(np.concatenate([one, one]) for one in case.values()))
    assert (images == 0).sum() >= 20
    for output in found:
        np.testing.assert_array_equal(output[images == 0], output[images == 1])


@pytest.mark.slow
def test_a_segmenter_in_int8_is_scored_beside_the_float_file(graph_mode, tmp_path, capsys):
    synthetic.main(["cityscapes", str(tmp_path / "data"), "--images", "3", "--val-images", "2", "--size", "64"])
    keys = [*SEGMENTER_KEYS, "--eval_width", "64", "--eval_height", "32"]
    save_weights(with_used_norms(load_config(SEGMENTER, keys)), tmp_path / "model.ckpt")
    paths = ("--checkpoint_path", f"{tmp_path}/model.ckpt", "--file_name", f"{tmp_path}/model", "--file_format", "ONNX")
    data = ("--quantize", "int8", "--calibration_data", f"{tmp_path}/data/leftImg8bit/train")
    path = export(load_config(SEGMENTER, [*keys, *paths, *data, "--val_dataset", f"{tmp_path}/data/val.lst"]))
    assert "mIoU: float " in capsys.readouterr().out
    assert open_model(path, "onnx").metadata["quantized"]["calibration_images"] == 3
