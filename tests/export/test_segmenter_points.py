"""Exported files of a segmenter that refines its logits at points."""

from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor

from src.checkpoint import save_weights
from src.commands.export import export
from src.config import load_config
from src.errors import UserError
from src.export.parity import compare_refined
from src.inference.backends import open_model, run_model
from src.tasks import TASKS
from tests.models.test_fold import with_used_norms

CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "hrnet_pointrend_cityscapes_shapes.yaml")
KEYS = [
    "--backbone.type=resnet", "--backbone.depth=18", "--backbone.base_channels=4", "--eval_width=72",
    "--eval_height=40", "--seg_head.pointrend.fc_channels=16", "--seg_head.pointrend.subdivision_num_points=150",
]  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A network with weights that tell classes apart, and its refined logits of an image."""
    path = tmp_path_factory.mktemp("points") / "model.ckpt"
    model = with_used_norms(load_config(CONFIG, KEYS))
    rng = np.random.RandomState(0)
    for layer in (model.last_layer[3], model.refine_head.point_head.predictor):
        layer.weight.set_data(Tensor(rng.randn(*layer.weight.shape).astype(np.float32)))
    save_weights(model, path)
    return path


@pytest.mark.parametrize(
    "file_format,portable", [("ONNX", 0), ("MINDIR", 0), pytest.param("MINDIR", 1, marks=pytest.mark.slow)]
)
def test_the_file_gives_the_checkpoints_refined_logits(graph_mode, checkpoint, capsys, file_format, portable):
    name, backend = str(checkpoint.parent / "net"), file_format.lower()
    keys = [*KEYS, "--checkpoint_path", str(checkpoint), "--portable", str(portable)]
    file = export(load_config(CONFIG, [*keys, "--file_name", name, "--file_format", file_format]))
    assert "its mirror image: 100.000% of all places within" in capsys.readouterr().out
    cfg = load_config(CONFIG, keys)
    image = np.random.RandomState(4).randn(1, 3, 40, 72).astype(np.float32)
    (expected,), (found,) = (run_model(one, image) for one in (TASKS[cfg.task].load(cfg), open_model(file, backend)))
    assert found.shape == expected.shape == (1, 19, 40, 72)
    apart = np.abs(found - expected).max(axis=1) > 1e-4 * np.abs(expected).max()
    assert apart.mean() < 1e-3


def test_few_places_may_differ_and_no_more(graph_mode):
    left = np.random.RandomState(0).randn(1, 3, 40, 50).astype(np.float32)
    right = left.copy()
    right[0, 1, 3, :2] += 1
    assert "99.900% of all places" in compare_refined("case", (left,), (right,))
    right[0, 1, 4, 4] = np.nan
    with pytest.raises(UserError, match="in 0.15% of all places"):
        compare_refined("case", (left,), (right,))
