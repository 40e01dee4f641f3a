import os
import sys

import pytest

from src import api
from src.commands import entries
from src.errors import UserError
from src.process.threads import cores_shared, share_cores

SET = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
NAMES = (*SET, "OMPI_COMM_WORLD_LOCAL_SIZE", "MS_ROLE", "MS_WORKER_NUM")


@pytest.fixture()
def eight_cores(monkeypatch):
    """A machine of eight cores, and none of the variables set."""
    for name in NAMES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    return monkeypatch


def shared():
    share_cores()
    return {name: os.environ.get(name) for name in SET}


def test_a_process_alone_takes_all_cores_and_its_idle_threads_sleep(eight_cores):
    assert shared() == {"OMP_NUM_THREADS": "8", "OMP_WAIT_POLICY": None, "GOMP_SPINCOUNT": "2000"}


def test_the_users_settings_win(eight_cores):
    eight_cores.setenv("OMP_NUM_THREADS", "3")
    eight_cores.setenv("OMP_WAIT_POLICY", "active")
    assert shared() == {"OMP_NUM_THREADS": "3", "OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": None}


@pytest.mark.parametrize("ranks,cores", [(1, "8"), (2, "4"), (3, "2"), (16, "1")])
@pytest.mark.parametrize("launcher", ["mpirun", "msrun"])
def test_the_ranks_of_a_machine_share_its_cores(eight_cores, launcher, ranks, cores):
    if launcher == "msrun":
        eight_cores.setenv("MS_ROLE", "MS_WORKER")
    eight_cores.setenv("MS_WORKER_NUM" if launcher == "msrun" else "OMPI_COMM_WORLD_LOCAL_SIZE", str(ranks))
    assert shared()["OMP_NUM_THREADS"] == cores


def test_a_rank_that_its_launcher_has_bound_takes_its_own_cores(eight_cores):
    eight_cores.setenv("OMPI_COMM_WORLD_LOCAL_SIZE", "2")
    eight_cores.setattr(os, "sched_getaffinity", lambda process: {5})
    assert shared()["OMP_NUM_THREADS"] == "1"


def stop():
    raise UserError("cores are shared")


@pytest.mark.parametrize("command", ["train", "evaluate", "infer"])
def test_commands_that_run_a_network_share_the_cores(monkeypatch, capsys, command):
    monkeypatch.setattr(entries, "share_cores", stop)
    keys = ("--checkpoint_path", "a", "--pred_input", "b", "--pred_output", "c", "--train_dataset", "d")
    monkeypatch.setattr(sys, "argv", [command, "--config_path", "configs/demo/hrnet_cls_shapes.yaml", *keys])
    with pytest.raises(SystemExit):
        getattr(entries, command)()
    assert "error: cores are shared" in capsys.readouterr().err


def test_so_does_a_program_that_loads_one(monkeypatch):
    monkeypatch.setattr(api, "cores_shared", stop)
    with pytest.raises(UserError, match="cores are shared"):
        api.load("anything")


def test_whose_variables_are_put_back(eight_cores):
    eight_cores.setenv("OMP_NUM_THREADS", "3")
    with cores_shared():
        assert {name: os.environ.get(name) for name in SET[::2]} == {"OMP_NUM_THREADS": "3", "GOMP_SPINCOUNT": "2000"}
    assert {name: os.environ.get(name) for name in SET[::2]} == {"OMP_NUM_THREADS": "3", "GOMP_SPINCOUNT": None}
