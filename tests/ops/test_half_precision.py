"""Compiled operators, and normalisations, on half precision: float32 within, the result and its gradient rounded."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn, ops

from src.models.layers import NormSettings, batch_norm
from src.models.sync_norm import SyncBatchNorm
from src.ops.batch_norm import FusedBatchNorm, FusedBatchNormSum
from src.ops.conv_gradient import FastGradientConv2D, UsedRowsConv2D, why_not_fast
from src.ops.half_precision import why_no_half
from src.ops.point_sample import PointSample
from src.ops.resize import BilinearResizing, NearestUpsampling
from src.ops.roi_align import RoIAlign

RNG = np.random.RandomState(0)
ROIS = Tensor(np.float32([[0, 3, 5, 40, 33], [1, 10, 2, 60, 50], [-1, 0, 0, 9, 9], [0, 100.3, 90.7, 220, 200]]))
POINTS = Tensor(RNG.rand(4, 9, 2).astype(np.float32))


class OnMaps(nn.Cell):
    """`operator` on one tensor of maps (2, 4, 16, 16)."""

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind.removeprefix("portable ")  # here, since strict graph mode has no words
        self.weight = Parameter(Tensor(RNG.rand(4).astype(np.float32) + 0.5), name="weight")
        self.shift = Parameter(Tensor(RNG.randn(4).astype(np.float32)), name="shift")
        self.mean = Parameter(Tensor(np.zeros(4, np.float32)), name="mean", requires_grad=False)
        self.variance = Parameter(Tensor(np.ones(4, np.float32)), name="variance", requires_grad=False)
        self.larger = Tensor(np.zeros((2, 1, 25, 19), np.float32))
        self.used = Tensor([True, False])
        self.kernel = Tensor((RNG.randn(3, 4, 3, 3) * 0.2).astype(np.float16))
        conv = nn.Conv2d(4, 3, 3, pad_mode="pad", padding=1)
        self.operator = {
            "RoIAlign": lambda: RoIAlign(3, (4, 8)),
            "portable RoIAlign": lambda: RoIAlign(3, (4, 8), portable=True, sampling_ratio=2),
            "PointSample": PointSample,
            "portable PointSample": lambda: PointSample(True),
            "BatchNorm2d": lambda: batch_norm(4, NormSettings()),
            "frozen BatchNorm2d": lambda: batch_norm(4, NormSettings(frozen=True)),
            "SyncBatchNorm": self.of_one_rank,
            "FusedBatchNorm": lambda: FusedBatchNorm(1e-5, 0.1, True),
            "FusedBatchNormSum": lambda: FusedBatchNormSum(1e-5, 0.1),
            "NearestUpsampling": lambda: NearestUpsampling(2),
            "BilinearResizing": lambda: BilinearResizing(False),
            "UsedRowsConv2D": lambda: UsedRowsConv2D(conv),
            "FastGradientConv2D": lambda: FastGradientConv2D(conv),
        }[kind]()
        self.set_train(True)

    def of_one_rank(self) -> SyncBatchNorm:
        """Without the sums over ranks, which need a cluster."""
        norm = SyncBatchNorm(batch_norm(4, NormSettings()))
        norm.statistics.over_ranks = False
        return norm

    def construct(self, x):
        kind, operator = self.kind, self.operator
        if kind == "RoIAlign":
            return operator((x, x[:, :, ::2, ::2]), ROIS)
        if kind == "PointSample":
            return operator(x, POINTS)
        if kind == "FusedBatchNorm":
            return operator(x, self.weight, self.shift, self.mean, self.variance)[0]
        if kind == "FusedBatchNormSum":
            return operator(x, self.weight, self.shift, self.mean, self.variance, x)[0]
        if kind == "BilinearResizing":
            return operator(x, self.larger)
        if kind == "UsedRowsConv2D":
            return operator(x, self.kernel.astype(x.dtype), self.used)[:1]
        if kind == "FastGradientConv2D":
            return operator(x, self.kernel.astype(x.dtype))
        return operator(x)


KINDS = (
    "RoIAlign", "portable RoIAlign", "PointSample", "portable PointSample", "BatchNorm2d", "frozen BatchNorm2d",
    "SyncBatchNorm", "FusedBatchNorm", "FusedBatchNormSum", "NearestUpsampling", "BilinearResizing", "UsedRowsConv2D",
    "FastGradientConv2D",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_gives_what_float32_gives_on_the_same_numbers_rounded(graph_mode, kind):
    if kind in KINDS[7:] and why_not_fast():
        pytest.skip(why_not_fast())
    x = RNG.randn(2, 4, 16, 16).astype(np.float16)
    cell = OnMaps(kind)
    keeps_type = not kind.endswith("PointSample")
    out = cell(Tensor(x))
    exact = cell(Tensor(x.astype(np.float32)))
    assert exact.dtype == ms.float32 and out.dtype == (ms.float16 if keeps_type else ms.float32)
    wanted = exact.asnumpy().astype(np.float16) if keeps_type else exact.asnumpy()
    assert np.isfinite(wanted).all() and np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(out.asnumpy().astype(np.float32), wanted.astype(np.float32), rtol=1e-3, atol=1e-4)

    upstream = Tensor(RNG.randn(*out.shape).astype(np.float16))
    gradient = ops.GradOperation(sens_param=True)(cell)
    found = gradient(Tensor(x), upstream.astype(out.dtype)).asnumpy()
    wanted = gradient(Tensor(x.astype(np.float32)), upstream.astype(ms.float32)).asnumpy()
    assert found.dtype == np.float16 and np.abs(wanted).max() > 0.01
    np.testing.assert_allclose(found.astype(np.float32), wanted, rtol=4e-3, atol=2e-3 * np.abs(wanted).max())


def test_a_normalisation_of_large_half_numbers_does_not_overflow(graph_mode):
    """The squares of 1000 are beyond float16: only float32 within can be right."""
    x = (RNG.randn(2, 4, 16, 16) * 1000).astype(np.float16)
    for kind in ("BatchNorm2d", "SyncBatchNorm"):
        out = OnMaps(kind)(Tensor(x)).asnumpy()
        np.testing.assert_allclose(out.astype(np.float32).std(axis=(0, 2, 3)), 1, rtol=1e-2)


def test_the_cpu_computes_in_float16_alone(graph_mode):
    assert why_no_half("float16") == "" and "bfloat16" in why_no_half("bfloat16")
