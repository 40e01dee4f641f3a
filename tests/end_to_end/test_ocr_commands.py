"""HRNet + OCR through the real commands: a run that was interrupted ends with the same bits, dropout and all."""

import numpy as np
import pytest

from src.checkpoint import read_checkpoint
from tests.end_to_end.commands import run

CONFIG = "configs/demo/hrnet_ocr_cityscapes_shapes.yaml"
SMALL = (
    "--img_width", 48, "--img_height", 32, "--base_size", 64, "--batch_size", 2, "--epoch_size", 2, "--log_every", 1,
    "--save_every", 1, "--warmup_step", 0, "--run_eval", 0, "--seg_head.ocr.dropout", 0.5,
)  # fmt: skip


@pytest.mark.slow
def test_a_resumed_run_ends_with_the_bits_of_an_uninterrupted_one_and_evaluates(tmp_path):
    data = tmp_path / "streets"
    run("-m", "src.data.synthetic", "cityscapes", data, "--images", 6, "--val-images", 2, "--size", 64)

    def train(name, *more):
        out = tmp_path / name
        run("train.py", "--config_path", CONFIG, "--train_dataset", data, "--val_dataset", data,
            "--train_outputs", out, *SMALL, *more)  # fmt: skip
        return next(out.iterdir())

    whole = train("whole")
    train("parts", "--max_steps", 3)
    parts = train("parts", "--resume", 1)
    last = "ckpt/epoch_0002_step_0000003.ckpt"
    states = [read_checkpoint(folder / last) for folder in (whole, parts)]
    assert states[0].keys() == states[1].keys()
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0] if "hooks" not in name)
    losses = [(folder / "losses.csv").read_text().splitlines() for folder in (whole, parts)]
    assert losses[0] == losses[1] and losses[0][0].endswith("loss,loss_seg,loss_aux") and len(losses[0]) == 7
    config = ("--config_path", whole / "config.yaml", "--val_dataset", data, "--checkpoint_path")
    printed = run("eval.py", *config, whole / last)
    assert "mIoU: 0." in printed
    run("export.py", *config, whole / last, "--file_name", tmp_path / "net.onnx", "--file_format", "ONNX",
        "--eval_width", 64, "--eval_height", 32)  # fmt: skip
    onnx = ("--backend", "onnx", "--eval_width", 64, "--eval_height", 32)
    assert run("eval.py", *config, tmp_path / "net.onnx", *onnx).splitlines()[-1] == printed.splitlines()[-1]
