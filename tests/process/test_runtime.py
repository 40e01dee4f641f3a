import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import mindspore as ms
import pytest

from src.config import load_config
from src.errors import UserError
from src.process import command, runtime
from src.process.command import entry_point

CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")


@pytest.fixture(autouse=True)
def outside_of_a_launcher(monkeypatch):
    for name in ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "MS_ROLE", "MS_WORKER_NUM", "MS_NODE_ID"):
        monkeypatch.delenv(name, raising=False)


def distributed(device_num: int = 2):
    return load_config(CONFIG, ["--run_distribute", "1", "--device_num", str(device_num)])


def test_a_distributed_run_without_a_launcher_is_refused():
    with pytest.raises(UserError, match=r"run_distribute_train_\*\.sh"):
        runtime.start(distributed())


def test_what_needs_no_other_rank_runs_alone_with_a_distributed_runs_configuration():
    process = runtime.start(distributed(), may_be_single=True)
    assert (process.rank, process.size, process.is_main) == (0, 1, True)


def test_another_number_of_processes_than_configured_is_refused(monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "3")
    with pytest.raises(UserError, match="device_num is 2, but the launcher has started 3 processes"):
        runtime.start(distributed())


@pytest.mark.parametrize("may_be_single", [False, True])
@pytest.mark.parametrize("launcher", [{"OMPI_COMM_WORLD_SIZE": "2"}, {"MS_ROLE": "MS_WORKER", "MS_WORKER_NUM": "2"}])
def test_several_processes_without_run_distribute_are_refused(monkeypatch, launcher, may_be_single):
    for name, value in launcher.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="started 2 processes, but run_distribute is 0: add --run_distribute 1"):
        runtime.start(load_config(CONFIG), may_be_single=may_be_single)


def test_one_process_of_mpirun_needs_no_collectives(monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "1")
    assert runtime.start(distributed(1)).size == 1


@pytest.mark.parametrize("rank,expected", [("0", "error: it is wrong\n"), ("2", "error: rank 2: it is wrong\n")])
def test_ranks_after_the_first_say_what_is_wrong_with_their_number(monkeypatch, capsys, rank, expected):
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", rank)
    monkeypatch.setattr(command, "OTHER_RANKS_WAIT", 0)
    monkeypatch.setattr(runtime, "leave_at_once", sys.exit)  # the test goes on

    @entry_point
    def main():
        raise UserError("it is wrong")

    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and capsys.readouterr().err == expected


@pytest.mark.parametrize("chip,asked", [("ascend910", ["allow_fp32_to_fp16"]), ("ascend910b", [])])
def test_the_first_ascend_910_computes_in_half_precision_what_it_must_alone(monkeypatch, chip, asked):
    """MindSpore's own mode there is force_fp16, for boxes and losses too; by a stand-in, there was no Ascend."""
    modes, stand_in = [], mock.MagicMock()
    stand_in.device_context.ascend.op_precision.precision_mode.side_effect = modes.append
    monkeypatch.setattr(runtime, "ascend_chip", lambda: chip)
    runtime._set_device(stand_in, load_config(CONFIG, ["--device_target", "Ascend"]), joined=False)
    assert modes == asked and stand_in.set_context.call_args.kwargs["device_target"] == "Ascend"


def test_mindspore_tells_of_the_chip_and_knows_the_mode():
    """What `ascend_chip` and `_set_device` call is there in this version."""
    assert runtime.ascend_chip() == ""
    assert runtime.FIRST_910_MODE in ms.device_context.ascend.op_precision.precision_mode.__doc__


RANK = """
import atexit, sys
from src.process import signals
signals.watch()
from src.process import runtime
from src.process.command import entry_point
class Channel:  # to ranks that have come to their end, too
    gather = staticmethod(lambda item: [item, item])
    broadcast = staticmethod(lambda item: item)
atexit.register(print, "MindSpore's cluster is brought to its end")
runtime._joined = runtime.Runtime(0, 2, sys.argv[1], Channel())
runtime.siblings = lambda role: [1] if sys.argv[2] == role else []
@entry_point
def main():
    print("trained", end="")
    sys.exit(int(sys.argv[3])) if int(sys.argv[3]) else None
main()
"""


@pytest.mark.parametrize("status", [0, 143])
@pytest.mark.parametrize(
    "device,beside,leaves", [("CPU", "MS_SCHED", True), ("Ascend", "MS_SCHED", False), ("GPU", "nobody", False)]
)
def test_ranks_leave_without_the_end_of_the_cluster_in_which_some_die(device, beside, status, leaves):
    command, root = [sys.executable, "-c", RANK, device, beside, str(status)], Path(__file__).parents[2]
    environment = {**os.environ, "OMPI_COMM_WORLD_RANK": "0"}
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == status and not done.stderr
    assert done.stdout == ("trained" if leaves else "trainedMindSpore's cluster is brought to its end\n")
