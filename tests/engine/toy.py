"""A model and batches small enough to compile in a second."""

import os
import signal
from types import SimpleNamespace

import numpy as np
from mindspore import Tensor, nn

from src.config import load_config
from src.engine.experiment import Experiment
from src.engine.hooks import make_hooks
from src.engine.run import Run
from src.engine.setup import go_to_start, make_train_step
from src.process.log_words import Words
from src.tasks import Task

STEPS_PER_EPOCH = 6
TOTAL = 2 * STEPS_PER_EPOCH


class Toy(nn.Cell):
    """Two losses of one linear layer with batch normalisation."""

    loss_names = ("loss_a", "loss_b")

    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(3, 4)
        self.norm = nn.BatchNorm1d(4)

    def construct(self, x, target):
        out = self.norm(self.dense(x))
        return ((out - target) ** 2).mean(), 0.1 * (out**2).mean()


def batches(first_step: int, count: int, bad: tuple[int, ...] = ()):
    """Batches of global steps from `first_step` (0-based); a bad one holds a NaN."""
    for step in range(first_step, count):
        rng = np.random.RandomState(step)
        x, target = rng.randn(5, 3).astype(np.float32), rng.randn(5, 4).astype(np.float32)
        if step in bad:
            x[0, 0] = np.nan
        yield Tensor(x), Tensor(target)


def interrupted_at(step: int, by: signal.Signals = signal.SIGINT):
    """All batches; a signal comes before this step (from 1)."""
    for number, batch in enumerate(batches(0, TOTAL), 1):
        if number == step:
            os.kill(os.getpid(), by)
        yield batch


def broken_off_at(step: int):
    """The batches before this step (from 1), then an end as by a kill."""
    yield from batches(0, step - 1)
    raise MemoryError("killed")


def fresh_model() -> Toy:
    model = Toy()
    for parameter in model.get_parameters():
        value = np.random.RandomState(len(parameter.name)).rand(*parameter.shape)
        parameter.set_data(Tensor(value.astype(np.float32)))
    return model


def words(cfg) -> Words:
    """No original is known of the toy."""
    return Words("", cfg.log_style)


def make_run(folder, config_file: str, *overrides: str, evaluate=None, steps_per_epoch=STEPS_PER_EPOCH) -> Run:
    """A `Run` in `folder` over 2 epochs of `steps_per_epoch` steps, ready for its first one (or, resumed, its next)."""
    settings = ("--epoch_size", "2", "--log_every", "2", "--save_every", "4", "--lr", "0.1", "--run_eval", "0")
    cfg = load_config(config_file, [*settings, *overrides])
    model = fresh_model()
    step, schedule = make_train_step(cfg, model, steps_per_epoch)
    experiment = Experiment(folder)
    experiment.make()
    task = SimpleNamespace(metric="score", reported=("score",), epoch_line=Task.epoch_line, words=words)
    run = Run(cfg, task, step, schedule, experiment, evaluate=evaluate)
    run.hooks = make_hooks(cfg)
    go_to_start(run)
    return run


class ToyLoader:
    steps_per_epoch = STEPS_PER_EPOCH

    def __init__(self, first=0, last=TOTAL):
        self.first, self.last = first, last

    def from_step(self, step):
        return ToyLoader(step, self.last)

    def __iter__(self):
        return batches(self.first, self.last)


class ToyTask(SimpleNamespace):
    metric, reported, epoch_line = "score", ("score",), Task.epoch_line

    def __init__(self):
        super().__init__(opened=0)

    def resolved(self, cfg):
        return cfg

    def words(self, cfg):
        return Words("", cfg.log_style)

    def run_names(self, cfg):
        return ("Toy",)

    def facts(self, cfg, loader):
        return {"task": "toy"}

    def tell_definition(self, cfg, path, is_whole=True):
        pass

    def build_model(self, cfg):
        return fresh_model()

    def make_loader(self, cfg, rank, size, start_step):
        self.opened += 1
        return ToyLoader(start_step, cfg.epoch_size * STEPS_PER_EPOCH)
