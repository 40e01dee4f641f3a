import numpy as np
import onnx
import onnxruntime
import pytest
from mindspore import Tensor, nn, ops

from src.errors import UserError
from src.ops.roi_align import RoIAlign

CASES = [(size, ratio, aligned) for size in (7, 14) for ratio in (0, 2) for aligned in (1, 0)]


@pytest.fixture(scope="module")
def single_level(data_files_module):
    return dict(np.load(data_files_module / "roi_align.npz"))


@pytest.fixture(scope="module")
def data_files_module():
    from tests.conftest import DATA_FILES

    return DATA_FILES


class WeightedSum(nn.Cell):
    """A scalar whose gradient is the op's backward pass of `weights`."""

    def __init__(self, pool, rois):
        super().__init__()
        self.pool, self.rois = pool, rois

    def construct(self, weights, *features):
        return (self.pool(features, self.rois) * weights).sum()


def run(pool, features, rois, weights):
    """Output and the gradient of each feature map."""
    features = [Tensor(f) for f in features]
    out = pool(tuple(features), Tensor(rois)).asnumpy()
    positions = tuple(range(1, len(features) + 1))
    grads = ops.grad(WeightedSum(pool, Tensor(rois)), positions)(Tensor(weights), *features)
    grads = grads if isinstance(grads, tuple) else (grads,)
    return out, [grad.asnumpy() for grad in grads]


@pytest.mark.parametrize("size,ratio,aligned", CASES)
def test_forward_and_gradient_equal_mmcv(single_level, graph_mode, size, ratio, aligned):
    key = f"size{size}_ratio{ratio}_aligned{aligned}"
    pool = RoIAlign(size, (8,), 56, ratio, bool(aligned))
    out, grads = run(pool, [single_level["feature"]], single_level["rois"], single_level[f"{key}_grad_out"])
    np.testing.assert_allclose(out, single_level[f"{key}_out"], atol=2e-6)
    np.testing.assert_allclose(grads[0], single_level[f"{key}_grad_feature"], atol=5e-5)


@pytest.mark.parametrize(
    "size,ratio,aligned", [(7, 2, 1), *(pytest.param(*one, marks=pytest.mark.slow) for one in ((14, 2, 1), (7, 2, 0)))]
)
def test_framework_operator_agrees_with_ours_for_fixed_sampling(single_level, graph_mode, size, ratio, aligned):
    weights = single_level[f"size{size}_ratio{ratio}_aligned{aligned}_grad_out"]
    results = []
    for portable in (False, True):
        pool = RoIAlign(size, (8,), 56, ratio, bool(aligned), portable=portable)
        results.append(run(pool, [single_level["feature"]], single_level["rois"], weights))
    np.testing.assert_allclose(results[0][0], results[1][0], atol=1e-4)
    np.testing.assert_allclose(results[0][1][0], results[1][1][0], atol=1e-4)


def test_level_choice_over_a_pyramid_equals_mmdetection(data_files, graph_mode):
    reference = dict(np.load(data_files / "roi_extractor.npz"))
    features = tuple(Tensor(reference[f"feat{k}"]) for k in range(4))
    rois = Tensor(reference["rois"])
    out = RoIAlign(7, (4, 8, 16, 32), 56, 0)(features, rois).asnumpy()
    np.testing.assert_allclose(out, reference["out"], atol=2e-6)
    ours = RoIAlign(7, (4, 8, 16, 32), 56, 2)(features, rois).asnumpy()
    portable = RoIAlign(7, (4, 8, 16, 32), 56, 2, portable=True)(features, rois).asnumpy()
    np.testing.assert_allclose(portable, ours, atol=1e-4)


def by_onnxruntime(feature: np.ndarray, rois: np.ndarray, size: int, ratio: int) -> np.ndarray:
    """RoIs on a map of stride 8."""
    shape = {"output_height": size, "output_width": size, "sampling_ratio": ratio, "spatial_scale": 0.125}
    node = onnx.helper.make_node(
        "RoiAlign", ["x", "rois", "batch"], ["y"], coordinate_transformation_mode="half_pixel", **shape
    )
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node], "roi", [value("x", 1, None), value("rois", 1, None), value("batch", 7, None)], [value("y", 1, None)]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 16)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": feature, "rois": rois[:, 1:], "batch": rois[:, 0].astype(np.int64)})[0]


def test_output_equals_onnxruntime(single_level, graph_mode):
    feature, rois = single_level["feature"], single_level["rois"]
    out = RoIAlign(7, (8,), 56, 2)((Tensor(feature),), Tensor(rois)).asnumpy()
    np.testing.assert_allclose(out, by_onnxruntime(feature, rois, 7, 2), atol=1e-5)


