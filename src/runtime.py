"""Device, execution mode, seeds and ranks. The only file that reads or writes the process environment."""

import os
import random
import socket
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np

from src.config import Config
from src.errors import UserError

SCHEDULER = "import mindspore as ms; ms.set_device('CPU'); from mindspore.communication import init; init()"
SCHEDULER_WAIT = 60.0  # seconds


@dataclass(frozen=True)
class Runtime:
    """This process: its rank of `size`, and the device."""

    rank: int
    size: int
    device: str

    @property
    def is_main(self) -> bool:
        """Rank 0 alone writes checkpoints, logs and metrics."""
        return self.rank == 0


def quiet_logs() -> None:
    """Only errors from MindSpore's C++ side, unless GLOG_v says otherwise. Call before MindSpore is imported."""
    os.environ.setdefault("GLOG_v", "3")


def set_defaults(values: dict[str, str]) -> None:
    """Set environment variables of optional packages that the user has not set."""
    for name, value in values.items():
        os.environ.setdefault(name, value)


def launched_rank() -> int:
    """This process's rank by its launcher's word (mpirun, msrun, a rank table), before the ranks are joined."""
    words = (os.environ.get(name) for name in ("OMPI_COMM_WORLD_RANK", "MS_NODE_ID", "RANK_ID"))
    return int(next(filter(None, words), 0))


def start(cfg: Config) -> Runtime:
    """Set device, mode and seeds by the configuration; join the other ranks. UserError if the device is not there."""
    quiet_logs()
    if cfg.run_distribute and cfg.device_target == "CPU":
        _boot_cpu_cluster()
    import mindspore as ms

    _warn_of_slow_convolutions(ms.__version__)
    ms.set_context(mode=ms.GRAPH_MODE if cfg.mode == "graph" else ms.PYNATIVE_MODE)
    _set_device(ms, cfg)
    if cfg.enable_graph_kernel and cfg.device_target != "CPU":
        ms.set_context(enable_graph_kernel=True)
    rank, size = _join(ms, cfg) if cfg.run_distribute else (0, 1)
    random.seed(cfg.seed)
    np.random.seed(cfg.seed % 2**32)
    ms.set_seed(cfg.seed)
    return Runtime(rank, size, cfg.device_target)


def _set_device(ms, cfg: Config) -> None:
    hint = f"device_target is {cfg.device_target}, but MindSpore finds no such device here"
    try:
        if cfg.run_distribute or cfg.device_target == "CPU":
            ms.set_context(device_target=cfg.device_target)
        else:
            ms.set_context(device_target=cfg.device_target, device_id=cfg.device_id)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{hint}; run with --device_target CPU ({str(error).splitlines()[0]})") from None


def _join(ms, cfg: Config) -> tuple[int, int]:
    """Bring up the collectives: NCCL on GPU, HCCL on Ascend, MindSpore's TCP cluster on CPU."""
    from mindspore.communication import get_group_size, get_rank, init

    try:
        init("nccl") if cfg.device_target == "GPU" else init()
    except RuntimeError as error:
        raise UserError(
            f"the ranks could not be joined; start with mpirun or msrun ({str(error).splitlines()[0]})"
        ) from None
    ms.set_auto_parallel_context(parallel_mode=ms.ParallelMode.DATA_PARALLEL, gradients_mean=True)
    return get_rank(), get_group_size()


def _boot_cpu_cluster() -> None:
    """Under mpirun: rank 0 starts MindSpore's scheduler and tells the others where it listens.

    Under msrun the variables are there already. The wait for the scheduler's port saves a worker that would connect
    too early up to a minute of retries; rank 0 must not wait for the scheduler's end, which follows its own.
    """
    size = int(os.environ.get("OMPI_COMM_WORLD_SIZE", "1"))
    if size == 1 or "MS_ROLE" in os.environ:
        return
    from mpi4py import MPI

    rank = MPI.COMM_WORLD.Get_rank()
    address = _start_scheduler(size) if rank == 0 else None
    host, port = MPI.COMM_WORLD.bcast(address)
    os.environ.update(
        MS_ROLE="MS_WORKER", MS_WORKER_NUM=str(size), MS_NODE_ID=str(rank), MS_SCHED_HOST=host, MS_SCHED_PORT=str(port)
    )


def _start_scheduler(size: int) -> tuple[str, int]:
    host = os.environ.get("MS_SCHED_HOST", "127.0.0.1")
    with socket.socket() as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "PMIX_", "PMI_"))}
    environment.update(MS_ROLE="MS_SCHED", MS_WORKER_NUM=str(size), MS_SCHED_HOST=host, MS_SCHED_PORT=str(port))
    subprocess.Popen([sys.executable, "-c", SCHEDULER], env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + SCHEDULER_WAIT
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                return host, port
        time.sleep(0.2)
    raise UserError(f"MindSpore's scheduler did not listen on {host}:{port} within {SCHEDULER_WAIT:.0f} s")


def slow_convolutions(version: str) -> bool:
    """Whether this MindSpore release convolves ~100 times too slowly on AVX-512 hosts (its oneDNN 3.10)."""
    return version.startswith(("2.9.", "2.10.")) and os.environ.get("ONEDNN_MAX_CPU_ISA") != "AVX2"


def _warn_of_slow_convolutions(version: str) -> None:
    if slow_convolutions(version):
        print(
            f"warning: MindSpore {version} convolves about 100 times slower than 2.8.0 on AVX-512 processors; "
            "set ONEDNN_MAX_CPU_ISA=AVX2 or install mindspore==2.8.0",
            file=sys.stderr,
        )
