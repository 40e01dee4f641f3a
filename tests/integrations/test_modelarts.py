"""Data in, results out, once a machine, whatever happens in between; with a stand-in for moxing and its storage."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from src.config import load_config
from src.errors import UserError
from src.integrations.modelarts import modelarts

ROOT = Path(__file__).parents[2]
STAND_IN = Path(__file__).parent / "stand_in"
CONFIG = str(ROOT / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")


@pytest.fixture()
def storage(tmp_path, monkeypatch) -> Path:
    """The bucket `obs://bucket` with a data set and a checkpoint in it."""
    monkeypatch.setenv("OBS_ROOT", str(tmp_path / "obs"))
    monkeypatch.syspath_prepend(str(STAND_IN))
    for name in ("moxing", "moxing.file"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    bucket = tmp_path / "obs" / "bucket"
    (bucket / "coco" / "train").mkdir(parents=True)
    (bucket / "coco" / "train" / "labels.json").write_text("{}")
    (bucket / "weights").mkdir()
    (bucket / "weights" / "w32.ckpt").write_bytes(b"weights")
    return bucket


def arguments(tmp_path: Path, **values: object) -> list[str]:
    keys = {
        "enable_modelarts": 1,
        "data_url": "obs://bucket/coco",
        "train_url": "obs://bucket/results",
        "data_path": tmp_path / "cache" / "data",
        "output_path": tmp_path / "cache" / "train",
        "load_path": tmp_path / "cache" / "checkpoint",
        "train_dataset": "train",
        "train_outputs": "/somewhere/else",
    }
    return [str(part) for name, value in (keys | values).items() for part in (f"--{name}", value)]


def calls(storage: Path) -> list[str]:
    return [line.split()[0] + " " + line.split()[1] for line in (storage.parent / "calls.txt").read_text().splitlines()]


def write_result(cfg) -> None:
    folder = Path(cfg.train_outputs) / "run"
    folder.mkdir(parents=True)
    (folder / "train.log").write_text("epoch 1")


def test_data_and_checkpoint_come_in_paths_lead_to_them_and_results_go_out(storage, tmp_path):
    cfg = load_config(CONFIG, arguments(tmp_path, checkpoint_url="obs://bucket/weights/w32.ckpt"))
    with modelarts(cfg, "pre_trained") as cfg:
        assert {"enable_modelarts", "train_url"} <= cfg.typed
        assert (Path(cfg.train_dataset) / "labels.json").read_text() == "{}"
        assert Path(cfg.train_dataset) == tmp_path / "cache" / "data" / "train"
        assert Path(cfg.pre_trained).read_bytes() == b"weights" and not cfg.checkpoint_path
        write_result(cfg)
    assert (storage / "results" / "run" / "train.log").read_text() == "epoch 1"
    assert not cfg.enable_modelarts  # the run's configuration works elsewhere


def test_of_several_training_sets_each_lies_in_the_copy(storage, tmp_path):
    with modelarts(load_config(CONFIG, arguments(tmp_path, train_dataset="[train, /other]")), "pre_trained") as cfg:
        assert cfg.train_dataset == [str(tmp_path / "cache" / "data" / "train"), "/other"]


def test_a_folder_of_checkpoints_and_a_validation_set_of_their_own_are_found_by_relative_names(storage, tmp_path):
    (storage / "val").mkdir()
    values = {"checkpoint_url": "obs://bucket/weights", "checkpoint_path": "w32.ckpt"}
    values |= {"eval_data_url": "obs://bucket/val", "prediction_path": "a/p.json", "backbone.pretrained": "w32.ckpt"}
    given = load_config(CONFIG, arguments(tmp_path, **values))
    with modelarts(given, "checkpoint_path") as cfg:
        assert Path(cfg.checkpoint_path).read_bytes() == b"weights"
        assert cfg.backbone.pretrained == cfg.checkpoint_path and given.backbone.pretrained == "w32.ckpt"
        assert Path(cfg.val_dataset).is_dir() and Path(cfg.val_dataset) == tmp_path / "cache" / "data_eval"
        assert Path(cfg.prediction_path) == tmp_path / "cache" / "train" / "p.json"


@pytest.mark.parametrize("end", [UserError("the loss is not finite"), KeyboardInterrupt(), SystemExit(143)])
def test_results_go_out_when_the_command_fails_or_is_interrupted(storage, tmp_path, end):
    cfg = load_config(CONFIG, arguments(tmp_path))
    with pytest.raises(type(end)), modelarts(cfg, "pre_trained") as cfg:
        write_result(cfg)
        raise end
    assert (storage / "results" / "run" / "train.log").exists()


def test_the_platforms_stop_signal_is_an_interruption(storage, tmp_path):
    cfg = load_config(CONFIG, arguments(tmp_path))
    with pytest.raises(SystemExit) as stopped, modelarts(cfg, "pre_trained") as cfg:
        write_result(cfg)
        os.kill(os.getpid(), signal.SIGTERM)
    assert stopped.value.code == 143 and (storage / "results" / "run" / "train.log").exists()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_failed_copy_is_one_line_and_does_not_hide_the_commands_own_end(storage, tmp_path, capsys):
    cfg = load_config(CONFIG, arguments(tmp_path, train_url="obs://bucket/forbidden"))
    pattern = r"results in .*cache/train cannot be copied to train_url obs://bucket/forbidden \(403 Forbidden\)$"
    with pytest.raises(UserError, match=pattern), modelarts(cfg, "pre_trained") as cfg:
        write_result(cfg)
    cfg = load_config(CONFIG, arguments(tmp_path, train_url="obs://bucket/forbidden"))
    with pytest.raises(UserError, match=r"^the loss"), modelarts(cfg, "pre_trained"):
        raise UserError("the loss is not finite")
    assert "error: the results in" in capsys.readouterr().err
    for values, message in (
        ({"data_url": "obs://bucket/nowhere"}, "data_url: obs://bucket/nowhere does not exist"),
        ({"data_path": tmp_path / "forbidden" / "data"}, r"data_url: .* cannot be copied .*\(403 Forbidden\)$"),
    ):
        with pytest.raises(UserError, match=message), modelarts(load_config(CONFIG, arguments(tmp_path, **values)), ""):
            pass


def test_resume_brings_the_earlier_results_first(storage, tmp_path):
    (storage / "results" / "run").mkdir(parents=True)
    (storage / "results" / "run" / "old.ckpt").write_text("state")
    cfg = load_config(CONFIG, arguments(tmp_path, resume=1))
    with modelarts(cfg, "pre_trained") as cfg:
        assert (Path(cfg.train_outputs) / "run" / "old.ckpt").read_text() == "state"


RANK = """
import sys
from src.config import load_config
from src.integrations.modelarts import modelarts
from pathlib import Path
cfg = load_config(sys.argv[1], sys.argv[2:])
with modelarts(cfg, "pre_trained") as cfg:
    print((Path(cfg.train_dataset) / "labels.json").read_text())
    Path(cfg.train_outputs).mkdir(parents=True, exist_ok=True)
