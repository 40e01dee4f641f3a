"""What a log line and the bar say of how a run gets on."""

import io
import logging
import re
import sys
import time
from types import SimpleNamespace

import pytest

from src.engine.hooks.evaluation import Evaluation
from src.engine.hooks.log import ProgressBar
from src.engine.lr_schedule import Schedule
from src.engine.pace import Pace, Span, duration
from src.engine.progress import progress, seconds_left
from src.engine.trainer import loop
from src.process.memory import peak_memory
from src.process.runtime import Runtime
from tests.engine.test_trainer import CONFIG
from tests.engine.toy import STEPS_PER_EPOCH, TOTAL, batches, make_run


class Clock:
    """A clock that stands still but for `pass_by`."""

    def __init__(self):
        self.now = 50.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


def step(pace: Pace, clock: Clock, wait: float, work: float, after: float = 0.0) -> None:
    """As the loop tells of it."""
    clock.pass_by(wait)
    pace.has_batch()
    clock.pass_by(work)
    if after:
        with pace.paused():
            clock.pass_by(after)
    pace.asks_for_batch()


def walked(*epochs: tuple[float, float]) -> tuple[Pace, Clock]:
    """The pace after a first step of 100 s, then 4 steps of each (wait, work) and 30 s after them for an evaluation."""
    clock = Clock()
    pace = Pace(clock)
    pace.asks_for_batch()
    step(pace, clock, 40, 60)
    for wait, work in epochs:
        for number in range(4):
            step(pace, clock, wait, work, after=30 * (number == 3))
    return pace, clock


def test_neither_the_first_step_nor_what_follows_an_epoch_counts():
    assert walked()[0].total == Span() and walked()[0].left(10, 0) is None
    pace, _ = walked((0.5, 1.5), (1.0, 1.0))
    assert pace.total == Span(8, 16.0, 6.0)
    assert pace.total - walked((0.5, 1.5))[0].total == Span(4, 8.0, 4.0)


def run_of(pace: Pace, evaluation: Evaluation | None, done: int, size: int = 1) -> SimpleNamespace:
    """What is asked of a run of 3 epochs of 10 steps with 5 images a rank."""
    schedule = Schedule(10, [0.1] * 30)
    hooks = {"evaluation": evaluation} if evaluation else {}
    epoch = schedule.position(done)[0]
    own = {"cfg": SimpleNamespace(batch_size=5), "process": Runtime(size=size)}
    return SimpleNamespace(pace=pace, hooks=hooks, schedule=schedule, done=done, last=30, epoch=epoch, **own)


def test_a_line_tells_end_speed_of_all_ranks_share_of_waiting_and_memory():
    pace, _ = walked((0.5, 1.5), (1.0, 1.0))
    first = walked((0.5, 1.5))[0].total
    assert progress(run_of(pace, None, 9, size=2), first)[:3] == ["eta: 0:00:42", "5.0 img/s", "data: 50%"]
    (memory,) = progress(run_of(walked()[0], None, 1), Span())
    assert memory == f"memory: {peak_memory('CPU') / 2**20:.0f} MB"


@pytest.mark.parametrize(
    ("start", "every", "done", "evaluations"), [(0, 1, 9, 3), (0, 1, 10, 3), (0, 1, 11, 2), (0, 2, 9, 2), (9, 1, 9, 1)]
)
def test_the_end_of_a_run_is_that_of_its_steps_and_evaluations(start, every, done, evaluations):
    pace, _ = walked((0.5, 1.5))
    pace.evaluation = 30.0
    run = run_of(pace, Evaluation(every, start), done)
    assert seconds_left(run) == (30 - done) * 2.0 + evaluations * 30.0


@pytest.mark.parametrize("start", range(5))
@pytest.mark.parametrize("every", (1, 2, 3))
def test_the_evaluations_that_are_left_are_those_that_will_be_due(start, every):
    hook = Evaluation(every, start)
    for epoch in range(1, 8):
        runs = [SimpleNamespace(epoch=one, finished=one == 7) for one in range(epoch, 8)]
        assert hook.left(epoch, 7) == sum(map(hook.is_due, runs))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0:00:00"), (754, "0:12:34"), (3599.6, "1:00:00"), (86399, "23:59:59"), (93784, "1:02:03:04")],
)
def test_durations_have_hours_minutes_seconds_and_days_where_there_are(seconds, text):
    assert duration(seconds) == text


def test_peak_memory_never_falls_and_grows_with_what_is_used():
    before = peak_memory("CPU")
    block = bytearray(64 * 2**20)
    after = peak_memory("CPU")
    assert len(block) and before <= after < before + 2**30 and before > 2**20


class Terminal(io.StringIO):
    """What a person looks at."""

    def isatty(self) -> bool:
        return True


def slowly(items):
    """Each as long after the one before as a bar waits before it is drawn again."""
    for item in items:
        time.sleep(0.1)
        yield item


def test_the_bar_of_a_terminal_shows_the_loss_and_how_the_run_gets_on(pynative_mode, tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    run = make_run(tmp_path, CONFIG)
    loop(run, slowly(batches(0, TOTAL)))
    *others, last = [one for one in terminal.getvalue().split("\r") if "|" in one]
    rows = (tmp_path / "losses.csv").read_text().splitlines()[1:]
    losses = [f"{float(row.split(',')[4]):.4f}" for row in rows]
    before = [one for one in others if "loss: " in one and "eta" in one]  # which of them are drawn is a matter of time
    assert before
    for one in before:
        assert re.search(r"loss: ([\d.]+), eta: 0:00:0", one)[1] in losses and "?" not in one
        assert "img/s" in one and "data: " in one and "memory: " in one
    assert f"| {TOTAL}/{TOTAL} [" in last and f"loss: {losses[-1]}]" in last
    assert isinstance(run.hooks["progress"], ProgressBar)


def test_a_resumed_run_tells_the_end_of_what_is_left_and_each_epochs_loss_over_all_its_steps(
    pynative_mode, tmp_path, caplog
):
    keys = ("--run_eval", "1", "--save_every", "2")
    whole = make_run(tmp_path / "whole", CONFIG, *keys, evaluate=lambda model: {"score": 0.5})
    loop(whole, batches(0, TOTAL))
    first = make_run(tmp_path / "parts", CONFIG, *keys, "--max_steps", "4", evaluate=lambda model: {"score": 0.5})
    loop(first, batches(0, TOTAL))
    second = make_run(tmp_path / "parts", CONFIG, *keys, "--resume", "1", evaluate=lambda model: {"score": 0.5})
    caplog.clear()
    with caplog.at_level(logging.INFO):
        loop(second, batches(second.done, TOTAL))
    tables = [(tmp_path / one / "metrics.csv").read_text().splitlines() for one in ("whole", "parts")]
    assert tables[1][:1] + tables[1][2:] == tables[0]  # the row between is that of the run's end at step 4
    losses = [float(line.split(",")[4]) for line in (tmp_path / "whole" / "losses.csv").read_text().splitlines()[1:]]
    assert float(tables[1][2].split(",")[2]) == pytest.approx(sum(losses[:STEPS_PER_EPOCH]) / STEPS_PER_EPOCH)
    assert sum(line.startswith("epoch: ") for line in caplog.messages) == (TOTAL - 4) // 2
