"""Export of networks without dynamic parts: both formats, their metadata, and what goes wrong."""

import re
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor, nn

from src.checkpoint import save_weights
from src.commands import export as export_module
from src.commands.export import export
from src.config import load_config
from src.errors import UserError
from src.export.mindir import write_mindir
from src.inference.backends import open_model, run_model
from src.inference.mindir_file import load_graph, read_mindir
from src.ops import library
from src.ops.nms import Nms
from src.tasks import TASKS
from tests.inference.test_unfinished import limited
from tests.models.test_fold import with_used_norms

CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "hrnet_cls_shapes.yaml")
SMALL = ["--backbone.type", "resnet", "--backbone.depth", "18", "--backbone.base_channels", "4",
         "--cls_head.head_channels", "[4,4,4,4]", "--input_size", "32", "--cls_head.final_channels", "16",
         "--class_names", "[a, b, c, d, e, f, g, h]"]  # fmt: skip
IMAGES = np.random.RandomState(4).randn(3, 3, 32, 32).astype(np.float32)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """Folder with a checkpoint and both exported files, and the checkpoint's logits of IMAGES."""
    folder = tmp_path_factory.mktemp("classifier")
    model = with_used_norms(load_config(CONFIG, SMALL))
    save_weights(model, folder / "model.ckpt")
    logits = model(Tensor(IMAGES)).asnumpy()
    for file_format in ("ONNX", "MINDIR"):
        export(config(folder, file_format))
    return folder, logits


def config(folder: Path, file_format: str, name: str = "model", *more: str):
    paths = ["--checkpoint_path", f"{folder}/model.ckpt", "--file_name", f"{folder}/{name}"]
    return load_config(CONFIG, [*SMALL, *paths, "--file_format", file_format, *more])


@pytest.mark.parametrize("backend", ["onnx", "mindir"])
def test_the_file_gives_the_checkpoints_logits_for_a_batch_of_any_size(graph_mode, classifier, backend):
    folder, logits = classifier
    cfg = load_config(CONFIG, [*SMALL, "--checkpoint_path", f"{folder}/model.{backend}", "--backend", backend])
    (found,) = run_model(TASKS[cfg.task].load(cfg), IMAGES)
    np.testing.assert_allclose(found, logits, atol=1e-5 * np.abs(logits).max())


@pytest.mark.parametrize("backend", ["onnx", "mindir"])
def test_a_file_may_have_any_name_in_any_folder(graph_mode, classifier, tmp_path, monkeypatch, backend):
    folder, logits = classifier
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # a relative name, and TMPDIR, too
    monkeypatch.chdir(tmp_path)
    target = f"a b+[c](d)/模型-é {backend}/my model[1]+分类.{backend}"
    settings = ("--checkpoint_path", f"{folder}/model.ckpt", "--file_name", target, "--file_format", backend.upper())
    assert export(load_config(CONFIG, [*SMALL, *settings])) == Path(target)
    (found,) = run_model(open_model(target, backend), IMAGES)
    np.testing.assert_allclose(found, logits, atol=1e-5 * np.abs(logits).max())
    assert Path.cwd() == tmp_path and [path.name for path in Path(target).parent.iterdir()] == [Path(target).name]


def test_a_file_calls_the_compiled_operators_of_a_checkout_in_any_folder(graph_mode, tmp_path, monkeypatch):
    operators = tmp_path / "a b+[c] 中文é" / "bin"
    shutil.copytree(library.BIN_FOLDER, operators)
    monkeypatch.setattr(library, "BIN_FOLDER", operators)
    boxes = np.float32([[[0, 0, 9, 9], [0, 0, 9, 8], [20, 20, 30, 30]]])
    inputs = {"boxes": boxes, "scores": np.float32([[0.7, 0.9, 0.8]]), "groups": np.int32([0, 0, 0])}
    inputs |= {"valid": np.ones((1, 3), bool)}
    write_mindir(Nms(0.5, 2), inputs, {"task": "detection", "format": 1}, tmp_path / "nms.mindir")
    path = tmp_path / "nms.mindir"
    index, _ = run_model(nn.GraphCell(load_graph(read_mindir(path), path)), *inputs.values())
    assert index.tolist() == [[1, 2]]
    operators.rename(tmp_path / "gone")
    missing = re.escape(f"{operators}/custom_ops_cpu.so is missing")
    message = rf"nms.mindir needs compiled operators \({missing}: .*portable"
    with pytest.raises(UserError, match=message):
        load_graph(read_mindir(path), path)


