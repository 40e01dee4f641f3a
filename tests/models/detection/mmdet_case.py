"""What the comparisons with MMDetection share: our model with its weights, its annotations, losses with gradients."""

from pathlib import Path

import numpy as np
from mindspore import Tensor, nn, ops

from src.config import load_config
from src.tasks import build_model
from tests.reference.recipe import IMAGE_SHAPES, make_images, make_parameter

CONFIG = Path(__file__).parents[3] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml"
DATA_FILES = Path(__file__).parents[2] / "data_files"
BASE = [
    "--img_width", "160", "--img_height", "128", "--divider", "32", "--num_gts", "7",
    "--num_classes", "4", "--coco_classes", "[background, a, b, c]",
    "--backbone.norm_eval", "1",
    "--train_cfg.rpn_proposal.nms_pre", "2000", "--train_cfg.rpn_proposal.max_per_img", "1000",
    "--test_cfg.rpn.nms_pre", "1000", "--test_cfg.rpn.max_per_img", "1000", "--test_cfg.rcnn.max_per_img", "100",
    "--train_cfg.rpn.sampler.num", "64", "--train_cfg.rpn.sampler.order", "in_order",
    "--train_cfg.rcnn.sampler.num", "64", "--train_cfg.rcnn.sampler.order", "in_order",
]  # fmt: skip
SUFFIXES = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def mmdet_name(name: str) -> str:
    """MMDetection's name of one of our parameters."""
    stem, _, kind = name.rpartition(".")
    prefix = "roi_head." if name.startswith(("bbox_head.", "mask_head.")) else ""
    return f"{prefix}{stem}.{SUFFIXES.get(kind, kind)}"


def build(overrides: list[str]) -> nn.Cell:
    """The narrow detector with every parameter from the recipe."""
    model = build_model(load_config(str(CONFIG), BASE + overrides))
    for parameter in model.get_parameters():
        parameter.set_data(Tensor(make_parameter(mmdet_name(parameter.name), tuple(parameter.shape))))
    return model


def load_train_inputs() -> tuple[Tensor, ...]:
    """The batch of the training comparisons in the order of `train_columns`."""
    reference = np.load(DATA_FILES / "mmdet_mask_rcnn_hrnet.npz")
    count = reference["gt_count"]
    valid = np.arange(7)[None] < count[:, None]
    labels = np.where(valid, reference["gt_labels"] + 1, 0).astype(np.int32)
    boxes = np.where(valid[..., None], reference["gt_boxes"], 0).astype(np.float32)
    arrays = (
        make_images(), np.int32(IMAGE_SHAPES), boxes, labels, valid, reference["gt_masks"].astype(np.uint8),
        np.int32([0, 0]),
    )  # fmt: skip
    return tuple(Tensor(array) for array in arrays)


class LossesAndGradients(nn.Cell):
    def __init__(self, model):
        super().__init__(auto_prefix=False)
        self.model = model
        self.weights = model.trainable_params()
        self.gradient = ops.value_and_grad(self.forward, None, self.weights, has_aux=True)

    def forward(self, *inputs):
        losses = self.model(*inputs)
        total = losses[0]
        for loss in losses[1:]:
            total = total + loss
        return total, losses

    def construct(self, *inputs):
        (_, losses), gradients = self.gradient(*inputs)
        return losses, gradients


def assert_same_training(model: nn.Cell, losses, gradients, reference: dict, case: str, norms: float, whole: float):
    """Losses, the norm of every gradient (relative `norms`) and some whole ones (relative distance `whole`)."""
    np.testing.assert_allclose([float(x) for x in losses], reference[f"{case}_losses"], rtol=1e-4)
    ours = {mmdet_name(p.name): g.asnumpy() for p, g in zip(model.trainable_params(), gradients)}
    names = [str(name) for name in reference["parameter_names"]]
    assert set(names) == set(ours)
    for name, norm in zip(names, reference[f"{case}_grad_norms"]):
        np.testing.assert_allclose(np.linalg.norm(ours[name]), norm, rtol=norms, atol=1e-5, err_msg=name)
    for key, gradient in reference.items():
        if key.startswith(f"{case}_grad/"):
            name = key.split("/", 1)[1]
            distance = np.linalg.norm(ours[name] - gradient) / max(np.linalg.norm(gradient), 1e-9)
            assert distance < whole, (name, distance)


def assert_same_statistics(model: nn.Cell, reference: dict, prefix: str):
    """The running statistics after the step that the reference has under `prefix`."""
    statistics = {mmdet_name(p.name): p.asnumpy() for p in model.get_parameters()}
    found = [key for key in reference if key.startswith(prefix)]
    assert found
    for key in found:
        np.testing.assert_allclose(statistics[key[len(prefix) :]], reference[key], rtol=1e-3, atol=1e-4, err_msg=key)
