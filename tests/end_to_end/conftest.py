"""Shared by the tests of whole commands."""

import os

import pytest

from src.config import Config, to_dict
from src.tasks import Task

# Keys that commands on one checkpoint differ in and that no network is built of.
BESIDE_THE_NETWORK = {
    "backend", "checkpoint_path", "config_path", "eval_flip", "eval_scales", "file_format", "file_name", "format_only",
    "infer_score_thr", "keep_ratio", "log_style", "pred_input", "pred_output", "prediction_path", "preprocess_path",
    "report_dir", "result_path", "train_dataset", "val_dataset",
}  # fmt: skip


@pytest.fixture(scope="module")
def networks_are_kept():
    """The network of a checkpoint is built once: compiling is most of what eval.py, infer.py and export.py take."""
    load, load_network, kept, loading = Task.load, Task.load_network, {}, []

    def load_for_inference(task: Task, cfg: Config):
        loading.append(task)
        try:
            return load(task, cfg)
        finally:
            loading.pop()

    def load_once(task: Task, cfg: Config, checkpoint_path: str, fold: bool = True):
        facts = os.stat(checkpoint_path)
        keys = {name: value for name, value in to_dict(cfg).items() if name not in BESIDE_THE_NETWORK}
        # `load` gives a network operators for inference, which no export takes.
        known = task.name, checkpoint_path, facts.st_mtime_ns, facts.st_size, fold, repr(keys), bool(loading)
        if known not in kept:
            kept[known] = load_network(task, cfg, checkpoint_path, fold)
        return kept[known]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Task, "load", load_for_inference)
        patch.setattr(Task, "load_network", load_once)
        yield
