"""A run goes on with another number of ranks where its global batches stay; where not, what would fit is said."""

import numpy as np
import pytest
from mindspore import Tensor

from src.checkpoint import load_training_state, save_training_state
from src.config import load_config
from src.data.loader import TrainSource
from src.engine.optimizer import OptimizerSettings, build_optimizer
from src.engine.ranks import has_same_batches
from src.engine.train_step import TrainStep
from src.errors import UserError
from tests.engine.conftest import CONFIG
from tests.engine.test_experiment import open_run
from tests.engine.toy import fresh_model


def keys(batch_size: int, ranks: int) -> list[str]:
    return [f"--batch_size={batch_size}", f"--run_distribute={int(ranks > 1)}", f"--device_num={ranks}"]


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        ((8, 1), (4, 2), ""),
        ((4, 2), (8, 1), ""),
        ((2, 4), (4, 2), ""),
        ((8, 1), (8, 2), "takes 8 images a step, batch_size 8 on 1 ranks; with 2 ranks it goes on by --batch_size 4"),
        ((4, 2), (4, 1), "takes 8 images a step, batch_size 4 on 2 ranks; with 1 ranks it goes on by --batch_size 8"),
        ((8, 1), (2, 3), "batch_size 8 on 1 ranks; 3 ranks cannot share them out evenly"),
        ((8, 1), (4, 1), r"another batch_size \(8 then, 4 now\)"),
    ],
    ids=str,
)
def test_a_run_goes_on_with_other_ranks_where_a_step_takes_the_same_images(tmp_path, then, now, said):
    folder = open_run(tmp_path, *keys(*then)).folder
    if not said:
        assert open_run(tmp_path, "--resume", "1", *keys(*now)).folder == folder
        saved = load_config(str(folder / "config.yaml"))
        assert (saved.batch_size, saved.device_num) == now
        return
    with pytest.raises(UserError, match=said):
        open_run(tmp_path, "--resume", "1", *keys(*now))


def test_a_schedule_that_counts_by_ranks_is_not_gone_on_with_by_others(tmp_path):
    cosine = ["--lr_type=cosine", "--lr_base_step=100"]
    one, two = (load_config(CONFIG, [*cosine, *keys(*shares)]) for shares in ((8, 1), (4, 2)))
    with pytest.raises(UserError, match="lr_base_step makes the rates depend on the number of ranks, 1 then"):
        has_same_batches(one, two, tmp_path)
    assert has_same_batches(one, one, tmp_path)


class Numbers:
    """A data set whose samples say which one they are and by which randomness they were made."""

    columns, keys, name = ("entry", "drawn"), list(range(26)), "numbers"

    def read(self, entry):
        return entry

    def make(self, item, streams):
        return np.int64(item), np.float64(streams.shared.rand())

    def mix(self, batch, rng):
        return batch


@pytest.mark.parametrize("ranks", [2, 4])
def test_the_ranks_batches_together_are_those_of_one_rank(ranks):
    def source(rank, size):
        return TrainSource(Numbers(), 3, 8 // size, rank, size, 3, 4, 5)  # from step 4 on

    whole, parts = source(0, 1), [source(rank, ranks) for rank in range(ranks)]
    for step in range(5):
        for column in range(2):
            together = np.concatenate([part[step][column] for part in parts])
            np.testing.assert_array_equal(together, whole[step][column])


@pytest.mark.parametrize("sizes", [(1, 2), (2, 1)], ids=str)
def test_a_state_of_one_rank_fits_the_step_of_two_and_the_other_way_round(tmp_path, monkeypatch, sizes):
    monkeypatch.setattr("mindspore.nn.DistributedGradReducer", lambda weights, **_: lambda gradients: gradients)

    def made(size):
        model = fresh_model()
        return TrainStep(model, build_optimizer(model, np.full(9, 0.1), OptimizerSettings("sgd")), size=size)

    first, second = map(made, sizes)
    first.step.set_data(Tensor(5, first.step.dtype))
    save_training_state(first, first.model, tmp_path / "state.ckpt")
    load_training_state(second, second.model, tmp_path / "state.ckpt")
    assert int(second.step.asnumpy()) == 5
    if sizes == (1, 2):
        assert float(second.stop_wish.asnumpy()) == 0 and not second.stop_is_asked()
