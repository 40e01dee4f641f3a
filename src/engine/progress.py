"""What a person who watches a run is told beside its losses: when it ends, how fast it goes, what holds it up."""

from ..process.memory import peak_memory
from .pace import Span, duration
from .run import Run

MB = 2**20


def progress(run: Run, since: Span) -> list[str]:
    """`eta: 0:12:34`, `12.3 img/s`, `data: 3%`, `memory: 812 MB`, as far as a step has been timed.

    since: `run.pace.total` from which on speed and waiting are meant. The end is that of the run, by the time of all
    its steps since it was started or resumed, but for the first, and of its last evaluation. Images are those of all
    ranks; data is the share of the time that steps waited for their batches; memory is the most so far, of this process
    on a CPU, else on its device.
    """
    parts, span = [], run.pace.total - since
    seconds = seconds_left(run)
    if seconds is not None:
        parts.append(f"eta: {duration(seconds)}")
    if span.steps and span.seconds > 0:
        images = span.steps * run.cfg.batch_size * run.process.size
        parts.append(f"{images / span.seconds:.1f} img/s")
        parts.append(f"data: {100 * span.waited / span.seconds:.0f}%")
    return [*parts, f"memory: {peak_memory(run.process.device) / MB:.0f} MB"]


def seconds_left(run: Run) -> float | None:
    """Until the end of the run, evaluations included; None before a step is timed."""
    evaluation = run.hooks.get("evaluation")
    last = run.schedule.position(run.last)[0]
    evaluations = evaluation.left(run.epoch, last) if evaluation else 0
    return run.pace.left(max(run.last - run.done, 0), evaluations)
