"""HRNet + OCR as ONNX and MINDIR: the main output alone, the same numbers on several images, its enlarging told."""

from pathlib import Path

import numpy as np
import pytest

from src.checkpoint import save_weights
from src.commands.export import export
from src.config import load_config
from src.data.label_sets import label_set
from src.inference.backends import run_model
from src.inference.segment import make_segmenter
from src.tasks import TASKS
from tests.models.test_fold import with_used_norms

DEMO = str(Path(__file__).parents[2] / "configs" / "demo" / "hrnet_ocr_cityscapes_shapes.yaml")
KEYS = ["--device_target", "CPU", "--eval_width", "70", "--eval_height", "44", "--train_dataset="]
BACKBONES = {
    "resnet": ["--backbone.type", "resnet", "--backbone.depth", "18", "--backbone.base_channels", "8"],
    "hrnet": [f"--backbone.extra.stage{stage}.num_channels={[8 * 2**k for k in range(stage)]}" for stage in (2, 3, 4)],
}
IMAGES = np.random.RandomState(4).randn(5, 1, 3, 44, 70).astype(np.float32)


@pytest.fixture(scope="module", params=["resnet", pytest.param("hrnet", marks=pytest.mark.slow)])
def exported(request, tmp_path_factory):
    """The keys, a folder with both files of a network whose normalisations are used, and its logits of IMAGES."""
    folder, keys = tmp_path_factory.mktemp("ocr"), [*KEYS, *BACKBONES[request.param]]
    model = with_used_norms(load_config(DEMO, keys))
    save_weights(model, folder / "net.ckpt")
    model.set_train(False)
    logits = [run_model(model, image)[0] for image in IMAGES]
    for kind in ("ONNX", "MINDIR"):
        paths = ["--checkpoint_path", f"{folder}/net.ckpt", "--file_name", f"{folder}/net", "--file_format", kind]
        export(load_config(DEMO, [*keys, *paths]))
    return keys, folder, logits


@pytest.mark.parametrize("backend", ["onnx", "mindir"])
def test_the_file_gives_the_networks_main_logits_and_says_how_they_are_enlarged(graph_mode, exported, backend):
    keys, folder, logits = exported
    cfg = load_config(DEMO, [*keys, "--checkpoint_path", f"{folder}/net.{backend}", "--backend", backend])
    model = TASKS[cfg.task].load(cfg)
    assert model.metadata["bilinear"] == "align_corners"
    for image, expected in zip(IMAGES, logits):
        found = run_model(model, image)
        assert len(found) == 1 and found[0].shape == (1, 19, 11, 18)
        np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    picture = np.random.RandomState(0).randint(0, 256, (44, 70, 3)).astype(np.uint8)
    label = make_segmenter(cfg, model, label_set(cfg)).scores(picture).label_map((44, 70))
    assert label.shape == (44, 70) and label.max() < 19
