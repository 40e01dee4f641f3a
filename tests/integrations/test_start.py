"""ModelArts' boot file: what it trains and exports, with a stand-in for moxing; but for the slow test training and
export are stand-ins too.
"""

from pathlib import Path

import pytest

import src.commands.export
import src.engine.trainer
from src.data.synthetic.lip import write_lip
from tests.end_to_end.commands import run
from tests.end_to_end.test_segmentation_commands import CONFIG, SMALL
from tests.integrations.test_modelarts import storage  # noqa: F401  a fixture

CACHE = ("data_path", "output_path", "load_path")


def arguments(tmp_path: Path, *more: object) -> list[object]:
    cache = [word for name in CACHE for word in (f"--{name}", tmp_path / name)]
    return ["--modelarts", "True", "--data_url=obs://bucket/coco", "--train_url=obs://bucket/results", *cache, *more]


@pytest.fixture()
def trained(storage, tmp_path, monkeypatch):  # noqa: F811
    """What was trained, and what was exported; a run leaves two checkpoints."""
    seen = {}

    def train(cfg):
        folder = Path(cfg.train_outputs) / "run"
        for name in ("ckpt/epoch_0002_step_0000007.ckpt", "best_ckpt/mIoU_0.5000_epoch_0001.ckpt"):
            (folder / name).parent.mkdir(parents=True)
            (folder / name).touch()
        seen["trained"] = cfg
        return folder

    monkeypatch.setattr(src.engine.trainer, "train", train)
    monkeypatch.setattr(src.commands.export, "export", lambda cfg: seen.update(exported=cfg))
    return seen


def test_data_weights_and_results_go_as_the_original_has_them(trained, storage, tmp_path):  # noqa: F811
    more = ("--dataset", "lip", "--checkpoint_url", "obs://bucket/weights/w32.ckpt", "--device_target", "Ascend")
    run("modelarts/start.py", *arguments(tmp_path, *more))
    cfg, exported = trained["trained"], trained["exported"]
    assert cfg.dataset == "lip" and Path(cfg.pre_trained).read_bytes() == b"weights"
    assert Path(cfg.train_dataset) == Path(cfg.val_dataset) == tmp_path / "data_path"
    assert exported.file_format == "AIR" and Path(exported.file_name).name == "hrnetw48seg-lip"
    assert Path(exported.file_name).parent == Path(cfg.train_outputs) / "run"
    assert Path(exported.checkpoint_path).parent.name == "best_ckpt"
    assert (storage / "results" / "run" / "ckpt").is_dir()


def test_what_is_typed_counts(trained, tmp_path):
    more = ("--train_dataset", "train", "--file_format", "ONNX", "--file_name", "net", "--device_target", "CPU")
    run("modelarts/start.py", *arguments(tmp_path, *more))
    cfg, exported = trained["trained"], trained["exported"]
    assert cfg.dataset == "cityscapes" and Path(cfg.train_dataset) == tmp_path / "data_path" / "train"
    assert exported.file_format == "ONNX" and Path(exported.file_name) == tmp_path / "output_path" / "net"


def test_a_run_without_evaluations_gives_its_newest_weights(trained, tmp_path, monkeypatch):
    plain = src.engine.trainer.train

    def train(cfg):
        folder = plain(cfg)
        next((folder / "best_ckpt").iterdir()).unlink()
        return folder

    monkeypatch.setattr(src.engine.trainer, "train", train)
    run("modelarts/start.py", *arguments(tmp_path, "--device_target", "CPU"))
    assert Path(trained["exported"].checkpoint_path).parent.name == "ckpt"
    assert trained["exported"].file_format == "MINDIR"


def test_another_data_set_without_a_configuration_is_said():
    said = run("modelarts/start.py", "--data_url", "obs://bucket/coco", "--dataset", "custom", status=2)
    assert said == "error: --dataset is 'custom': give --config_path, or cityscapes or lip; see --help\n"


@pytest.mark.slow
def test_a_small_run_ends_with_its_exported_file_in_the_storage(storage, tmp_path):  # noqa: F811
    write_lip(storage / "lip", 4, 2, 48, 1)
    given = arguments(tmp_path, "--config_path", CONFIG, *SMALL)
    given[2] = "--data_url=obs://bucket/lip"
    run("modelarts/start.py", *given)
    (made,) = (storage / "results").glob("*/hrnetw48seg-lip.mindir")
    assert made.stat().st_size > 1000 and (made.parent / "best_ckpt").is_dir()
