import logging

import numpy as np
import pytest
from mindspore import Tensor

from src.checkpoint import load_model_weights, read_checkpoint
from src.engine.checkpoint_folders import BestFolder, CheckpointFolder
from tests.test_checkpoint import Model


def test_the_last_checkpoints_are_kept_and_a_damaged_newest_one_is_passed_over(tmp_path):
    model, folder = Model(), CheckpointFolder(tmp_path, keep=2)
    for number in range(1, 5):
        model.backbone.bias.set_data(Tensor(np.full(4, number, np.float32)))
        folder.save(model, model, (1 + number // 4, number))
    names = [path.name for path in folder.newest_first()]
    assert names == ["epoch_0002_step_0000004.ckpt", "epoch_0001_step_0000003.ckpt"]
    newest = folder.newest_first()[0]
    newest.chmod(0o644)
    newest.write_bytes(newest.read_bytes()[:-3])
    path, states = folder.load_newest(model, model)
    assert (path.name, states) == (names[1], {})
    np.testing.assert_array_equal(model.backbone.bias.asnumpy(), np.full(4, 3))


def test_the_states_of_hooks_come_back_beside_the_parameters_and_are_no_weights(tmp_path):
    model, folder = Model(), CheckpointFolder(tmp_path, keep=2)
    kept = {
        "a/count": np.asarray(7),
        "a/best": np.array([0.1, 1e300]),
        "b/seen": np.array([True, False]),
        "b/a/name": np.frombuffer(b"circle", np.uint8),
    }
    plain = set(read_checkpoint(folder.save(model, model, (1, 1))))
    path = folder.save(model, model, (1, 2), kept)
    assert set(read_checkpoint(path)) == plain | {f"state/hooks/{name}" for name in kept}
    _, found = folder.load_newest(model, model)
    assert found.keys() == kept.keys()
    for name, value in kept.items():
        np.testing.assert_array_equal(found[name], value, strict=True)
    assert load_model_weights(Model(), path) == []


def test_the_best_checkpoints_are_kept_by_metric(tmp_path):
    folder = BestFolder(tmp_path, keep=2)
    for epoch, value in enumerate((0.1, 0.3, 0.2, 0.05), 1):
        folder.save(Model(), "bbox_mAP", value, epoch)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["bbox_mAP_0.2000_epoch_0003.ckpt", "bbox_mAP_0.3000_epoch_0002.ckpt"]
    assert "backbone.weight" in read_checkpoint(tmp_path / kept[0])


def test_a_best_checkpoint_that_is_saved_again_stays_and_so_do_the_others(tmp_path):
    folder = BestFolder(tmp_path, keep=2)
    for value, epoch in ((0.1, 1), (0.3, 2), (0.3, 2), (0.1, 1)):
        assert folder.save(Model(), "score", value, epoch)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "score_0.1000_epoch_0001.ckpt", "score_0.3000_epoch_0002.ckpt"
    ]  # fmt: skip


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_that_is_no_number_is_no_best_one_and_ends_no_run(tmp_path, caplog, monkeypatch, value):
    monkeypatch.setattr(logging.getLogger("src"), "propagate", True)
    folder = BestFolder(tmp_path, keep=2)
    folder.save(Model(), "score", 0.1, 1)
    assert folder.save(Model(), "score", value, 2) is None and f"score is {value} after epoch 2" in caplog.text
    assert folder.top().name == "score_0.1000_epoch_0001.ckpt" and len(list(tmp_path.iterdir())) == 1


def test_files_of_other_names_among_the_best_are_left_alone(tmp_path):
    (tmp_path / "mine.ckpt").write_bytes(b"")
    folder = BestFolder(tmp_path, keep=1)
    for epoch, value in enumerate((0.1, 0.3), 1):
        folder.save(Model(), "score", value, epoch)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.ckpt", "score_0.3000_epoch_0002.ckpt"]
