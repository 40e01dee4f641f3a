"""Networks in half precision: the types in their compiled graphs, and what they learn beside float32."""

from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from src.config import load_config
from src.engine.loss_scale import ScaleSettings
from src.engine.optimizer import OptimizerSettings, build_optimizer
from src.engine.setup import make_train_step
from src.engine.train_step import StepSettings, TrainStep
from src.errors import UserError
from src.models.build_precision import check_precision, set_precision
from src.models.fold import fold_batchnorm
from src.models.fused import fuse_for_training
from src.models.layers import ConvNormAct, NormSettings
from src.models.precision import prediction_layers, use_half_precision
from src.ops.conv_gradient import use_fast_gradients, why_not_fast
from src.tasks import build_model
from tests.models.compiled_graph import Node, nodes
from tests.models.test_any_backbone import TINY, batch, overrides

DEMO = Path(__file__).parents[2] / "configs" / "demo"
RESNET = ["--backbone.type", "resnet", "--backbone.depth", "18", "--backbone.base_channels", "4"]
CLASSIFIER = [
    *RESNET, "--cls_head.head_channels", "[4,4,4,4]", "--cls_head.final_channels", "16", "--input_size", "32",
]  # fmt: skip
WIDE = ["--img_width", "64", "--img_height", "32"]
CASES = {
    "classifier": ("hrnet_cls_shapes", CLASSIFIER),
    "segmenter": ("hrnet_seg_cityscapes_shapes", [*RESNET, *WIDE]),
    "segmenter of HRNet": ("hrnet_seg_cityscapes_shapes", WIDE),
    "ocr": ("hrnet_ocr_cityscapes_shapes", [*RESNET, *WIDE]),
    "pointrend segmenter": ("hrnet_pointrend_cityscapes_shapes", [*RESNET, *WIDE]),
    **{name: (Path(TINY).stem, overrides("resnet", name)) for name in ("mask_rcnn", "pointrend", "cascade_mask_rcnn")},
    "mask_rcnn of HRNet": (Path(TINY).stem, overrides("hrnet", "mask_rcnn")),
}
PRODUCTS = ("Conv2D", "MatMul", "BatchMatMul", "Dense")  # what the names of such operators begin with
IN_FLOAT32 = {
    "BatchNorm", "BatchNormGrad", "Softmax", "SoftmaxBackward", "LogSoftmax", "LogSoftmaxGrad", "Exp", "Log", "Log1p",
    "Sigmoid", "SigmoidGrad", "Sqrt", "TopK", "Custom",
}  # fmt: skip
# The cells of matrix products that are no layers: interpolation, sums for normalisation. A layer's is called MatMul.
EXCEPTIONS = ("ResizeBilinear", "DoubleBilinear", "BatchStatistics", "HRModule")


def configured(case: str, *more: str):
    config, keys = CASES[case]
    return load_config(str(DEMO / f"{config}.yaml"), [*keys, *more])


def inputs(case: str, training: bool) -> tuple[Tensor, ...]:
    if "rcnn" in case or case == "pointrend":
        return batch() if training else batch()[:2]
    height, width = (32, 32) if case == "classifier" else (32, 64)
    image = Tensor(np.random.RandomState(0).randn(2, 3, height, width).astype(np.float32))
    if not training:
        return (image,)
    seed = Tensor(np.int32([3, 4]))
    if case == "classifier":
        return image, seed - 3, seed - 3, Tensor(np.ones(2, np.float32))
    label = Tensor(np.zeros((2, height, width), np.int32))
    return (image, label) if case.startswith("segmenter") else (image, label, seed)


def products(found: list[Node]) -> list[Node]:
    return [node for node in found if node.operator.startswith(PRODUCTS)]


def in_half(node: Node) -> bool:
    return set(node.inputs[:2]) == {"Float16"} == set(node.outputs)


def is_exception(node: Node) -> bool:
    around = node.scope.replace("/Grad_MatMulExt", "").rpartition("/")[0]
    return node.operator == "MatMulExt" and around.endswith(tuple(f"-{name}" for name in EXCEPTIONS))


GRAPHS = [
    pytest.param(case, level, training, marks=() if (case, level, training) in quick else pytest.mark.slow)
    for quick in [(("segmenter", "O2", True), ("segmenter", "O1", False))]
    for case in CASES
    for level in ("O1", "O2")
    for training in (False, True)
]


@pytest.mark.parametrize(("case", "level", "training"), GRAPHS)
def test_every_convolution_and_matrix_product_of_the_compiled_graph_is_in_half_precision(
    graph_mode, tmp_path, case, level, training
):
    cfg = configured(case, "--amp_level", level, "--fast_gradients", "0", "--loss_scale", "dynamic")
    model = build_model(cfg)
    if training:
        cell, _ = make_train_step(cfg, model, 10)
    else:
        set_precision(cfg, model)
        cell = model.set_train(False)
    found = nodes(cell, inputs(case, training), tmp_path)
    own = [node for node in products(found) if not is_exception(node)]
    assert len(own) > 15 and any(node.operator == "Conv2D" for node in own)
    assert any("Backprop" in node.operator for node in own) == training
    wrong = [node for node in own if not in_half(node)]
    assert not wrong, wrong
    exact = [node for node in found if node.operator in IN_FLOAT32]
    assert exact and not [node for node in exact if "Float16" in node.inputs + node.outputs]
    halves = sum(node.operator.startswith(("ReLU", "Add")) and "Float16" in node.outputs for node in found)
    assert (halves > 10) == (level == "O2"), halves
    assert {one.dtype for one in model.get_parameters() if one.name.endswith(("weight", "bias"))} == {ms.float32}


