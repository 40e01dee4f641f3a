"""ONNX files that attack: onnxruntime keeps to the file's own folder, and what it refuses is one line."""

from pathlib import Path

import numpy as np
import pytest

from src.errors import UserError
from src.inference.backends import open_model, require_fit


@pytest.fixture()
def model_file(tmp_path):
    """model_file(location, domain, shape): x + w for images (1, 3, 2, 4), w in the file or at `location`."""
    import onnx
    from onnx import TensorProto, helper

    (tmp_path / "secret.bin").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")

    def write(location: str = "", domain: str = "", shape=(1, 3, 2, 4)) -> Path:
        weight = TensorProto(name="w", data_type=1, dims=[4])
        if location:
            weight.data_location = TensorProto.EXTERNAL
            weight.external_data.add(key="location", value=location.format(tmp_path))
        else:
            weight.raw_data = bytes(16)
        ends = [helper.make_tensor_value_info(name, 1, shape) for name in "xy"]
        node = helper.make_node("Add", ["x", "w"], ["y"], domain=domain)
        sets = [helper.make_opsetid("", 16), *([helper.make_opsetid(domain, 1)] if domain else [])]
        graph = helper.make_graph([node], "g", ends[:1], ends[1:], [weight])
        whole = helper.make_model(graph, opset_imports=sets, ir_version=8)
        whole.metadata_props.add(key="task", value='"detection"')
        onnx.save(whole, folder / "m.onnx")
        return folder / "m.onnx"

    return write


@pytest.mark.parametrize("location", ["{}/secret.bin", "../secret.bin", "link.bin"])
def test_weights_in_files_elsewhere_are_not_read(model_file, location):
    with pytest.raises(UserError, match="m.onnx is no ONNX model, or damaged .*(External|external)") as error:
        open_model(model_file(location), "onnx")
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_operators_of_others_are_refused(model_file):
    with pytest.raises(UserError, match="m.onnx is no ONNX model, or damaged .*not a registered"):
        open_model(model_file(domain="evil"), "onnx")


def test_a_file_that_takes_no_image_of_one_size_is_one_line(model_file):
    with pytest.raises(UserError, match="its input 'x' has no fixed shape"):
        open_model(model_file(shape=("n", 3, 2, 4)), "onnx")
    with pytest.raises(UserError, match="takes no image"):
        require_fit(open_model(model_file(shape=(4,)), "onnx"), "detection", 3, (2, 4))


def test_a_file_that_fails_as_it_runs_is_one_line(model_file):
    model = open_model(model_file(), "onnx")
    model.session = None
    with pytest.raises(UserError, match=r"m.onnx cannot be run \(") as error:
        model(np.zeros((1, 3, 2, 4)))
    assert "\n" not in str(error.value)