@pytest.mark.parametrize("channels,height,width", [(1, 9, 23), (19, 6, 8), (5, 30, 7)])  # whole vectors, just one, none
def test_every_output_size_equals_onnxruntime_on_maps_of_any_width(pynative_mode, channels, height, width):
    rng = np.random.RandomState(width)
    feature = rng.randn(2, channels, height, width).astype(np.float32)
    corner = rng.uniform(-20, 8 * width, (6, 2))
    rois = np.concatenate([np.arange(6)[:, None] % 2, corner, corner + rng.uniform(1, 150, (6, 2))], 1)
    for size in (1, 2, 3, 8, 9, 14, 16, 17):
        out = RoIAlign(size, (8,), 56, 0)((Tensor(feature),), Tensor(np.float32(rois))).asnumpy()
        np.testing.assert_allclose(out, by_onnxruntime(feature, np.float32(rois), size, 0), atol=2e-5)


def test_a_number_that_is_not_finite_spoils_the_bins_that_touch_it_alone(pynative_mode):
    feature = np.ones((1, 2, 16, 16), np.float32)
    feature[0, 0, 3, 5] = np.inf
    rois = np.float32([[0, 4, 4, 116, 116]])  # cells 0 to 14, two a bin, sampled at cells 1, 3, ...
    out = RoIAlign(7, (8,), 56, 1)((Tensor(feature),), Tensor(rois)).asnumpy()
    expected = np.ones((1, 2, 7, 7), np.float32)
    expected[0, 0, 1, 2] = np.inf  # which samples row 3, column 5
    np.testing.assert_array_equal(out, expected)


def test_rois_without_image_or_with_wild_corners_give_zeros_and_no_gradient(graph_mode):
    feature = np.random.RandomState(0).randn(2, 3, 8, 8).astype(np.float32)
    wild = [
        [-1, 0, 0, 30, 30],
        [5, 0, 0, 30, 30],
        [0, np.nan, 0, 30, 30],
        [0, 0, -np.inf, 30, np.inf],
        [1, 900, 900, 990, 990],
        [1, -900, -900, -800, -800],
        [0, 12, 12, 12, 12],
    ]
    rois = np.float32(wild)
    out, grads = run(RoIAlign(7, (8,), 56, 0), [feature], rois, np.ones((len(wild), 3, 7, 7), np.float32))
    assert not out.any() and not grads[0].any()


def test_an_enormous_roi_returns_at_once_and_is_finite(graph_mode):
    feature = np.ones((1, 1, 8, 8), np.float32)
    rois = np.float32([[0, -1e7, -1e7, 1e7, 1e7], [0, -1e30, -1e30, 1e30, 1e30]])
    out = RoIAlign(7, (8,), 56, 0)((Tensor(feature),), Tensor(rois)).asnumpy()
    assert np.isfinite(out).all()


def test_pynative_and_graph_mode_agree(single_level, pynative_mode):
    pool = RoIAlign(7, (8,), 56, 0)
    key = "size7_ratio0_aligned1"
    out, grads = run(pool, [single_level["feature"]], single_level["rois"], single_level[f"{key}_grad_out"])
    np.testing.assert_allclose(out, single_level[f"{key}_out"], atol=2e-6)
    np.testing.assert_allclose(grads[0], single_level[f"{key}_grad_feature"], atol=5e-5)


def test_operator_survives_mindir_export(single_level, graph_mode, tmp_path):
    class Net(nn.Cell):
        def __init__(self):
            super().__init__()
            self.pool = RoIAlign(7, (8, 16), 56, 0)

        def construct(self, x, rois):
            return self.pool((x, ops.avg_pool2d(x, 2, 2)), rois)

    net, ms = Net(), graph_mode
    inputs = Tensor(single_level["feature"]), Tensor(single_level["rois"])
    ms.export(net, *inputs, file_name=str(tmp_path / "pool"), file_format="MINDIR")
    reloaded = nn.GraphCell(ms.load(str(tmp_path / "pool.mindir")))
    np.testing.assert_array_equal(reloaded(*inputs).asnumpy(), net(*inputs).asnumpy())


def test_missing_library_is_one_line_that_names_the_build_script(graph_mode, monkeypatch, tmp_path):
    monkeypatch.setattr("src.ops.library.BIN_FOLDER", tmp_path)
    with pytest.raises(UserError, match=r"scripts/build_custom\.sh"):
        RoIAlign(7, (8,))


def test_two_output_sizes_on_the_same_inputs_keep_their_own_shapes_in_one_graph(graph_mode):
    class Net(nn.Cell):
        def __init__(self):
            super().__init__()
            self.small, self.large = RoIAlign(7, (8,)), RoIAlign(14, (8,))

        def construct(self, x, rois):
            return self.small((x,), rois), self.large((x,), rois)

    outputs = Net()(Tensor(np.ones((1, 2, 8, 8), np.float32)), Tensor(np.float32([[0, 0, 0, 30, 30]])))
    assert [out.shape for out in outputs] == [(1, 2, 7, 7), (1, 2, 14, 14)]
