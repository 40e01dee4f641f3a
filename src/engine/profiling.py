"""MindSpore's profiler over a few steps of a run."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from ..config import Config

FIRST, COUNT = 5, 10  # the step that is profiled first (the ones before it compile and warm up), and how many


def profiled(cfg: Config, batches: Iterable, folder: Path) -> Iterator:
    """The batches, with `COUNT` steps profiled; `folder` then holds a trace for chrome://tracing and operator times."""
    from mindspore.profiler import ProfilerActivity, profile, schedule, tensorboard_trace_handler

    activities = [ProfilerActivity.CPU]
    if cfg.device_target != "CPU":
        activities.append(ProfilerActivity.NPU if cfg.device_target == "Ascend" else ProfilerActivity.GPU)
    profiler = profile(
        activities=activities,
        schedule=schedule(wait=FIRST, warmup=0, active=COUNT, repeat=1),
        on_trace_ready=tensorboard_trace_handler(str(folder)),
    )
    profiler.start()
    try:
        for batch in batches:
            yield batch
            profiler.step()
    finally:
        profiler.stop()