@pytest.mark.parametrize("backend", ["onnx", "mindir"])
def test_the_file_tells_how_to_make_its_input_and_what_its_outputs_mean(graph_mode, classifier, backend):
    model = open_model(classifier[0] / f"model.{backend}", backend)
    assert [(port.name, port.shape, port.dtype) for port in model.inputs] == [("image", (1, 3, 32, 32), np.float32)]
    cfg = load_config(CONFIG, SMALL)
    expected = {"task": "classification", "class_names": list("abcdefgh"), "mean": cfg.img_mean, "std": cfg.img_std,
                "to_rgb": True, "height": 32, "width": 32, "short_side": cfg.eval_resize}  # fmt: skip
    assert {name: model.metadata[name] for name in expected} == expected


def test_batch_normalisation_is_folded(classifier):
    import onnx  # after MindSpore, whose generated protobuf code needs to be the first

    graph = onnx.load(classifier[0] / "model.onnx")
    assert "BatchNormalization" not in {node.op_type for node in graph.graph.node}
    assert graph.opset_import[0].version == 16
    mindir = (classifier[0] / "model.mindir").read_bytes()
    assert b"BatchNorm" not in mindir and b"moving_mean" not in mindir


def test_a_file_that_differs_from_the_network_is_removed_and_an_older_one_stays(graph_mode, classifier, monkeypatch):
    folder = classifier[0]
    before = sorted(path.name for path in folder.iterdir()), (folder / "model.mindir").read_bytes()
    original = export_module.write_mindir

    def write_another_network(model: nn.Cell, *rest) -> None:
        model.classifier.bias.set_data(model.classifier.bias + 0.01)
        original(model, *rest)
        model.classifier.bias.set_data(model.classifier.bias - 0.01)

    monkeypatch.setattr(export_module, "write_mindir", write_another_network)
    with pytest.raises(UserError, match=r"differs from the network by 1\.0\de-02"):
        export(config(folder, "MINDIR"))
    assert before == (sorted(path.name for path in folder.iterdir()), (folder / "model.mindir").read_bytes())


@pytest.mark.parametrize(
    "backend,name,keys,message",
    [
        ("mindspore", "model.onnx", [], "is an exported file: run it with --backend onnx"),
        ("mindir", "model.onnx", [], "is no .mindir file"),
        ("onnx", "none.onnx", [], "none.onnx does not exist"),
        ("onnx", "model.onnx", ["--input_size", "64"], "image size 32x32, but the configuration has 64x64"),
        ("mindir", "model.mindir", ["--num_classes", "9", "--class_names", "[]"], "num_classes 8, but the conf"),
        ("onnx", "broken.onnx", [], "is no ONNX model, or damaged"),
        ("mindir", "broken.mindir", [], "is no MINDIR model, or damaged"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(graph_mode, classifier, backend, name, keys, message):
    folder = classifier[0]
    for kind in ("onnx", "mindir"):
        content = (folder / f"model.{kind}").read_bytes()
        (folder / f"broken.{kind}").write_bytes(content[: len(content) // 2])
    settings = ["--checkpoint_path", f"{folder}/{name}", "--backend", backend]
    with pytest.raises(UserError, match=message) as error:
        TASKS["classification"].load(load_config(CONFIG, [*SMALL, *settings, *keys]))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "file_format,name,message",
    [
        ("AIR", "model", "file_format AIR needs an Ascend device; device_target is CPU"),
        ("ONNX", "model.mindir", "ends in .mindir, but file_format is ONNX"),
    ],
)
def test_a_format_that_cannot_be_written_is_said_at_once(classifier, file_format, name, message):
    with pytest.raises(UserError, match=message):
        export(config(classifier[0], file_format, name))


def test_a_folder_that_cannot_be_written_is_said_before_the_network_is_built(classifier):
    with pytest.raises(UserError, match="file_name /proc/model.onnx: its folder cannot be written"):
        export(config(classifier[0], "ONNX", "model", "--file_name", "/proc/model"))


@pytest.mark.parametrize("file_format,place", [("MINDIR", "full/new.mindir: cannot be"), ("ONNX", "as ONNX into")])
def test_a_disk_that_gets_full_is_one_line_and_leaves_nothing(graph_mode, classifier, file_format, place):
    name = "full/new"
    with limited(2**17), pytest.raises(UserError, match=f"{place}.*(File too large|disk full)"):
        export(config(classifier[0], file_format, name))
    assert not list((classifier[0] / "full").iterdir())


def test_a_missing_package_is_named_with_how_to_get_it(graph_mode, classifier, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="needs the package onnxruntime: pip install -r requirements-export.txt"):
        open_model(classifier[0] / "model.onnx", "onnx")
    monkeypatch.setattr(export_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="file_format ONNX needs the package onnx: pip install -r requirements-export"):
        export(config(classifier[0], "ONNX"))


def test_an_array_of_another_shape_is_named_with_both_shapes(graph_mode, classifier):
    model = open_model(classifier[0] / "model.onnx", "onnx")
    with pytest.raises(UserError, match=r"image must be \[1, 3, 32, 32\], not \[1, 3, 32, 64\]"):
        model(np.zeros((1, 3, 32, 64), np.float32))
