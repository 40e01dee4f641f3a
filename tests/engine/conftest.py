"""Shared by the tests of training: runs without pictures, which take half of a toy run's time."""

import logging
from pathlib import Path

import pytest

from src.config import load_config
from src.engine.hooks import curves
from src.engine.trainer import train
from src.process import runtime
from src.tasks import TASKS
from tests.engine.toy import ToyTask

CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")


@pytest.fixture(autouse=True)
def pictures(monkeypatch):
    """No picture is drawn. A file whose tests look at them has a fixture of this name that does nothing."""
    monkeypatch.setattr(curves, "plot_losses", lambda rows, path: None)
    monkeypatch.setattr(curves, "plot_metrics", lambda rows, names, path: None)


@pytest.fixture()
def command(pynative_mode, tmp_path, monkeypatch):
    """train(*keys) on the toy; what it opened and logged comes back."""
    monkeypatch.setattr(runtime, "start", lambda cfg: runtime.SINGLE)

    def run(*keys: object) -> tuple[Path, int]:
        monkeypatch.setitem(TASKS, "detection", ToyTask())
        settings = ("--train_outputs", tmp_path, "--run_eval", 0, "--epoch_size", 2, "--lr", 0.1, "--compile_cache", 0)
        folder = train(load_config(CONFIG, [str(word) for word in (*settings, *keys)]))
        return folder, TASKS["detection"].opened

    yield run
    root = logging.getLogger("src")
    for handler in list(root.handlers):  # they write to what the test had for a terminal
        root.removeHandler(handler)
        handler.close()