"""


def test_the_ranks_of_a_machine_copy_once_and_the_main_one_sends_the_results(storage, tmp_path):
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{STAND_IN}", "OBS_SECONDS": "0.5"}
    command = [sys.executable, "-c", RANK, CONFIG, *arguments(tmp_path, run_distribute=1)]
    ranks = [
        subprocess.Popen(command, env=environment | {"OMPI_COMM_WORLD_RANK": str(rank)}, stdout=subprocess.PIPE)
        for rank in range(3)
    ]
    outputs = [process.communicate(timeout=60)[0].decode() for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0, 0]
    assert all("{}" in output for output in outputs)
    assert sum("is in" in output for output in outputs) == 2
    assert calls(storage) == ["copy_parallel obs://bucket/coco", f"copy_parallel {tmp_path}/cache/train"]


def test_without_moxing_it_is_one_clear_line_and_without_the_key_nothing_happens(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "moxing", None)
    cfg = load_config(CONFIG, arguments(tmp_path))
    with pytest.raises(UserError, match="package moxing is missing"), modelarts(cfg, "pre_trained"):
        pass
    cfg = load_config(CONFIG, arguments(tmp_path, enable_modelarts=0))
    with modelarts(cfg, "pre_trained") as cfg:
        assert cfg.train_dataset == "train"


def test_the_classifiers_name_of_the_key_is_accepted(tmp_path):
    assert load_config(CONFIG, ["--modelarts", "True"]).enable_modelarts
