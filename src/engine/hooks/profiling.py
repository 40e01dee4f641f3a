"""MindSpore's profiler over a few steps of a run."""

from ..run import Epoch, Hook, Run

FIRST, COUNT = 5, 10  # the step that is profiled first (the ones before it compile and warm up), and how many


class Profiling(Hook):
    """Profiles `COUNT` steps of rank 0, each with what follows it up to the next batch (hence the last of the hooks).

    The run's `profile/` then holds a trace for chrome://tracing and operator times.
    """

    def __init__(self, device: str):
        self.device = device
        self.profiler = None

    def on_start(self, run: Run, state) -> None:
        if run.finished or not run.process.is_main:
            return
        from mindspore.profiler import ProfilerActivity, profile, schedule, tensorboard_trace_handler

        activities = [ProfilerActivity.CPU]
        if self.device != "CPU":
            activities.append(ProfilerActivity.NPU if self.device == "Ascend" else ProfilerActivity.GPU)
        self.profiler = profile(
            activities=activities,
            schedule=schedule(wait=FIRST, warmup=0, active=COUNT, repeat=1),
            on_trace_ready=tensorboard_trace_handler(str(run.experiment.folder / "profile")),
        )
        self.profiler.start()

    def on_step(self, run: Run, losses) -> None:
        if self.profiler and not run.ends_epoch:
            self.profiler.step()

    def on_epoch(self, run: Run, epoch: Epoch) -> None:
        if self.profiler and not run.finished:
            self.profiler.step()

    def on_end(self, error: BaseException | None) -> None:
        if self.profiler:
            self.profiler.stop()
