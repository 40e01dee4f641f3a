"""Which operators a GPU takes, without one: what asks for the device is told it is there."""

import subprocess

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, ops

from src.models.detection.assign import MaxIoUAssigner
from src.ops import library, nms, point_sample, roi_align
from src.ops.build import GPU
from tests.ops import test_point_sample, test_roi_align

CURRENT = f'extern "C" int OperatorsVersion() {{ return {library.VERSION}; }}'


@pytest.fixture()
def gpu(monkeypatch, tmp_path):
    """gpu(text): its library is what this C++ text becomes. gpu.context may be changed."""
    context = {"device_target": "GPU", "deterministic": "OFF"}
    get_context = ms.get_context
    monkeypatch.setattr(library, "BIN_FOLDER", tmp_path)
    for module in (ms, nms, point_sample, roi_align):
        monkeypatch.setattr(module, "get_context", lambda name: context.get(name) or get_context(name))

    def build(text: str) -> None:
        command = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", str(tmp_path / GPU)]
        subprocess.run(command, input=text, text=True, check=True, timeout=60)

    build.context = context
    return build


def test_a_gpu_takes_the_kernels_where_they_are_built_and_of_this_version(gpu):
    def chosen() -> list[bool]:
        assigner = MaxIoUAssigner(0.5, 0.5, 0.5)
        return [
            isinstance(nms.Nms(0.5, 3).select, nms._CustomNms),
            isinstance(point_sample.PointSample().sample, point_sample._CustomPointSample),
            assigner.use_custom,
        ]

    assert chosen() == [False] * 3 and not point_sample.PointSample().takes_half
    gpu(CURRENT)
    assert chosen() == [True] * 3 and point_sample.PointSample().takes_half
    assert not library.takes_custom_op(portable=True)
    gpu.context["device_target"] = "Ascend"
    assert chosen() == [False] * 3


def test_a_library_for_gpus_from_before_these_kernels_is_refused_in_one_line(gpu):
    gpu('extern "C" int RoiAlignForward() { return 0; }')
    with pytest.raises(library.UserError, match="custom_ops_gpu.so is of another version: build the custom operators"):
        roi_align.RoIAlign(7, (8,))
    assert not library.takes_custom_op(portable=False)


def test_deterministic_gradients_have_kernels_of_their_own_on_a_gpu(gpu):
    assert library.gradient_function("RoiAlignBackward") == "RoiAlignBackward"
    gpu.context["deterministic"] = "ON"
    assert library.gradient_function("RoiAlignBackward") == "RoiAlignBackwardOrdered"
    gpu.context["device_target"] = "CPU"
    assert library.gradient_function("RoiAlignBackward") == "RoiAlignBackward"


def test_outputs_may_take_the_type_of_an_input(graph_mode, monkeypatch):
    """As on a GPU; the numbers are those of the types that are said beforehand."""
    features, points, weights = test_point_sample.case(2, 3, 4, 5)
    inputs = Tensor(features), Tensor(points), Tensor(weights)
    feature, rois = np.float32(np.random.RandomState(0).randn(1, 2, 8, 8)), np.float32([[0, 0, 0, 30, 30]])

    def numbers() -> list[np.ndarray]:
        found = ops.grad(test_point_sample.WeightedSum(point_sample.PointSample()), 0)(*inputs)
        ones = np.ones((1, 2, 7, 7), np.float32)
        out, (grad,) = test_roi_align.run(roi_align.RoIAlign(7, (8,)), [feature], rois, ones)
        return [found.asnumpy(), out, grad]

    def like(position: int, count: int = 1):
        return lambda *kinds: kinds[position] if count == 1 else (kinds[position],) * count

    before = numbers()
    for module in (point_sample, roi_align):
        monkeypatch.setattr(module, "types_like", like)
    for one, other in zip(before, numbers(), strict=True):
        np.testing.assert_array_equal(one, other)
