"""A training step of pointrend by its original's recipe: what moves, and how far."""

from pathlib import Path

import numpy as np
from mindspore import Tensor

from src.config import load_config
from src.engine.setup import make_train_step, prepare_model
from src.process.runtime import SINGLE
from src.tasks import build_model
from tests.models.detection.test_mindspore_originals import CANVAS, NARROW

READY = Path(__file__).parents[2] / "configs" / "pointrend_r50_fpn_mindspore.yaml"


def batch() -> list[Tensor]:
    """One object in one image."""
    masks = np.zeros((1, 4, *CANVAS), np.uint8)
    masks[0, 0, 10:50, 10:60] = 1
    boxes = np.float32([[[10, 10, 59, 49]] + [[0, 0, 0, 0]] * 3])
    image = np.random.RandomState(0).randn(1, 3, *CANVAS).astype(np.float32)
    columns = (image, np.int32([CANVAS]), boxes, np.int32([[2, 0, 0, 0]]), np.array([[True, False, False, False]]))
    return [Tensor(column) for column in (*columns, np.packbits(masks, axis=-1), np.int32([7]))]


def test_only_the_mask_heads_move_and_no_tensor_further_than_its_clipped_gradient(pynative_mode, tmp_path):
    file = tmp_path / "narrow.yaml"
    file.write_text(f"_base_: {READY}\n{NARROW}batch_size: 1\nnum_gts: 4\nweight_decay: 0\n")
    cfg = load_config(str(file))
    model = build_model(cfg)
    prepare_model(cfg, model, SINGLE)
    step, schedule = make_train_step(cfg, model, 10)
    before = {parameter.name: parameter.asnumpy().copy() for parameter in model.get_parameters()}
    losses = [float(loss) for loss in step(*batch())]
    assert model.loss_names == ("loss_mask", "loss_mask_point") and np.isfinite(losses).all()
    moved = {p.name: float(np.linalg.norm(p.asnumpy() - before[p.name])) for p in model.get_parameters()}
    parts = {".".join(name.split(".")[:2]) for name, distance in moved.items() if distance}
    assert parts == {"mask_head.coarse_head", "mask_head.point_head"}
    assert schedule.rate(1) == np.float32(0.02 / 3) and 0 < max(moved.values()) <= 0.02 / 3 * 1.001