class SmallNet(nn.Cell):
    """Layers of each kind: convolutions with and without normalisation, one that is upside down, dense ones."""

    class_layers = ("classifier.",)
    loss_names = ("loss",)

    def __init__(self):
        super().__init__()
        self.stem = ConvNormAct(3, 8, 3, norm=NormSettings())
        self.mix = ConvNormAct(8, 8, 3)
        self.up = nn.Conv2dTranspose(8, 4, 2, stride=2, pad_mode="valid", has_bias=True)
        self.hidden = nn.Dense(4 * 64, 16)
        self.relu = nn.ReLU()
        self.classifier = nn.Dense(16, 3)

    def logits(self, x):
        x = self.up(self.mix(self.stem(x)))
        return self.classifier(self.relu(self.hidden(x.reshape(x.shape[0], -1))))

    def construct(self, x, label):
        logits = self.logits(x)
        return (((logits - label) ** 2).mean(),)


def fresh_net(seed: int = 0) -> SmallNet:
    net, rng = SmallNet(), np.random.RandomState(seed)
    for parameter in net.get_parameters():
        if parameter.name.endswith(("weight", "bias")):
            scale = np.sqrt(2 / np.prod(parameter.shape[1:])) if parameter.ndim > 1 else 0.1
            parameter.set_data(Tensor((rng.randn(*parameter.shape) * scale).astype(np.float32)))
    return net


def trained_losses(level: str, steps: int) -> tuple[list[float], TrainStep]:
    net = fresh_net()
    if not why_not_fast():
        use_fast_gradients(net)
        fuse_for_training(net)
    assert use_half_precision(net, level, ms.float16) == (0 if level == "O0" else 5)
    optimizer = build_optimizer(net, np.full(steps, 0.01), OptimizerSettings("sgd", weight_decay=1e-4))
    step = TrainStep(net, optimizer, StepSettings(dynamic=ScaleSettings(1024.0) if level != "O0" else None))
    step.set_train(True)
    rng, losses = np.random.RandomState(1), []
    for _ in range(steps):
        label = rng.randn(6, 3).astype(np.float32)
        x = np.broadcast_to(label[:, :, None, None], (6, 3, 4, 4)) + rng.randn(6, 3, 4, 4) * 0.1
        losses.append(float(step(Tensor(x.astype(np.float32)), Tensor(label))[0].asnumpy()))
    return losses, step


def test_training_in_half_precision_goes_as_in_float32(graph_mode):
    """First loss within 1e-3, the mean of steps 41 to 50 within 5 %."""
    exact, _ = trained_losses("O0", 50)
    assert np.mean(exact[40:]) < 0.2 * exact[0]
    for level in ("O1", "O2"):
        losses, step = trained_losses(level, 50)
        assert losses != exact and int(step.scaler.overflows.asnumpy()) == 0
        np.testing.assert_allclose(losses[0], exact[0], rtol=1e-3)
        np.testing.assert_allclose(np.mean(losses[40:]), np.mean(exact[40:]), rtol=0.05)


def test_the_result_of_a_layer_is_half_precision_at_o2_but_for_predictions(pynative_mode):
    x = Tensor(np.random.RandomState(0).randn(2, 3, 4, 4).astype(np.float32))
    for level, features in (("O0", ms.float32), ("O1", ms.float32), ("O2", ms.float16)):
        net = fresh_net().set_train(False)
        names = [one.name for one in net.get_parameters()]
        use_half_precision(net, level, ms.float16)
        assert net.mix(net.stem(x)).dtype == net.hidden(Tensor(np.ones((2, 256), np.float32))).dtype == features
        assert net.logits(x).dtype == ms.float32
        assert [one.name for one in net.get_parameters()] == names
        assert use_half_precision(net, level, ms.float16) == 0  # once is enough


def test_layers_of_predictions_are_those_of_classes_and_of_boxes():
    names = prediction_layers(build_model(configured("cascade_mask_rcnn")))
    assert {"rpn_head.rpn_cls.", "rpn_head.rpn_reg.", "bbox_head.2.fc_cls.", "bbox_head.2.fc_reg."} < set(names)
    assert "mask_head.0.conv_logits." in names and not [name for name in names if "backbone" in name]


def test_folded_networks_give_nearly_the_same_in_half_precision(pynative_mode):
    x = Tensor(np.random.RandomState(0).randn(2, 3, 4, 4).astype(np.float32))
    exact = fresh_net().set_train(False).logits(x).asnumpy()
    net = fresh_net()
    assert fold_batchnorm(net) == 1
    use_half_precision(net.set_train(False), "O2", ms.float16)
    found = net.logits(x).asnumpy()
    assert 0 < np.abs(found - exact).max() < 5e-3 * np.abs(exact).max()


def test_a_type_that_the_device_does_not_compute_in_is_one_line(graph_mode):
    cfg = configured("classifier", "--amp_level", "O1", "--amp_dtype", "bfloat16", "--device_target", "CPU")
    with pytest.raises(UserError) as raised:
        check_precision(cfg)
    assert str(raised.value) == (
        "amp_dtype is bfloat16, but MindSpore's operators for the CPU do not compute in bfloat16: take --amp_dtype "
        "float16 or --amp_level O0"
    )
    check_precision(configured("classifier", "--amp_dtype", "bfloat16"))  # O0 asks for nothing
    check_precision(configured("classifier", "--amp_level", "O2"))
